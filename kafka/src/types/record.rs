//! One record of a partition.

use super::headers::Headers;

/// A record. Its bytes are shared with the decompressed batch that it is part of: a clone copies no payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Offset in the partition.
    pub offset: i64,
    /// Milliseconds since 1970-01-01 UTC: create time, or append time if the topic has
    /// `message.timestamp.type=LogAppendTime`; `None` if the record has no timestamp.
    pub timestamp_ms: Option<i64>,
    /// The key; `None` is not the same as empty.
    pub key: Option<bytes::Bytes>,
    /// The value; `None` is a tombstone.
    pub value: Option<bytes::Bytes>,
    /// Headers in the order sent, duplicates kept.
    pub headers: Headers,
}
