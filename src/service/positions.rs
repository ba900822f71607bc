//! How far each partition has been stored, and what of it the group still has to be told. Only remembers.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kafka::{PartitionRecords, Start, TopicPartition};

use crate::storage::TopicId;

/// The partitions that are being read.
#[derive(Debug, Default)]
pub(super) struct Positions(BTreeMap<TopicPartition, Position>);

#[derive(Debug)]
struct Position {
    topic_id: Option<TopicId>,
    next_offset: i64,
    leader_epoch: Option<i32>,
    /// End of the log when the partition was first seen.
    first_end_offset: i64,
    /// Whether the group has not been told of `next_offset` yet, nor will be of what is being synced.
    changed: bool,
    /// The position that the group is told of when the sync that is under way has ended.
    syncing: Option<(i64, Option<i32>)>,
    committed_at: Instant,
}

impl Positions {
    /// `end_offset` is the end of the log as seen now.
    pub(super) fn insert(&mut self, start: &Start, topic_id: Option<TopicId>, end_offset: i64) {
        // A log that was truncated since may never come to the end that was seen first.
        let first_end_offset =
            self.0.get(&start.partition).map_or(end_offset, |position| position.first_end_offset.min(end_offset));
        let position = Position {
            topic_id,
            next_offset: start.offset,
            leader_epoch: start.leader_epoch,
            first_end_offset,
            changed: false,
            syncing: None,
            committed_at: Instant::now(),
        };
        self.0.insert(start.partition.clone(), position);
    }

    pub(super) fn remove(&mut self, at: &TopicPartition) {
        self.0.remove(at);
    }

    /// Id of the partition's topic; `None` where the broker has none.
    pub(super) fn topic_id(&self, at: &TopicPartition) -> Option<&TopicId> {
        self.0.get(at).and_then(|position| position.topic_id.as_ref())
    }

    /// The first offset that has not been stored.
    pub(super) fn next_offset(&self, at: &TopicPartition) -> Option<i64> {
        self.0.get(at).map(|position| position.next_offset)
    }

    /// Records have been stored.
    pub(super) fn advance(&mut self, batch: &PartitionRecords) {
        if let Some(position) = self.0.get_mut(&batch.partition) {
            position.next_offset = batch.next_offset;
            position.leader_epoch = batch.leader_epoch;
            position.first_end_offset = position.first_end_offset.min(batch.end_offset);
            position.changed = true;
        }
    }

    /// Whether there is anything to tell the group.
    pub(super) fn have_changed(&self) -> bool {
        self.0.values().any(Position::is_unsaid)
    }

    /// Whether there is anything to sync, and no sync under way that is waited for.
    pub(super) fn want_sync(&self) -> bool {
        self.have_changed() && self.0.values().all(|position| position.syncing.is_none())
    }

    /// Whether every partition has been stored up to its end as first seen.
    pub(super) fn have_reached_ends(&self) -> bool {
        self.0.values().all(|position| position.next_offset >= position.first_end_offset)
    }

    /// All that has been stored is being synced.
    pub(super) fn begin_sync(&mut self) {
        for position in self.0.values_mut().filter(|position| position.changed) {
            position.syncing = Some((position.next_offset, position.leader_epoch));
            position.changed = false;
        }
    }

    /// The sync has failed: what it was for is to be synced again.
    pub(super) fn sync_failed(&mut self) {
        for position in self.0.values_mut() {
            position.changed |= position.syncing.take().is_some();
        }
    }

    /// The sync has ended: what the group has to be told of now, which counts as done with this.
    pub(super) fn take_synced(&mut self) -> Vec<Start> {
        self.take(|position| position.syncing.take())
    }

    /// What the group has to be told of if everything is synced, which counts as done with this.
    pub(super) fn take_changed(&mut self) -> Vec<Start> {
        self.take(|position| {
            let is_unsaid = position.is_unsaid();
            (position.changed, position.syncing) = (false, None);
            is_unsaid.then_some((position.next_offset, position.leader_epoch))
        })
    }

    /// What the group was told of longer ago than `age`.
    pub(super) fn take_idle(&mut self, age: Duration) -> Vec<Start> {
        self.take(|position| {
            let is_idle = !position.is_unsaid() && position.committed_at.elapsed() >= age;
            is_idle.then_some((position.next_offset, position.leader_epoch))
        })
    }

    fn take(&mut self, what: impl Fn(&mut Position) -> Option<(i64, Option<i32>)>) -> Vec<Start> {
        let mut taken = Vec::new();
        for (at, position) in &mut self.0 {
            if let Some((offset, leader_epoch)) = what(position) {
                position.committed_at = Instant::now();
                taken.push(Start { partition: at.clone(), offset, leader_epoch });
            }
        }
        taken
    }
}

impl Position {
    fn is_unsaid(&self) -> bool {
        self.changed || self.syncing.is_some()
    }
}
