//! The model of the Kafka consumer: what `kafka::Consumer` promises its user, and nothing more. It checks what the service promises the
//! consumer. Must not know how the service keeps that.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use kafka::{
    Acknowledgement, Assignment, CommittedOffset, Error, Event, OffsetPosition, OutOfRange, PartitionRecords, Result,
    Retrying, Revocation, StartToken, TopicId, TopicPartition, Truncation,
};

use super::cluster::{CLUSTER_ID, Cluster, partition};
use super::disk::Disk;
use crate::service::reader::PollConsumer;
use crate::settings::{GroupProtocol, Settings};

/// An assigned partition.
#[derive(Debug)]
struct Assigned {
    topic_id: TopicId,
    /// Of the event that asked for the start position last.
    token: StartToken,
    phase: Phase,
    /// Leader epoch of the record before the position, if known.
    epoch: Option<i32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The user has to give a start position.
    WaitsForStart,
    /// The start position is being committed.
    Committing(i64),
    /// Records come, from this offset on.
    Reading(i64),
    /// The user has to acknowledge the revocation.
    Revoked,
}

/// An acknowledgement that the consumer waits for, and what must be committed by then.
#[derive(Debug)]
struct AwaitedAcknowledgement {
    number: u64,
    read: Vec<(i32, StartToken, i64)>,
    /// How many failures had been injected before.
    faults: u64,
}

/// One consumer, from its creation until it is dropped or killed.
pub(super) struct ConsumerModel {
    me: usize,
    cluster: Rc<RefCell<Cluster>>,
    disk: Rc<RefCell<Disk>>,
    /// Whether the group has no members, so that its offsets may be set while it reads.
    exclusive: bool,
    joined: bool,
    assigned: BTreeMap<i32, Assigned>,
    /// The number of the last start token.
    tokens: u64,
    /// The number of the last acknowledgement that was asked for.
    acknowledgements: u64,
    rebalance: Option<AwaitedAcknowledgement>,
    revocation: Option<AwaitedAcknowledgement>,
    /// Commits on their way.
    pending: BTreeMap<i32, CommittedOffset>,
    metadata: String,
    /// Whether it has returned a record twice, which a real consumer must not do.
    pub(super) has_repeated_records: bool,
}

impl ConsumerModel {
    pub(super) fn new(
        me: usize,
        settings: &Settings,
        cluster: &Rc<RefCell<Cluster>>,
        disk: &Rc<RefCell<Disk>>,
    ) -> Self {
        Self {
            me,
            cluster: Rc::clone(cluster),
            disk: Rc::clone(disk),
            exclusive: settings.kafka.group_protocol == GroupProtocol::None,
            joined: false,
            assigned: BTreeMap::new(),
            tokens: 0,
            acknowledgements: 0,
            rebalance: None,
            revocation: None,
            pending: BTreeMap::new(),
            metadata: String::new(),
            has_repeated_records: false,
        }
    }

    /// The process is killed. Requests on the wire may still arrive, and the member may time out at once.
    pub(super) fn kill(&mut self) {
        if self.cluster.borrow_mut().random.one_in(2) {
            self.deliver_commits();
        }
        if self.cluster.borrow_mut().random.one_in(2) {
            self.cluster.borrow_mut().remove(self.me);
        }
    }

    /// The coordinator accepts the commits of partitions that are assigned to this member.
    fn deliver_commits(&mut self) {
        let mut cluster = self.cluster.borrow_mut();
        for (number, committed) in std::mem::take(&mut self.pending) {
            let is_owner = cluster.owners.get(&number) == Some(&self.me)
                && self.assigned.get(&number).is_some_and(|assigned| assigned.topic_id == cluster.topic_id);
            if is_owner && !cluster.foreign.contains(&number) {
                cluster.commit(number, committed);
            }
        }
    }

    fn numbers(&self, which: impl Fn(i32, &Assigned) -> bool) -> Vec<i32> {
        self.assigned.iter().filter(|(number, assigned)| which(**number, assigned)).map(|(number, _)| *number).collect()
    }

    fn lose(&mut self, numbers: &[i32]) -> Event {
        for number in numbers {
            self.cluster.borrow_mut().foreign.remove(number);
            self.release(*number);
        }
        Event::Lost(numbers.iter().copied().map(partition).collect())
    }

    fn release(&mut self, number: i32) {
        self.assigned.remove(&number);
        self.pending.remove(&number);
        let mut cluster = self.cluster.borrow_mut();
        if cluster.owners.get(&number) == Some(&self.me) {
            cluster.owners.remove(&number);
        }
    }

    /// What happens to the membership and the assignment.
    fn membership_event(&mut self) -> Option<Event> {
        if !std::mem::replace(&mut self.joined, true) {
            self.cluster.borrow_mut().join(self.me);
        }
        if !self.cluster.borrow().members.contains(&self.me) {
            self.joined = false;
            (self.rebalance, self.revocation) = (None, None);
            return (!self.assigned.is_empty()).then(|| self.lose(&self.numbers(|_, _| true)));
        }
        let lost = {
            let cluster = self.cluster.borrow();
            self.numbers(|number, assigned| assigned.topic_id != cluster.topic_id || cluster.foreign.contains(&number))
        };
        if !lost.is_empty() {
            return Some(self.lose(&lost));
        }
        // The member rejoins, and is assigned other partitions, after the acknowledgement.
        if self.rebalance.is_some() || self.revocation.is_some() {
            return None;
        }
        if self.cluster.borrow_mut().rejoining.remove(&self.me) && !self.exclusive {
            let awaited = self.await_acknowledgement(|_| true);
            let acknowledgement = Acknowledgement::new(awaited.number);
            self.rebalance = Some(awaited);
            return Some(Event::Rebalancing(acknowledgement));
        }
        self.revoke().or_else(|| self.assign())
    }

    fn revoke(&mut self) -> Option<Event> {
        let revoked = self.numbers(|number, _| self.cluster.borrow().targets.get(&number) != Some(&self.me));
        if revoked.is_empty() {
            return None;
        }
        let awaited = self.await_acknowledgement(|number| revoked.contains(&number));
        let acknowledgement = Acknowledgement::new(awaited.number);
        self.revocation = Some(awaited);
        for number in &revoked {
            self.assigned.get_mut(number).unwrap().phase = Phase::Revoked;
        }
        Some(Event::Revoked(Revocation { partitions: revoked.into_iter().map(partition).collect(), acknowledgement }))
    }

    /// Everything that was read by now has to be committed before the acknowledgement.
    fn await_acknowledgement(&mut self, which: impl Fn(i32) -> bool) -> AwaitedAcknowledgement {
        self.acknowledgements += 1;
        let read = self.assigned.iter().filter_map(|(number, assigned)| match assigned.phase {
            Phase::Reading(position) if which(*number) => Some((*number, assigned.token, position)),
            _ => None,
        });
        AwaitedAcknowledgement {
            number: self.acknowledgements,
            read: read.collect(),
            faults: self.cluster.borrow().faults,
        }
    }

    /// A commit may be missing only if something has failed.
    fn check_committed(&self, awaited: &AwaitedAcknowledgement) {
        let cluster = self.cluster.borrow();
        if cluster.faults != awaited.faults {
            return;
        }
        for (number, token, position) in &awaited.read {
            let is_unchanged = self.assigned.get(number).is_some_and(|assigned| {
                assigned.token == *token && assigned.topic_id == cluster.topic_id && !cluster.foreign.contains(number)
            });
            if is_unchanged && cluster.owners.get(number) == Some(&self.me) {
                let committed = cluster.committed.get(number).map(|committed| committed.offset);
                assert!(
                    committed >= Some(*position),
                    "acknowledged before partition {number} was committed at {position}: {committed:?}"
                );
            }
        }
    }

    fn next_token(&mut self) -> StartToken {
        self.tokens += 1;
        StartToken::new(self.tokens)
    }

    fn assign(&mut self) -> Option<Event> {
        let mut assignments = Vec::new();
        let numbers = self.cluster.borrow().partitions();
        for number in numbers {
            let token = self.next_token();
            let mut cluster = self.cluster.borrow_mut();
            let may_be_assigned = cluster.targets.get(&number) == Some(&self.me)
                && cluster.owners.get(&number).is_none_or(|owner| *owner == self.me);
            if !may_be_assigned || self.assigned.contains_key(&number) || cluster.random.one_in(3) {
                continue;
            }
            cluster.owners.insert(number, self.me);
            cluster.foreign.remove(&number);
            let topic_id = cluster.topic_id;
            self.assigned.insert(number, Assigned { topic_id, token, phase: Phase::WaitsForStart, epoch: None });
            assignments.push(Assignment {
                token,
                partition: partition(number),
                topic_id: Some(topic_id),
                committed: cluster.committed.get(&number).cloned(),
                log_start_offset: cluster.log(number).start,
                end_offset: cluster.log(number).end(),
                cluster_id: Arc::from(CLUSTER_ID),
            });
        }
        (!assignments.is_empty()).then_some(Event::Assigned(assignments))
    }

    /// The coordinator accepts the commit of a start position.
    fn started(&mut self) -> Option<Event> {
        let mut cluster = self.cluster.borrow_mut();
        let mut started = Vec::new();
        for (number, assigned) in &mut self.assigned {
            if let Phase::Committing(offset) = assigned.phase
                && !cluster.random.one_in(3)
            {
                let (leader_epoch, metadata) = (assigned.epoch, self.metadata.clone());
                cluster.commit(*number, CommittedOffset { offset, leader_epoch, metadata });
                assigned.phase = Phase::Reading(offset);
                started.push(partition(*number));
            }
        }
        (!started.is_empty()).then_some(Event::Started(started))
    }

    /// A partition whose log no longer has what was read, with the epoch and the offset where they diverge.
    fn divergence(&self) -> Option<(i32, i32, i64)> {
        let cluster = self.cluster.borrow();
        self.assigned.iter().find_map(|(number, assigned)| {
            let (Phase::Reading(position), Some(epoch)) = (assigned.phase, assigned.epoch) else { return None };
            let (end_epoch, end) = cluster.log(*number).epoch_end(epoch)?;
            (end_epoch < epoch || end < position).then_some((*number, end_epoch, end.min(position)))
        })
    }

    fn truncated(&mut self) -> Option<Event> {
        let (number, divergence_epoch, divergence_offset) = self.divergence()?;
        let token = self.next_token();
        let assigned = self.assigned.get_mut(&number).unwrap();
        let (Phase::Reading(position), Some(position_epoch)) = (assigned.phase, assigned.epoch) else { return None };
        (assigned.phase, assigned.token) = (Phase::WaitsForStart, token);
        Some(Event::Truncated(Truncation {
            token,
            partition: partition(number),
            topic_id: Some(assigned.topic_id),
            position,
            position_epoch,
            divergence_offset,
            divergence_epoch,
        }))
    }

    fn out_of_range(&mut self) -> Option<Event> {
        let token = self.next_token();
        let cluster = self.cluster.borrow();
        for (number, assigned) in &mut self.assigned {
            let (log_start_offset, end_offset) = (cluster.log(*number).start, cluster.log(*number).end());
            if let Phase::Reading(position) = assigned.phase
                && !(log_start_offset..=end_offset).contains(&position)
            {
                (assigned.phase, assigned.token) = (Phase::WaitsForStart, token);
                return Some(Event::OutOfRange(OutOfRange {
                    token,
                    partition: partition(*number),
                    topic_id: Some(assigned.topic_id),
                    position,
                    log_start_offset,
                    end_offset,
                }));
            }
        }
        None
    }

    fn records(&mut self, records_max: usize) -> Option<Event> {
        let mut cluster = self.cluster.borrow_mut();
        // During a rebalance records are mostly held back.
        if self.rebalance.is_some() && !cluster.random.one_in(4) {
            return None;
        }
        let faults = self.disk.borrow().faults;
        let mut batches = Vec::new();
        let mut records_left = i64::try_from(records_max).unwrap();
        for (number, assigned) in &mut self.assigned {
            let Phase::Reading(position) = assigned.phase else { continue };
            let end = cluster.log(*number).end();
            if position >= end || records_left == 0 || cluster.random.one_in(4) {
                continue;
            }
            let next = end.min(position + cluster.random.within(1..records_left.min(8) + 1));
            let mut from = position;
            if faults && position > cluster.log(*number).start && cluster.random.one_in(300) {
                from -= 1;
                self.has_repeated_records = true;
            }
            let topic_id = assigned.topic_id.to_string();
            let log = cluster.log(*number);
            self.disk.borrow_mut().note_fetched(&topic_id, *number, from..next, log.between(from, next).cloned());
            let records = log.between(from, next).map(|record| record.record()).collect();
            let epoch = Some(cluster.log(*number).epoch_before(next));
            batches.push(PartitionRecords::detached(partition(*number), epoch, from..next, end, records));
            assigned.phase = Phase::Reading(next);
            assigned.epoch = epoch;
            records_left -= next - position;
        }
        (!batches.is_empty()).then_some(Event::Records(batches))
    }

    /// The partition, if it waits for an answer with this token.
    fn assigned_under(&mut self, at: &TopicPartition, token: StartToken) -> Option<&mut Assigned> {
        self.assigned.get_mut(&at.partition).filter(|assigned| assigned.token == token)
    }
}

/// A failure that the consumer retries.
fn transient() -> Error {
    Error::Leaderless { partition: partition(0), others: 0 }
}

/// The end of a killed instance: nothing is retried.
fn killed() -> Error {
    Error::Config("killed".to_owned())
}

impl PollConsumer for ConsumerModel {
    fn poll(&mut self, _: Duration, records_max: usize) -> Result<Event> {
        if !self.disk.borrow_mut().count_call() {
            return Err(killed());
        }
        if self.cluster.borrow_mut().random.one_in(2) {
            self.deliver_commits();
        }
        if self.disk.borrow().faults && self.cluster.borrow_mut().random.one_in(20) {
            return Ok(Event::Retrying(Retrying { error: transient(), attempt: 1, wait: Duration::ZERO }));
        }
        let event = self.membership_event().or_else(|| self.started()).or_else(|| self.truncated());
        Ok(event.or_else(|| self.out_of_range()).or_else(|| self.records(records_max)).unwrap_or(Event::Idle))
    }

    fn start(&mut self, positions: Vec<OffsetPosition>, metadata: &str) {
        if !self.disk.borrow_mut().count_call() {
            return;
        }
        metadata.clone_into(&mut self.metadata);
        let disk = Rc::clone(&self.disk);
        for OffsetPosition { partition: at, token, offset, leader_epoch } in positions {
            let Some(assigned) = self.assigned_under(&at, token) else { continue };
            if assigned.phase == Phase::Revoked {
                continue;
            }
            assert_eq!(assigned.phase, Phase::WaitsForStart, "started twice");
            let is_durable = disk.borrow().is_durable(&at, &assigned.topic_id.to_string(), offset);
            assert!(is_durable, "{at} starts at {offset} before that is durable");
            assigned.phase = Phase::Committing(offset);
            assigned.epoch = leader_epoch;
            // The start position replaces a commit that has not been sent, and is sent after one that has.
            self.pending.remove(&at.partition);
        }
    }

    fn commit(&mut self, positions: Vec<OffsetPosition>, metadata: &str) {
        if !self.disk.borrow_mut().count_call() {
            return;
        }
        let disk = Rc::clone(&self.disk);
        for OffsetPosition { partition: at, token, offset, leader_epoch } in positions {
            let Some(assigned) = self.assigned_under(&at, token) else { continue };
            let is_durable = disk.borrow().is_durable(&at, &assigned.topic_id.to_string(), offset);
            assert!(
                is_durable,
                "{at} is committed at {offset} before that is durable: {:?}",
                disk.borrow().durable.positions
            );
            if matches!(assigned.phase, Phase::Reading(_) | Phase::Revoked) {
                let committed = CommittedOffset { offset, leader_epoch, metadata: metadata.to_owned() };
                self.pending.insert(at.partition, committed);
            }
        }
    }

    fn acknowledge(&mut self, acknowledgement: Acknowledgement) {
        if !self.disk.borrow_mut().count_call() {
            return;
        }
        let is_acknowledged =
            |awaited: &mut AwaitedAcknowledgement| acknowledgement == Acknowledgement::new(awaited.number);
        if let Some(awaited) = self.rebalance.take_if(is_acknowledged) {
            self.check_committed(&awaited);
        }
        if let Some(awaited) = self.revocation.take_if(is_acknowledged) {
            self.check_committed(&awaited);
            for number in self.numbers(|_, assigned| assigned.phase == Phase::Revoked) {
                self.release(number);
            }
        }
    }

    fn flush(&mut self, _: Duration) -> Result<bool> {
        if !self.disk.borrow_mut().count_call() {
            return Err(killed());
        }
        if self.disk.borrow().faults && self.cluster.borrow_mut().random.one_in(6) {
            let mut cluster = self.cluster.borrow_mut();
            cluster.faults += 1;
            return if cluster.random.one_in(2) { Ok(false) } else { Err(transient()) };
        }
        self.deliver_commits();
        Ok(true)
    }

    fn leave(&mut self, _: Duration) -> Result<bool> {
        if self.disk.borrow_mut().count_call() {
            self.cluster.borrow_mut().remove(self.me);
        }
        Ok(true)
    }

    fn is_settled(&self) -> bool {
        let cluster = self.cluster.borrow();
        let targets = cluster.targets.iter().filter(|(_, member)| **member == self.me);
        self.joined
            && self.rebalance.is_none()
            && self.revocation.is_none()
            && !cluster.rejoining.contains(&self.me)
            && cluster.foreign.is_empty()
            && targets.map(|(number, _)| number).eq(self.assigned.keys())
            && self.assigned.values().all(|assigned| matches!(assigned.phase, Phase::Reading(_)))
            && self.divergence().is_none()
    }
}
