//! How far each partition has been stored, and what of it the group still has to be told. Only remembers.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kafka::{PartitionRecords, Start, TopicPartition};

/// The partitions that are being read.
#[derive(Debug, Default)]
pub(super) struct Positions(BTreeMap<TopicPartition, Position>);

#[derive(Debug)]
struct Position {
    topic_id: String,
    next_offset: i64,
    leader_epoch: Option<i32>,
    /// End of the log when the partition was first seen.
    first_end_offset: i64,
    /// Whether the group has not been told of `next_offset` yet.
    changed: bool,
    committed_at: Instant,
}

impl Positions {
    /// `end_offset` is the end of the log as seen now.
    pub(super) fn insert(&mut self, start: &Start, topic_id: String, end_offset: i64) {
        let first_end_offset = self.0.get(&start.partition).map_or(end_offset, |position| position.first_end_offset);
        let position = Position {
            topic_id,
            next_offset: start.offset,
            leader_epoch: start.leader_epoch,
            first_end_offset,
            changed: false,
            committed_at: Instant::now(),
        };
        self.0.insert(start.partition.clone(), position);
    }

    pub(super) fn remove(&mut self, at: &TopicPartition) {
        self.0.remove(at);
    }

    /// Id of the partition's topic; empty where the broker has none.
    pub(super) fn topic_id(&self, at: &TopicPartition) -> &str {
        self.0.get(at).map_or("", |position| &position.topic_id)
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
            position.changed = true;
        }
    }

    pub(super) fn have_changed(&self) -> bool {
        self.0.values().any(|position| position.changed)
    }

    /// Whether every partition has been stored up to its end as first seen.
    pub(super) fn have_reached_ends(&self) -> bool {
        self.0.values().all(|position| position.next_offset >= position.first_end_offset)
    }

    /// What the group has to be told of, which counts as done with this.
    pub(super) fn take_changed(&mut self) -> Vec<Start> {
        self.take(|position| position.changed)
    }

    /// What the group was told of longer ago than `age`.
    pub(super) fn take_idle(&mut self, age: Duration) -> Vec<Start> {
        self.take(|position| !position.changed && position.committed_at.elapsed() >= age)
    }

    fn take(&mut self, which: impl Fn(&Position) -> bool) -> Vec<Start> {
        let mut taken = Vec::new();
        for (at, position) in self.0.iter_mut().filter(|(_, position)| which(position)) {
            position.changed = false;
            position.committed_at = Instant::now();
            taken.push(Start {
                partition: at.clone(),
                offset: position.next_offset,
                leader_epoch: position.leader_epoch,
            });
        }
        taken
    }
}
