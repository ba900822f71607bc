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

/// The statements that keep messages, prepared once for a transaction.
pub(crate) struct Keeper<'t> {
    find: CachedStatement<'t>,
    confirm: CachedStatement<'t>,
    insert: CachedStatement<'t>,
}

/// When a record was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading<'a> {
    /// The number of its partition's reading.
    pub(crate) number: i64,
    /// The present time.
    pub(crate) now: &'a str,
}

impl<'t> Keeper<'t> {
    pub(crate) fn prepare(transaction: &'t Transaction<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            // `IS`: NULL is the same as NULL, and not as anything else.
            find: transaction.prepare_cached(
                "SELECT id, reading FROM unidentified_messages
                 WHERE kafka_topic = ?1 AND topic_id = ?2 AND kafka_partition = ?3 AND kafka_offset = ?4
                     AND kafka_timestamp IS ?5 AND key IS ?6 AND value IS ?7 AND headers IS ?8",
            )?,
            confirm: transaction.prepare_cached("UPDATE unidentified_messages SET reading = ?2 WHERE id = ?1")?,
            insert: transaction.prepare_cached(
                "INSERT INTO unidentified_messages
                     (kafka_topic, topic_id, kafka_partition, kafka_offset, kafka_timestamp, key, value, headers, reading,
                      reason, error, received_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            )?,
        })
    }

    /// Keeps a record. One that is kept already stays as it is, but for the number of the reading; another one that was read at
    /// the same offset stays beside it. `false` if the row was not written.
    pub(crate) fn keep(
        &mut self,
        entry: &Entry<'_>,
        rejection: &Rejection,
        at: &Coordinates<'_>,
        reading: Reading<'_>,
    ) -> rusqlite::Result<bool> {
        let headers = headers::json(entry.headers);
        let found: Option<(i64, i64)> = self
            .find
            .query_row(
                params![
                    at.topic,
                    at.topic_id,
                    at.partition,
                    at.offset,
                    at.timestamp_ms,
                    entry.key,
                    entry.value,
                    headers
                ],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()?;
        let changed = match found {
            // Of two groups one may be in an older reading.
            Some((_, confirmed)) if confirmed >= reading.number => return Ok(true),
            Some((id, _)) => self.confirm.execute((id, reading.number))?,
            None => self.insert.execute(params![
                at.topic,
                at.topic_id,
                at.partition,
                at.offset,
                at.timestamp_ms,
                entry.key,
                entry.value,
                headers,
                reading.number,
                rejection.reason.as_str(),
                rejection.error,
                reading.now,
            ])?,
        };
        Ok(changed == 1)
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

/// Notes that a message has been understood after all; `false` if the row was not written.
pub(crate) fn mark_replayed(transaction: &Transaction<'_>, id: i64, now: &str) -> rusqlite::Result<bool> {
    let changed = transaction
        .prepare_cached("UPDATE unidentified_messages SET replayed_at = ?2 WHERE id = ?1")?
        .execute(params![id, now])?;
    Ok(changed == 1)
}

/// The ids of the messages after `id` that were kept at a time, from an offset: more than one if different records were read there.
pub(crate) fn find_after(
    transaction: &Transaction<'_>,
    id: i64,
    (topic, partition, offset): (&str, i32, i64),
    received_at: &str,
) -> rusqlite::Result<Vec<i64>> {
    // The `+` keeps SQLite from walking the whole topic in the index: few messages are younger than the cursor.
    transaction
        .prepare_cached(
            "SELECT id FROM unidentified_messages
             WHERE id > ?1 AND +kafka_topic = ?2 AND kafka_partition = ?3 AND kafka_offset = ?4 AND received_at = ?5
             ORDER BY id",
        )?
        .query_map(params![id, topic, partition, offset, received_at], |row| row.get(0))?
        .collect()
}

/// The last message that is in the log file.
pub(crate) fn log_cursor(transaction: &Transaction<'_>) -> rusqlite::Result<i64> {
    transaction.prepare_cached("SELECT last_id FROM unidentified_log_cursor")?.query_row([], |row| row.get(0))
}

/// Notes that the messages up to `last_id` are in the log file; `false` if the row was not written.
pub(crate) fn set_log_cursor(transaction: &Transaction<'_>, last_id: i64) -> rusqlite::Result<bool> {
    let changed = transaction.prepare_cached("UPDATE unidentified_log_cursor SET last_id = ?1")?.execute([last_id])?;
    Ok(changed == 1)
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
