//! `position_changes`: every change of position other than by reading, for the operator. Must not decide on any.

use std::fmt;

use rusqlite::{Transaction, params};

/// Why a position was put somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MoveReason {
    /// Nothing stored, nothing committed: the setting for that decided.
    FirstStart,
    /// The partition appeared after its topic was first seen: read from its beginning.
    NewPartition,
    /// The group's offset was committed by this database, which knows nothing of it: an older backup.
    OlderBackup,
    /// Another database had the partition before.
    OtherDatabase,
    /// Somebody set the group's offset on purpose.
    GroupReset,
    /// The topic was deleted and made again.
    TopicRecreated,
    /// The offsets were gone by retention.
    OffsetsExpired,
    /// The log was truncated.
    LogTruncated,
}

impl MoveReason {
    /// The reason as the table spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FirstStart => "first_start",
            Self::NewPartition => "new_partition",
            Self::OlderBackup => "older_backup",
            Self::OtherDatabase => "other_database",
            Self::GroupReset => "group_reset",
            Self::TopicRecreated => "topic_recreated",
            Self::OffsetsExpired => "offsets_expired",
            Self::LogTruncated => "log_truncated",
        }
    }
}

impl fmt::Display for MoveReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A position that is to be put somewhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PositionMove {
    /// The topic's name.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// The stored position, `None` if there is none. The move is refused if that is not so.
    pub from: Option<i64>,
    /// The offset to read next.
    pub to: i64,
    /// The topic's id as Kafka's tools print it; empty where the broker has none.
    pub topic_id: String,
    /// Epoch of the leader at `to`, where known.
    pub leader_epoch: Option<i32>,
    /// Why.
    pub reason: MoveReason,
    /// More about why, for a person.
    pub detail: String,
}

/// A change of position as stored.
#[derive(serde::Serialize, Clone, Debug, PartialEq, Eq)]
pub struct PositionChange {
    /// When, RFC 3339.
    pub at: String,
    /// The consumer group.
    pub group_id: String,
    /// The topic's name.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// The position before, if there was one.
    pub from_offset: Option<i64>,
    /// The position after.
    pub to_offset: i64,
    /// The topic's id; empty if not known.
    pub topic_id: String,
    /// Why: a [`MoveReason`], or one that a later version of the program knows.
    pub reason: String,
    /// More about why.
    pub detail: String,
}

/// Keeps a change; `false` if the row was not written.
pub(crate) fn insert(
    transaction: &Transaction<'_>,
    group_id: &str,
    moved: &PositionMove,
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
            moved.topic,
            moved.partition,
            moved.from,
            moved.to,
            moved.topic_id,
            moved.reason.as_str(),
            moved.detail,
        ])?;
    Ok(changed == 1)
}

/// The latest changes, the newest first.
pub(crate) fn latest(
    transaction: &Transaction<'_>,
    group_id: &str,
    rows_max: u32,
) -> rusqlite::Result<Vec<PositionChange>> {
    transaction
        .prepare_cached(
            "SELECT at, group_id, topic, partition, from_offset, to_offset, topic_id, reason, detail
             FROM position_changes WHERE group_id = ?1 ORDER BY rowid DESC LIMIT ?2",
        )?
        .query_map(params![group_id, rows_max], |row| {
            Ok(PositionChange {
                at: row.get(0)?,
                group_id: row.get(1)?,
                topic: row.get(2)?,
                partition: row.get(3)?,
                from_offset: row.get(4)?,
                to_offset: row.get(5)?,
                topic_id: row.get(6)?,
                reason: row.get(7)?,
                detail: row.get(8)?,
            })
        })?
        .collect()
}
