//! The partitions that this consumer reads: which of them wait for offsets of the cluster, and what responses with offsets mean for them.
//! Must not know who sends the requests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::event::{Assignment, Event, OffsetPosition};
use super::event_queue::EventQueue;
use super::message::{PartitionOffsets, PendingCommit};
use super::partition::{Partition, RangeCheck, Validation};
use super::pause::Pause;
use super::token::StartTokens;
use super::topology::Topology;
use crate::backoff::RetryPolicy;
use crate::client::EpochEnds;
use crate::error::{Error, Result};
use crate::protocol::{OffsetForLeaderPartition, TopicMetadata};
use crate::types::{CommittedOffset, TopicId, TopicPartition};

/// All partitions, by topic and number.
pub(super) struct Partitions {
    by_name: BTreeMap<TopicPartition, Partition>,
    tokens: StartTokens,
    retry: RetryPolicy,
    validates: bool,
    /// Between requests for offsets and ends of epochs.
    pub(super) pause: Pause,
}

impl Partitions {
    pub(super) fn new(retry: RetryPolicy, validates: bool) -> Self {
        let tokens = StartTokens::default();
        Self { by_name: BTreeMap::new(), tokens, retry, validates, pause: Pause::new(retry) }
    }

    pub(super) fn get(&self, at: &TopicPartition) -> Option<&Partition> {
        self.by_name.get(at)
    }

    pub(super) fn get_mut(&mut self, at: &TopicPartition) -> Option<&mut Partition> {
        self.by_name.get_mut(at)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&TopicPartition, &Partition)> {
        self.by_name.iter()
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Partition> {
        self.by_name.values()
    }

    pub(super) fn contains(&self, at: &TopicPartition) -> bool {
        self.by_name.contains_key(at)
    }

    /// The names of the partitions that `is_picked` picks.
    pub(super) fn select(&self, is_picked: impl Fn(&TopicPartition, &Partition) -> bool) -> Vec<TopicPartition> {
        self.iter().filter(|(at, partition)| is_picked(at, partition)).map(|(at, _)| at.clone()).collect()
    }

    pub(super) fn remove(&mut self, at: &TopicPartition) {
        self.by_name.remove(at);
    }

    #[cfg(test)]
    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Partition> {
        self.by_name.values_mut()
    }

    /// A failure of one partition: it waits, and metadata is requested, for its leader may have moved.
    pub(super) fn fail(
        &mut self,
        at: &TopicPartition,
        error: Error,
        now: Instant,
        topology: &mut Topology,
        events: &mut EventQueue,
    ) -> Result<()> {
        let Some(partition) = self.by_name.get_mut(at) else { return Ok(()) };
        topology.request_soon(now);
        events.emit_retrying(partition.pause.failed(error, now))
    }
}

/// Metadata.
impl Partitions {
    pub(super) fn leave_missing_replicas(&mut self, now: Instant, exists: impl Fn(i32) -> bool) {
        for partition in self.by_name.values_mut() {
            partition.leadership.leave_replica_unless(now, &exists);
        }
    }

    /// The partitions of a topic that was recreated with another id: nothing that is known of them holds. A broker without topic ids,
    /// an older one during an upgrade, proves nothing.
    pub(super) fn recreated(&self, topic: &str, id: Option<TopicId>) -> Vec<TopicPartition> {
        self.select(|at, partition| {
            *at.topic == *topic && id.is_some() && partition.topic_id.is_some() && partition.topic_id != id
        })
    }

    /// Takes over the leaders of a topic; its partitions that `is_assigned` picks are read from now on.
    pub(super) fn update(
        &mut self,
        topic: &TopicMetadata,
        is_assigned: impl Fn(&TopicPartition) -> bool,
        has_broker: impl Fn(i32) -> bool,
    ) {
        for metadata in &topic.partitions {
            let at = TopicPartition::new(Arc::clone(&topic.name), metadata.partition);
            if !is_assigned(&at) {
                continue;
            }
            let (retry, validates) = (self.retry, self.validates);
            let partition = self.by_name.entry(at).or_insert_with(|| Partition::new(retry, validates));
            partition.topic_id = topic.id.or(partition.topic_id);
            partition.set_leader(metadata.leader.filter(|leader| has_broker(*leader)), metadata.leader_epoch);
        }
    }

    pub(super) fn clear_leaders(&mut self, topic: &str) {
        for (_, partition) in self.by_name.iter_mut().filter(|(at, _)| *at.topic == *topic) {
            partition.leadership.clear_leader();
        }
    }

    /// One error for all partitions of a topic that have no leader: there may be hundreds.
    pub(super) fn leaderless(&self, topic: &str) -> Option<Error> {
        let leaderless = self.select(|at, partition| *at.topic == *topic && partition.leadership.leader().is_none());
        let partition = leaderless.first()?.clone();
        Some(Error::Leaderless { partition, others: leaderless.len().saturating_sub(1) })
    }
}

/// Offsets.
impl Partitions {
    /// New partitions, whose offsets are to be requested.
    pub(super) fn without_offsets(&self, now: Instant) -> Vec<TopicPartition> {
        self.ready(now, Partition::is_new)
    }

    /// Partitions whose leader has refused the position, so that the offsets of its log are to be requested.
    pub(super) fn out_of_range(&self, now: Instant) -> Vec<TopicPartition> {
        self.ready(now, Partition::is_out_of_range)
    }

    /// Requests for the ends of epochs, of partitions that are to be validated.
    pub(super) fn epoch_requests(&self, metadata_serial: u64, now: Instant) -> Vec<OffsetForLeaderPartition> {
        let ready = self.iter().filter(|(_, partition)| is_ready(partition, now));
        ready.filter_map(|(at, partition)| partition.epoch_request(at, metadata_serial)).collect()
    }

    fn ready(&self, now: Instant, is_picked: impl Fn(&Partition) -> bool) -> Vec<TopicPartition> {
        self.select(|_, partition| is_picked(partition) && is_ready(partition, now))
    }

    /// Emits the new partitions whose offsets are known, for the user to start them. Returns the first failure.
    pub(super) fn assign(
        &mut self,
        offsets: Vec<PartitionOffsets>,
        cluster_id: &Arc<str>,
        events: &mut EventQueue,
    ) -> Option<Error> {
        let mut assignments = Vec::with_capacity(offsets.len());
        let (known, failure) = known(offsets);
        for (at, committed, (log_start_offset, end_offset)) in known {
            let Some(partition) = self.by_name.get_mut(&at) else { continue };
            if let Some(token) = partition.assign(committed.clone(), end_offset, &mut self.tokens) {
                assignments.push(Assignment {
                    token,
                    topic_id: partition.topic_id,
                    partition: at,
                    committed,
                    log_start_offset,
                    end_offset,
                    cluster_id: Arc::clone(cluster_id),
                });
            }
        }
        if !assignments.is_empty() {
            events.emit(Event::Assigned(assignments));
        }
        failure
    }

    /// The leader's own offsets decide whether a refused position is outside of its log. Returns the first failure.
    pub(super) fn confirm_out_of_range(
        &mut self,
        offsets: Vec<PartitionOffsets>,
        now: Instant,
        events: &mut EventQueue,
    ) -> Option<Error> {
        let (known, failure) = known(offsets);
        for (at, _, log) in known {
            let Some(partition) = self.by_name.get_mut(&at) else { continue };
            if let RangeCheck::OutOfRange(range) = partition.confirm_out_of_range(at, log, now, &mut self.tokens) {
                events.emit(Event::OutOfRange(range));
            }
        }
        failure
    }

    /// Compares positions with the ends of epochs in their leaders' logs. Returns the first failure.
    pub(super) fn validate(
        &mut self,
        requested: &[OffsetForLeaderPartition],
        ends: EpochEnds,
        (topology, now): (&mut Topology, Instant),
        events: &mut EventQueue,
    ) -> Option<Error> {
        let mut failure = None;
        for (at, end) in ends {
            let Some(partition) = self.by_name.get_mut(&at) else { continue };
            let Some(requested) = requested.iter().find(|requested| requested.partition == at) else { continue };
            let end = match end {
                Ok(end) => end,
                Err(error) => {
                    // A response that is no longer waited for cannot fail.
                    failure = failure.or_else(|| partition.is_validated_for(requested).then_some(error));
                    continue;
                }
            };
            match partition.validate(requested, end, (topology.serial(), now), &mut self.tokens) {
                Validation::Suspected => topology.request_soon(now),
                Validation::Truncated(truncation) => events.emit(Event::Truncated(truncation)),
                Validation::Valid | Validation::Stale => {}
            }
        }
        failure
    }

    /// Takes a start position that the user has chosen; the commit that claims it.
    pub(super) fn start(&mut self, start: &OffsetPosition, metadata: &str) -> Option<PendingCommit> {
        self.by_name.get_mut(&start.partition)?.start(start, metadata)
    }
}

fn is_ready(partition: &Partition, now: Instant) -> bool {
    partition.leadership.leader().is_some() && partition.pause.is_over(now)
}

/// A partition, the group's committed offset, and start and end of its log.
type Known = (TopicPartition, Option<CommittedOffset>, (i64, i64));

/// The offsets that are known, and the first reason why others are not.
fn known(offsets: Vec<PartitionOffsets>) -> (Vec<Known>, Option<Error>) {
    let mut known = Vec::with_capacity(offsets.len());
    let mut failure = None;
    for PartitionOffsets { partition, committed, log } in offsets {
        match log {
            Ok(log) => known.push((partition, committed, log)),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    (known, failure)
}
