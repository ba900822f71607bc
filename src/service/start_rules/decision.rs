//! Where a partition starts, as decided by the rules. Must not decide.

use kafka::TopicPartition;

use crate::storage::{JumpReason, OffsetJump, TopicId};

/// Where a partition starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartDecision {
    /// At the stored offset.
    Resume {
        /// The next offset to read.
        offset: i64,
        /// Epoch of the leader that wrote the record before, if known: the log must still hold that record.
        leader_epoch: Option<i32>,
    },
    /// At another offset: its counters begin at 0, and `position_changes` records it.
    Jump {
        /// The next offset to read.
        to_offset: i64,
        /// Epoch of the leader that wrote the record before, if the group has read that record.
        leader_epoch: Option<i32>,
        /// The documented reason.
        reason: JumpReason,
        /// The reason in words.
        detail: String,
    },
}

impl StartDecision {
    /// The next offset to read.
    pub fn offset(&self) -> i64 {
        match self {
            Self::Resume { offset, .. } | Self::Jump { to_offset: offset, .. } => *offset,
        }
    }

    /// Epoch of the leader that wrote the record before, if known.
    pub fn leader_epoch(&self) -> Option<i32> {
        match self {
            Self::Resume { leader_epoch, .. } | Self::Jump { leader_epoch, .. } => *leader_epoch,
        }
    }

    /// The jump that the database has to store, if there is one. `from`: the stored offset.
    pub fn into_offset_jump(
        self,
        partition: &TopicPartition,
        topic_id: Option<&TopicId>,
        from: Option<i64>,
    ) -> Option<OffsetJump> {
        let Self::Jump { to_offset, leader_epoch, reason, detail } = self else { return None };
        Some(OffsetJump {
            topic: partition.topic.to_string(),
            partition: partition.partition,
            from,
            to: to_offset,
            topic_id: topic_id.cloned(),
            leader_epoch,
            reason,
            detail,
        })
    }
}
