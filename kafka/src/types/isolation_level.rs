//! Whether a consumer reads uncommitted records of transactions
//! ([KIP-98](https://cwiki.apache.org/confluence/display/KAFKA/KIP-98+-+Exactly+Once+Delivery+and+Transactional+Messaging)).

use std::fmt;

/// Which records a consumer reads (`isolation.level`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum IsolationLevel {
    /// Every record up to the high watermark, including those of aborted and open transactions.
    ReadUncommitted,
    /// Records outside transactions and those of committed transactions, up to the last stable offset.
    #[default]
    ReadCommitted,
}

/// The values of Kafka's setting `isolation.level`.
impl fmt::Display for IsolationLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadUncommitted => "read_uncommitted",
            Self::ReadCommitted => "read_committed",
        })
    }
}
