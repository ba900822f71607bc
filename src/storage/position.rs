//! Positions of partitions and their jumps.

use std::fmt;

use serde::{Serialize, Serializer};

use super::counts::OffsetCounts;
use super::topic_id::TopicId;

/// The stored position of a partition.
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
    /// The offset at which the counters began.
    pub first_offset: i64,
    /// The greatest `next_offset` ever.
    pub high_offset: i64,
    /// The topic's id; `None` if no broker has sent it yet.
    pub topic_id: Option<TopicId>,
    /// Epoch of the leader that wrote the record before `next_offset`, where known.
    pub leader_epoch: Option<i32>,
    /// What became of the offsets from `first_offset` to before `next_offset`.
    pub counters: OffsetCounts,
    /// When the position last changed, RFC 3339.
    pub updated_at: String,
    /// Number of the reading that the counters belong to. Each jump begins a reading, with a greater number than all before.
    pub reading: i64,
    /// How many of the unidentified messages that the counters count were pruned since.
    pub pruned: u64,
}

/// A change of position other than by reading. The partition's counters begin again at the new position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetJump {
    /// The topic's name.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// The stored position; `None` if there is none. If another one is stored, the jump is a conflict.
    pub from: Option<i64>,
    /// The offset to read next.
    pub to: i64,
    /// The topic's id; `None` if the broker has none.
    pub topic_id: Option<TopicId>,
    /// Epoch of the leader that wrote the record before `to`, where known.
    pub leader_epoch: Option<i32>,
    /// Why.
    pub reason: JumpReason,
    /// More about why, for the operator.
    pub detail: String,
}

impl OffsetJump {
    /// The jump of a partition that has no position, and whose broker has no topic ids.
    pub fn first_start(topic: &str, partition: i32, to: i64) -> Self {
        Self {
            topic: topic.to_owned(),
            partition,
            from: None,
            to,
            topic_id: None,
            leader_epoch: None,
            reason: JumpReason::FirstStart,
            detail: String::new(),
        }
    }
}

/// Why a position jumps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JumpReason {
    /// No position was stored or committed; `KAFKA_AUTO_OFFSET_RESET` decided.
    FirstStart,
    /// The partition was added after its topic was first read. It is read from its first offset.
    NewPartition,
    /// The group's offset was committed for this database, which has no position: it is an older backup.
    OlderBackup,
    /// Another database has read the partition.
    OtherDatabase,
    /// Another program set the group's offset.
    GroupReset,
    /// The topic was deleted and created again.
    TopicRecreated,
    /// The records were deleted by retention.
    OffsetsExpired,
    /// The log was truncated.
    LogTruncated,
}

impl JumpReason {
    /// Every reason.
    pub const ALL: [Self; 8] = [
        Self::FirstStart,
        Self::NewPartition,
        Self::OlderBackup,
        Self::OtherDatabase,
        Self::GroupReset,
        Self::TopicRecreated,
        Self::OffsetsExpired,
        Self::LogTruncated,
    ];

    /// The reason as `position_changes` spells it.
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

impl fmt::Display for JumpReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An offset jump as `position_changes` keeps it.
#[derive(Serialize, Clone, Debug, PartialEq, Eq)]
pub struct StoredJump {
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
    /// The topic's id; in JSON an empty string if it is not known.
    #[serde(serialize_with = "serialize_topic_id")]
    pub topic_id: Option<TopicId>,
    /// Why: a [`JumpReason`], or one of a later version of the program.
    pub reason: String,
    /// More about why.
    pub detail: String,
}

#[expect(clippy::ref_option, reason = "the signature is serde's")]
fn serialize_topic_id<S: Serializer>(id: &Option<TopicId>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(TopicId::column(id.as_ref()))
}
