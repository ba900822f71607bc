//! A blocking Kafka consumer client. Knows nothing of events or SQLite.

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
mod protocol;
mod race;
mod record_batch;
mod registry;
mod sasl;
mod security;
mod stream;
pub mod text;
mod tls;
mod types;
mod worker;

pub use backoff::{Backoff, RetryPolicy};
pub use client::{Client, LogOffsets, Truncated, Watermarks};
pub use connection::ConnectionSettings;
pub use consumer::{
    Assignment, BUFFER_BYTES_MAX_DEFAULT, Builder, Consumer, Event, FETCH_BYTES_MAX_DEFAULT, GroupProtocol, Holder,
    OutOfRange, PartitionRecords, Retrying, Start, Truncation, WaitReason, Waiting, Waker,
};
pub use error::{Error, ErrorCode, Result};
pub use protocol::{BrokerInfo, Metadata, PartitionMetadata, TopicMetadata};
#[cfg(feature = "bench")]
#[doc(hidden)]
pub use record_batch::bench;
pub use record_batch::{Header, Headers};
pub use registry::{Advertised, BrokerRegistry};
pub use sasl::{Sasl, SaslFault, SaslMechanism};
pub use security::{Secret, Security};
pub use tls::{ClientCertificate, Tls, TlsError, TlsFault, TlsFile, TlsFiles};
pub use types::{
    Address, CommittedOffset, GroupDescription, IsolationLevel, MemberDescription, Record, TopicId, TopicPartition,
};
