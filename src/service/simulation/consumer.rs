//! The model of the Kafka consumer: what `kafka::Consumer` promises its user, and nothing more. It checks what the
//! service promises the consumer. Must not know how the service keeps that.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use kafka::{
    Acknowledgement, Assignment, CommittedOffset, Error, Event, OffsetPosition, Result, Retrying, Revocation,
    StartToken,
};

use super::cluster::{CLUSTER_ID, Cluster, partition};
use super::disk::Disk;
use super::partitions::{Assigned, Partitions, Phase};
use crate::service::reader::PollConsumer;
use crate::settings::{GroupProtocol, Settings};

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
    partitions: Partitions,
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
            partitions: Partitions::default(),
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
                && self.partitions.assigned.get(&number).is_some_and(|assigned| assigned.topic_id == cluster.topic_id);
            if is_owner && !cluster.foreign.contains(&number) {
                cluster.commit(number, committed);
            }
        }
    }

    fn lose(&mut self, numbers: &[i32]) -> Event {
        for number in numbers {
            self.cluster.borrow_mut().foreign.remove(number);
            self.release(*number);
        }
        Event::Lost(numbers.iter().copied().map(partition).collect())
    }

    fn release(&mut self, number: i32) {
        self.partitions.assigned.remove(&number);
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
            return (!self.partitions.assigned.is_empty()).then(|| self.lose(&self.partitions.numbers(|_, _| true)));
        }
        let lost = {
            let cluster = self.cluster.borrow();
            self.partitions
                .numbers(|number, assigned| assigned.topic_id != cluster.topic_id || cluster.foreign.contains(&number))
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
        let revoked = self.partitions.numbers(|number, _| self.cluster.borrow().targets.get(&number) != Some(&self.me));
        if revoked.is_empty() {
            return None;
        }
        let awaited = self.await_acknowledgement(|number| revoked.contains(&number));
        let acknowledgement = Acknowledgement::new(awaited.number);
        self.revocation = Some(awaited);
        for number in &revoked {
            self.partitions.assigned.get_mut(number).unwrap().phase = Phase::Revoked;
        }
        Some(Event::Revoked(Revocation { partitions: revoked.into_iter().map(partition).collect(), acknowledgement }))
    }

    /// Everything that was read by now has to be committed before the acknowledgement.
    fn await_acknowledgement(&mut self, which: impl Fn(i32) -> bool) -> AwaitedAcknowledgement {
        self.acknowledgements += 1;
        let read = self.partitions.assigned.iter().filter_map(|(number, assigned)| match assigned.phase {
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
            let is_unchanged = self.partitions.assigned.get(number).is_some_and(|assigned| {
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

    fn assign(&mut self) -> Option<Event> {
        let mut assignments = Vec::new();
        let numbers = self.cluster.borrow().partitions();
        for number in numbers {
            let token = self.partitions.next_token();
            let mut cluster = self.cluster.borrow_mut();
            let may_be_assigned = cluster.targets.get(&number) == Some(&self.me)
                && cluster.owners.get(&number).is_none_or(|owner| *owner == self.me);
            if !may_be_assigned || self.partitions.assigned.contains_key(&number) || cluster.random.one_in(3) {
                continue;
            }
            cluster.owners.insert(number, self.me);
            cluster.foreign.remove(&number);
            let topic_id = cluster.topic_id;
            self.partitions
                .assigned
                .insert(number, Assigned { topic_id, token, phase: Phase::WaitsForStart, epoch: None });
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
        for (number, assigned) in &mut self.partitions.assigned {
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

    fn fetch(&mut self, records_max: usize) -> Option<Event> {
        let mut cluster = self.cluster.borrow_mut();
        let event = self.partitions.truncated(&cluster).or_else(|| self.partitions.out_of_range(&cluster));
        // During a rebalance records are mostly held back.
        if event.is_some() || self.rebalance.is_some() && !cluster.random.one_in(4) {
            return event;
        }
        let (records, has_repeated) = self.partitions.records(records_max, &mut cluster, &self.disk);
        self.has_repeated_records |= has_repeated;
        records
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
        let event = self.membership_event().or_else(|| self.started());
        Ok(event.or_else(|| self.fetch(records_max)).unwrap_or(Event::Idle))
    }

    fn start(&mut self, positions: Vec<OffsetPosition>, metadata: &str) {
        if !self.disk.borrow_mut().count_call() {
            return;
        }
        metadata.clone_into(&mut self.metadata);
        let disk = Rc::clone(&self.disk);
        for OffsetPosition { partition: at, token, offset, leader_epoch } in positions {
            let Some(assigned) = self.partitions.under_token(&at, token) else { continue };
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
            let Some(assigned) = self.partitions.under_token(&at, token) else { continue };
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
            for number in self.partitions.numbers(|_, assigned| assigned.phase == Phase::Revoked) {
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
            && targets.map(|(number, _)| number).eq(self.partitions.assigned.keys())
            && self.partitions.assigned.values().all(|assigned| matches!(assigned.phase, Phase::Reading(_)))
            && self.partitions.divergence(&cluster).is_none()
    }
}
