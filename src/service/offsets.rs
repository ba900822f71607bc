//! How far each assigned partition has been stored, synced and committed. Must not know when or how that is done.
//!
//! A partition has three watermarks, each a next offset to read, with `stored ≥ synced ≥ committed`:
//!
//! | watermark | what is before it |
//! |-|-|
//! | stored | has taken effect in the database |
//! | synced | survives a power cut |
//! | committed | was handed to the consumer, which commits it to the group |

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kafka::{OffsetPosition, PartitionRecords, StartToken, TopicPartition};

use crate::storage::TopicId;

/// Where a partition starts: stored, synced, and not yet known to the consumer.
#[derive(Clone, Debug)]
pub(super) struct PartitionStart {
    pub(super) position: OffsetPosition,
    /// `None` if the brokers have no topic ids.
    pub(super) topic_id: Option<TopicId>,
    /// End of the log at this time.
    pub(super) end_offset: i64,
}

/// The offsets of all assigned partitions.
#[derive(Debug, Default)]
pub(super) struct Offsets(BTreeMap<TopicPartition, PartitionOffsets>);

#[derive(Debug)]
struct PartitionOffsets {
    topic_id: Option<TopicId>,
    token: StartToken,
    watermarks: Watermarks,
    /// End of the log when the partition was first seen.
    first_end_offset: i64,
    /// End of the log when it was last seen.
    end_offset: i64,
    committed_at: Instant,
}

/// What was stored when a sync began, and is synced when that sync has succeeded.
#[derive(Debug)]
#[must_use]
pub(super) struct SyncPoint(Vec<(TopicPartition, StartToken, Watermark)>);

/// The next offset to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Watermark {
    offset: i64,
    /// Epoch of the leader that wrote the record before, if known.
    leader_epoch: Option<i32>,
}

/// The three watermarks. Only the methods change them, and each keeps `stored ≥ synced ≥ committed`.
#[derive(Clone, Copy, Debug)]
struct Watermarks {
    stored: Watermark,
    synced: Watermark,
    committed: Watermark,
}

impl Offsets {
    /// A partition starts at a position that is stored and synced. The consumer commits that position itself before it
    /// reads.
    pub(super) fn start(&mut self, start: &PartitionStart) {
        let PartitionStart { position, topic_id, end_offset } = start;
        // After a truncation the log may never reach the end that was seen first.
        let known = self.0.get(&position.partition);
        let first_end_offset = known.map_or(*end_offset, |known| known.first_end_offset.min(*end_offset));
        let offsets = PartitionOffsets {
            topic_id: topic_id.clone(),
            token: position.token,
            watermarks: Watermarks::new(Watermark { offset: position.offset, leader_epoch: position.leader_epoch }),
            first_end_offset,
            end_offset: *end_offset,
            committed_at: Instant::now(),
        };
        self.0.insert(position.partition.clone(), offsets);
    }

    /// A partition was revoked or lost.
    pub(super) fn remove(&mut self, partition: &TopicPartition) {
        self.0.remove(partition);
    }

    /// The id of the partition's topic; `None` if the brokers have no topic ids, or the partition is not assigned.
    pub(super) fn topic_id(&self, partition: &TopicPartition) -> Option<&TopicId> {
        self.0.get(partition)?.topic_id.as_ref()
    }

    /// The first offset that is not stored; `None` if the partition is not assigned.
    pub(super) fn stored_offset(&self, partition: &TopicPartition) -> Option<i64> {
        Some(self.0.get(partition)?.watermarks.stored.offset)
    }

    /// A batch has been stored.
    pub(super) fn advance(&mut self, batch: &PartitionRecords) {
        if let Some(offsets) = self.0.get_mut(&batch.partition) {
            offsets.watermarks.store(Watermark { offset: batch.next_offset, leader_epoch: batch.leader_epoch });
            offsets.first_end_offset = offsets.first_end_offset.min(batch.end_offset);
            offsets.end_offset = batch.end_offset;
        }
    }

    /// How many partitions are assigned.
    pub(super) fn partitions(&self) -> usize {
        self.0.len()
    }

    /// How many offsets are not stored yet, up to the ends of the logs as last seen.
    pub(super) fn lag(&self) -> u64 {
        let lag = |offsets: &PartitionOffsets| offsets.end_offset.saturating_sub(offsets.watermarks.stored.offset);
        self.0.values().map(|offsets| u64::try_from(lag(offsets)).unwrap_or(0)).sum()
    }

    /// Whether every partition is stored up to its end as first seen.
    pub(super) fn are_stored_to_end(&self) -> bool {
        self.0.values().all(|offsets| offsets.watermarks.stored.offset >= offsets.first_end_offset)
    }

    /// Whether anything stored is not synced.
    pub(super) fn need_sync(&self) -> bool {
        self.0.values().any(|offsets| offsets.watermarks.stored != offsets.watermarks.synced)
    }

    /// Whether anything stored is not committed.
    pub(super) fn need_commit(&self) -> bool {
        self.0.values().any(|offsets| offsets.watermarks.stored != offsets.watermarks.committed)
    }

    /// What is stored now, for a sync that begins.
    pub(super) fn sync_point(&self) -> SyncPoint {
        let unsynced = self.0.iter().filter(|(_, offsets)| offsets.watermarks.stored != offsets.watermarks.synced);
        let points = unsynced.map(|(at, offsets)| (at.clone(), offsets.token, offsets.watermarks.stored));
        SyncPoint(points.collect())
    }

    /// A sync that began at the point has succeeded. A partition that has started again since is not affected.
    pub(super) fn note_synced(&mut self, point: SyncPoint) {
        for (at, token, stored) in point.0 {
            if let Some(offsets) = self.0.get_mut(&at).filter(|offsets| offsets.token == token) {
                offsets.watermarks.sync(stored);
            }
        }
    }

    /// Takes everything that is synced and not committed, which counts as committed from now on.
    pub(super) fn take_uncommitted(&mut self) -> Vec<OffsetPosition> {
        self.take(|offsets| offsets.watermarks.commit())
    }

    /// Takes what was committed longer ago than `age` and has not advanced since, to be committed again.
    pub(super) fn take_idle(&mut self, age: Duration) -> Vec<OffsetPosition> {
        self.take(|PartitionOffsets { watermarks: Watermarks { stored, committed, .. }, committed_at, .. }| {
            (stored == committed && committed_at.elapsed() >= age).then_some(*committed)
        })
    }

    fn take(&mut self, take: impl Fn(&mut PartitionOffsets) -> Option<Watermark>) -> Vec<OffsetPosition> {
        let mut taken = Vec::new();
        for (partition, offsets) in &mut self.0 {
            if let Some(Watermark { offset, leader_epoch }) = take(offsets) {
                offsets.committed_at = Instant::now();
                taken.push(OffsetPosition { partition: partition.clone(), token: offsets.token, offset, leader_epoch });
            }
        }
        taken
    }
}

impl Watermarks {
    fn new(start: Watermark) -> Self {
        Self { stored: start, synced: start, committed: start }
    }

    fn store(&mut self, stored: Watermark) {
        self.stored = self.stored.max(stored);
    }

    fn sync(&mut self, stored: Watermark) {
        self.synced = self.synced.max(stored).min(self.stored);
    }

    /// The new watermark, if it has advanced.
    fn commit(&mut self) -> Option<Watermark> {
        let has_advanced = self.committed != self.synced;
        self.committed = self.synced;
        has_advanced.then_some(self.committed)
    }
}

impl Watermark {
    fn max(self, other: Self) -> Self {
        if other.offset > self.offset { other } else { self }
    }

    fn min(self, other: Self) -> Self {
        if other.offset < self.offset { other } else { self }
    }
}

#[cfg(test)]
mod tests {
    use fuzzkit::Random;

    use super::*;

    fn partition(number: i32) -> TopicPartition {
        TopicPartition::new("t", number)
    }

    fn start(number: i32, token: u64, offset: i64) -> PartitionStart {
        let token = StartToken::new(token);
        let position = OffsetPosition { partition: partition(number), token, offset, leader_epoch: None };
        PartitionStart { position, topic_id: None, end_offset: 100 }
    }

    fn advance(offsets: &mut Offsets, number: i32, to: i64) {
        let from = offsets.stored_offset(&partition(number)).unwrap_or(0);
        offsets.advance(&PartitionRecords::detached(partition(number), Some(3), from..to, 100, Vec::new()));
    }

    fn taken(positions: &[OffsetPosition]) -> Vec<(i32, i64)> {
        positions.iter().map(|position| (position.partition.partition, position.offset)).collect()
    }

    #[test]
    fn only_what_a_sync_began_with_is_committed() {
        let mut offsets = Offsets::default();
        offsets.start(&start(0, 1, 10));
        assert!(!offsets.need_sync() && !offsets.need_commit());
        advance(&mut offsets, 0, 20);
        let point = offsets.sync_point();
        advance(&mut offsets, 0, 30);
        assert_eq!(taken(&offsets.take_uncommitted()), [], "nothing is synced");
        offsets.note_synced(point);
        assert_eq!(taken(&offsets.take_uncommitted()), [(0, 20)]);
        assert_eq!(taken(&offsets.take_uncommitted()), [], "committed once");
        assert!(offsets.need_sync() && offsets.need_commit());
    }

    #[test]
    fn a_partition_that_started_again_is_not_synced_by_an_earlier_sync() {
        let mut offsets = Offsets::default();
        offsets.start(&start(0, 1, 10));
        advance(&mut offsets, 0, 50);
        let point = offsets.sync_point();
        offsets.start(&start(0, 2, 20));
        advance(&mut offsets, 0, 30);
        offsets.note_synced(point);
        assert_eq!(taken(&offsets.take_uncommitted()), []);
        let again = offsets.sync_point();
        offsets.note_synced(again);
        let committed = offsets.take_uncommitted();
        assert_eq!(taken(&committed), [(0, 30)]);
        assert_eq!(committed[0].token, StartToken::new(2));
    }

    #[test]
    fn idle_partitions_are_committed_again_and_others_are_not() {
        let mut offsets = Offsets::default();
        offsets.start(&start(0, 1, 10));
        offsets.start(&start(1, 2, 10));
        advance(&mut offsets, 1, 11);
        assert_eq!(taken(&offsets.take_idle(Duration::ZERO)), [(0, 10)]);
        assert_eq!(taken(&offsets.take_idle(Duration::from_hours(1))), []);
        offsets.remove(&partition(0));
        assert_eq!(taken(&offsets.take_idle(Duration::ZERO)), []);
    }

    #[test]
    fn the_end_is_the_least_that_was_seen() {
        let mut offsets = Offsets::default();
        assert!(offsets.are_stored_to_end(), "without partitions");
        offsets.start(&start(0, 1, 10));
        advance(&mut offsets, 0, 99);
        assert!(!offsets.are_stored_to_end());
        offsets.start(&PartitionStart { end_offset: 40, ..start(0, 2, 40) });
        assert!(offsets.are_stored_to_end(), "the log was truncated");
        offsets.start(&start(0, 3, 39));
        assert!(!offsets.are_stored_to_end());
    }

    #[test]
    fn the_lag_is_up_to_the_end_as_last_seen() {
        let mut offsets = Offsets::default();
        assert_eq!((offsets.partitions(), offsets.lag()), (0, 0));
        offsets.start(&start(0, 1, 10));
        offsets.start(&start(1, 2, 100));
        assert_eq!((offsets.partitions(), offsets.lag()), (2, 90));
        offsets.advance(&PartitionRecords::detached(partition(0), Some(3), 10..30, 500, Vec::new()));
        assert_eq!(offsets.lag(), 470);
        offsets.remove(&partition(0));
        assert_eq!((offsets.partitions(), offsets.lag()), (1, 0));
    }

    /// Random calls in any order.
    #[test]
    fn stored_synced_and_committed_never_overtake_each_other() {
        let mut random = Random::new(1, "offsets");
        for _ in 0..200 {
            let mut offsets = Offsets::default();
            let mut tokens = 0;
            let mut points = Vec::new();
            let mut last_committed = BTreeMap::new();
            for _ in 0..60 {
                let number = random.below(3);
                match random.below(8) {
                    0 => {
                        tokens += 1;
                        let offset = random.below(50);
                        offsets.start(&start(number, tokens, offset));
                        last_committed.insert(StartToken::new(tokens), offset);
                    }
                    1 => offsets.remove(&partition(number)),
                    2 | 3 => {
                        let step = random.below(5) + 1;
                        let to = offsets.stored_offset(&partition(number)).unwrap_or(0) + step;
                        advance(&mut offsets, number, to);
                    }
                    4 => points.push(offsets.sync_point()),
                    5 if !points.is_empty() => {
                        let point = points.swap_remove(random.below(points.len()));
                        offsets.note_synced(point);
                    }
                    6 => {
                        for committed in offsets.take_uncommitted() {
                            assert!(Some(committed.offset) <= offsets.stored_offset(&committed.partition));
                            let before = last_committed.insert(committed.token, committed.offset).unwrap();
                            assert!(before < committed.offset, "committed again or backwards");
                        }
                    }
                    _ => {}
                }
                for PartitionOffsets { watermarks: Watermarks { stored, synced, committed }, .. } in offsets.0.values()
                {
                    assert!(stored.offset >= synced.offset && synced.offset >= committed.offset);
                }
            }
        }
    }
}
