//! The model of a cluster: one topic, the group's offsets, who has which partition. Must not know the service's rules, but for when
//! a position may jump.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kafka::{CommittedOffset, TopicId, TopicPartition};

use super::log::{Log, Place, Produced, produce};
use super::random::Random;
use crate::storage::{self, JumpReason, OffsetJump};

pub(super) const TOPIC: &str = "sales_events";
pub(super) const CLUSTER_ID: &str = "model";

/// The cluster. Its random numbers decide everything.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) random: Random,
    pub(super) topic_id: TopicId,
    pub(super) logs: Vec<Log>,
    /// Logs of topics of this name that were deleted.
    deleted: BTreeMap<String, Vec<Log>>,
    pub(super) committed: BTreeMap<i32, CommittedOffset>,
    /// Partitions whose offset somebody else has set since their reader was told of it.
    pub(super) foreign: BTreeSet<i32>,
    pub(super) members: BTreeSet<usize>,
    /// Who has to be asked before the partitions are divided.
    pub(super) asked: BTreeSet<usize>,
    pub(super) owners: BTreeMap<i32, usize>,
    pub(super) targets: BTreeMap<i32, usize>,
    /// Records that nobody has to read, since an operator skipped them.
    pub(super) skipped: BTreeSet<u64>,
    serial: u64,
}

impl Cluster {
    pub(super) fn new(mut random: Random) -> Self {
        let partitions = random.within(1..4);
        let mut cluster = Self {
            random,
            topic_id: TopicId([1; 16]),
            logs: (0..partitions).map(|_| Log::default()).collect(),
            deleted: BTreeMap::new(),
            committed: BTreeMap::new(),
            foreign: BTreeSet::new(),
            members: BTreeSet::new(),
            asked: BTreeSet::new(),
            owners: BTreeMap::new(),
            targets: BTreeMap::new(),
            skipped: BTreeSet::new(),
            serial: 0,
        };
        cluster.grow();
        cluster
    }

    pub(super) fn partitions(&self) -> std::ops::Range<i32> {
        0..i32::try_from(self.logs.len()).unwrap()
    }

    pub(super) fn log(&self, partition: i32) -> &Log {
        &self.logs[usize::try_from(partition).unwrap()]
    }

    pub(super) fn any_partition(&mut self) -> i32 {
        let end = i64::from(self.partitions().end);
        i32::try_from(self.random.within(0..end)).unwrap()
    }

    /// The records of a stretch, also of a topic that is gone.
    pub(super) fn records(&self, topic_id: &str, partition: i32, from: i64, to: i64) -> Vec<Arc<Produced>> {
        let logs = if topic_id == self.topic_id.to_string() { &self.logs } else { &self.deleted[topic_id] };
        logs[usize::try_from(partition).unwrap()].between(from, to).cloned().collect()
    }

    /// Every record ever produced, in the order of producing.
    pub(super) fn all_records(&self) -> Vec<&Arc<Produced>> {
        let logs = self.deleted.values().flatten().chain(&self.logs);
        let mut all: Vec<_> = logs.flat_map(|log| log.between(0, log.end()).chain(&log.truncated)).collect();
        all.sort_by_key(|record| record.serial);
        all
    }

    /// The records that a consumer can still read.
    pub(super) fn readable(&self) -> impl Iterator<Item = &Arc<Produced>> {
        self.logs.iter().flat_map(|log| log.between(log.start, log.end()))
    }

    /// Somebody produces.
    pub(super) fn grow(&mut self) {
        for _ in 0..self.random.within(1..20) {
            let partition = self.any_partition();
            self.produce(partition);
        }
    }

    fn produce(&mut self, partition: i32) {
        let at = Place { topic_id: self.topic_id, partition, offset: self.log(partition).end() };
        self.serial += 1;
        let record = (!self.random.one_in(5)).then(|| produce(&mut self.random, self.serial, at));
        self.logs[usize::try_from(partition).unwrap()].push(record);
    }

    /// An unclean election: the end of a log is lost, and other records are written there.
    pub(super) fn truncate(&mut self) {
        let partition = self.any_partition();
        let log = &mut self.logs[usize::try_from(partition).unwrap()];
        // A leader says nothing of epochs before the first one that it knows.
        let first = log.start.max(log.without_epoch).max(log.first_epoch_start() + 1);
        if first >= log.end() {
            return;
        }
        let to = self.random.within(first..log.end());
        log.truncate(to);
        for _ in 0..self.random.within(1..20) {
            self.produce(partition);
        }
    }

    /// Retention.
    pub(super) fn expire(&mut self) {
        let partition = self.any_partition();
        let log = &mut self.logs[usize::try_from(partition).unwrap()];
        log.start = self.random.within(log.start..log.end() + 1);
    }

    pub(super) fn add_partition(&mut self) {
        if self.logs.len() < 5 {
            self.logs.push(Log::default());
            self.divide();
        }
    }

    /// The topic is deleted, and the group's offsets with it, and made again.
    pub(super) fn recreate_topic(&mut self) {
        let fresh = self.logs.iter().map(|_| Log::default()).collect();
        let logs = std::mem::replace(&mut self.logs, fresh);
        self.deleted.insert(self.topic_id.to_string(), logs);
        self.topic_id = TopicId([self.topic_id.0[0] + 1; 16]);
        self.committed.clear();
        self.foreign.clear();
        self.grow();
    }

    /// An operator sets the group's offset.
    pub(super) fn reset(&mut self, partition: i32, offset: i64) {
        let log = &mut self.logs[usize::try_from(partition).unwrap()];
        log.without_epoch = log.without_epoch.max(offset);
        self.committed.insert(partition, CommittedOffset { offset, leader_epoch: None, metadata: String::new() });
        self.foreign.insert(partition);
    }

    /// Every partition gets any of the members.
    pub(super) fn divide(&mut self) {
        let members: Vec<usize> = self.members.iter().copied().collect();
        self.asked.extend(&self.members);
        self.targets.clear();
        for partition in self.partitions() {
            if !members.is_empty() {
                self.targets.insert(partition, self.random.pick(&members));
            }
        }
    }

    pub(super) fn join(&mut self, member: usize) {
        // One that comes back soon enough may have what it had, and has to be told of it.
        self.owners.retain(|_, owner| *owner != member);
        if self.members.insert(member) || self.random.one_in(2) {
            self.divide();
        }
    }

    /// The member is gone, or taken for gone.
    pub(super) fn remove(&mut self, member: usize) {
        if self.members.remove(&member) {
            self.owners.retain(|_, owner| *owner != member);
            self.asked.remove(&member);
            self.divide();
        }
    }

    /// A position may jump only for a reason that this model gave, and only to where that leads. `before`: topic id and offset that
    /// it had.
    pub(super) fn justify(&mut self, moved: &OffsetJump, before: Option<&(String, i64)>) {
        assert_eq!(before.map(|(_, offset)| *offset), moved.from, "moved from elsewhere");
        let committed = self.committed.get(&moved.partition);
        let start = self.log(moved.partition).start;
        match moved.reason {
            JumpReason::FirstStart | JumpReason::NewPartition => {
                assert_eq!((moved.from, moved.to), (None, start), "{moved:?}");
            }
            JumpReason::GroupReset => {
                let committed = committed.unwrap();
                assert_eq!((committed.offset, &*committed.metadata), (moved.to, ""), "{moved:?}");
                let read = before
                    .filter(|(topic_id, _)| storage::TopicId::new(topic_id.as_str()) == moved.topic_id)
                    .map_or(0, |(_, offset)| *offset);
                // What was written since a truncation that was not noticed has not been read.
                let read = self.log(moved.partition).cuts.first().map_or(read, |cut| read.min(*cut));
                let skipped = self.log(moved.partition).between(read, moved.to);
                let skipped: Vec<u64> = skipped.map(|record| record.serial).collect();
                self.skipped.extend(skipped);
            }
            JumpReason::OffsetsExpired => {
                assert!(moved.from.is_some_and(|from| from < moved.to) && moved.to == start, "{moved:?}");
            }
            JumpReason::TopicRecreated => {
                assert!(!self.deleted.is_empty() && moved.to == start, "{moved:?}");
            }
            JumpReason::OtherDatabase => {
                let committed = committed.unwrap();
                assert!(!committed.metadata.is_empty() && committed.offset == moved.to, "{moved:?}");
                assert!(moved.from.is_none_or(|from| from < moved.to), "{moved:?}");
            }
            JumpReason::LogTruncated => {
                let log = self.log(moved.partition);
                assert!(moved.from.is_some_and(|from| moved.to <= from) && log.cuts.contains(&moved.to), "{moved:?}");
            }
            JumpReason::OlderBackup => panic!("without cause: {moved:?}"),
        }
    }
}

pub(super) fn partition(number: i32) -> TopicPartition {
    TopicPartition::new(TOPIC, number)
}
