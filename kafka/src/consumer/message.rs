//! What the consumer's threads send to it: responses of the cluster, events of the group, wake-ups. Values only.

use std::collections::BTreeMap;

use super::group::GroupEvent;
use super::token::StartToken;
use crate::client::EpochEnds;
use crate::error::{Error, Result};
use crate::protocol::{FetchRequest, FetchResponse, Metadata, OffsetForLeaderPartition};
use crate::types::{CommittedOffset, Member, TopicPartition};

/// One message to the consumer.
pub(super) enum Message {
    /// Ends the running poll, or the next one.
    Wake,
    /// Has the running poll, or the next one, look for work.
    Nudge,
    Metadata(Result<Metadata>),
    /// The offsets of new partitions.
    Offsets(Result<Vec<PartitionOffsets>>),
    /// The offsets of partitions whose leader has refused the position.
    LogOffsets(Result<Vec<PartitionOffsets>>),
    /// Where epochs end in the logs of partitions that are being validated.
    EpochEnds {
        requested: Vec<OffsetForLeaderPartition>,
        result: Result<EpochEnds>,
    },
    Committed(CompletedCommit),
    Group(GroupEvent),
    /// The control thread has sent `LeaveGroup` for this member.
    Left(Result<()>),
    Fetched(CompletedFetch),
}

impl Message {
    /// Whether it comes from the control thread, which is free again.
    pub(super) fn ends_control_job(&self) -> bool {
        match self {
            Self::Metadata(_)
            | Self::Offsets(_)
            | Self::LogOffsets(_)
            | Self::EpochEnds { .. }
            | Self::Committed(_)
            | Self::Left(_) => true,
            Self::Wake | Self::Nudge | Self::Group(_) | Self::Fetched(_) => false,
        }
    }
}

/// The offsets of one partition, as far as the cluster knows them.
#[derive(Debug)]
pub(super) struct PartitionOffsets {
    pub(super) partition: TopicPartition,
    /// The group's committed offset; `None` also where it was not requested.
    pub(super) committed: Option<CommittedOffset>,
    /// First offset, and end for the isolation level, from the leader.
    pub(super) log: Result<(i64, i64)>,
}

/// One offset to commit.
#[derive(Clone, Debug)]
pub(super) struct PendingCommit {
    pub(super) offset: CommittedOffset,
    /// An offset of another program that this commit may replace: it was there before the partition was started.
    pub(super) committed_seen: Option<CommittedOffset>,
    /// The token that the partition was started with.
    pub(super) token: StartToken,
}

/// Offsets to commit in one request.
pub(super) type CommitBatch = BTreeMap<TopicPartition, PendingCommit>;

/// A commit request that has ended.
pub(super) struct CompletedCommit {
    pub(super) batch: CommitBatch,
    /// The member that has sent it.
    pub(super) member: Option<Member>,
    pub(super) result: Result<Vec<(TopicPartition, CommitOutcome)>>,
}

/// The outcome of the commit of one partition.
#[derive(Debug)]
pub(super) enum CommitOutcome {
    Committed,
    /// Another program has set the group's offset; it was not overwritten.
    Foreign,
    /// The coordinator refused this partition.
    Refused(Error),
}

/// A fetch request that has ended.
pub(super) struct CompletedFetch {
    pub(super) broker: i32,
    /// The serial number of the connection that it was sent over.
    pub(super) serial: u64,
    pub(super) request: FetchRequest,
    pub(super) result: Result<FetchResponse>,
}
