//! A blocking Kafka consumer client. Knows nothing of events or SQLite.

mod backoff;
mod error;
mod types;

pub use backoff::{Backoff, RetryPolicy};
pub use error::{Error, ErrorCode, Result};
pub use types::{Address, CommittedOffset, Header, IsolationLevel, Record, TopicId, TopicPartition};
