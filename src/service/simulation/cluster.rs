//! The model of a cluster: one topic, the group's offsets, the assignment. Must not know the service's rules, except
//! when a position may jump.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fuzzkit::Random;
use kafka::{CommittedOffset, TopicId, TopicPartition};

use super::log::{Coordinates, Log, Produced, produce};
use crate::storage::{self, JumpReason, OffsetJump};

pub(super) const TOPIC: &str = "sales_events";
pub(super) const CLUSTER_ID: &str = "model";

/// Who committed a group offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum CommittedBy {
    Instance,
    Operator,
}

/// The cluster. Its random numbers decide everything that happens.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) random: Random,
    pub(super) topic_id: TopicId,
    pub(super) logs: Vec<Log>,
    /// The logs of deleted topics, by topic id.
    deleted: BTreeMap<String, Vec<Log>>,
    pub(super) committed: BTreeMap<i32, CommittedOffset>,
    /// Every offset that was ever committed or set, by topic id and partition: an instance may learn of one later.
    commits: BTreeSet<(TopicId, i32, i64, CommittedBy)>,
    /// Partitions whose group offset an operator has set since it was last assigned.
    pub(super) foreign: BTreeSet<i32>,
    pub(super) members: BTreeSet<usize>,
    /// Members that have to rejoin before partitions are assigned.
    pub(super) rejoining: BTreeSet<usize>,
    pub(super) owners: BTreeMap<i32, usize>,
    pub(super) targets: BTreeMap<i32, usize>,
    /// Records that no instance has to read, because an operator has skipped them.
    pub(super) skipped: BTreeSet<u64>,
    serial: u64,
    /// How many failures were injected.
    pub(super) faults: u64,
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
            commits: BTreeSet::new(),
            foreign: BTreeSet::new(),
            members: BTreeSet::new(),
            rejoining: BTreeSet::new(),
            owners: BTreeMap::new(),
            targets: BTreeMap::new(),
            skipped: BTreeSet::new(),
            serial: 0,
            faults: 0,
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

    /// The log of a topic that may have been deleted.
    fn log_of(&self, topic_id: &str, partition: i32) -> &Log {
        let logs = if topic_id == self.topic_id.to_string() { &self.logs } else { &self.deleted[topic_id] };
        &logs[usize::try_from(partition).unwrap()]
    }

    /// The coordinator accepts a commit.
    pub(super) fn commit(&mut self, partition: i32, committed: CommittedOffset) {
        let by = if committed.metadata.is_empty() { CommittedBy::Operator } else { CommittedBy::Instance };
        self.commits.insert((self.topic_id, partition, committed.offset, by));
        self.committed.insert(partition, committed);
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

    /// Records are produced.
    pub(super) fn grow(&mut self) {
        for _ in 0..self.random.within(1..20) {
            let partition = self.any_partition();
            self.produce(partition);
        }
    }

    fn produce(&mut self, partition: i32) {
        let at = Coordinates { topic_id: self.topic_id, partition, offset: self.log(partition).end() };
        self.serial += 1;
        let record = (!self.random.one_in(5)).then(|| produce(&mut self.random, self.serial, at));
        self.logs[usize::try_from(partition).unwrap()].push(record);
    }

    /// An unclean leader election: the end of a log is lost, and other records are written there.
    pub(super) fn truncate(&mut self) {
        let partition = self.any_partition();
        let log = &mut self.logs[usize::try_from(partition).unwrap()];
        // A leader does not know epochs before its first one.
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
        let start = self.random.within(log.start..log.end() + 1);
        log.expire(start);
    }

    pub(super) fn add_partition(&mut self) {
        if self.logs.len() < 5 {
            self.logs.push(Log::default());
            self.rebalance();
        }
    }

    /// The topic is deleted with the group's offsets, and recreated.
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
        self.commit(partition, CommittedOffset { offset, leader_epoch: None, metadata: String::new() });
        self.foreign.insert(partition);
    }

    /// Assigns each partition to a random member.
    pub(super) fn rebalance(&mut self) {
        let members: Vec<usize> = self.members.iter().copied().collect();
        self.rejoining.extend(&self.members);
        self.targets.clear();
        for partition in self.partitions() {
            if !members.is_empty() {
                self.targets.insert(partition, *self.random.pick(&members).unwrap());
            }
        }
    }

    pub(super) fn join(&mut self, member: usize) {
        // A static member that rejoins in time keeps its partitions, and is assigned them again.
        self.owners.retain(|_, owner| *owner != member);
        if self.members.insert(member) || self.random.one_in(2) {
            self.rebalance();
        }
    }

    /// The member has left, or its session has timed out.
    pub(super) fn remove(&mut self, member: usize) {
        if self.members.remove(&member) {
            self.owners.retain(|_, owner| *owner != member);
            self.rejoining.remove(&member);
            self.rebalance();
        }
    }

    /// Checks that a position jumps only for a reason that exists in the model, and to the right offset. The instance
    /// may have learnt the reason some time ago. `before`: its topic id and offset before the jump.
    pub(super) fn justify(&mut self, jump: &OffsetJump, before: Option<&(String, i64)>) {
        assert_eq!(before.map(|(_, offset)| *offset), jump.from, "jumped from another position");
        let number = jump.partition;
        let topic_id = text(jump.topic_id.as_ref());
        let log = self.log_of(&topic_id, number);
        let was_committed = |by| {
            self.commits
                .iter()
                .any(|(id, at, offset, who)| (&id.to_string(), *at, *offset, *who) == (&topic_id, number, jump.to, by))
        };
        match jump.reason {
            JumpReason::FirstStart | JumpReason::NewPartition => {
                assert!(jump.from.is_none() && log.starts.contains(&jump.to), "{jump:?}");
            }
            JumpReason::GroupReset => {
                assert!(was_committed(CommittedBy::Operator), "{jump:?}");
                let read = before.filter(|(before, _)| *before == topic_id).map_or(0, |(_, offset)| *offset);
                // Records that were written since a truncation that was not noticed have not been read.
                let read = log.cuts.first().map_or(read, |cut| read.min(*cut));
                let skipped: Vec<u64> = log.between(read, jump.to).map(|record| record.serial).collect();
                self.skipped.extend(skipped);
            }
            JumpReason::OffsetsExpired => {
                assert!(jump.from.is_some_and(|from| from < jump.to) && log.starts.contains(&jump.to), "{jump:?}");
            }
            JumpReason::TopicRecreated => {
                assert!(!self.deleted.is_empty() && log.starts.contains(&jump.to), "{jump:?}");
            }
            JumpReason::OtherDatabase => {
                assert!(was_committed(CommittedBy::Instance), "{jump:?}");
                assert!(jump.from.is_none_or(|from| from < jump.to), "{jump:?}");
            }
            JumpReason::LogTruncated => {
                assert!(jump.from.is_some_and(|from| jump.to <= from) && log.cuts.contains(&jump.to), "{jump:?}");
            }
            JumpReason::OlderBackup => panic!("without cause: {jump:?}"),
        }
    }
}

pub(super) fn partition(number: i32) -> TopicPartition {
    TopicPartition::new(TOPIC, number)
}

/// A topic id as the model spells it.
pub(super) fn text(id: Option<&storage::TopicId>) -> String {
    id.map_or_else(String::new, ToString::to_string)
}
