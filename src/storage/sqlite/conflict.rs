//! Why a statement did not move a position.

use rusqlite::Transaction;

use super::error::SqliteError;
use super::tables::offset;
use crate::storage::topic_id::TopicId;

/// The error of a position that was not moved: the stored one is not the expected one, or a trigger skipped the row. `expected` has no
/// offset if no position was expected.
pub(super) fn find(
    transaction: &Transaction<'_>,
    group_id: &str,
    (topic, partition): (&str, i32),
    expected: (Option<i64>, Option<&TopicId>),
) -> SqliteError {
    let stored = match offset::find(transaction, group_id, topic, partition) {
        Err(source) => return SqliteError::Sqlite { action: "read a position", source },
        Ok(stored) => stored.map(|stored| (stored.next_offset, stored.topic_id)),
    };
    let (offset, topic_id) = expected;
    let is_as_expected = match &stored {
        None => offset.is_none(),
        Some((next_offset, id)) => Some(*next_offset) == offset && TopicId::may_be_same(id.as_ref(), topic_id),
    };
    if is_as_expected {
        return SqliteError::NotWritten { table: "consumer_offsets" };
    }
    SqliteError::PositionConflict { topic: topic.to_owned(), partition, expected: (offset, topic_id.cloned()), stored }
}
