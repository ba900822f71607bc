//! The partitions that are assigned to the model of the consumer, and what it fetches of them. Must not know the group.

use std::cell::RefCell;
use std::collections::BTreeMap;

use kafka::{Event, OutOfRange, PartitionRecords, StartToken, TopicId, TopicPartition, Truncation};

use super::cluster::{Cluster, partition};
use super::disk::Disk;

/// An assigned partition.
#[derive(Debug)]
pub(super) struct Assigned {
    pub(super) topic_id: TopicId,
    /// Of the event that asked for the start position last.
    pub(super) token: StartToken,
    pub(super) phase: Phase,
    /// Leader epoch of the record before the position, if known.
    pub(super) epoch: Option<i32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The user has to give a start position.
    WaitsForStart,
    /// The start position is being committed.
    Committing(i64),
    /// Records come, from this offset on.
    Reading(i64),
    /// The user has to acknowledge the revocation.
    Revoked,
}

/// All assigned partitions, by number.
#[derive(Debug, Default)]
pub(super) struct Partitions {
    pub(super) assigned: BTreeMap<i32, Assigned>,
    /// The number of the last start token.
    tokens: u64,
}

impl Partitions {
    pub(super) fn numbers(&self, which: impl Fn(i32, &Assigned) -> bool) -> Vec<i32> {
        let numbers = self.assigned.iter().filter(|(number, assigned)| which(**number, assigned));
        numbers.map(|(number, _)| *number).collect()
    }

    pub(super) fn next_token(&mut self) -> StartToken {
        self.tokens += 1;
        StartToken::new(self.tokens)
    }

    /// The partition, if it has asked for a start position with this token, and with no later one.
    pub(super) fn under_token(&mut self, at: &TopicPartition, token: StartToken) -> Option<&mut Assigned> {
        self.assigned.get_mut(&at.partition).filter(|assigned| assigned.token == token)
    }

    /// A partition whose log no longer has what was read, with the epoch and the offset where they diverge.
    pub(super) fn divergence(&self, cluster: &Cluster) -> Option<(i32, i32, i64)> {
        self.assigned.iter().find_map(|(number, assigned)| {
            let (Phase::Reading(position), Some(epoch)) = (assigned.phase, assigned.epoch) else { return None };
            let (end_epoch, end) = cluster.log(*number).epoch_end(epoch)?;
            (end_epoch < epoch || end < position).then_some((*number, end_epoch, end.min(position)))
        })
    }

    pub(super) fn truncated(&mut self, cluster: &Cluster) -> Option<Event> {
        let (number, divergence_epoch, divergence_offset) = self.divergence(cluster)?;
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

    pub(super) fn out_of_range(&mut self, cluster: &Cluster) -> Option<Event> {
        let token = self.next_token();
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

    /// Records of any of the partitions. Also whether one of them was returned before, which a real consumer must not
    /// do.
    pub(super) fn records(
        &mut self,
        records_max: usize,
        cluster: &mut Cluster,
        disk: &RefCell<Disk>,
    ) -> (Option<Event>, bool) {
        let mut disk = disk.borrow_mut();
        let (mut batches, mut has_repeated) = (Vec::new(), false);
        let mut records_left = i64::try_from(records_max).unwrap();
        for (number, assigned) in &mut self.assigned {
            let Phase::Reading(position) = assigned.phase else { continue };
            let end = cluster.log(*number).end();
            if position >= end || records_left == 0 || cluster.random.one_in(4) {
                continue;
            }
            let next = end.min(position + cluster.random.within(1..records_left.min(8) + 1));
            let mut from = position;
            if disk.faults && position > cluster.log(*number).start && cluster.random.one_in(300) {
                from -= 1;
                has_repeated = true;
            }
            let log = cluster.log(*number);
            disk.note_fetched(&assigned.topic_id.to_string(), *number, from..next, log.between(from, next).cloned());
            let records = log.between(from, next).map(|record| record.record()).collect();
            let epoch = Some(log.epoch_before(next));
            batches.push(PartitionRecords::detached(partition(*number), epoch, from..next, end, records));
            assigned.phase = Phase::Reading(next);
            assigned.epoch = epoch;
            records_left -= next - position;
        }
        ((!batches.is_empty()).then_some(Event::Records(batches)), has_repeated)
    }
}
