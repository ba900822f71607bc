//! A blocking Kafka consumer client. Knows nothing of events or `SQLite`.

mod backoff;
mod connection;
mod error;
mod protocol;
mod record_batch;
mod types;

pub use backoff::{Backoff, RetryPolicy};
pub use connection::ConnectionSettings;
pub use error::{Error, ErrorCode, Result};
pub use protocol::{BrokerInfo, Metadata, PartitionMetadata, TopicMetadata};
pub use types::{Address, CommittedOffset, Header, IsolationLevel, Record, TopicId, TopicPartition};
