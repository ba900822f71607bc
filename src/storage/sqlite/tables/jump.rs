//! `position_changes`: every offset jump, for the operator. Must not decide on any.

use rusqlite::{Transaction, params};

use super::topic_id;
use crate::storage::position::{OffsetJump, StoredJump};
use crate::storage::topic_id::TopicId;

/// Stores a jump; `false` if the row was not written.
pub(crate) fn insert(
    transaction: &Transaction<'_>,
    group_id: &str,
    jump: &OffsetJump,
    now: &str,
) -> rusqlite::Result<bool> {
    let changed = transaction
        .prepare_cached(
            "INSERT INTO position_changes
                 (at, group_id, topic, partition, from_offset, to_offset, topic_id, reason, detail)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            now,
            group_id,
            jump.topic,
            jump.partition,
            jump.from,
            jump.to,
            TopicId::column(jump.topic_id.as_ref()),
            jump.reason.as_str(),
            jump.detail,
        ])?;
    Ok(changed == 1)
}

/// The latest jumps, newest first.
pub(crate) fn latest(
    transaction: &Transaction<'_>,
    group_id: &str,
    rows_max: u32,
) -> rusqlite::Result<Vec<StoredJump>> {
    transaction
        .prepare_cached(
            "SELECT at, group_id, topic, partition, from_offset, to_offset, topic_id, reason, detail
             FROM position_changes WHERE group_id = ?1 ORDER BY rowid DESC LIMIT ?2",
        )?
        .query_map(params![group_id, rows_max], |row| {
            Ok(StoredJump {
                at: row.get(0)?,
                group_id: row.get(1)?,
                topic: row.get(2)?,
                partition: row.get(3)?,
                from_offset: row.get(4)?,
                to_offset: row.get(5)?,
                topic_id: topic_id::get(row, 6)?,
                reason: row.get(7)?,
                detail: row.get(8)?,
            })
        })?
        .collect()
}
