//! Unidentified messages (others call them dead letters): the records that are no event or that the database rejects.

use super::error::StorageError;
use super::topic_id::TopicId;

/// The unidentified messages and the cursor of their log file.
pub trait UnidentifiedMessages {
    /// The messages after the one with this id, in the order of ids: at most `messages_max`, and none after their keys and values have
    /// reached `bytes_max`.
    fn messages_after(
        &mut self,
        id: i64,
        messages_max: u32,
        bytes_max: usize,
    ) -> Result<Vec<StoredMessage>, StorageError>;

    /// The ids of the messages after the one with this id that have these coordinates and were stored at this time. More than one if
    /// the log was truncated and other records were read at the offset within a millisecond.
    fn find_messages_after(&mut self, id: i64, at: &MessagePlace<'_>) -> Result<Vec<i64>, StorageError>;

    /// The id of the last message that is in the log file.
    fn log_cursor(&mut self) -> Result<i64, StorageError>;

    /// Stores that the messages up to that id are in the log file.
    fn set_log_cursor(&mut self, last_id: i64) -> Result<(), StorageError>;

    /// Makes every message that is stored durable.
    fn sync_messages(&mut self) -> Result<(), StorageError>;
}

/// The coordinates of a message and the time at which it was stored, by which a line of the log file names it.
#[derive(Clone, Copy, Debug)]
pub struct MessagePlace<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// The partition's number.
    pub partition: i32,
    /// The record's offset.
    pub offset: i64,
    /// When the message was stored, RFC 3339.
    pub received_at: &'a str,
}

/// A message as its log line needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMessage {
    /// Ascends in the order of storing.
    pub id: i64,
    /// The topic's name.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// The record's offset.
    pub offset: i64,
    /// The key, byte for byte.
    pub key: Option<Vec<u8>>,
    /// The value, byte for byte.
    pub value: Option<Vec<u8>>,
    /// Why the record is unidentified.
    pub reason: String,
    /// What exactly is wrong with it.
    pub error: String,
    /// When the message was stored, RFC 3339.
    pub received_at: String,
}

/// A message that has not been replayed, as a replay needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingMessage {
    /// Ascends in the order of storing.
    pub id: i64,
    /// The topic's name.
    pub topic: String,
    /// The topic's id; `None` if not known.
    pub topic_id: Option<TopicId>,
    /// The partition's number.
    pub partition: i32,
    /// The record's offset.
    pub offset: i64,
    /// Milliseconds since 1970; `None` if the record has no timestamp.
    pub timestamp_ms: Option<i64>,
    /// The value, byte for byte.
    pub value: Option<Vec<u8>>,
}

/// The messages of one reason, counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnidentifiedCount {
    /// Why they were kept.
    pub reason: String,
    /// How many there are.
    pub messages: u64,
    /// How many of them have been replayed.
    pub replayed: u64,
}
