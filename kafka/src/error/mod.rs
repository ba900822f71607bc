//! The errors of this crate. Must not know how a caller handles them.

mod code;
mod display;

use std::io;
use std::time::Duration;

use crate::sasl::SaslFault;
use crate::tls::TlsFault;
use crate::types::{Address, Advertised, TopicPartition};

pub use code::ErrorCode;

/// The result of a call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The requests that a member of a group sends.
const MEMBER_REQUESTS: [&str; 6] =
    ["JoinGroup", "SyncGroup", "Heartbeat", "LeaveGroup", "OffsetCommit", "ConsumerGroupHeartbeat"];

/// Why a request to a broker failed.
#[derive(Debug)]
pub enum Error {
    /// The host name did not resolve.
    Resolve {
        /// The address with the host name.
        address: Address,
        /// The broker that advertises the address; `None` for a bootstrap server.
        advertised: Option<Advertised>,
        /// The resolver's error.
        source: io::Error,
    },
    /// The TCP connection failed.
    Connect {
        /// The broker's address.
        address: Address,
        /// The broker that advertises the address; `None` for a bootstrap server.
        advertised: Option<Advertised>,
        /// The operating system's error.
        source: io::Error,
    },
    /// No broker responded to a request that any broker can serve.
    NoBrokerAvailable {
        /// The failure of each broker, at least two, the most significant one first.
        failures: Vec<Error>,
    },
    /// The TLS handshake failed for a reason that may pass.
    Handshake {
        /// The peer.
        address: Address,
        /// The error of the socket or of the TLS library.
        source: io::Error,
    },
    /// The TLS handshake failed, and will fail until somebody changes a certificate or a setting.
    Tls {
        /// The peer.
        address: Address,
        /// The reason.
        fault: TlsFault,
    },
    /// SASL authentication failed: with a token, until it is renewed; else until somebody changes the credentials or a
    /// setting.
    Sasl {
        /// The peer.
        address: Address,
        /// The reason.
        fault: SaslFault,
    },
    /// The connection broke, or the broker closed it, before the response was complete.
    Disconnected {
        /// The peer.
        address: Address,
        /// The request's name.
        request: &'static str,
        /// The error of the socket.
        source: io::Error,
    },
    /// No response within the timeout.
    TimedOut {
        /// The peer.
        address: Address,
        /// The request's name.
        request: &'static str,
        /// The timeout.
        waited: Duration,
    },
    /// The response cannot be decoded.
    Malformed {
        /// The peer.
        address: Address,
        /// The request's name.
        request: &'static str,
        /// What is wrong, and where.
        detail: String,
    },
    /// The peer announced a response larger than the limit; nothing was allocated for it.
    ResponseTooLarge {
        /// The peer.
        address: Address,
        /// The request's name.
        request: &'static str,
        /// Announced size in bytes.
        bytes: u64,
        /// The limit in bytes.
        limit_bytes: u64,
    },
    /// Client and broker support no common version of a request.
    UnsupportedVersion {
        /// The peer.
        address: Address,
        /// The request's name.
        request: &'static str,
        /// The client's versions, lowest and highest.
        ours: (i16, i16),
        /// The broker's versions; `None` if it does not support the request.
        theirs: Option<(i16, i16)>,
    },
    /// The broker refused the request.
    Broker {
        /// The peer.
        address: Address,
        /// The request's name.
        request: &'static str,
        /// The protocol's error code.
        code: ErrorCode,
        /// The partition, group or topic that was refused, as text; empty if the whole request was refused.
        subject: String,
    },
    /// Partitions of a topic have no leader at the moment.
    Leaderless {
        /// One of them.
        partition: TopicPartition,
        /// How many others there are.
        others: usize,
    },
    /// The topic does not exist, or the client may not read it.
    Topic {
        /// The topic's name.
        topic: String,
        /// The protocol's error code.
        code: ErrorCode,
    },
    /// A record batch of one partition cannot be read: its bytes are damaged or in an unknown format.
    CorruptBatch {
        /// The partition.
        partition: TopicPartition,
        /// Base offset of the batch, or the fetched offset if that cannot be read.
        offset: i64,
        /// What is wrong.
        detail: String,
    },
    /// Records of one partition have a message format that this client does not read: they were written before Kafka
    /// 0.11, or to a topic with an old `message.format.version`.
    OldFormat {
        /// The partition.
        partition: TopicPartition,
        /// Offset of the first one.
        offset: i64,
        /// The message format: 0 or 1.
        format: i8,
    },
    /// A fetch response with a single partition, or one decompressed batch, exceeds the receive limit.
    BatchTooLarge {
        /// The partition.
        partition: TopicPartition,
        /// Base offset of the batch, or the fetched offset.
        offset: i64,
        /// The limit in bytes.
        limit_bytes: u64,
    },
    /// The background thread of a connection could not be started.
    Thread(io::Error),
    /// A setting is invalid.
    Config(String),
    /// As many attempts failed in a row as the retry policy allows.
    RetriesExhausted {
        /// Their number.
        attempts: u32,
        /// The last failure.
        source: Box<Error>,
    },
}

impl Error {
    /// Whether a retry, at this broker or another one, can succeed without a change of configuration.
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
                // The broker cannot mean a member if the request names none: it is faulty, and may recover.
                code.is_retriable() || (code.is_about_member() && !MEMBER_REQUESTS.contains(request))
            }
            Self::Topic { code, .. } => code.is_retriable() || code.is_about_member(),
            Self::NoBrokerAvailable { failures } => failures.first().is_none_or(Self::is_retriable),
            Self::Sasl { fault, .. } => fault.is_retriable(),
            Self::Tls { .. }
            | Self::UnsupportedVersion { .. }
            | Self::OldFormat { .. }
            | Self::BatchTooLarge { .. }
            | Self::Thread(_)
            | Self::Config(_)
            | Self::RetriesExhausted { .. } => false,
        }
    }

    /// Adds where the address comes from, if the host name did not resolve or the connection failed.
    pub(crate) fn advertised_by(mut self, by: Option<Advertised>) -> Self {
        if let Self::Resolve { advertised, .. } | Self::Connect { advertised, .. } = &mut self {
            *advertised = by;
        }
        self
    }
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
            // The text has the failures with their causes.
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

#[cfg(test)]
mod tests {
    use super::{Error, ErrorCode};
    use crate::types::Address;

    #[test]
    fn a_member_error_is_retriable_unless_a_member_sent_the_request() {
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
}
