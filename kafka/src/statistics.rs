//! Numbers of a consumer that another thread may read at any time. The consumer's threads store them; no reader waits
//! for them longer than a copy takes. Must not know who reads them, nor what for.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::types::TopicPartition;

/// The numbers of one consumer. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Statistics(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    epoch: Instant,
    connects: AtomicU64,
    fetched_bytes: AtomicU64,
    /// When a broker responded last, in milliseconds since the epoch, plus 1; 0 before the first response.
    responded: AtomicU64,
    commits_accepted: AtomicU64,
    commits_failed: AtomicU64,
    rebalances: AtomicU64,
    failing_attempts: AtomicU32,
    membership: AtomicU8,
    last_commit_at: Mutex<Option<SystemTime>>,
    token_expires_at: Mutex<Option<SystemTime>>,
    partitions: Mutex<BTreeMap<TopicPartition, PartitionStatistics>>,
}

/// What is known of one assigned partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartitionStatistics {
    /// Whether its records are fetched: it has a start position, which its leader has.
    pub is_reading: bool,
    /// The end of its log; `None` before its leader has responded, and since a fetch from it failed.
    pub log_end: Option<LogEnd>,
    /// The group's offset that the coordinator has accepted last.
    pub committed_offset: Option<i64>,
}

/// The end of a partition's log, as the last fetch saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEnd {
    /// End for this consumer's isolation level.
    pub end_offset: i64,
    /// End for `read_uncommitted`: the offsets between both belong to, or come after, an open transaction.
    pub high_watermark: i64,
    /// When the response came.
    pub seen_at: Instant,
}

/// The state of the membership in the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MembershipState {
    /// The group has no members: every partition is read.
    Unneeded,
    /// The member has not joined, or its membership was lost.
    Joining,
    /// The member has joined, and knows its partitions, of which there may be none.
    Joined,
    /// The group is rebalancing.
    Rebalancing,
    /// The group was left, or the membership has failed for good.
    Ended,
}

impl MembershipState {
    const ALL: [Self; 5] = [Self::Joining, Self::Unneeded, Self::Joined, Self::Rebalancing, Self::Ended];
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            epoch: Instant::now(),
            connects: AtomicU64::default(),
            fetched_bytes: AtomicU64::default(),
            responded: AtomicU64::default(),
            commits_accepted: AtomicU64::default(),
            commits_failed: AtomicU64::default(),
            rebalances: AtomicU64::default(),
            failing_attempts: AtomicU32::default(),
            membership: AtomicU8::default(),
            last_commit_at: Mutex::default(),
            token_expires_at: Mutex::default(),
            partitions: Mutex::default(),
        }
    }
}

/// What readers use.
impl Statistics {
    /// Connections that were opened and authenticated.
    pub fn connects(&self) -> u64 {
        self.0.connects.load(Ordering::Relaxed)
    }

    /// Bytes of record batches that were fetched, as the brokers sent them.
    pub fn fetched_bytes(&self) -> u64 {
        self.0.fetched_bytes.load(Ordering::Relaxed)
    }

    /// Time since a broker responded to any request; `None` before the first response.
    pub fn since_response(&self, now: Instant) -> Option<Duration> {
        let ms = self.0.responded.load(Ordering::Relaxed).checked_sub(1)?;
        Some(now.saturating_duration_since(self.0.epoch + Duration::from_millis(ms)))
    }

    /// Commit requests that the coordinator has accepted for each partition.
    pub fn commits_accepted(&self) -> u64 {
        self.0.commits_accepted.load(Ordering::Relaxed)
    }

    /// Commit requests that failed, or that the coordinator has refused for a partition.
    pub fn commits_failed(&self) -> u64 {
        self.0.commits_failed.load(Ordering::Relaxed)
    }

    /// When the coordinator accepted a commit last.
    pub fn last_commit_at(&self) -> Option<SystemTime> {
        *self.0.last_commit_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the token that a broker has accepted last expires; `None` if there was none, or its expiry is not known.
    pub fn token_expires_at(&self) -> Option<SystemTime> {
        *self.0.token_expires_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Assignments by the group.
    pub fn rebalances(&self) -> u64 {
        self.0.rebalances.load(Ordering::Relaxed)
    }

    /// The most attempts in a row that have failed by now, of fetches, commits, metadata and offsets.
    pub fn failing_attempts(&self) -> u32 {
        self.0.failing_attempts.load(Ordering::Relaxed)
    }

    /// The state of the membership.
    pub fn membership(&self) -> MembershipState {
        let state = usize::from(self.0.membership.load(Ordering::Relaxed));
        MembershipState::ALL.get(state).copied().unwrap_or(MembershipState::Joining)
    }

    /// The assigned partitions that metadata has shown.
    pub fn partitions(&self) -> BTreeMap<TopicPartition, PartitionStatistics> {
        self.lock().clone()
    }

    /// The end of one partition's log, for the consumer's isolation level.
    pub fn end_offset(&self, at: &TopicPartition) -> Option<i64> {
        Some(self.lock().get(at)?.log_end?.end_offset)
    }
}

/// What the consumer's threads store.
impl Statistics {
    pub(crate) fn note_connected(&self) {
        self.0.connects.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn note_response(&self) {
        let ms = u64::try_from(self.0.epoch.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.responded.store(ms.saturating_add(1), Ordering::Relaxed);
    }

    pub(crate) fn note_fetched(&self, bytes: usize) {
        self.0.fetched_bytes.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn note_commit(&self, is_accepted: bool) {
        if is_accepted {
            *self.0.last_commit_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(SystemTime::now());
            self.0.commits_accepted.fetch_add(1, Ordering::Relaxed);
        } else {
            self.0.commits_failed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A broker has accepted a token, which expires then.
    pub(crate) fn note_token(&self, expires_at: Option<SystemTime>) {
        *self.0.token_expires_at.lock().unwrap_or_else(PoisonError::into_inner) = expires_at;
    }

    pub(crate) fn note_rebalance(&self) {
        self.0.rebalances.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn set_failing_attempts(&self, attempts: u32) {
        self.0.failing_attempts.store(attempts, Ordering::Relaxed);
    }

    pub(crate) fn set_membership(&self, state: MembershipState) {
        let place = MembershipState::ALL.iter().position(|known| *known == state);
        let place = place.and_then(|place| u8::try_from(place).ok()).unwrap_or_default();
        self.0.membership.store(place, Ordering::Relaxed);
    }

    /// Changes what is known of a partition; adds it if it is new.
    pub(crate) fn update(&self, at: &TopicPartition, change: impl FnOnce(&mut PartitionStatistics)) {
        let mut partitions = self.lock();
        match partitions.get_mut(at) {
            Some(known) => change(known),
            None => change(partitions.entry(at.clone()).or_default()),
        }
    }

    /// Adds partitions and says which are read, whose ends may be known; removes all others.
    pub(crate) fn set_partitions<'a>(&self, present: impl Iterator<Item = (&'a TopicPartition, bool)>) {
        let mut partitions = self.lock();
        let mut known = std::mem::take(&mut *partitions);
        for (at, is_reading) in present {
            let (at, before) = known.remove_entry(at).unwrap_or_else(|| (at.clone(), PartitionStatistics::default()));
            let log_end = before.log_end.filter(|_| is_reading);
            partitions.insert(at, PartitionStatistics { is_reading, log_end, ..before });
        }
    }

    pub(crate) fn remove(&self, at: &TopicPartition) {
        self.lock().remove(at);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TopicPartition, PartitionStatistics>> {
        // Each change is complete even if a thread has panicked.
        self.0.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_that_is_no_longer_read_is_forgotten() {
        let statistics = Statistics::default();
        let (first, second) = (TopicPartition::new("t", 0), TopicPartition::new("t", 1));
        let end = LogEnd { end_offset: 7, high_watermark: 9, seen_at: Instant::now() };
        statistics.set_partitions([(&first, true), (&second, false)].into_iter());
        statistics.update(&first, |partition| partition.log_end = Some(end));
        assert_eq!((statistics.end_offset(&first), statistics.end_offset(&second)), (Some(7), None));
        statistics.set_partitions([(&first, true)].into_iter());
        let known = PartitionStatistics { is_reading: true, log_end: Some(end), committed_offset: None };
        assert_eq!(statistics.partitions(), BTreeMap::from([(first.clone(), known)]));
        statistics.set_partitions([(&first, false)].into_iter());
        assert_eq!(statistics.end_offset(&first), None, "nobody says where its log ends");
        statistics.remove(&first);
        assert_eq!(statistics.end_offset(&first), None);
    }

    #[test]
    fn a_consumer_has_not_joined_before_it_says_so() {
        let statistics = Statistics::default();
        assert_eq!(statistics.membership(), MembershipState::Joining);
        for state in MembershipState::ALL {
            statistics.set_membership(state);
            assert_eq!(statistics.membership(), state);
        }
    }

    #[test]
    fn the_last_response_counts() {
        let statistics = Statistics::default();
        assert_eq!(statistics.since_response(Instant::now()), None);
        statistics.note_response();
        let since = statistics.since_response(Instant::now() + Duration::from_mins(2)).unwrap();
        assert!((Duration::from_mins(2)..Duration::from_mins(3)).contains(&since), "{since:?}");
    }
}
