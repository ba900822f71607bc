//! From metadata to partitions that are assigned: which there are, who leads them, what is known of their positions.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::broker::Broker;
use super::control::Facts;
use super::group::refuses_member;
use super::partition::{Partition, Phase};
use super::pause::Pause;
use super::{Answer, Assignment, Consumer, Event, OffsetPosition, OutOfRange};
use crate::error::{Error, ErrorCode, Result};
use crate::protocol::{BrokerInfo, Metadata, TopicMetadata};
use crate::types::{Address, CommittedOffset, TopicId, TopicPartition};

/// How old metadata may be while a broker is late with a fetch. Until the controller notices (`broker.session.timeout.ms`, 9 s) it may
/// have to be asked for some times.
const METADATA_AGE_MAX_LATE: Duration = Duration::from_secs(1);

impl Consumer {
    pub(super) fn ask_metadata(&mut self, now: Instant) -> Result<bool> {
        self.metadata_asked = now;
        self.metadata_due = now + self.config.metadata_age_max;
        let topics = self.config.topics.clone();
        let late = self.brokers.values().filter(|broker| broker.is_late(now));
        let late: Vec<Address> = late.map(|broker| broker.address.clone()).collect();
        self.ask(move |control| Answer::Metadata(control.metadata(topics, &late)))
    }

    /// When metadata is to be asked for: before it is old, and soon while others may lead what a late broker was asked for.
    pub(super) fn metadata_due(&self, now: Instant) -> Instant {
        if self.brokers.values().any(|broker| broker.is_late(now)) {
            self.metadata_due.min(self.metadata_asked + METADATA_AGE_MAX_LATE)
        } else {
            self.metadata_due
        }
    }

    pub(super) fn take_metadata(&mut self, metadata: Metadata, now: Instant) -> Result<()> {
        self.metadata_serial += 1;
        self.sharing.join(&self.config, &self.answers_to)?;
        if let Some(cluster_id) = &metadata.cluster_id
            && **cluster_id != *self.cluster_id
        {
            self.cluster_id = Arc::from(cluster_id.as_str());
        }
        // One that has left the cluster takes its thread and its connection along.
        self.brokers.retain(|id, _| metadata.brokers.iter().any(|broker| broker.id == *id));
        for broker in metadata.brokers {
            self.take_broker(broker);
        }
        for partition in self.partitions.values_mut() {
            partition.leave_replica_unless(now, |replica| self.brokers.contains_key(&replica));
        }
        for topic in metadata.topics {
            self.take_topic(&topic, now)?;
        }
        Ok(())
    }

    /// A broker that moved to another address gets a new connection; the answer of the old one will be ignored.
    fn take_broker(&mut self, info: BrokerInfo) {
        if self.brokers.get(&info.id).is_some_and(|broker| broker.address == info.address) {
            return;
        }
        self.broker_serial += 1;
        let connection = self.config.connection.clone();
        let broker = Broker::new(info.address, self.broker_serial, connection, self.config.retry);
        self.brokers.insert(info.id, broker);
    }

    fn take_topic(&mut self, topic: &TopicMetadata, now: Instant) -> Result<()> {
        if let Some(code) = topic.error {
            return self.topic_refused(topic, code, now);
        }
        self.drop_recreated(&topic.name, topic.id);
        self.topics_seen.insert(Arc::clone(&topic.name));
        for metadata in &topic.partitions {
            let at = TopicPartition::new(Arc::clone(&topic.name), metadata.partition);
            if !self.is_ours(&at) {
                continue;
            }
            let (retry, validates) = (self.config.retry, self.config.validates_leader_epochs);
            let partition = self.partitions.entry(at).or_insert_with(|| Partition::new(retry, validates));
            partition.topic_id = topic.id.or(partition.topic_id);
            let leader = metadata.leader.filter(|leader| self.brokers.contains_key(leader));
            partition.led_by(leader, metadata.leader_epoch);
        }
        self.tell_leaderless(&topic.name, now)
    }

    /// A partition without a leader has a new one soon, as a rule: metadata is asked again, long before it is too old. One pause
    /// and one word for all of a topic: there may be hundreds.
    fn tell_leaderless(&mut self, topic: &Arc<str>, now: Instant) -> Result<()> {
        let leaderless =
            || self.partitions.iter().filter(|(at, partition)| at.topic == *topic && partition.leader.is_none());
        let Some((first, _)) = leaderless().next() else {
            self.topics_failing.remove(topic);
            return Ok(());
        };
        let error = Error::Leaderless { partition: first.clone(), others: leaderless().count().saturating_sub(1) };
        self.topic_failed(topic, error, now)
    }

    /// Metadata is not what it should be for a topic: it is asked again after a pause of the topic's own.
    fn topic_failed(&mut self, topic: &Arc<str>, error: Error, now: Instant) -> Result<()> {
        let retry = self.config.retry;
        let pause = self.topics_failing.entry(Arc::clone(topic)).or_insert_with(|| Pause::new(retry));
        let is_misplaced = matches!(error, Error::Topic { code, .. } if refuses_member(code));
        let failed =
            pause.is_over(now).then(|| if is_misplaced { pause.again(error, now) } else { pause.failed(error, now) });
        self.metadata_due = pause.until().map_or(self.metadata_due, |again| again.min(self.metadata_due));
        failed.map_or(Ok(()), |failed| self.tell_retrying(failed))
    }

    /// A topic that is missing is waited for. If it was there before, its partitions stay: only another id proves that it was
    /// deleted.
    fn topic_refused(&mut self, topic: &TopicMetadata, code: ErrorCode, now: Instant) -> Result<()> {
        for (_, partition) in self.partitions.iter_mut().filter(|(at, _)| at.topic == topic.name) {
            partition.leader = None;
        }
        self.topic_failed(&topic.name, Error::Topic { topic: topic.name.to_string(), code }, now)
    }

    /// A topic with another id than before was deleted and made again: nothing that we know of it holds. A broker that
    /// gives no id, an older one amid an upgrade, proves nothing.
    fn drop_recreated(&mut self, topic: &str, id: Option<TopicId>) {
        let lost: Vec<TopicPartition> = self
            .partitions
            .iter()
            .filter(|(at, partition)| {
                *at.topic == *topic && id.is_some() && partition.topic_id.is_some() && partition.topic_id != id
            })
            .map(|(at, _)| at.clone())
            .collect();
        if !lost.is_empty() {
            self.forget(&lost);
            self.events.push_back(Ok(Event::Lost(lost)));
        }
    }

    /// Asks what is known of the partitions that have a leader and are new.
    pub(super) fn ask_facts(&mut self, now: Instant) -> Result<bool> {
        let asked = self.in_phase(Phase::New, now);
        if asked.is_empty() {
            return Ok(false);
        }
        let group = self.config.group.clone();
        self.ask(move |control| Answer::Facts(control.facts(&group, &asked)))
    }

    /// Asks what the leaders hold of the partitions whose position they refused.
    pub(super) fn ask_log_offsets(&mut self, now: Instant) -> Result<bool> {
        let asked = self.in_phase(Phase::OutOfRange, now);
        if asked.is_empty() {
            return Ok(false);
        }
        self.ask(move |control| Answer::LogOffsets(control.log_offsets(&asked)))
    }

    pub(super) fn in_phase(&self, phase: Phase, now: Instant) -> Vec<TopicPartition> {
        self.partitions
            .iter()
            .filter(|(_, partition)| {
                partition.phase == phase && partition.leader.is_some() && partition.pause.is_over(now)
            })
            .map(|(at, _)| at.clone())
            .collect()
    }

    /// Tells the user of new partitions, with what was learnt of them.
    pub(super) fn announce(&mut self, facts: Vec<Facts>, now: Instant) -> Result<()> {
        let mut assignments = Vec::with_capacity(facts.len());
        let (known, failure) = known(facts);
        for (at, committed, (log_start_offset, end_offset)) in known {
            let Some(partition) = self.partitions.get_mut(&at) else { continue };
            if partition.phase != Phase::New {
                continue;
            }
            partition.pause.succeeded();
            partition.phase = Phase::Assigned;
            partition.committed_seen.clone_from(&committed);
            partition.end_offset = end_offset;
            assignments.push(Assignment {
                token: *partition.asked.insert(self.tokens.next()),
                topic_id: partition.topic_id,
                partition: at,
                committed,
                log_start_offset,
                end_offset,
                cluster_id: Arc::clone(&self.cluster_id),
            });
        }
        if !assignments.is_empty() {
            self.events.push_back(Ok(Event::Assigned(assignments)));
        }
        self.facts_taken(failure, now)
    }

    /// What could not be learnt is asked again, after one pause and one word for all.
    pub(super) fn facts_taken(&mut self, failure: Option<Error>, now: Instant) -> Result<()> {
        if let Some(error) = failure {
            return self.facts_failed(error, now);
        }
        self.facts_pause.succeeded();
        Ok(())
    }

    /// The leader's own word on a refused position: outside its log, or an error of the moment.
    pub(super) fn confirm_out_of_range(&mut self, facts: Vec<Facts>, now: Instant) -> Result<()> {
        let (known, failure) = known(facts);
        for (at, _, (log_start_offset, end_offset)) in known {
            let Some(partition) = self.partitions.get_mut(&at) else { continue };
            if partition.phase != Phase::OutOfRange {
                continue;
            }
            if (log_start_offset..=end_offset).contains(&partition.position) {
                // Its two answers contradict each other: something was changing between them.
                partition.read_when_valid();
                partition.pause.hold(now + self.config.retry.initial);
                continue;
            }
            partition.pause.succeeded();
            partition.phase = Phase::Assigned;
            partition.end_offset = end_offset;
            self.events.push_back(Ok(Event::OutOfRange(OutOfRange {
                token: *partition.asked.insert(self.tokens.next()),
                topic_id: partition.topic_id,
                position: partition.position,
                partition: at,
                log_start_offset,
                end_offset,
            })));
        }
        self.facts_taken(failure, now)
    }

    /// Says where assigned partitions are read from. Each is claimed first, by a commit of that offset with `metadata`, and read
    /// once that has been accepted, and once its leader has confirmed the epoch that is named. If somebody else commits in
    /// between, the partition is lost and assigned again. A start position under another token than the last that the consumer
    /// has asked with has no effect.
    pub fn start(&mut self, starts: Vec<OffsetPosition>, metadata: &str) {
        for start in starts {
            let Some(partition) = self.partitions.get_mut(&start.partition) else { continue };
            if partition.phase != Phase::Assigned || partition.asked != Some(start.token) {
                continue;
            }
            partition.claim = partition.asked.take();
            partition.phase = Phase::Claiming;
            partition.seek(start.offset, start.leader_epoch);
            self.commit_later(start, metadata);
        }
    }

    pub(super) fn forget(&mut self, partitions: &[TopicPartition]) {
        for at in partitions {
            self.partitions.remove(at);
            self.commits_pending.remove(at);
        }
    }
}

/// A partition, what the group has committed for it, and start and end of its log.
type Known = (TopicPartition, Option<CommittedOffset>, (i64, i64));

/// What could be learnt, and the first reason why something could not.
fn known(facts: Vec<Facts>) -> (Vec<Known>, Option<Error>) {
    let mut known = Vec::with_capacity(facts.len());
    let mut failure = None;
    for Facts { partition, committed, log } in facts {
        match log {
            Ok(offsets) => known.push((partition, committed, offsets)),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    (known, failure)
}
