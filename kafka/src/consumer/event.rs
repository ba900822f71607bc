//! What a consumer tells its user: values, one at a time, in the order that they happened.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::response_hold::ResponseHold;
use super::token::{Acknowledgement, StartToken};
use crate::error::Error;
use crate::types::{CommittedOffset, Record, TopicId, TopicPartition};

/// One thing that happened. An event that the consumer needs an answer to has a token, which the answer carries; the consumer may be polled
/// any number of times before that. `R` is the type of records, or of what the user has made of them.
#[derive(Debug)]
pub enum Event<R = Vec<PartitionRecords>> {
    /// Records, at most as many as were asked for, from one partition or several.
    Records(R),
    /// Partitions to read. No records of them come until [`Consumer::start`](super::Consumer::start) says from which offset.
    Assigned(Vec<Assignment>),
    /// Partitions that were claimed where they were told to [start](super::Consumer::start): their records come from now on.
    Started(Vec<TopicPartition>),
    /// The group is rebalancing, and may assign each partition of this member to another one: commit, [`flush`](super::Consumer::flush),
    /// then [`acknowledge`](super::Consumer::acknowledge). The member rejoins after that. Partitions that it keeps are read on.
    Rebalancing(Acknowledgement),
    /// Partitions that the group assigns to another member: commit, [`flush`](super::Consumer::flush), then
    /// [`acknowledge`](super::Consumer::acknowledge), which releases them. No more of their records come.
    Revoked(Revocation),
    /// Partitions that are no longer ours, whatever we do: nothing of theirs is committed any more.
    Lost(Vec<TopicPartition>),
    /// The position lies outside what the partition's leader has, as the leader itself confirms. Answer with
    /// [`Consumer::start`](super::Consumer::start), or end.
    OutOfRange(OutOfRange),
    /// The log was truncated below the position and written anew, as the partition's leader itself confirms: what was read last is
    /// not in it any more. Answer with [`Consumer::start`](super::Consumer::start), or end.
    Truncated(Truncation),
    /// We are a member of the group and have no partitions yet, or none any more: said when it begins or has changed, and again from time
    /// to time.
    Waiting(Waiting),
    /// Something failed that waiting may cure; the consumer will try again by itself.
    Retrying(Retrying),
    /// Nothing happened for as long as was asked, or a [`Waker`](super::Waker) ended the wait.
    Idle,
}

impl<R> Event<R> {
    /// Makes something else of records.
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
    /// Position before: the next offset to read, as it was.
    pub from_offset: i64,
    /// Position after: greater than `from_offset`, also where no record is visible.
    pub next_offset: i64,
    /// End of the log for this consumer's isolation level, as the fetch that brought them saw it.
    pub end_offset: i64,
    /// The visible records between the two.
    pub records: Vec<Record>,
    /// The records lie in the memory of a response, which counts as held as long as they are.
    pub(super) _response: ResponseHold,
}

impl PartitionRecords {
    /// Records that come from no response, but from a model of a broker.
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

/// A partition to read, and all there is to know to choose where to start.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// Names the start position that the consumer asks for.
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
    /// Id of the cluster.
    pub cluster_id: Arc<str>,
}

/// A position that the leader does not have.
#[derive(Clone, Debug)]
pub struct OutOfRange {
    /// Names the start position that the consumer asks for.
    pub token: StartToken,
    /// Which partition.
    pub partition: TopicPartition,
    /// The topic's id; `None` from brokers that have none.
    pub topic_id: Option<TopicId>,
    /// The next offset that we wanted to read.
    pub position: i64,
    /// First offset that the leader has.
    pub log_start_offset: i64,
    /// One past the last offset that the leader gives to this consumer.
    pub end_offset: i64,
}

/// A log that is no longer the one that was read, as after an unclean election of a leader
/// ([KIP-320](https://cwiki.apache.org/confluence/display/KAFKA/KIP-320%3A+Allow+fetchers+to+detect+and+handle+log+truncation)).
#[derive(Clone, Debug)]
pub struct Truncation {
    /// Names the start position that the consumer asks for.
    pub token: StartToken,
    /// Which partition.
    pub partition: TopicPartition,
    /// The topic's id; `None` from brokers that have none.
    pub topic_id: Option<TopicId>,
    /// The next offset that we wanted to read.
    pub position: i64,
    /// Epoch of the leader that wrote the record before it, as it was read.
    pub position_epoch: i32,
    /// From here on the log holds other records than were read, or none: at most `position`. Where it was truncated more than once
    /// since the records before were read, they may differ from an earlier offset on: of our earlier epochs nothing is known.
    pub divergence_offset: i64,
    /// Epoch of the leader that wrote the record before `divergence_offset`.
    pub divergence_epoch: i32,
}

/// A failure that is being ridden out.
#[derive(Debug)]
pub struct Retrying {
    /// What failed.
    pub error: Error,
    /// How many times in a row, from 1.
    pub attempt: u32,
    /// How long until the next try.
    pub wait: Duration,
}

/// Why a member has no partitions, and who has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// What has to happen.
    pub reason: WaitReason,
    /// The members that have partitions of the group, as far as the coordinator has said so.
    pub holders: Vec<Holder>,
}

/// What a member without partitions waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// We join the group: the coordinator answers once each other member has rejoined, or its session has timed out.
    Rebalance,
    /// We have joined, and no partition was assigned to us: we are a standby until a member leaves or its session times out.
    Standby,
}

/// A member, or several by the same name at the same host, that has partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// What it calls itself (`client.id`).
    pub client_id: String,
    /// Where the coordinator sees it.
    pub host: String,
    /// How many partitions it has.
    pub partitions: usize,
}

/// How many holders a message names.
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

/// Partitions that the group takes from this member.
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
    /// The token of the event that asked for the partition's start position.
    pub token: StartToken,
    /// The next offset to read.
    pub offset: i64,
    /// Epoch of the leader that the record before it came from, if known.
    pub leader_epoch: Option<i32>,
}
