//! A blocking Kafka consumer client. Knows nothing of events or SQLite.

mod backoff;
mod client;
mod connection;
mod consumer;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod link;
mod protocol;
mod record_batch;
mod sasl;
mod security;
mod stream;
pub mod text;
mod tls;
mod types;
mod worker;

pub use backoff::{Backoff, RetryPolicy};
pub use client::{Client, LogOffsets};
pub use connection::ConnectionSettings;
pub use consumer::{
    Assignment, Builder, Consumer, Event, FETCH_BYTES_MAX_DEFAULT, GroupProtocol, OutOfRange, PartitionRecords,
    Retrying, Start, Truncation, Waker,
};
pub use error::{Error, ErrorCode, Result};
pub use protocol::{BrokerInfo, Metadata, PartitionMetadata, TopicMetadata};
#[cfg(feature = "bench")]
#[doc(hidden)]
pub use record_batch::bench;
pub use sasl::{Sasl, SaslFault, SaslMechanism};
pub use security::{Secret, Security};
pub use tls::{ClientCertificate, Tls, TlsError, TlsFault, TlsFile, TlsFiles};
pub use types::{Address, CommittedOffset, Header, IsolationLevel, Record, TopicId, TopicPartition};
