//! The texts of errors: what failed, at which broker, why, and what an operator can do about it.

use std::fmt;

use super::{Error, ErrorCode};
use crate::types::{Address, Advertised};

/// How many failures of [`Error::NoBrokerAvailable`] are shown.
const FAILURES_SHOWN_MAX: usize = 10;

/// Each failure with its cause, on one line.
fn show_failures(failures: &[Error], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("no broker is available")?;
    for (shown, failure) in failures.iter().take(FAILURES_SHOWN_MAX).enumerate() {
        write!(f, "{} {failure}", if shown == 0 { ":" } else { ";" })?;
        if let Some(source) = std::error::Error::source(failure) {
            write!(f, ": {source}")?;
        }
    }
    match failures.len().saturating_sub(FAILURES_SHOWN_MAX) {
        0 => Ok(()),
        more => write!(f, "; and {more} more"),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolve { address, advertised, .. } => {
                write!(f, "cannot resolve the broker's name '{}'", address.host)?;
                show_origin(advertised.as_ref(), f)
            }
            Self::Connect { address, advertised, .. } => {
                write!(f, "cannot connect to broker {address}")?;
                show_origin(advertised.as_ref(), f)
            }
            Self::NoBrokerAvailable { failures } => show_failures(failures, f),
            Self::Handshake { address, .. } => {
                write!(f, "TLS handshake with broker {address} was interrupted: is this its TLS port?")
            }
            Self::Tls { address, fault } => write!(f, "TLS handshake with broker {address} failed: {fault}"),
            Self::Sasl { address, fault } => write!(f, "SASL authentication with broker {address} failed: {fault}"),
            Self::Disconnected { address, request, .. } => {
                write!(f, "connection to broker {address} broke during {request}")
            }
            Self::TimedOut { address, request, waited } => {
                write!(f, "broker {address} did not respond to {request} within {} ms", waited.as_millis())
            }
            Self::Malformed { address, request, detail } => {
                write!(f, "broker {address} sent a malformed response to {request}: {detail}")
            }
            Self::ResponseTooLarge { address, request, bytes, limit_bytes } => write!(
                f,
                "{address} announced a response to {request} of {bytes} bytes, more than the limit of {limit_bytes}: is it a \
                 Kafka broker, and this its port without TLS?"
            ),
            Self::UnsupportedVersion { address, request, ours, theirs } => {
                write!(
                    f,
                    "broker {address} and this client have no common version of {request}: the client's {}-{}, ",
                    ours.0, ours.1
                )?;
                match theirs {
                    Some((low, high)) => write!(f, "the broker's {low}-{high}"),
                    None => write!(f, "the broker does not support it"),
                }
            }
            Self::Broker { address, request, code, subject } => show_refusal(address, request, *code, subject, f),
            Self::Leaderless { partition, others: 0 } => write!(f, "{partition} has no leader"),
            Self::Leaderless { partition, others } => {
                write!(f, "{partition} and {others} more of its topic have no leader")
            }
            Self::Topic { topic, code: ErrorCode::UNKNOWN_TOPIC_OR_PARTITION } => {
                write!(f, "topic '{topic}' does not exist; waiting for it, as this client never creates one")
            }
            Self::Topic { topic, code } => {
                write!(f, "topic '{topic}' cannot be read: {code}")?;
                show_missing_permission(*code, f)
            }
            Self::CorruptBatch { partition, offset, detail } => {
                write!(f, "record batch at offset {offset} of {partition} cannot be read: {detail}")
            }
            Self::OldFormat { partition, offset, format } => write!(
                f,
                "the records at offset {offset} of {partition} have message format v{format}, which Kafka 4.0 dropped \
                 (KIP-724); only v2 is read: copy them to a new topic with a client that reads them, such as MirrorMaker of \
                 Kafka 3.9, or start after them"
            ),
            Self::BatchTooLarge { partition, offset, limit_bytes } => {
                write!(
                    f,
                    "record batch at offset {offset} of {partition} is larger than the limit of {limit_bytes} bytes"
                )
            }
            Self::Thread(_) => write!(f, "cannot start a thread for a broker connection"),
            Self::Config(detail) => write!(f, "{detail}"),
            Self::RetriesExhausted { attempts, .. } => write!(f, "gave up after {attempts} failed attempts in a row"),
        }
    }
}

/// Where the address of a broker comes from.
fn show_origin(advertised: Option<&Advertised>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    advertised.map_or(Ok(()), |by| write!(f, " ({by})"))
}

fn show_refusal(
    address: &Address,
    request: &str,
    code: ErrorCode,
    subject: &str,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    write!(f, "broker {address} refused {request}")?;
    if !subject.is_empty() {
        write!(f, " for {subject}")?;
    }
    write!(f, ": {code}")?;
    show_missing_permission(code, f)?;
    if code == ErrorCode::GROUP_AUTHORIZATION_FAILED && needs_describe(request) {
        write!(f, ", which implies DESCRIBE unless an ACL denies it: {request} needs DESCRIBE")?;
    }
    Ok(())
}

/// What an operator must grant
/// ([operations and resources](https://kafka.apache.org/documentation/#operations_resources_and_protocols)).
fn show_missing_permission(code: ErrorCode, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(match code {
        ErrorCode::TOPIC_AUTHORIZATION_FAILED => "; grant this user READ and DESCRIBE on the topic",
        ErrorCode::GROUP_AUTHORIZATION_FAILED => "; grant this user READ on the group",
        ErrorCode::CLUSTER_AUTHORIZATION_FAILED => "; grant this user the operation on the cluster",
        _ => "",
    })
}

/// Whether a request requires the permission DESCRIBE on the group instead of READ
/// ([operations and resources](https://kafka.apache.org/documentation/#operations_resources_and_protocols)).
fn needs_describe(request: &str) -> bool {
    matches!(request, "FindCoordinator" | "OffsetFetch" | "DescribeGroups" | "ConsumerGroupDescribe")
}

#[cfg(test)]
mod tests {
    use crate::error::{Error, ErrorCode};
    use crate::types::Address;

    #[test]
    fn a_refusal_for_a_group_names_the_permission_that_is_missing() {
        let refusal = |request| {
            let address = Address { host: "b".to_owned(), port: 1 };
            let code = ErrorCode::GROUP_AUTHORIZATION_FAILED;
            Error::Broker { address, request, code, subject: "group 'g'".to_owned() }.to_string()
        };
        for request in ["JoinGroup", "Heartbeat", "OffsetCommit"] {
            assert!(refusal(request).ends_with("; grant this user READ on the group"), "{}", refusal(request));
        }
        for request in ["FindCoordinator", "OffsetFetch"] {
            assert!(refusal(request).ends_with(&format!("{request} needs DESCRIBE")), "{}", refusal(request));
        }
    }
}
