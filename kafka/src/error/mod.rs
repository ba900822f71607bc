//! Everything that can go wrong between us and a broker, as values. Knows nothing of what the caller does about it.

mod code;

use std::fmt;
use std::io;
use std::time::Duration;

use crate::registry::Advertised;
use crate::sasl::SaslFault;
use crate::tls::TlsFault;
use crate::types::{Address, TopicPartition};

pub use code::ErrorCode;

/// The result of a call into the client.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The requests that name a member of a group.
const MEMBER_REQUESTS: [&str; 6] =
    ["JoinGroup", "SyncGroup", "Heartbeat", "LeaveGroup", "OffsetCommit", "ConsumerGroupHeartbeat"];

/// Why a request to a broker failed.
#[derive(Debug)]
pub enum Error {
    /// The host name did not resolve.
    Resolve {
        /// Who was looked up.
        address: Address,
        /// The broker that advertises the address; `None` for a bootstrap server.
        advertised: Option<Advertised>,
        /// The resolver's answer.
        source: io::Error,
    },
    /// No connection could be made.
    Connect {
        /// Who was called.
        address: Address,
        /// The broker that advertises the address; `None` for a bootstrap server.
        advertised: Option<Advertised>,
        /// Why not.
        source: io::Error,
    },
    /// No broker answered a request that any broker can answer.
    NoBrokerAvailable {
        /// The failure of each broker, at least two; the one that says most is the first.
        failures: Vec<Error>,
    },
    /// The TLS handshake broke off, for a reason that may pass.
    Handshake {
        /// The peer.
        address: Address,
        /// What the socket or the TLS library said.
        source: io::Error,
    },
    /// We and the broker do not trust each other's certificates.
    Tls {
        /// The peer.
        address: Address,
        /// Why not.
        fault: TlsFault,
    },
    /// We and the broker do not come together in SASL.
    Sasl {
        /// The peer.
        address: Address,
        /// Why not.
        fault: SaslFault,
    },
    /// The connection broke, or the broker closed it, while a request was under way.
    Disconnected {
        /// The peer.
        address: Address,
        /// What was asked.
        request: &'static str,
        /// What the socket said.
        source: io::Error,
    },
    /// No answer before the deadline.
    TimedOut {
        /// The peer.
        address: Address,
        /// What was asked.
        request: &'static str,
        /// How long we waited.
        waited: Duration,
    },
    /// The peer's bytes are not the protocol.
    Malformed {
        /// The peer.
        address: Address,
        /// What was asked.
        request: &'static str,
        /// What is wrong, and where.
        detail: String,
    },
    /// The peer announced a response larger than the limit; nothing was allocated for it.
    ResponseTooLarge {
        /// The peer.
        address: Address,
        /// What was asked.
        request: &'static str,
        /// Announced size in bytes.
        bytes: u64,
        /// The limit in bytes.
        limit_bytes: u64,
    },
    /// No version of a request that both sides speak.
    UnsupportedVersion {
        /// The peer.
        address: Address,
        /// The request.
        request: &'static str,
        /// What we speak.
        ours: (i16, i16),
        /// What the broker speaks, if it knows the request at all.
        theirs: Option<(i16, i16)>,
    },
    /// The broker understood and refused.
    Broker {
        /// The peer.
        address: Address,
        /// What was asked.
        request: &'static str,
        /// The protocol's error code.
        code: ErrorCode,
        /// The partition, group or topic it is about, as text; empty if the whole request was refused.
        subject: String,
    },
    /// Nobody leads some partitions of a topic at the moment.
    Leaderless {
        /// One of them.
        partition: TopicPartition,
        /// How many others there are.
        others: usize,
    },
    /// The cluster has the topic not (yet), or does not let us see it.
    Topic {
        /// Its name.
        topic: String,
        /// Why not.
        code: ErrorCode,
    },
    /// A record batch of one partition cannot be read: its bytes are damaged or of a kind that we do not know.
    CorruptBatch {
        /// Where it lies.
        partition: TopicPartition,
        /// Base offset of the batch, or the asked offset if not even that could be read.
        offset: i64,
        /// What is wrong.
        detail: String,
    },
    /// Records of one partition have a message format that this client does not read: they were written before Kafka 0.11, or to a
    /// topic whose `message.format.version` says so.
    OldFormat {
        /// Where they lie.
        partition: TopicPartition,
        /// The first of them.
        offset: i64,
        /// The format's number: 0 or 1.
        format: i8,
    },
    /// A fetch of a single partition, or one decompressed batch, exceeds the receive limit.
    BatchTooLarge {
        /// Where it lies.
        partition: TopicPartition,
        /// Base offset of the batch, or the asked offset.
        offset: i64,
        /// The limit in bytes.
        limit_bytes: u64,
    },
    /// The background thread of a connection could not be started.
    Thread(io::Error),
    /// A setting of the builder makes no sense.
    Config(String),
    /// As many attempts failed in a row as the retry policy allows.
    RetriesExhausted {
        /// How many.
        attempts: u32,
        /// The last failure.
        source: Box<Error>,
    },
}

impl Error {
    /// Whether waiting and asking again, here or at another broker, can help without anybody doing something.
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Resolve { .. }
            | Self::Connect { .. }
            | Self::Handshake { .. }
            | Self::Disconnected { .. }
            | Self::TimedOut { .. }
            | Self::Malformed { .. }
            | Self::ResponseTooLarge { .. }
            | Self::Leaderless { .. }
            | Self::CorruptBatch { .. } => true,
            Self::Broker { request, code, .. } => {
                // A request that names no member cannot be refused for it: the broker is at fault, and may recover.
                code.is_retriable() || (code.is_about_member() && !MEMBER_REQUESTS.contains(request))
            }
            Self::Topic { code, .. } => code.is_retriable() || code.is_about_member(),
            Self::NoBrokerAvailable { failures } => failures.first().is_none_or(Self::is_retriable),
            Self::Tls { .. }
            | Self::Sasl { .. }
            | Self::UnsupportedVersion { .. }
            | Self::OldFormat { .. }
            | Self::BatchTooLarge { .. }
            | Self::Thread(_)
            | Self::Config(_)
            | Self::RetriesExhausted { .. } => false,
        }
    }

    /// The same failure of a connection whose address a broker advertises.
    pub(crate) fn advertised_by(mut self, by: Option<Advertised>) -> Self {
        if let Self::Resolve { advertised, .. } | Self::Connect { advertised, .. } = &mut self {
            *advertised = by;
        }
        self
    }
}

/// As many failures of [`Error::NoBrokerAvailable`] are shown.
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
                advertised.as_ref().map_or(Ok(()), |by| write!(f, " ({by})"))
            }
            Self::Connect { address, advertised, .. } => {
                write!(f, "cannot connect to broker {address}")?;
                advertised.as_ref().map_or(Ok(()), |by| write!(f, " ({by})"))
            }
            Self::NoBrokerAvailable { failures } => show_failures(failures, f),
            Self::Handshake { address, .. } => {
                write!(f, "the TLS handshake with broker {address} broke off: is this its port for TLS?")
            }
            Self::Tls { address, fault } => write!(f, "no TLS with broker {address}: {fault}"),
            Self::Sasl { address, fault } => write!(f, "no authentication with broker {address}: {fault}"),
            Self::Disconnected { address, request, .. } => {
                write!(f, "connection to broker {address} broke during {request}")
            }
            Self::TimedOut { address, request, waited } => {
                write!(f, "broker {address} did not answer {request} within {} ms", waited.as_millis())
            }
            Self::Malformed { address, request, detail } => {
                write!(f, "broker {address} answered {request} with bytes that are not Kafka's protocol: {detail}")
            }
            Self::ResponseTooLarge { address, request, bytes, limit_bytes } => write!(
                f,
                "{address} announced a response to {request} of {bytes} bytes, more than the limit of {limit_bytes}: is it a \
                 Kafka broker, and this its port for plain connections?"
            ),
            Self::UnsupportedVersion { address, request, ours, theirs } => {
                write!(
                    f,
                    "broker {address} and this client share no version of {request}: ours {}-{}, ",
                    ours.0, ours.1
                )?;
                match theirs {
                    Some((low, high)) => write!(f, "the broker's {low}-{high}"),
                    None => write!(f, "the broker has none"),
                }
            }
            Self::Broker { address, request, code, subject } => {
                write!(f, "broker {address} refused {request}")?;
                if !subject.is_empty() {
                    write!(f, " for {subject}")?;
                }
                write!(f, ": {code}")?;
                code.missing_permission().map_or(Ok(()), |permission| write!(f, "; {permission}"))?;
                if *code == ErrorCode::GROUP_AUTHORIZATION_FAILED && needs_describe(request) {
                    write!(f, ", which brings DESCRIBE unless an ACL denies that: {request} needs DESCRIBE")?;
                }
                Ok(())
            }
            Self::Leaderless { partition, others: 0 } => write!(f, "{partition} has no leader"),
            Self::Leaderless { partition, others } => {
                write!(f, "{partition} and {others} more of its topic have no leader")
            }
            Self::Topic { topic, code: ErrorCode::UNKNOWN_TOPIC_OR_PARTITION } => {
                write!(f, "topic '{topic}' does not exist; waiting for it, as this client never creates one")
            }
            Self::Topic { topic, code } => {
                write!(f, "topic '{topic}' cannot be read: {code}")?;
                code.missing_permission().map_or(Ok(()), |permission| write!(f, "; {permission}"))
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

/// Whether a request takes the permission DESCRIBE on the group instead of READ
/// ([operations and resources](https://kafka.apache.org/documentation/#operations_resources_and_protocols)).
fn needs_describe(request: &str) -> bool {
    matches!(request, "FindCoordinator" | "OffsetFetch" | "DescribeGroups" | "ConsumerGroupDescribe")
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Resolve { source, .. }
            | Self::Connect { source, .. }
            | Self::Handshake { source, .. }
            | Self::Disconnected { source, .. }
            | Self::Thread(source) => Some(source),
            Self::RetriesExhausted { source, .. } => Some(source),
            // Its text has the failures and their causes already.
            Self::NoBrokerAvailable { .. }
            | Self::Tls { .. }
            | Self::Sasl { .. }
            | Self::TimedOut { .. }
            | Self::Malformed { .. }
            | Self::ResponseTooLarge { .. }
            | Self::UnsupportedVersion { .. }
            | Self::Broker { .. }
            | Self::Leaderless { .. }
            | Self::Topic { .. }
            | Self::CorruptBatch { .. }
            | Self::OldFormat { .. }
            | Self::BatchTooLarge { .. }
            | Self::Config(_) => None,
        }
    }
}

impl ErrorCode {
    /// What an operator must grant where a broker refuses for want of it
    /// ([operations and resources](https://kafka.apache.org/documentation/#operations_resources_and_protocols)).
    fn missing_permission(self) -> Option<&'static str> {
        match self {
            Self::TOPIC_AUTHORIZATION_FAILED => Some("grant this user READ and DESCRIBE on the topic"),
            Self::GROUP_AUTHORIZATION_FAILED => Some("grant this user READ on the group"),
            Self::CLUSTER_AUTHORIZATION_FAILED => Some("grant this user the operation on the cluster"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Address, Error, ErrorCode};

    #[test]
    fn a_request_without_a_member_is_sent_again_after_it_was_refused_for_the_member() {
        let is_retriable = |request, code| {
            let address = Address { host: "broker".to_owned(), port: 9092 };
            Error::Broker { address, request, code, subject: String::new() }.is_retriable()
        };
        for code in [22, 25, 27, 69, 82, 110, 113].map(ErrorCode) {
            for request in
                ["Metadata", "ListOffsets", "OffsetFetch", "OffsetForLeaderEpoch", "Fetch", "FindCoordinator"]
            {
                assert!(is_retriable(request, code), "{request} {code}");
            }
            for request in ["JoinGroup", "SyncGroup", "Heartbeat", "OffsetCommit"] {
                assert!(!is_retriable(request, code), "{request} {code}");
            }
        }
        assert!(!is_retriable("Metadata", ErrorCode::CLUSTER_AUTHORIZATION_FAILED));
    }

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
