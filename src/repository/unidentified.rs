//! `unidentified_messages` and the cursor of their log file. Must not know what the log file looks like.

use rusqlite::{CachedStatement, OptionalExtension, Row, Transaction, params};

use super::{Coordinates, Entry, headers};
use crate::entity::Rejection;

/// A message as stored, as far as its log line needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMessage {
    /// Ascends in the order of storing.
    pub id: i64,
    /// The topic's name.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// Place in the partition.
    pub offset: i64,
    /// The key, byte for byte.
    pub key: Option<Vec<u8>>,
    /// The value, byte for byte.
    pub value: Option<Vec<u8>>,
    /// Class of the fault.
    pub reason: String,
    /// The fault.
    pub error: String,
    /// When it was stored, RFC 3339.
    pub received_at: String,
}

/// The statement that keeps messages, prepared once for a transaction.
pub(crate) struct Insert<'t>(CachedStatement<'t>);

impl<'t> Insert<'t> {
    pub(crate) fn prepare(transaction: &'t Transaction<'_>) -> rusqlite::Result<Self> {
        transaction
            .prepare_cached(
                "INSERT INTO unidentified_messages
                     (kafka_topic, topic_id, kafka_partition, kafka_offset, kafka_timestamp, key, value, headers, reason,
                      error, received_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
                 ON CONFLICT (kafka_topic, topic_id, kafka_partition, kafka_offset) DO NOTHING",
            )
            .map(Self)
    }

    /// Keeps a record; one that is kept already stays as it is.
    pub(crate) fn keep(
        &mut self,
        entry: &Entry<'_>,
        rejection: &Rejection,
        at: &Coordinates<'_>,
        now: &str,
    ) -> rusqlite::Result<()> {
        self.0.execute(params![
            at.topic,
            at.topic_id,
            at.partition,
            at.offset,
            at.timestamp_ms,
            entry.key,
            entry.value,
            headers::json(entry.headers),
            rejection.reason.as_str(),
            rejection.error,
            now,
        ])?;
        Ok(())
    }
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<StoredMessage> {
    Ok(StoredMessage {
        id: row.get(0)?,
        topic: row.get(1)?,
        partition: row.get(2)?,
        offset: row.get(3)?,
        key: row.get(4)?,
        value: row.get(5)?,
        reason: row.get(6)?,
        error: row.get(7)?,
        received_at: row.get(8)?,
    })
}

/// The messages after `id`, in the order of ids: no more than `messages_max`, and none after their keys and values have reached
/// `bytes_max`.
pub(crate) fn after(
    transaction: &Transaction<'_>,
    id: i64,
    messages_max: u32,
    bytes_max: usize,
) -> rusqlite::Result<Vec<StoredMessage>> {
    let mut statement = transaction.prepare_cached(
        "SELECT id, kafka_topic, kafka_partition, kafka_offset, key, value, reason, error, received_at
         FROM unidentified_messages WHERE id > ?1 ORDER BY id LIMIT ?2",
    )?;
    let mut messages = Vec::new();
    let mut bytes = 0;
    for message in statement.query_map(params![id, messages_max], from_row)? {
        let message = message?;
        bytes += message.key.as_ref().map_or(0, Vec::len) + message.value.as_ref().map_or(0, Vec::len);
        messages.push(message);
        if bytes >= bytes_max {
            break;
        }
    }
    Ok(messages)
}

/// A message that has not been understood yet, as far as another attempt needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingMessage {
    /// Ascends in the order of storing.
    pub id: i64,
    /// The topic's name.
    pub topic: String,
    /// The topic's id; empty if not known.
    pub topic_id: String,
    /// The partition's number.
    pub partition: i32,
    /// Place in the partition.
    pub offset: i64,
    /// Milliseconds since 1970; `None` if the record has no time.
    pub timestamp_ms: Option<i64>,
    /// The value, byte for byte.
    pub value: Option<Vec<u8>>,
}

/// The messages after `id` that have not been replayed, in the order of ids: no more than `messages_max`, and none after their
/// values have reached `bytes_max`.
pub(crate) fn pending_after(
    transaction: &Transaction<'_>,
    id: i64,
    messages_max: u32,
    bytes_max: usize,
) -> rusqlite::Result<Vec<PendingMessage>> {
    let mut statement = transaction.prepare_cached(
        "SELECT id, kafka_topic, topic_id, kafka_partition, kafka_offset, kafka_timestamp, value
         FROM unidentified_messages WHERE id > ?1 AND replayed_at IS NULL ORDER BY id LIMIT ?2",
    )?;
    let mut messages = Vec::new();
    let mut bytes = 0;
    let found = statement.query_map(params![id, messages_max], |row| {
        Ok(PendingMessage {
            id: row.get(0)?,
            topic: row.get(1)?,
            topic_id: row.get(2)?,
            partition: row.get(3)?,
            offset: row.get(4)?,
            timestamp_ms: row.get(5)?,
            value: row.get(6)?,
        })
    })?;
    for message in found {
        let message = message?;
        bytes += message.value.as_ref().map_or(0, Vec::len);
        messages.push(message);
        if bytes >= bytes_max {
            break;
        }
    }
    Ok(messages)
}

/// Whether there is such a message, and it has not been replayed.
pub(crate) fn is_pending(transaction: &Transaction<'_>, id: i64) -> rusqlite::Result<bool> {
    transaction
        .prepare_cached("SELECT 1 FROM unidentified_messages WHERE id = ?1 AND replayed_at IS NULL")?
        .exists([id])
}

/// Notes that a message has been understood after all.
pub(crate) fn mark_replayed(transaction: &Transaction<'_>, id: i64, now: &str) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("UPDATE unidentified_messages SET replayed_at = ?2 WHERE id = ?1")?
        .execute(params![id, now])
        .map(drop)
}

/// Of the messages after `id`, the one that was kept at a time, from a place.
pub(crate) fn find_after(
    transaction: &Transaction<'_>,
    id: i64,
    (topic, partition, offset): (&str, i32, i64),
    received_at: &str,
) -> rusqlite::Result<Option<i64>> {
    // The `+` keeps SQLite from walking the whole topic in the unique index: few messages are younger than the cursor.
    transaction
        .prepare_cached(
            "SELECT id FROM unidentified_messages
             WHERE id > ?1 AND +kafka_topic = ?2 AND kafka_partition = ?3 AND kafka_offset = ?4 AND received_at = ?5",
        )?
        .query_row(params![id, topic, partition, offset, received_at], |row| row.get(0))
        .optional()
}

/// The last message that is in the log file.
pub(crate) fn log_cursor(transaction: &Transaction<'_>) -> rusqlite::Result<i64> {
    transaction.prepare_cached("SELECT last_id FROM unidentified_log_cursor")?.query_row([], |row| row.get(0))
}

/// Notes that the messages up to `last_id` are in the log file.
pub(crate) fn set_log_cursor(transaction: &Transaction<'_>, last_id: i64) -> rusqlite::Result<()> {
    transaction.prepare_cached("UPDATE unidentified_log_cursor SET last_id = ?1")?.execute([last_id])?;
    Ok(())
}

/// Messages of one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnidentifiedCount {
    /// Why they were kept.
    pub reason: String,
    /// How many there are.
    pub messages: u64,
    /// How many of these a later version of the program has understood since.
    pub replayed: u64,
}

/// How many messages there are of each reason that occurs, by reason.
pub(crate) fn count_by_reason(transaction: &Transaction<'_>) -> rusqlite::Result<Vec<UnidentifiedCount>> {
    transaction
        .prepare_cached(
            "SELECT reason, count(*), count(replayed_at) FROM unidentified_messages GROUP BY reason ORDER BY reason",
        )?
        .query_map([], |row| {
            Ok(UnidentifiedCount { reason: row.get(0)?, messages: row.get(1)?, replayed: row.get(2)? })
        })?
        .collect()
}
