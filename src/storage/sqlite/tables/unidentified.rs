//! `unidentified_messages` and the cursor of their log file. Must not know what the log file looks like.

use std::sync::LazyLock;

use rusqlite::{CachedStatement, Row, Statement, ToSql, Transaction, params};

use super::topic_id;
use crate::entity::Rejection;
use crate::storage::batch::{Coordinates, Entry};
use crate::storage::headers;
use crate::storage::message::{MessagePlace, PendingMessage, StoredMessage, UnidentifiedCount};
use crate::storage::topic_id::TopicId;

/// The statements that keep messages, prepared once for a transaction.
pub(crate) struct Statements<'t> {
    find: CachedStatement<'t>,
    confirm: CachedStatement<'t>,
    insert: CachedStatement<'t>,
}

/// The reading that a record was read in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading<'a> {
    /// The number of its partition's reading.
    pub(crate) number: i64,
    /// The present time.
    pub(crate) now: &'a str,
}

/// The columns that identify a record, the first parameters of both statements, in the order of [`bind_record`].
const RECORD_COLUMNS: [&str; 8] =
    ["kafka_topic", "topic_id", "kafka_partition", "kafka_offset", "kafka_timestamp", "key", "value", "headers"];

static FIND: LazyLock<String> = LazyLock::new(|| {
    // `IS`: NULL equals NULL, and nothing else.
    let is_same: Vec<String> =
        (1..).zip(RECORD_COLUMNS).map(|(number, column)| format!("{column} IS ?{number}")).collect();
    format!("SELECT id, reading FROM unidentified_messages WHERE {}", is_same.join(" AND "))
});

static INSERT: LazyLock<String> = LazyLock::new(|| {
    let columns = RECORD_COLUMNS.join(", ");
    format!(
        "INSERT INTO unidentified_messages ({columns}, reading, reason, error, received_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
    )
});

/// Binds the values of [`RECORD_COLUMNS`]; gives the number of the next parameter.
fn bind_record(
    statement: &mut Statement<'_>,
    entry: &Entry<'_>,
    at: &Coordinates<'_>,
    headers: &str,
) -> rusqlite::Result<usize> {
    let topic_id = TopicId::column(at.topic_id);
    let values: [&dyn ToSql; RECORD_COLUMNS.len()] =
        [&at.topic, &topic_id, &at.partition, &at.offset, &at.timestamp_ms, &entry.key, &entry.value, &headers];
    for (number, value) in (1..).zip(values) {
        statement.raw_bind_parameter(number, value)?;
    }
    Ok(values.len() + 1)
}

impl<'t> Statements<'t> {
    pub(crate) fn prepare(transaction: &'t Transaction<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            find: transaction.prepare_cached(&FIND)?,
            confirm: transaction.prepare_cached("UPDATE unidentified_messages SET reading = ?2 WHERE id = ?1")?,
            insert: transaction.prepare_cached(&INSERT)?,
        })
    }

    /// Keeps a record. If it is kept already, only the number of its reading changes. Other records that were read at the same offset stay.
    /// `false` if the row was not written.
    pub(crate) fn keep(
        &mut self,
        entry: &Entry<'_>,
        rejection: &Rejection,
        at: &Coordinates<'_>,
        reading: Reading<'_>,
    ) -> rusqlite::Result<bool> {
        let headers = headers::json(entry.headers);
        bind_record(&mut self.find, entry, at, &headers)?;
        let found: Option<(i64, i64)> = self
            .find
            .raw_query()
            .next()?
            .map(|row| Ok::<_, rusqlite::Error>((row.get(0)?, row.get(1)?)))
            .transpose()?;
        let changed = match found {
            // Another group may be in a later reading.
            Some((_, confirmed)) if confirmed >= reading.number => return Ok(true),
            Some((id, _)) => self.confirm.execute((id, reading.number))?,
            None => {
                let next = bind_record(&mut self.insert, entry, at, &headers)?;
                let rest: [&dyn ToSql; 4] =
                    [&reading.number, &rejection.reason.as_str(), &rejection.error, &reading.now];
                for (number, value) in (next..).zip(rest) {
                    self.insert.raw_bind_parameter(number, value)?;
                }
                self.insert.raw_execute()?
            }
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
            topic_id: topic_id::get(row, 2)?,
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

/// Marks a message as replayed; `false` if the row was not written.
pub(crate) fn mark_replayed(transaction: &Transaction<'_>, id: i64, now: &str) -> rusqlite::Result<bool> {
    let changed = transaction
        .prepare_cached("UPDATE unidentified_messages SET replayed_at = ?2 WHERE id = ?1")?
        .execute(params![id, now])?;
    Ok(changed == 1)
}

/// The ids of the messages after `id` that have these coordinates and were stored at this time.
pub(crate) fn find_after(
    transaction: &Transaction<'_>,
    id: i64,
    &MessagePlace { topic, partition, offset, received_at }: &MessagePlace<'_>,
) -> rusqlite::Result<Vec<i64>> {
    // The `+` keeps SQLite from reading the whole topic by the index: few messages are newer than the cursor.
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

/// Stores that the messages up to `last_id` are in the log file; `false` if the row was not written.
pub(crate) fn set_log_cursor(transaction: &Transaction<'_>, last_id: i64) -> rusqlite::Result<bool> {
    let changed = transaction.prepare_cached("UPDATE unidentified_log_cursor SET last_id = ?1")?.execute([last_id])?;
    Ok(changed == 1)
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
