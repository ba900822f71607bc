//! The cluster as seen from one database: plain values, without requests or rules.

use std::collections::BTreeMap;

use kafka::{CommittedOffset, GroupDescription, MemberDescription, TopicMetadata, TopicPartition, Watermarks};

use crate::service::start_rules::{StartDecision, StartError};
use crate::storage::StoredPosition;

/// The state of the database; empty if it does not exist yet.
#[derive(Clone, Debug, Default)]
pub struct LocalState {
    /// The database's id; `None` if there is no database yet.
    pub database_id: Option<String>,
    /// The stored positions of the group.
    pub positions: Vec<StoredPosition>,
}

impl LocalState {
    /// The stored position of a partition.
    pub fn position(&self, at: &TopicPartition) -> Option<&StoredPosition> {
        self.positions.iter().find(|stored| *stored.topic == *at.topic && stored.partition == at.partition)
    }
}

/// The cluster as seen from one database.
#[derive(Debug, Default)]
pub struct Inspection {
    /// The cluster's id; empty if the brokers have none.
    pub cluster_id: String,
    /// The number of brokers.
    pub brokers: usize,
    /// The existing topics of the settings.
    pub topics: Vec<TopicInspection>,
    /// State and members of the group; `None` if the coordinator does not describe it.
    pub group: Option<GroupDescription>,
    /// Each partition of the topics, and each other partition with a committed offset.
    pub partitions: BTreeMap<TopicPartition, PartitionInspection>,
    /// The failures, each with its cause.
    pub failures: Vec<Failure>,
}

impl Inspection {
    /// The inspection of a cluster to which no request can be sent.
    pub fn failed(subject: &'static str, text: String) -> Self {
        Self { failures: vec![Failure { subject, text }], ..Self::default() }
    }
}

/// A request that failed.
#[derive(Debug)]
pub struct Failure {
    /// The subject of the request: `brokers`, `topic` or `group`.
    pub subject: &'static str,
    /// What failed and why, in one line.
    pub text: String,
}

/// A topic according to metadata.
#[derive(Debug)]
pub struct TopicInspection {
    /// The topic's name.
    pub name: String,
    /// The number of partitions.
    pub partitions: usize,
    /// The number of partitions without a leader.
    pub leaderless: usize,
}

impl TopicInspection {
    /// Counts the partitions of a topic.
    pub fn of(topic: &TopicMetadata) -> Self {
        Self {
            name: topic.name.to_string(),
            partitions: topic.partitions.len(),
            leaderless: topic.partitions.iter().filter(|partition| partition.leader.is_none()).count(),
        }
    }
}

/// One partition.
#[derive(Debug, Default)]
pub struct PartitionInspection {
    /// The offsets of its log; `None` if the leader did not return them.
    pub watermarks: Option<Watermarks>,
    /// The group's committed offset.
    pub committed: Option<CommittedOffset>,
    /// The member that reads it.
    pub reader: Reader,
    /// Where `run` would start; `None` if another member reads it, or if the offsets of the log are not known.
    pub start: Option<Result<StartDecision, StartError>>,
    /// The number of records that this database does not get because another one has read them; see
    /// [`count_skipped_records`](crate::service::start_rules::count_skipped_records).
    pub skipped: i64,
    /// The timestamp of the oldest unread record, in milliseconds since 1970.
    pub oldest_unread_ms: Option<i64>,
    /// The timestamp of the first record from the last stable offset on, in milliseconds since 1970.
    pub blocked_since_ms: Option<i64>,
    /// Why a value is missing.
    pub error: Option<String>,
}

impl PartitionInspection {
    /// The next offset that the partition's reader reads, or that would be read after a start. `None` if it is not known, as after a
    /// data loss that stops the service.
    pub fn position(&self, stored: Option<i64>) -> Option<i64> {
        match (&self.reader, &self.start) {
            (Reader::Other(_), _) => self.committed.as_ref().map(|committed| committed.offset),
            (_, Some(Ok(choice))) => Some(choice.offset()),
            (_, Some(Err(_))) => None,
            (_, None) => stored,
        }
    }
}

/// The member of the group that reads a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reader {
    /// None, or the coordinator does not describe the group.
    #[default]
    Unassigned,
    /// The instance of this database.
    ThisInstance(MemberDescription),
    /// Another member.
    Other(MemberDescription),
}
