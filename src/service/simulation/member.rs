//! The model of the consumer: what `kafka::Consumer` promises its user, and nothing that it does not promise.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use kafka::{
    Acknowledgement, Assignment, CommittedOffset, Error, Event, OffsetPosition, OutOfRange, PartitionRecords, Result,
    Retrying, Revocation, StartToken, TopicId, Truncation,
};

use super::cluster::{CLUSTER_ID, Cluster, partition};
use super::disk::Disk;
use crate::entity::Decoder;
use crate::service::decode::decode;
use crate::service::source::{News, Source, Waker};
use crate::settings::{GroupProtocol, Settings};

/// A partition of ours.
#[derive(Debug)]
struct Held {
    topic_id: TopicId,
    /// Of the last event that asked where it starts.
    token: StartToken,
    phase: Phase,
    /// Leader epoch of the record before the position, where known.
    epoch: Option<i32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The user has to say where it starts.
    Asked,
    /// The user has said so.
    Claimed(i64),
    /// The claim was accepted.
    Reading(i64),
    /// The user has to acknowledge that.
    Revoked,
}

/// One consumer, from its start to its end.
pub(super) struct Member {
    me: usize,
    cluster: Rc<RefCell<Cluster>>,
    disk: Rc<RefCell<Disk>>,
    /// Whether the offsets of the group may be set while it reads.
    exclusive: bool,
    /// At once.
    records_max: i64,
    joined: bool,
    held: BTreeMap<i32, Held>,
    /// The number of the last start token.
    tokens: u64,
    /// The number of the last acknowledgement that was asked for.
    acknowledgements: u64,
    /// Commits on their way.
    pending: BTreeMap<i32, CommittedOffset>,
    metadata: String,
    /// Whether it has given records twice, as a consumer must not.
    pub(super) has_lied: bool,
}

impl Member {
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
            records_max: settings.batch_records_max.get().try_into().unwrap(),
            joined: false,
            held: BTreeMap::new(),
            tokens: 0,
            acknowledgements: 0,
            pending: BTreeMap::new(),
            metadata: String::new(),
            has_lied: false,
        }
    }

    /// A kill: what is on the wire may still arrive.
    pub(super) fn die(&mut self) {
        if self.cluster.borrow_mut().random.one_in(2) {
            self.deliver();
        }
        if self.cluster.borrow_mut().random.one_in(2) {
            self.cluster.borrow_mut().remove(self.me);
        }
    }

    /// The coordinator takes the commits that it takes of us.
    fn deliver(&mut self) {
        let mut cluster = self.cluster.borrow_mut();
        for (number, committed) in std::mem::take(&mut self.pending) {
            let is_ours = cluster.owners.get(&number) == Some(&self.me)
                && self.held.get(&number).is_some_and(|held| held.topic_id == cluster.topic_id);
            if is_ours && !cluster.foreign.contains(&number) {
                cluster.committed.insert(number, committed);
            }
        }
    }

    fn numbers(&self, which: impl Fn(i32, &Held) -> bool) -> Vec<i32> {
        self.held.iter().filter(|(number, held)| which(**number, held)).map(|(number, _)| *number).collect()
    }

    fn lose(&mut self, numbers: &[i32]) -> Event {
        for number in numbers {
            self.cluster.borrow_mut().foreign.remove(number);
            self.give_up(*number);
        }
        Event::Lost(numbers.iter().copied().map(partition).collect())
    }

    fn give_up(&mut self, number: i32) {
        self.held.remove(&number);
        self.pending.remove(&number);
        let mut cluster = self.cluster.borrow_mut();
        if cluster.owners.get(&number) == Some(&self.me) {
            cluster.owners.remove(&number);
        }
    }

    /// What the group says.
    fn news(&mut self) -> Option<Event> {
        if !std::mem::replace(&mut self.joined, true) {
            self.cluster.borrow_mut().join(self.me);
        }
        if !self.cluster.borrow().members.contains(&self.me) {
            self.joined = false;
            return (!self.held.is_empty()).then(|| self.lose(&self.numbers(|_, _| true)));
        }
        if self.cluster.borrow_mut().asked.remove(&self.me) && !self.exclusive {
            return Some(Event::Rebalancing(self.next_acknowledgement()));
        }
        let lost = {
            let cluster = self.cluster.borrow();
            self.numbers(|number, held| held.topic_id != cluster.topic_id || cluster.foreign.contains(&number))
        };
        if !lost.is_empty() {
            return Some(self.lose(&lost));
        }
        let revoked = {
            let cluster = self.cluster.borrow();
            self.numbers(|number, held| held.phase != Phase::Revoked && cluster.targets.get(&number) != Some(&self.me))
        };
        if !revoked.is_empty() {
            for number in &revoked {
                self.held.get_mut(number).unwrap().phase = Phase::Revoked;
            }
            let partitions = revoked.into_iter().map(partition).collect();
            return Some(Event::Revoked(Revocation { partitions, acknowledgement: self.next_acknowledgement() }));
        }
        self.assigned()
    }

    fn next_acknowledgement(&mut self) -> Acknowledgement {
        self.acknowledgements += 1;
        Acknowledgement::new(self.acknowledgements)
    }

    fn assigned(&mut self) -> Option<Event> {
        let mut cluster = self.cluster.borrow_mut();
        let mut assignments = Vec::new();
        for number in cluster.partitions() {
            let is_ours = cluster.targets.get(&number) == Some(&self.me)
                && cluster.owners.get(&number).is_none_or(|owner| *owner == self.me);
            if !is_ours || self.held.contains_key(&number) || cluster.random.one_in(3) {
                continue;
            }
            cluster.owners.insert(number, self.me);
            cluster.foreign.remove(&number);
            let token = next_token(&mut self.tokens);
            self.held.insert(number, Held { topic_id: cluster.topic_id, token, phase: Phase::Asked, epoch: None });
            assignments.push(Assignment {
                token,
                partition: partition(number),
                topic_id: Some(cluster.topic_id),
                committed: cluster.committed.get(&number).cloned(),
                log_start_offset: cluster.log(number).start,
                end_offset: cluster.log(number).end(),
                cluster_id: Arc::from(CLUSTER_ID),
            });
        }
        (!assignments.is_empty()).then_some(Event::Assigned(assignments))
    }

    /// Claims are commits: of a group without members an offset that somebody else has set meanwhile stays.
    fn started(&mut self) -> Option<Event> {
        let mut cluster = self.cluster.borrow_mut();
        let mut started = Vec::new();
        for (number, held) in &mut self.held {
            if let Phase::Claimed(offset) = held.phase
                && !cluster.random.one_in(3)
            {
                let committed = CommittedOffset { offset, leader_epoch: held.epoch, metadata: self.metadata.clone() };
                cluster.committed.insert(*number, committed);
                held.phase = Phase::Reading(offset);
                started.push(partition(*number));
            }
        }
        (!started.is_empty()).then_some(Event::Started(started))
    }

    /// A partition whose log no longer has what was read: epoch and offset where it diverges.
    fn divergence(&self) -> Option<(i32, i32, i64)> {
        let cluster = self.cluster.borrow();
        self.held.iter().find_map(|(number, held)| {
            let (Phase::Reading(position), Some(epoch)) = (held.phase, held.epoch) else { return None };
            let (end_epoch, end) = cluster.log(*number).epoch_end(epoch)?;
            (end_epoch < epoch || end < position).then_some((*number, end_epoch, end.min(position)))
        })
    }

    fn truncated(&mut self) -> Option<Event> {
        let (number, divergence_epoch, divergence_offset) = self.divergence()?;
        let held = self.held.get_mut(&number).unwrap();
        let (Phase::Reading(position), Some(position_epoch)) = (held.phase, held.epoch) else { return None };
        held.phase = Phase::Asked;
        held.token = next_token(&mut self.tokens);
        Some(Event::Truncated(Truncation {
            token: held.token,
            partition: partition(number),
            topic_id: Some(held.topic_id),
            position,
            position_epoch,
            divergence_offset,
            divergence_epoch,
        }))
    }

    fn out_of_range(&mut self) -> Option<Event> {
        let cluster = self.cluster.borrow();
        for (number, held) in &mut self.held {
            let (log_start_offset, end_offset) = (cluster.log(*number).start, cluster.log(*number).end());
            if let Phase::Reading(position) = held.phase
                && !(log_start_offset..=end_offset).contains(&position)
            {
                held.phase = Phase::Asked;
                held.token = next_token(&mut self.tokens);
                return Some(Event::OutOfRange(OutOfRange {
                    token: held.token,
                    partition: partition(*number),
                    topic_id: Some(held.topic_id),
                    position,
                    log_start_offset,
                    end_offset,
                }));
            }
        }
        None
    }

    fn records(&mut self) -> Option<Event> {
        let mut cluster = self.cluster.borrow_mut();
        let faults = self.disk.borrow().faults;
        let mut batches = Vec::new();
        let mut room = self.records_max;
        for (number, held) in &mut self.held {
            let Phase::Reading(position) = held.phase else { continue };
            let end = cluster.log(*number).end();
            if position >= end || room == 0 || cluster.random.one_in(4) {
                continue;
            }
            let next = end.min(position + cluster.random.within(1..room.min(8) + 1));
            let mut from = position;
            if faults && position > cluster.log(*number).start && cluster.random.one_in(300) {
                from -= 1;
                self.has_lied = true;
            }
            let records = cluster.log(*number).between(from, next).map(|record| record.record()).collect();
            let epoch = Some(cluster.log(*number).epoch_before(next));
            batches.push(PartitionRecords::detached(partition(*number), epoch, from..next, end, records));
            held.phase = Phase::Reading(next);
            held.epoch = epoch;
            room -= next - position;
        }
        (!batches.is_empty()).then_some(Event::Records(batches))
    }
}

fn next_token(tokens: &mut u64) -> StartToken {
    *tokens += 1;
    StartToken::new(*tokens)
}

/// What the consumer rides out.
fn passing() -> Error {
    Error::Leaderless { partition: partition(0), others: 0 }
}

/// For an instance that is dead: it must not try again.
fn killed() -> Error {
    Error::Config("killed".to_owned())
}

impl Source for Member {
    fn poll(&mut self, _: Duration) -> Result<News> {
        if !self.disk.borrow_mut().alive() {
            return Err(killed());
        }
        if self.cluster.borrow_mut().random.one_in(2) {
            self.deliver();
        }
        if self.disk.borrow().faults && self.cluster.borrow_mut().random.one_in(20) {
            return Ok(Event::Retrying(Retrying { error: passing(), attempt: 1, wait: Duration::ZERO }));
        }
        let event = self.news().or_else(|| self.started()).or_else(|| self.truncated());
        let event = event.or_else(|| self.out_of_range()).or_else(|| self.records()).unwrap_or(Event::Idle);
        Ok(event.map_records(|records| decode(records, Decoder::default())))
    }

    fn waker(&self) -> Waker {
        Box::new(|| ())
    }

    fn start(&mut self, starts: Vec<OffsetPosition>, metadata: &str) {
        if !self.disk.borrow_mut().alive() {
            return;
        }
        metadata.clone_into(&mut self.metadata);
        for start in starts {
            let held = self.held.get_mut(&start.partition.partition).unwrap();
            assert_eq!((held.phase, held.token), (Phase::Asked, start.token), "started twice");
            let is_durable = self.disk.borrow().is_durable(&start.partition, &held.topic_id.to_string(), start.offset);
            assert!(is_durable, "{} is claimed at {} before that is durable", start.partition, start.offset);
            held.phase = Phase::Claimed(start.offset);
            held.epoch = start.leader_epoch;
            // The claim takes the place of a commit that is not on its way yet, and comes after one that is.
            self.pending.remove(&start.partition.partition);
        }
    }

    fn acknowledge(&mut self, acknowledgement: Acknowledgement) {
        if !self.disk.borrow_mut().alive() || acknowledgement != Acknowledgement::new(self.acknowledgements) {
            return;
        }
        for number in self.numbers(|_, held| held.phase == Phase::Revoked) {
            self.give_up(number);
        }
    }

    fn commit(&mut self, positions: Vec<OffsetPosition>, metadata: &str) {
        if !self.disk.borrow_mut().alive() {
            return;
        }
        for OffsetPosition { partition, token, offset, leader_epoch } in positions {
            let Some(held) = self.held.get(&partition.partition) else { continue };
            let topic_id = held.topic_id.to_string();
            assert!(
                self.disk.borrow().is_durable(&partition, &topic_id, offset),
                "{partition} is committed at {offset} before that is durable: {:?}",
                self.disk.borrow().durable.positions
            );
            if held.token == token && matches!(held.phase, Phase::Reading(_) | Phase::Revoked) {
                let committed = CommittedOffset { offset, leader_epoch, metadata: metadata.to_owned() };
                self.pending.insert(partition.partition, committed);
            }
        }
    }

    fn flush(&mut self, _: Duration) -> Result<bool> {
        if !self.disk.borrow_mut().alive() {
            return Err(killed());
        }
        if self.disk.borrow().faults && self.cluster.borrow_mut().random.one_in(6) {
            return if self.cluster.borrow_mut().random.one_in(2) { Ok(false) } else { Err(passing()) };
        }
        self.deliver();
        Ok(true)
    }

    fn leave(&mut self, _: Duration) -> Result<bool> {
        if self.disk.borrow_mut().alive() {
            self.cluster.borrow_mut().remove(self.me);
        }
        Ok(true)
    }

    fn is_settled(&self) -> bool {
        let cluster = self.cluster.borrow();
        let ours = cluster.targets.iter().filter(|(_, member)| **member == self.me);
        self.joined
            && !cluster.asked.contains(&self.me)
            && cluster.foreign.is_empty()
            && ours.map(|(number, _)| number).eq(self.held.keys())
            && self.held.values().all(|held| matches!(held.phase, Phase::Reading(_)))
            && self.divergence().is_none()
    }
}
