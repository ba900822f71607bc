//! The partitions that the service stores records of: positions, counts and lag. What is not known is left out, and a
//! partition that was revoked or lost is forgotten. Must not know how records are stored or fetched.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kafka::{LogEnd, PartitionStatistics, TopicPartition};

use super::lock::lock;
use crate::storage::{OffsetCounts, PartitionCounts};

/// With more partitions than this, what is kept of each and has a series of its own is bounded: the metrics of partitions
/// are sums over each topic, and the history of the lag is that of all.
pub(super) const PARTITIONS_MAX: usize = 1_000;

/// From this age on the end of a log no longer says how far behind the service is: a reader that waits for the writer
/// fetches nothing.
const LOG_END_AGE_MAX: Duration = Duration::from_mins(1);

/// The partitions, by topic and number.
#[derive(Debug, Default)]
pub struct Partitions {
    assigned: Mutex<BTreeMap<TopicPartition, Progress>>,
    /// What became of the offsets of each topic since the start of the service, also in partitions that were revoked.
    topics: Mutex<BTreeMap<String, OffsetCounts>>,
}

/// How far one partition is.
#[derive(Clone, Debug)]
struct Progress {
    /// What became of its offsets since it was assigned.
    counts: OffsetCounts,
    next_offset: i64,
    /// The timestamp of the last stored record, in milliseconds since 1970.
    last_record_ms: Option<i64>,
    /// When everything in its log was stored, as far as the log's end was known.
    caught_up_at: Option<Instant>,
}

/// One partition at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionSnapshot {
    /// Which one.
    pub partition: TopicPartition,
    /// What became of its offsets since it was assigned.
    pub counts: OffsetCounts,
    /// The first offset that is not stored.
    pub next_offset: i64,
    /// The group's offset.
    pub committed_offset: Option<i64>,
    /// Whether its records are fetched.
    pub is_reading: bool,
    /// The end of its log; `None` while its leader does not respond.
    pub log_end: Option<LogEnd>,
    /// Offsets that are not stored; `None` if the end of its log is not known, or may have grown since.
    pub lag_records: Option<u64>,
    /// The age of the oldest record that is not stored, at most; zero if there is none.
    pub lag: Option<Duration>,
}

#[cfg(test)]
impl PartitionSnapshot {
    /// A partition of the topic `t` that has this lag.
    pub(crate) fn with_lag(partition: i32, lag_records: Option<u64>) -> Self {
        Self {
            partition: TopicPartition::new("t", partition),
            counts: OffsetCounts::default(),
            next_offset: 0,
            committed_offset: None,
            is_reading: true,
            log_end: None,
            lag_records,
            lag: None,
        }
    }
}

impl Partitions {
    /// A partition starts, or starts again, at a stored position.
    pub fn start(&self, at: &TopicPartition, next_offset: i64) {
        let mut partitions = self.lock();
        // A jump within the partition keeps the counts.
        let counts = partitions.get(at).map_or_else(OffsetCounts::default, |known| known.counts);
        let progress = Progress { counts, next_offset, last_record_ms: None, caught_up_at: None };
        partitions.insert(at.clone(), progress);
    }

    /// Records of a partition have been stored.
    pub fn advance(&self, at: &TopicPartition, next_offset: i64, last_record_ms: Option<i64>) {
        if let Some(progress) = self.lock().get_mut(at) {
            progress.next_offset = next_offset;
            progress.last_record_ms = last_record_ms.or(progress.last_record_ms);
        }
    }

    /// What became of offsets.
    pub fn count(&self, counts: &PartitionCounts) {
        let (mut partitions, mut topics) = (self.lock(), lock(&self.topics));
        for (topic, partition, more) in counts.iter() {
            match topics.get_mut(topic) {
                Some(sum) => *sum += more,
                None => drop(topics.insert(topic.to_owned(), more)),
            }
            if let Some(progress) = partitions.get_mut(&TopicPartition::new(topic, partition)) {
                progress.counts += more;
            }
        }
    }

    /// What became of the offsets of each topic since the start of the service.
    pub(super) fn topics(&self) -> BTreeMap<String, OffsetCounts> {
        lock(&self.topics).clone()
    }

    /// Partitions were revoked or lost.
    pub fn remove(&self, removed: &[TopicPartition]) {
        let mut partitions = self.lock();
        for at in removed {
            partitions.remove(at);
        }
    }

    /// How many partitions are assigned.
    pub fn count_assigned(&self) -> usize {
        self.lock().len()
    }

    /// Compares the positions with the ends of the logs, so that an idle partition counts as caught up.
    pub fn note_ends(&self, statistics: &BTreeMap<TopicPartition, PartitionStatistics>) {
        for (at, progress) in self.lock().iter_mut() {
            if let Some(end) = statistics.get(at).and_then(|known| known.log_end) {
                progress.note_end(end);
            }
        }
    }

    /// The partitions now, with what the Kafka client knows of them.
    pub fn snapshots(
        &self,
        statistics: &BTreeMap<TopicPartition, PartitionStatistics>,
        now: Instant,
    ) -> Vec<PartitionSnapshot> {
        self.note_ends(statistics);
        let partitions = self.lock();
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).ok();
        let snapshot = |(at, progress): (&TopicPartition, &Progress)| {
            let known = statistics.get(at).copied().unwrap_or_default();
            let is_recent = |end: &LogEnd| now.saturating_duration_since(end.seen_at) <= LOG_END_AGE_MAX;
            let log_end = known.log_end.filter(is_recent);
            let lag_records = log_end.map(|end| lag(progress.next_offset, end.end_offset));
            PartitionSnapshot {
                partition: at.clone(),
                counts: progress.counts,
                next_offset: progress.next_offset,
                committed_offset: known.committed_offset,
                is_reading: known.is_reading && known.log_end.is_some(),
                log_end,
                lag_records,
                lag: lag_records.and_then(|records| progress.lag_time(records, now, now_ms)),
            }
        };
        partitions.iter().map(snapshot).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TopicPartition, Progress>> {
        lock(&self.assigned)
    }
}

impl Progress {
    fn note_end(&mut self, end: LogEnd) {
        if self.next_offset >= end.end_offset {
            self.caught_up_at = Some(end.seen_at);
        }
    }

    /// The oldest record that is not stored came after the last one that is, and after everything was stored: its age is
    /// at most the shorter of both times. So neither a backlog of old records nor one record after an idle night is
    /// mistaken for the other.
    fn lag_time(&self, records: u64, now: Instant, now_ms: Option<Duration>) -> Option<Duration> {
        if records == 0 {
            return Some(Duration::ZERO);
        }
        let since_caught_up = self.caught_up_at.map(|at| now.saturating_duration_since(at));
        let last_record = self.last_record_ms.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis);
        let since_last_record = now_ms.zip(last_record).map(|(now, at)| now.saturating_sub(at));
        [since_caught_up, since_last_record].into_iter().flatten().min()
    }
}

fn lag(next_offset: i64, end_offset: i64) -> u64 {
    end_offset.checked_sub(next_offset).and_then(|lag| u64::try_from(lag).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn partition() -> TopicPartition {
        TopicPartition::new("t", 3)
    }

    fn ends(end_offset: Option<i64>, seen_at: Instant) -> BTreeMap<TopicPartition, PartitionStatistics> {
        let log_end = end_offset.map(|end_offset| LogEnd { end_offset, high_watermark: end_offset + 2, seen_at });
        BTreeMap::from([(partition(), PartitionStatistics { is_reading: true, log_end, committed_offset: Some(5) })])
    }

    fn ms_ago(time: Duration) -> i64 {
        let at = SystemTime::now().checked_sub(time).unwrap();
        i64::try_from(at.duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
    }

    fn only(partitions: &Partitions, end_offset: Option<i64>, now: Instant) -> PartitionSnapshot {
        let [only] = partitions.snapshots(&ends(end_offset, now), now).try_into().unwrap();
        only
    }

    #[test]
    fn the_lag_is_known_while_the_leader_responds() {
        let partitions = Partitions::default();
        partitions.start(&partition(), 10);
        let now = Instant::now();
        let unknown = only(&partitions, None, now);
        assert_eq!((unknown.lag_records, unknown.lag, unknown.is_reading), (None, None, false));
        let backlog = only(&partitions, Some(30), now);
        assert_eq!((backlog.lag_records, backlog.lag, backlog.is_reading), (Some(20), None, true), "of unknown age");
        let ahead = only(&partitions, Some(7), now);
        assert_eq!((ahead.lag_records, ahead.lag), (Some(0), Some(Duration::ZERO)), "a truncated log");
        partitions.remove(&[partition()]);
        assert_eq!(partitions.snapshots(&ends(Some(30), now), now), []);
    }

    #[test]
    fn a_backlog_is_as_old_as_the_last_stored_record() {
        let partitions = Partitions::default();
        partitions.start(&partition(), 10);
        partitions.advance(&partition(), 20, Some(ms_ago(HOUR * 5)));
        let lag = only(&partitions, Some(30), Instant::now()).lag.unwrap();
        assert!((HOUR * 5..HOUR * 6).contains(&lag), "{lag:?}");
    }

    #[test]
    fn one_record_after_an_idle_night_is_no_lag_of_a_night() {
        let partitions = Partitions::default();
        partitions.start(&partition(), 10);
        partitions.advance(&partition(), 30, Some(ms_ago(HOUR * 9)));
        let evening = Instant::now();
        let morning = evening + HOUR * 9;
        partitions.note_ends(&ends(Some(30), morning));
        let lag = only(&partitions, Some(31), morning + Duration::from_secs(1)).lag;
        assert_eq!(lag, Some(Duration::from_secs(1)));
    }

    #[test]
    fn a_writer_that_waits_leaves_no_lag_that_nobody_has_seen() {
        let partitions = Partitions::default();
        partitions.start(&partition(), 10);
        let seen_at = Instant::now();
        partitions.advance(&partition(), 30, Some(ms_ago(HOUR)));
        let at = |now| {
            let [only] = partitions.snapshots(&ends(Some(30), seen_at), now).try_into().unwrap();
            let PartitionSnapshot { lag_records, is_reading, .. } = only;
            (lag_records, is_reading)
        };
        assert_eq!(at(seen_at + LOG_END_AGE_MAX), (Some(0), true));
        assert_eq!(at(seen_at + LOG_END_AGE_MAX * 2), (None, true), "the reader waits for the writer");
        // What came meanwhile is as old as the wait, not as the last look at the old end.
        let later = seen_at + HOUR;
        partitions.note_ends(&ends(Some(30), seen_at));
        assert_eq!(only(&partitions, Some(90), later).lag, Some(HOUR));
    }

    #[test]
    fn counts_are_those_of_the_present_assignment() {
        let partitions = Partitions::default();
        let counted = || {
            let mut counts = PartitionCounts::default();
            counts.add("t", 3, [(crate::storage::Outcome::Stale, 4)].into());
            counts.add("another", 3, [(crate::storage::Outcome::Stale, 9)].into());
            counts
        };
        partitions.start(&partition(), 10);
        partitions.count(&counted());
        partitions.start(&partition(), 50);
        partitions.count(&counted());
        assert_eq!(only(&partitions, None, Instant::now()).counts.total(), 8, "a jump within the assignment");
        partitions.remove(&[partition()]);
        partitions.count(&counted());
        partitions.start(&partition(), 50);
        assert_eq!(only(&partitions, None, Instant::now()).counts.total(), 0);
        let topics = partitions.topics();
        assert_eq!((topics["t"].total(), topics["another"].total()), (12, 27), "they only grow");
    }
}
