//! The events that a consumer returns to its user, one at a time, in the order in which they happen. Values only.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::response_hold::ResponseHold;
use super::token::{Acknowledgement, StartToken};
use crate::error::Error;
use crate::types::{CommittedOffset, Record, TopicId, TopicPartition};

/// One event. An event that requires a call of the user has a token, which that call returns; the consumer may be polled any
/// number of times before. `R` is the type of records, or of what the user has decoded from them.
#[derive(Debug)]
pub enum Event<R = Vec<PartitionRecords>> {
    /// Records, at most as many as the poll allows, from one partition or several.
    Records(R),
    /// Partitions to read. No records of them come until [`Consumer::start`](super::Consumer::start) says from which offset.
    Assigned(Vec<Assignment>),
    /// Partitions whose start position is committed: their records come from now on.
    Started(Vec<TopicPartition>),
    /// The group is rebalancing, and may assign each partition of this member to another one: commit, [`flush`](super::Consumer::flush),
    /// then [`acknowledge`](super::Consumer::acknowledge). The member rejoins after that. Partitions that it keeps are read on.
    Rebalancing(Acknowledgement),
    /// Partitions that the group assigns to another member: commit, [`flush`](super::Consumer::flush), then
    /// [`acknowledge`](super::Consumer::acknowledge), which releases them. No more of their records come.
    Revoked(Revocation),
    /// Partitions that this consumer no longer owns: nothing of them is committed any more.
    Lost(Vec<TopicPartition>),
    /// The position lies outside of the leader's log, as the leader itself confirms. The partition is read on after
    /// [`Consumer::start`](super::Consumer::start).
    OutOfRange(OutOfRange),
    /// The log was truncated below the position, as the leader itself confirms: the record that was read last is no longer in it.
    /// The partition is read on after [`Consumer::start`](super::Consumer::start).
    Truncated(Truncation),
    /// This member of the group has no partitions: returned when that begins, when the reason changes, and at growing intervals.
    Waiting(Waiting),
    /// A request failed, and the consumer retries it.
    Retrying(Retrying),
    /// The timeout of the poll has passed, or a [`Waker`](super::Waker) has ended it.
    Idle,
}

impl<R> Event<R> {
    /// Converts records.
    pub fn map_records<T>(self, map: impl FnOnce(R) -> T) -> Event<T> {
        match self {
            Self::Records(records) => Event::Records(map(records)),
            Self::Assigned(assignments) => Event::Assigned(assignments),
            Self::Started(partitions) => Event::Started(partitions),
            Self::Rebalancing(acknowledgement) => Event::Rebalancing(acknowledgement),
            Self::Revoked(revocation) => Event::Revoked(revocation),
            Self::Lost(partitions) => Event::Lost(partitions),
            Self::OutOfRange(range) => Event::OutOfRange(range),
            Self::Truncated(truncation) => Event::Truncated(truncation),
            Self::Waiting(waiting) => Event::Waiting(waiting),
            Self::Retrying(retrying) => Event::Retrying(retrying),
            Self::Idle => Event::Idle,
        }
    }
}

/// Records of one partition that follow each other. Offsets may have holes: compaction, control records, aborted
/// transactions.
#[derive(Debug)]
pub struct PartitionRecords {
    /// Where they come from.
    pub partition: TopicPartition,
    /// Epoch of the leader that wrote the last of them.
    pub leader_epoch: Option<i32>,
    /// Position before them.
    pub from_offset: i64,
    /// Position after them: greater than `from_offset`, also where no record is visible.
    pub next_offset: i64,
    /// End of the log for this consumer's isolation level, as the fetch that brought them saw it.
    pub end_offset: i64,
    /// The visible records between the two positions.
    pub records: Vec<Record>,
    /// The response whose memory the records share.
    pub(super) _response: ResponseHold,
}

impl PartitionRecords {
    /// Records of a model of a broker.
    pub fn detached(
        partition: TopicPartition,
        leader_epoch: Option<i32>,
        offsets: Range<i64>,
        end_offset: i64,
        records: Vec<Record>,
    ) -> Self {
        Self {
            partition,
            leader_epoch,
            from_offset: offsets.start,
            next_offset: offsets.end,
            end_offset,
            records,
            _response: ResponseHold::default(),
        }
    }
}

/// A partition to read, and the offsets to choose its start position from.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// To be returned with the start position.
    pub token: StartToken,
    /// Which one.
    pub partition: TopicPartition,
    /// The topic's id; `None` from brokers that have none.
    pub topic_id: Option<TopicId>,
    /// What the group has committed for it.
    pub committed: Option<CommittedOffset>,
    /// First offset that the leader still has.
    pub log_start_offset: i64,
    /// End for this consumer's isolation level: high watermark, or last stable offset under `read_committed`.
    pub end_offset: i64,
    /// Id of the cluster; empty from brokers that have none.
    pub cluster_id: Arc<str>,
}

/// A position outside of the leader's log.
#[derive(Clone, Debug)]
pub struct OutOfRange {
    /// To be returned with the start position.
    pub token: StartToken,
    /// Which partition.
    pub partition: TopicPartition,
    /// The topic's id; `None` from brokers that have none.
    pub topic_id: Option<TopicId>,
    /// The next offset to read.
    pub position: i64,
    /// First offset that the leader has.
    pub log_start_offset: i64,
    /// End for this consumer's isolation level.
    pub end_offset: i64,
}

/// A log whose records after some offset are not those that were read, as after an unclean election of a leader
/// ([KIP-320](https://cwiki.apache.org/confluence/display/KAFKA/KIP-320%3A+Allow+fetchers+to+detect+and+handle+log+truncation)).
#[derive(Clone, Debug)]
pub struct Truncation {
    /// To be returned with the start position.
    pub token: StartToken,
    /// Which partition.
    pub partition: TopicPartition,
    /// The topic's id; `None` from brokers that have none.
    pub topic_id: Option<TopicId>,
    /// The next offset to read.
    pub position: i64,
    /// Epoch of the leader that wrote the record before it, as it was read.
    pub position_epoch: i32,
    /// From here on the log holds other records than were read, or none: at most `position`. If it was truncated more than once
    /// since the records before were read, it may differ from an earlier offset on: only the last epoch is compared.
    pub divergence_offset: i64,
    /// Epoch of the leader that wrote the record before `divergence_offset`.
    pub divergence_epoch: i32,
}

/// A failure that is retried.
#[derive(Debug)]
pub struct Retrying {
    /// What failed.
    pub error: Error,
    /// Failed attempts in a row, from 1.
    pub attempt: u32,
    /// Time until the next attempt.
    pub wait: Duration,
}

/// Why a member has no partitions, and who has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Why.
    pub reason: WaitReason,
    /// The members that have partitions of the group, as far as the coordinator describes them.
    pub holders: Vec<Holder>,
}

/// What a member without partitions waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// The member joins: the coordinator responds once each other member has rejoined, or its session has timed out.
    Rebalance,
    /// The member has joined, and no partition was assigned to it: it is a standby until another one leaves or its session times out.
    Standby,
}

/// A member, or several with the same client id at the same host, that has partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its `client.id`.
    pub client_id: String,
    /// Its address, as the coordinator sees it.
    pub host: String,
    /// How many partitions it has.
    pub partitions: usize,
}

/// Holders that a message names at most.
const HOLDERS_SHOWN_MAX: usize = 5;

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            WaitReason::Rebalance => write!(
                f,
                "the consumer group is rebalancing, until each member has rejoined or its session has timed out"
            )?,
            WaitReason::Standby => write!(
                f,
                "none is assigned to this member, which stands by until another one leaves or its session times out"
            )?,
        }
        for (place, Holder { client_id, host, partitions }) in self.holders.iter().take(HOLDERS_SHOWN_MAX).enumerate() {
            let begin = if place == 0 { "; partitions are assigned to" } else { "," };
            write!(f, "{begin} '{client_id}' at {host} ({partitions})")?;
        }
        match self.holders.len().saturating_sub(HOLDERS_SHOWN_MAX) {
            0 => Ok(()),
            more => write!(f, " and {more} more members"),
        }
    }
}

/// Partitions that the group revokes from this member.
#[derive(Debug)]
pub struct Revocation {
    /// Which ones.
    pub partitions: Vec<TopicPartition>,
    /// Releases them.
    pub acknowledgement: Acknowledgement,
}

/// An offset to start at or to commit.
#[derive(Clone, Debug)]
pub struct OffsetPosition {
    /// Which partition.
    pub partition: TopicPartition,
    /// The token of the partition's event: see [`StartToken`].
    pub token: StartToken,
    /// The next offset to read.
    pub offset: i64,
    /// Epoch of the leader that the record before it came from, if known.
    pub leader_epoch: Option<i32>,
}
