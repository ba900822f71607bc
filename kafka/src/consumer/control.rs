//! The control thread: sends the requests that are no fetches, one after the other: metadata, offsets, ends of epochs, commits.
//! Decides nothing.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use super::config::Builder;
use super::message::{CommitBatch, CommitOutcome, Message, PartitionOffsets, PendingCommit};
use crate::client::{Client, EpochEnds};
use crate::connection::ConnectionSettings;
use crate::error::{Error, Result};
use crate::protocol::{LeaveGroupRequest, Metadata, OffsetForLeaderPartition};
use crate::types::{Address, IsolationLevel, Member, TopicPartition};
use crate::worker::Worker;

/// The request timeout here is this part of the setting: ten seconds by default. Brokers respond from memory, except to commits, which a
/// coordinator itself fails after five seconds (`offsets.commit.timeout.ms`). While this thread waits for a broker that hangs, it
/// requests no metadata, which may name other leaders.
const TIMEOUT_PART: u32 = 3;

/// The consumer's end of the control thread. It runs one job at a time, so that a commit never queues behind a request that has become
/// useless.
pub(super) struct ControlThread {
    worker: Worker<Control>,
    is_busy: bool,
}

impl ControlThread {
    pub(super) fn start(config: &Builder) -> Result<Self> {
        Ok(Self { worker: Worker::spawn("kafka-control", Control::new(config))?, is_busy: false })
    }

    pub(super) fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Runs a job, whose message goes to the consumer.
    pub(super) fn run(
        &mut self,
        messages: &Sender<Message>,
        job: impl FnOnce(&mut Control) -> Message + Send + 'static,
    ) -> Result<()> {
        self.worker.run(messages, job)?;
        self.is_busy = true;
        Ok(())
    }

    /// The message of the last job has come.
    pub(super) fn finished(&mut self) {
        self.is_busy = false;
    }

    #[cfg(test)]
    pub(super) fn set_busy(&mut self) {
        self.is_busy = true;
    }
}

/// What the control thread owns.
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

    /// Requests metadata, from brokers that are `late` only after all others.
    pub(super) fn metadata(&mut self, topics: Vec<Arc<str>>, late: &[Address]) -> Result<Metadata> {
        self.client.suspect(late);
        self.client.metadata(topics)
    }

    /// The group's committed offsets, and the leaders' log offsets.
    pub(super) fn offsets(&mut self, group: &str, partitions: &[TopicPartition]) -> Result<Vec<PartitionOffsets>> {
        let mut committed = self.client.committed(group, partitions)?;
        let mut offsets = self.log_offsets(partitions)?;
        for offsets in &mut offsets {
            offsets.committed = committed.remove(&offsets.partition);
        }
        Ok(offsets)
    }

    pub(super) fn log_offsets(&mut self, partitions: &[TopicPartition]) -> Result<Vec<PartitionOffsets>> {
        let offsets = self.client.log_offsets(partitions, self.isolation)?;
        Ok(offsets.into_iter().map(|(partition, log)| PartitionOffsets { partition, committed: None, log }).collect())
    }

    pub(super) fn epoch_ends(&mut self, requested: &[OffsetForLeaderPartition]) -> Result<EpochEnds> {
        self.client.epoch_ends(requested)
    }

    /// Commits. In a group without members, an offset that another program has set since the partition was started is not overwritten:
    /// its metadata differs from that of these commits. In a group with members only the owner of a partition can commit.
    pub(super) fn commit(
        &mut self,
        group: &str,
        member: Option<Member>,
        batch: &CommitBatch,
    ) -> Result<Vec<(TopicPartition, CommitOutcome)>> {
        if member.is_some() {
            return self.commit_all(group, member, batch);
        }
        let partitions: Vec<TopicPartition> = batch.keys().cloned().collect();
        let committed = self.client.committed(group, &partitions)?;
        let is_foreign = |at: &TopicPartition, commit: &PendingCommit| {
            committed.get(at).is_some_and(|found| {
                found.metadata != commit.offset.metadata && commit.committed_seen.as_ref() != Some(found)
            })
        };
        let (foreign, own): (Vec<_>, Vec<_>) = batch.iter().partition(|(at, commit)| is_foreign(at, commit));
        let mut outcomes: Vec<_> = foreign.into_iter().map(|(at, _)| (at.clone(), CommitOutcome::Foreign)).collect();
        if !own.is_empty() {
            outcomes.extend(self.commit_all(group, None, own)?);
        }
        Ok(outcomes)
    }

    fn commit_all<'a>(
        &mut self,
        group: &str,
        member: Option<Member>,
        commits: impl IntoIterator<Item = (&'a TopicPartition, &'a PendingCommit)>,
    ) -> Result<Vec<(TopicPartition, CommitOutcome)>> {
        let offsets = commits.into_iter().map(|(at, commit)| (at.clone(), commit.offset.clone())).collect();
        let outcomes = self.client.commit(group, member, offsets)?.into_iter();
        let outcome = |refused: Option<Error>| refused.map_or(CommitOutcome::Committed, CommitOutcome::Refused);
        Ok(outcomes.map(|(at, refused)| (at, outcome(refused))).collect())
    }

    /// Removes a member from its group.
    pub(super) fn leave(&mut self, request: &LeaveGroupRequest) -> Result<()> {
        self.client.call_coordinator(&request.group, request).map(drop)
    }
}
