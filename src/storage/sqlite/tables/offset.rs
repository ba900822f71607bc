//! `consumer_offsets`: the next offset of each partition, and what became of the offsets before it.
//! Must not decide where a partition starts.

use std::sync::LazyLock;

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::topic_id;
use crate::storage::batch::PartitionBatch;
use crate::storage::counts::{OffsetCounts, Outcome};
use crate::storage::position::{OffsetJump, StoredPosition};
use crate::storage::range::OffsetRange;
use crate::storage::topic_id::TopicId;

/// The names of the counters, in the order of [`Outcome::ALL`].
pub(crate) fn counters(separator: &str) -> String {
    Outcome::ALL.map(Outcome::name).join(separator)
}

static COLUMNS: LazyLock<String> = LazyLock::new(|| {
    let counters = counters(", ");
    format!(
        "group_id, topic, partition, next_offset, first_offset, high_offset, topic_id, leader_epoch, updated_at, reading, pruned, {counters}"
    )
});

/// How many of [`COLUMNS`] are before the counters.
const BEFORE_COUNTERS: usize = 11;

fn from_row(row: &Row<'_>) -> rusqlite::Result<StoredPosition> {
    let mut column = BEFORE_COUNTERS..;
    Ok(StoredPosition {
        group_id: row.get(0)?,
        topic: row.get(1)?,
        partition: row.get(2)?,
        next_offset: row.get(3)?,
        first_offset: row.get(4)?,
        high_offset: row.get(5)?,
        topic_id: topic_id::get(row, 6)?,
        leader_epoch: row.get(7)?,
        updated_at: row.get(8)?,
        reading: row.get(9)?,
        pruned: row.get(10)?,
        counters: OffsetCounts::try_from_fn(|_| row.get(column.next().unwrap_or_default()))?,
    })
}

/// The position of one partition, if it has one.
pub(crate) fn find(
    transaction: &Transaction<'_>,
    group_id: &str,
    topic: &str,
    partition: i32,
) -> rusqlite::Result<Option<StoredPosition>> {
    let columns = &*COLUMNS;
    transaction
        .prepare_cached(&format!(
            "SELECT {columns} FROM consumer_offsets WHERE group_id = ?1 AND topic = ?2 AND partition = ?3"
        ))?
        .query_row(params![group_id, topic, partition], from_row)
        .optional()
}

/// All positions of a group, by topic and partition.
pub(crate) fn all(transaction: &Transaction<'_>, group_id: &str) -> rusqlite::Result<Vec<StoredPosition>> {
    let columns = &*COLUMNS;
    transaction
        .prepare_cached(&format!(
            "SELECT {columns} FROM consumer_offsets WHERE group_id = ?1 ORDER BY topic, partition"
        ))?
        .query_map([group_id], from_row)?
        .collect()
}

/// Whether any partition of the topic has a position.
pub(crate) fn knows_topic(transaction: &Transaction<'_>, group_id: &str, topic: &str) -> rusqlite::Result<bool> {
    transaction
        .prepare_cached("SELECT 1 FROM consumer_offsets WHERE group_id = ?1 AND topic = ?2")?
        .exists([group_id, topic])
}

static ADVANCE: LazyLock<String> = LazyLock::new(|| {
    let counters: Vec<String> =
        (9..).zip(Outcome::ALL).map(|(number, outcome)| format!("{0} = {0} + ?{number}", outcome.name())).collect();
    let counters = counters.join(", ");
    format!(
        "UPDATE consumer_offsets
         SET next_offset = ?5, high_offset = max(high_offset, ?5), topic_id = coalesce(nullif(?6, ''), topic_id),
             leader_epoch = ?7, updated_at = ?8, {counters}
         WHERE group_id = ?1 AND topic = ?2 AND partition = ?3 AND next_offset = ?4
             AND (topic_id = ?6 OR topic_id = '' OR ?6 = '')"
    )
});

/// Advances a position over offsets of a batch; `false` if it is not at the first of them, or is of another topic of the same name. A
/// missing topic id, on either side, counts as the same topic.
pub(crate) fn advance(
    transaction: &Transaction<'_>,
    group_id: &str,
    batch: &PartitionBatch<'_>,
    offsets: OffsetRange,
    counts: &OffsetCounts,
    now: &str,
) -> rusqlite::Result<bool> {
    let mut statement = transaction.prepare_cached(&ADVANCE)?;
    statement.raw_bind_parameter(1, group_id)?;
    statement.raw_bind_parameter(2, batch.topic)?;
    statement.raw_bind_parameter(3, batch.partition)?;
    statement.raw_bind_parameter(4, offsets.from)?;
    statement.raw_bind_parameter(5, offsets.next)?;
    statement.raw_bind_parameter(6, TopicId::column(batch.topic_id))?;
    statement.raw_bind_parameter(7, batch.leader_epoch)?;
    statement.raw_bind_parameter(8, now)?;
    for (number, (_, count)) in (9..).zip(counts.iter()) {
        statement.raw_bind_parameter(number, count)?;
    }
    Ok(statement.raw_execute()? == 1)
}

/// The number of the reading that a position is in; `None` if there is no position.
pub(crate) fn reading(
    transaction: &Transaction<'_>,
    group_id: &str,
    topic: &str,
    partition: i32,
) -> rusqlite::Result<Option<i64>> {
    transaction
        .prepare_cached("SELECT reading FROM consumer_offsets WHERE group_id = ?1 AND topic = ?2 AND partition = ?3")?
        .query_row(params![group_id, topic, partition], |row| row.get(0))
        .optional()
}

/// The number for readings that begin now: greater than those of all positions, of every group, so that a message that an earlier reading
/// kept does not count for a later one.
pub(crate) fn next_reading(transaction: &Transaction<'_>) -> rusqlite::Result<i64> {
    transaction
        .prepare_cached("SELECT coalesce(max(reading), 0) + 1 FROM consumer_offsets")?
        .query_row([], |row| row.get(0))
}

static MOVE: LazyLock<String> = LazyLock::new(|| {
    let counters = Outcome::ALL.map(|outcome| format!("{} = 0", outcome.name())).join(", ");
    format!(
        "UPDATE consumer_offsets
         SET next_offset = ?4, first_offset = ?4, high_offset = max(high_offset, ?4), topic_id = ?5, leader_epoch = ?6,
             updated_at = ?7, reading = ?8, pruned = 0, {counters}
         WHERE group_id = ?1 AND topic = ?2 AND partition = ?3 AND next_offset = ?9"
    )
});

/// Stores the position after a jump, at which a reading begins with new counters; `false` if the stored position is not the one that the jump
/// begins at.
pub(crate) fn put(
    transaction: &Transaction<'_>,
    group_id: &str,
    jump: &OffsetJump,
    reading: i64,
    now: &str,
) -> rusqlite::Result<bool> {
    let OffsetJump { topic, partition, from, to, topic_id, leader_epoch, .. } = jump;
    let topic_id = TopicId::column(topic_id.as_ref());
    let changed = match from {
        None => transaction
            .prepare_cached(
                "INSERT INTO consumer_offsets
                     (group_id, topic, partition, next_offset, first_offset, high_offset, topic_id, leader_epoch, updated_at,
                      reading)
                 VALUES (?1, ?2, ?3, ?4, ?4, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT DO NOTHING",
            )?
            .execute(params![group_id, topic, partition, to, topic_id, leader_epoch, now, reading])?,
        Some(from) => transaction
            .prepare_cached(&MOVE)?
            .execute(params![group_id, topic, partition, to, topic_id, leader_epoch, now, reading, from])?,
    };
    Ok(changed == 1)
}
