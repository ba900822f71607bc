//! A blocking Apache Kafka consumer client, without an async runtime. Must not know events or a database.
//!
//! # Types
//! - [`Consumer`], built by [`Builder`]: a member of a consumer group. [`Consumer::poll`] returns one [`Event`] at a
//!   time: assigned and lost partitions, records, waits, retries. The user decides where each partition starts, and
//!   commits offsets.
//! - [`Client`]: single requests to a cluster: [`Metadata`], [`Watermarks`], committed offsets, [`GroupDescription`].
//! - [`ConnectionSettings`], [`Security`] ([`Tls`], [`Sasl`], [`TokenProvider`]), [`RetryPolicy`]: settings of both.
//! - [`Statistics`]: numbers of a consumer, for another thread.
//! - [`Stage`]: what a thread does and until when, for a check that it does not hang.
//! - [`Record`], [`Headers`], [`TopicPartition`], [`TopicId`], [`CommittedOffset`]: data.
//! - [`Error`], with [`ErrorCode`], [`TlsFault`] and [`SaslFault`] for their details.
//! - [`text`]: escapes text from brokers and records before it is shown.
//!
//! # Promise
//! - Per assigned partition, records arrive in offset order, none twice and none left out, from the offset that the
//!   user started at. With [`IsolationLevel::ReadCommitted`], control records and the records of aborted transactions
//!   are left out.
//! - A position changes only by a new start; an offset outside of the log ([`OutOfRange`]) or a truncated log
//!   ([`Truncation`], KIP-320) is an event, never a silent reset.
//! - Only offsets that the user commits are committed.
//! - No byte of a peer is trusted: each length is checked before memory is allocated for it, each response against its
//!   request, each batch against its checksum. Memory, waits and retries are bounded by settings.
//! - A broker that fails, hangs or returns stale metadata is retried or replaced by another one;
//!   [`Error::is_retriable`] tells these errors from those that need a change of configuration.
//!
//! # Units
//! Timestamps are milliseconds since 1970-01-01 UTC (`_ms`), sizes are bytes (`_bytes`), and times are
//! [`std::time::Duration`]. An offset names the next record to read.
//!
//! # Protocol
//! Brokers since Kafka 0.11, by [version negotiation](https://kafka.apache.org/protocol#api_versions); the README names
//! the versions that tests run against. References:
//! - [protocol guide](https://kafka.apache.org/protocol),
//!   [record batch](https://kafka.apache.org/documentation/#recordbatch),
//!   [consumer configuration](https://kafka.apache.org/documentation/#consumerconfigs)
//! - transactions: [KIP-98](https://cwiki.apache.org/confluence/display/KAFKA/KIP-98+-+Exactly+Once+Delivery+and+Transactional+Messaging)
//! - log truncation: [KIP-320](https://cwiki.apache.org/confluence/display/KAFKA/KIP-320%3A+Allow+fetchers+to+detect+and+handle+log+truncation)
//! - static membership: [KIP-345](https://cwiki.apache.org/confluence/display/KAFKA/KIP-345%3A+Introduce+static+membership+protocol+to+reduce+consumer+rebalances)
//! - OAUTHBEARER: [RFC 7628](https://www.rfc-editor.org/rfc/rfc7628),
//!   [KIP-255](https://cwiki.apache.org/confluence/pages/viewpage.action?pageId=75968876)
//! - re-authentication: [KIP-368](https://cwiki.apache.org/confluence/display/KAFKA/KIP-368%3A+Allow+SASL+Connections+to+Periodically+Re-Authenticate)
//! - fetch from the closest replica: [KIP-392](https://cwiki.apache.org/confluence/display/KAFKA/KIP-392%3A+Allow+consumers+to+fetch+from+closest+replica)
//! - cooperative rebalancing: [KIP-429](https://cwiki.apache.org/confluence/display/KAFKA/KIP-429%3A+Kafka+Consumer+Incremental+Rebalance+Protocol)
//! - topic ids: [KIP-516](https://cwiki.apache.org/confluence/display/KAFKA/KIP-516%3A+Topic+Identifiers)
//! - consumer group protocol: [KIP-848](https://cwiki.apache.org/confluence/display/KAFKA/KIP-848%3A+The+Next+Generation+of+the+Consumer+Rebalance+Protocol)
//! - rebootstrap: [KIP-1102](https://cwiki.apache.org/confluence/display/KAFKA/KIP-1102%3A+Enable+clients+to+rebootstrap+based+on+timeout+or+error+code)

mod backoff;
mod budget;
mod client;
mod connection;
mod consumer;
mod dial;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod link;
mod millis;
mod protocol;
mod race;
mod record_batch;
mod registry;
mod sasl;
mod secret;
mod security;
mod stage;
mod statistics;
mod stream;
pub mod text;
mod tls;
mod types;
mod worker;

pub use backoff::{Backoff, RetryPolicy};
pub use client::{Client, LogOffsets, Truncated, Watermarks};
pub use connection::ConnectionSettings;
pub use consumer::{
    Acknowledgement, Assignment, BUFFER_BYTES_MAX_DEFAULT, Builder, Consumer, Event, FETCH_BYTES_MAX_DEFAULT,
    GroupProtocol, Holder, OffsetPosition, OutOfRange, PartitionRecords, Retrying, Revocation, StartToken, Truncation,
    WaitReason, Waiting, Waker,
};
pub use error::{Error, ErrorCode, Result};
pub use protocol::{BrokerInfo, Metadata, PartitionMetadata, TopicMetadata};
#[cfg(feature = "bench")]
#[doc(hidden)]
pub use record_batch::bench;
pub use registry::BrokerRegistry;
pub use sasl::oauth_bearer::{OauthBearer, SaslExtensions};
#[cfg(feature = "token-http")]
pub use sasl::providers::aws::{AwsMskIam, credentials::AwsEnvironment};
#[cfg(feature = "token-http")]
pub use sasl::providers::client_credentials::ClientCredentials;
pub use sasl::providers::endpoint::TokenEndpoint;
pub use sasl::providers::file::TokenFile;
pub use sasl::token::{Token, TokenError, TokenProvider};
pub use sasl::{Credentials, Sasl, SaslFault, SaslMechanism};
pub use secret::Secret;
pub use security::{Security, SharedSecurity};
pub use stage::{Activity, Stage};
pub use statistics::{LogEnd, MembershipState, PartitionStatistics, Statistics};
#[cfg(feature = "token-http")]
pub use tls::Authorities;
pub use tls::{ClientCertificate, Tls, TlsError, TlsFault, TlsFile, TlsFiles};
pub use types::{
    Address, Advertised, CommittedOffset, GroupDescription, Header, Headers, IsolationLevel, MemberDescription, Record,
    TopicId, TopicPartition,
};
