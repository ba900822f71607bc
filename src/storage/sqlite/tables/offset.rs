//! `consumer_offsets`: where each partition goes on, and what became of the offsets before.
//! Must not decide where a partition starts.

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::{Applied, PartitionBatch, position_change::PositionMove};

/// A partition's position as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPosition {
    /// The consumer group.
    pub group_id: String,
    /// The topic's name.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// The first offset that has not taken effect.
    pub next_offset: i64,
    /// Where the counters began.
    pub first_offset: i64,
    /// The greatest `next_offset` ever.
    pub high_offset: i64,
    /// The topic's id as Kafka's tools print it; empty if never known.
    pub topic_id: String,
    /// Epoch of the leader that wrote the record before, where known.
    pub leader_epoch: Option<i32>,
    /// What became of `first_offset..next_offset`.
    pub counters: Applied,
    /// When the position last changed, RFC 3339.
    pub updated_at: String,
    /// Number of the reading that the counters are of; each change of position begins one.
    pub reading: i64,
}

const COLUMNS: &str = "group_id, topic, partition, next_offset, first_offset, high_offset, topic_id, leader_epoch, \
     applied, stale, unidentified, absent, updated_at, reading";

fn from_row(row: &Row<'_>) -> rusqlite::Result<StoredPosition> {
    Ok(StoredPosition {
        group_id: row.get(0)?,
        topic: row.get(1)?,
        partition: row.get(2)?,
        next_offset: row.get(3)?,
        first_offset: row.get(4)?,
        high_offset: row.get(5)?,
        topic_id: row.get(6)?,
        leader_epoch: row.get(7)?,
        counters: Applied {
            applied: row.get(8)?,
            stale: row.get(9)?,
            unidentified: row.get(10)?,
            absent: row.get(11)?,
        },
        updated_at: row.get(12)?,
        reading: row.get(13)?,
    })
}

/// The position of one partition, if it has one.
pub(crate) fn find(
    transaction: &Transaction<'_>,
    group_id: &str,
    topic: &str,
    partition: i32,
) -> rusqlite::Result<Option<StoredPosition>> {
    transaction
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM consumer_offsets WHERE group_id = ?1 AND topic = ?2 AND partition = ?3"
        ))?
        .query_row(params![group_id, topic, partition], from_row)
        .optional()
}

/// All positions of a group, by topic and partition.
pub(crate) fn all(transaction: &Transaction<'_>, group_id: &str) -> rusqlite::Result<Vec<StoredPosition>> {
    transaction
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM consumer_offsets WHERE group_id = ?1 ORDER BY topic, partition"
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

/// Moves a position over a stretch of a batch; `false` if it is not where that begins, or belongs to another topic of the
/// same name. An unknown topic id, on either side, is taken for the same topic.
pub(crate) fn advance(
    transaction: &Transaction<'_>,
    group_id: &str,
    batch: &PartitionBatch<'_>,
    (from_offset, next_offset): (i64, i64),
    counted: &Applied,
    now: &str,
) -> rusqlite::Result<bool> {
    let changed = transaction
        .prepare_cached(
            "UPDATE consumer_offsets
             SET next_offset = ?5, high_offset = max(high_offset, ?5), topic_id = coalesce(nullif(?6, ''), topic_id),
                 leader_epoch = ?7, applied = applied + ?8, stale = stale + ?9,
                 unidentified = unidentified + ?10, absent = absent + ?11, updated_at = ?12
             WHERE group_id = ?1 AND topic = ?2 AND partition = ?3 AND next_offset = ?4
                 AND (topic_id = ?6 OR topic_id = '' OR ?6 = '')",
        )?
        .execute(params![
            group_id,
            batch.topic,
            batch.partition,
            from_offset,
            next_offset,
            batch.topic_id,
            batch.leader_epoch,
            counted.applied,
            counted.stale,
            counted.unidentified,
            counted.absent,
            now,
        ])?;
    Ok(changed == 1)
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

/// The number for readings that begin now: greater than those of all positions, whichever group's, so that what an earlier reading
/// kept does not count for a later one.
pub(crate) fn next_reading(transaction: &Transaction<'_>) -> rusqlite::Result<i64> {
    transaction
        .prepare_cached("SELECT coalesce(max(reading), 0) + 1 FROM consumer_offsets")?
        .query_row([], |row| row.get(0))
}

/// Puts a position somewhere else, where a new reading begins with new counters; `false` if it is not where the caller believed it
/// to be.
pub(crate) fn put(
    transaction: &Transaction<'_>,
    group_id: &str,
    moved: &PositionMove,
    reading: i64,
    now: &str,
) -> rusqlite::Result<bool> {
    let changed = match moved.from {
        None => transaction
            .prepare_cached(
                "INSERT INTO consumer_offsets
                     (group_id, topic, partition, next_offset, first_offset, high_offset, topic_id, leader_epoch, updated_at,
                      reading)
                 VALUES (?1, ?2, ?3, ?4, ?4, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT DO NOTHING",
            )?
            .execute(params![
                group_id,
                moved.topic,
                moved.partition,
                moved.to,
                moved.topic_id,
                moved.leader_epoch,
                now,
                reading
            ])?,
        Some(from) => transaction
            .prepare_cached(
                "UPDATE consumer_offsets
                 SET next_offset = ?4, first_offset = ?4, high_offset = max(high_offset, ?4), topic_id = ?5, leader_epoch = ?6,
                     applied = 0, stale = 0, unidentified = 0, absent = 0, updated_at = ?7, reading = ?9
                 WHERE group_id = ?1 AND topic = ?2 AND partition = ?3 AND next_offset = ?8",
            )?
            .execute(params![
                group_id,
                moved.topic,
                moved.partition,
                moved.to,
                moved.topic_id,
                moved.leader_epoch,
                now,
                from,
                reading
            ])?,
    };
    Ok(changed == 1)
}
