//! Advises which setting or broker configuration to change after an error of the Kafka client. Must not decide whether to retry.

use kafka::{Error, ErrorCode, SaslFault, TlsFault};

/// What an operator can do about an error. The client itself does not know the names of the settings.
pub fn advice(error: &Error) -> Option<&'static str> {
    match error {
        Error::BatchTooLarge { .. } => Some("raise KAFKA_RECEIVE_MAX_BYTES"),
        Error::Resolve { advertised: Some(_), .. } | Error::Connect { advertised: Some(_), .. } => Some(
            "this address is not from KAFKA_BOOTSTRAP_SERVERS: set advertised.listeners of that broker to an address that this \
             machine can resolve and reach",
        ),
        Error::NoBrokerAvailable { failures } => failures.iter().find_map(advice),
        Error::Tls { fault, .. } => match fault {
            TlsFault::Untrusted | TlsFault::OtherKey => {
                Some("KAFKA_SSL_CA_LOCATION names the PEM file with the authority's certificate")
            }
            TlsFault::WrongName { .. } | TlsFault::HostName | TlsFault::UnrecognizedName => {
                Some("KAFKA_BOOTSTRAP_SERVERS and the broker's advertised.listeners must use a name of its certificate")
            }
            TlsFault::Expired { .. } => Some("renew the broker's certificate, or set this machine's clock"),
            TlsFault::NotYetValid { .. } => Some("set this machine's clock, or replace the broker's certificate"),
            TlsFault::CertificateRequired => Some(
                "set KAFKA_SSL_CERTIFICATE_LOCATION and KAFKA_SSL_KEY_LOCATION to a client certificate and its key",
            ),
            TlsFault::CertificateRejected(_) => Some(
                "KAFKA_SSL_CERTIFICATE_LOCATION must name a valid certificate of an authority in the broker's truststore",
            ),
            TlsFault::Signature | TlsFault::Authority => Some("the broker needs another certificate"),
            TlsFault::Certificate(_) | TlsFault::NothingInCommon(_) => None,
        },
        Error::Sasl { fault, .. } => match fault {
            SaslFault::UnsupportedMechanism { .. } => Some("set KAFKA_SASL_MECHANISM to one of these mechanisms"),
            SaslFault::NotExpected => {
                Some("set KAFKA_SECURITY_PROTOCOL to SSL or PLAINTEXT, or use the port of the SASL listener")
            }
            SaslFault::Rejected { .. } => Some("check KAFKA_SASL_USERNAME, the password and KAFKA_SASL_MECHANISM"),
            SaslFault::NoToken(_) => None,
            SaslFault::TokenRejected { expired_for: Some(_), .. } => {
                Some("renew the token, or set this machine's clock; the service needs no restart")
            }
            SaslFault::TokenRejected { expired_for: None, .. } => Some(
                "issuer, audience, scope and signature of the token must be those that the broker expects; the service needs \
                 no restart after the token was renewed",
            ),
            SaslFault::ServerNotVerified { .. } => {
                Some("the server may not be one of your brokers: check KAFKA_BOOTSTRAP_SERVERS")
            }
        },
        Error::UnsupportedVersion { request: "ConsumerGroupHeartbeat", .. }
        | Error::Broker { request: "ConsumerGroupHeartbeat", code: ErrorCode::UNSUPPORTED_VERSION, .. } => {
            Some("KAFKA_GROUP_PROTOCOL=consumer needs brokers since Kafka 4.0 that enable it: choose classic")
        }
        Error::UnsupportedVersion { request: "JoinGroup" | "SyncGroup" | "Heartbeat" | "LeaveGroup", .. } => Some(
            "KAFKA_GROUP_PROTOCOL=classic needs brokers since Kafka 0.11: choose none, and let one process read the topics",
        ),
        Error::Broker { code, .. } => refusal_advice(*code),
        _ => None,
    }
}

/// What an operator can do about a refusal of a coordinator.
fn refusal_advice(code: ErrorCode) -> Option<&'static str> {
    match code {
        ErrorCode::FENCED_INSTANCE_ID => Some(
            "another process has joined as this member of the group: each instance needs its own KAFKA_GROUP_INSTANCE_ID, and a \
             copied database needs its own id ('check' says how)",
        ),
        ErrorCode::FENCED_MEMBER_EPOCH => Some(
            "the coordinator has removed this member from the group, or another process uses a copy of this database, which needs \
             its own id ('check' says how)",
        ),
        ErrorCode::UNRELEASED_INSTANCE_ID => {
            Some("another member has the same KAFKA_GROUP_INSTANCE_ID, or its session has not timed out yet")
        }
        ErrorCode::INCONSISTENT_GROUP_PROTOCOL => Some(
            "the group's other members use another protocol or other assignors: choose their KAFKA_GROUP_PROTOCOL, or another \
             KAFKA_GROUP_ID",
        ),
        ErrorCode::COORDINATOR_NOT_AVAILABLE => Some(
            "a new cluster creates its topic __consumer_offsets first; if this goes on, its brokers are fewer than their \
             offsets.topic.replication.factor (3 by default), or cannot reach each other",
        ),
        ErrorCode::GROUP_MAX_SIZE_REACHED => Some(
            "the group has as many members as the brokers' group.max.size (group.consumer.max.size with \
             KAFKA_GROUP_PROTOCOL=consumer) allows: raise it, or stop another member; one that was killed counts until its \
             session has timed out",
        ),
        ErrorCode::INVALID_SESSION_TIMEOUT => Some(
            "KAFKA_SESSION_TIMEOUT_MS must lie between group.min.session.timeout.ms and group.max.session.timeout.ms of the \
             brokers",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_the_coordinator_names_the_broker_configuration() {
        let advice_for = |request, code| {
            let address = kafka::Address { host: "broker".to_owned(), port: 9092 };
            advice(&Error::Broker { address, request, code, subject: "group 'g'".to_owned() }).unwrap()
        };
        let absent = advice_for("FindCoordinator", ErrorCode::COORDINATOR_NOT_AVAILABLE);
        assert!(absent.contains("offsets.topic.replication.factor") && !absent.contains('\n'), "{absent}");
        let full = advice_for("JoinGroup", ErrorCode::GROUP_MAX_SIZE_REACHED);
        assert!(full.contains("group.max.size") && full.contains("killed"), "{full}");
    }
}
