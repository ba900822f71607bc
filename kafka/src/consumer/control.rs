//! What the consumer asks the cluster besides records: metadata, log offsets, ends of epochs, group offsets; and what it tells it.
//! Blocking; runs on the control thread. Decides nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::builder::Builder;
use super::commits::Commit;
use crate::client::{Client, EpochEnds};
use crate::connection::ConnectionSettings;
use crate::error::{Error, Result};
use crate::protocol::{LeaveGroupRequest, Metadata, OffsetForLeaderPartition};
use crate::types::{Address, CommittedOffset, IsolationLevel, Member, TopicPartition};

/// The part of the request timeout that a broker has for an answer here: ten seconds by default. All questions are answered from memory
/// but commits, which a coordinator itself gives up after five (`offsets.commit.timeout.ms`). While a broker that stands
/// still is waited for, nobody else is asked, and the partitions that others lead by now are not found.
const TIMEOUT_PART: u32 = 3;

/// What is known of a partition's position.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) partition: TopicPartition,
    /// What the group has committed; `None` also where it was not asked.
    pub(super) committed: Option<CommittedOffset>,
    /// First offset, and end for the isolation level, as the leader says.
    pub(super) log: Result<(i64, i64)>,
}

/// What came of one commit.
#[derive(Debug)]
pub(super) enum CommitOutcome {
    /// The group has it.
    Committed,
    /// Somebody else has set the group's offset; it was left as it is.
    Foreign,
    /// The coordinator refused this partition.
    Refused(Error),
}

/// The resource of the control thread.
pub(super) struct Control {
    client: Client,
    isolation: IsolationLevel,
}

impl Control {
    pub(super) fn new(config: &Builder) -> Self {
        let request_timeout = config.connection.request_timeout / TIMEOUT_PART;
        let settings = ConnectionSettings { request_timeout, ..config.connection.clone() };
        Self { client: Client::new(config.hosts.clone(), settings), isolation: config.isolation }
    }

    /// Asks the brokers that are `late` after all others.
    pub(super) fn metadata(&mut self, topics: Vec<Arc<str>>, late: &[Address]) -> Result<Metadata> {
        self.client.suspect(late);
        self.client.metadata(topics)
    }

    pub(super) fn facts(&mut self, group: &str, partitions: &[TopicPartition]) -> Result<Vec<Facts>> {
        let mut committed = self.client.committed(group, partitions)?;
        let mut facts = self.log_offsets(partitions)?;
        for fact in &mut facts {
            fact.committed = committed.remove(&fact.partition);
        }
        Ok(facts)
    }

    pub(super) fn log_offsets(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Facts>> {
        let offsets = self.client.log_offsets(partitions, self.isolation)?;
        Ok(offsets.into_iter().map(|(partition, log)| Facts { partition, committed: None, log }).collect())
    }

    pub(super) fn epoch_ends(&mut self, questions: &[OffsetForLeaderPartition]) -> Result<EpochEnds> {
        self.client.epoch_ends(questions)
    }

    /// Commits. Of a group that has no members, leaves alone what neither we committed (told by the metadata) nor was there when
    /// we began; in one that has, nobody but the partition's owner can commit.
    pub(super) fn commit(
        &mut self,
        group: &str,
        member: Option<Member>,
        commits: &BTreeMap<TopicPartition, Commit>,
    ) -> Result<Vec<(TopicPartition, CommitOutcome)>> {
        if member.is_some() {
            return self.commit_all(group, member, commits);
        }
        let partitions: Vec<TopicPartition> = commits.keys().cloned().collect();
        let committed = self.client.committed(group, &partitions)?;
        let is_foreign = |at: &TopicPartition, commit: &Commit| {
            committed.get(at).is_some_and(|found| {
                found.metadata != commit.offset.metadata && commit.committed_seen.as_ref() != Some(found)
            })
        };
        let (foreign, ours): (Vec<_>, Vec<_>) = commits.iter().partition(|(at, commit)| is_foreign(at, commit));
        let mut outcomes: Vec<_> = foreign.into_iter().map(|(at, _)| (at.clone(), CommitOutcome::Foreign)).collect();
        if !ours.is_empty() {
            outcomes.extend(self.commit_all(group, None, ours)?);
        }
        Ok(outcomes)
    }

    fn commit_all<'a>(
        &mut self,
        group: &str,
        member: Option<Member>,
        commits: impl IntoIterator<Item = (&'a TopicPartition, &'a Commit)>,
    ) -> Result<Vec<(TopicPartition, CommitOutcome)>> {
        let offsets = commits.into_iter().map(|(at, commit)| (at.clone(), commit.offset.clone())).collect();
        let outcomes = self.client.commit(group, member, offsets)?.into_iter();
        let outcome = |refused: Option<Error>| refused.map_or(CommitOutcome::Committed, CommitOutcome::Refused);
        Ok(outcomes.map(|(at, refused)| (at, outcome(refused))).collect())
    }

    /// Takes a static member out of its group.
    pub(super) fn leave(&mut self, request: &LeaveGroupRequest) -> Result<()> {
        self.client.call_coordinator(&request.group, request).map(drop)
    }
}
