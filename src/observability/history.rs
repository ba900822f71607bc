//! The lag of each partition in each of the last 60 minutes, as it was at one moment of that minute. Its size is bounded: 60
//! numbers of 8 bytes for each of 1,000 partitions. Must not know how it is shown.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use kafka::TopicPartition;

use super::lock::lock;
use super::partitions::{PARTITIONS_MAX, PartitionSnapshot};

/// The minutes that are kept.
const MINUTES: usize = 60;

const MINUTE: Duration = Duration::from_mins(1);

/// The lag in the last 60 minutes.
#[derive(Debug)]
pub struct LagHistory {
    /// When the first minute began.
    begun: Instant,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// The minute of the last sample.
    sampled: Option<u64>,
    total: Series,
    /// Empty if there are too many partitions.
    partitions: BTreeMap<TopicPartition, Series>,
}

/// One lag for each minute up to that of the last sample; `None` where it was not known.
#[derive(Clone, Debug, Default)]
struct Series(VecDeque<Option<u32>>);

impl Default for LagHistory {
    fn default() -> Self {
        Self { begun: Instant::now(), kept: Mutex::default() }
    }
}

impl LagHistory {
    /// Whether this minute has no sample yet.
    pub fn is_due(&self, now: Instant) -> bool {
        lock(&self.kept).sampled.is_none_or(|sampled| sampled < self.minute(now))
    }

    /// Takes the sample of this minute. Partitions that are not in it are forgotten.
    pub fn sample(&self, snapshots: &[PartitionSnapshot], now: Instant) {
        let minute = self.minute(now);
        let mut kept = lock(&self.kept);
        // Minutes without a sample: the writer was waiting for the database.
        let missed = kept.sampled.map_or(0, |sampled| minute.saturating_sub(sampled).saturating_sub(1));
        kept.sampled = Some(minute);
        kept.total.push(missed, total_lag(snapshots));
        let mut before = std::mem::take(&mut kept.partitions);
        if snapshots.len() <= PARTITIONS_MAX {
            let series = snapshots.iter().map(|PartitionSnapshot { partition, lag_records, .. }| {
                let mut series = before.remove(partition).unwrap_or_default();
                series.push(missed, *lag_records);
                (partition.clone(), series)
            });
            kept.partitions = series.collect();
        }
    }

    /// The lag of all partitions in the last 60 minutes, the present one last. `None` where it was not known. More than 32
    /// bits can hold is shown as the most that they hold.
    pub fn total(&self, now: Instant) -> [Option<u32>; MINUTES] {
        let kept = lock(&self.kept);
        kept.total.last_minutes(self.missed(&kept, now))
    }

    /// The same for one partition.
    pub fn of(&self, partition: &TopicPartition, now: Instant) -> [Option<u32>; MINUTES] {
        let kept = lock(&self.kept);
        let series = kept.partitions.get(partition);
        series.map_or([None; MINUTES], |series| series.last_minutes(self.missed(&kept, now)))
    }

    /// How many minutes have passed since the last sample.
    fn missed(&self, kept: &Kept, now: Instant) -> u64 {
        kept.sampled.map_or(0, |sampled| self.minute(now).saturating_sub(sampled))
    }

    fn minute(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.begun).as_secs() / MINUTE.as_secs()
    }
}

/// The lag of all partitions; `None` while that of any is not known.
pub(super) fn total_lag(snapshots: &[PartitionSnapshot]) -> Option<u64> {
    snapshots.iter().try_fold(0_u64, |sum, snapshot| Some(sum.saturating_add(snapshot.lag_records?)))
}

impl Series {
    fn push(&mut self, missed: u64, lag: Option<u64>) {
        let missed = usize::try_from(missed).unwrap_or(MINUTES).min(MINUTES);
        self.0.extend(std::iter::repeat_n(None, missed));
        self.0.push_back(lag.map(|lag| u32::try_from(lag).unwrap_or(u32::MAX)));
        self.0.drain(..self.0.len().saturating_sub(MINUTES));
    }

    fn last_minutes(&self, missed: u64) -> [Option<u32>; MINUTES] {
        let mut minutes = [None; MINUTES];
        let missed = usize::try_from(missed).unwrap_or(MINUTES).min(MINUTES);
        let known = self.0.iter().rev();
        minutes.iter_mut().rev().skip(missed).zip(known).for_each(|(minute, lag)| *minute = *lag);
        minutes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(history: &LagHistory, partition: i32, now: Instant) -> [Option<u32>; MINUTES] {
        history.of(&TopicPartition::new("t", partition), now)
    }

    #[test]
    fn each_of_the_last_60_minutes_has_its_sample() {
        let history = LagHistory::default();
        let at = |minutes: u32| history.begun + MINUTE * minutes;
        assert!(history.is_due(at(0)));
        assert_eq!(history.total(at(5)), [None; MINUTES]);
        for minute in 0..100 {
            assert!(history.is_due(at(minute)), "{minute}");
            history.sample(
                &[PartitionSnapshot::with_lag(0, Some(minute.into())), PartitionSnapshot::with_lag(1, None)],
                at(minute),
            );
            assert!(!history.is_due(at(minute) + MINUTE / 2), "{minute}");
        }
        let minutes = of(&history, 0, at(99));
        assert_eq!(minutes.map(Option::unwrap).to_vec(), (40..100).collect::<Vec<u32>>());
        assert_eq!(of(&history, 1, at(99)), [None; MINUTES]);
        assert_eq!(history.total(at(99)), [None; MINUTES], "as long as one is not known");
    }

    #[test]
    fn a_minute_without_a_sample_is_not_known() {
        let history = LagHistory::default();
        let at = |minutes: u32| history.begun + MINUTE * minutes;
        history.sample(&[PartitionSnapshot::with_lag(0, Some(7))], at(1));
        history.sample(&[PartitionSnapshot::with_lag(0, Some(u64::MAX))], at(4));
        let end = |now| of(&history, 0, now)[MINUTES - 5..].to_vec();
        assert_eq!(end(at(4)), [None, Some(7), None, None, Some(u32::MAX)]);
        assert_eq!(end(at(6)), [None, None, Some(u32::MAX), None, None], "none since");
        assert_eq!(of(&history, 0, at(1000)), [None; MINUTES]);
    }

    #[test]
    fn its_size_is_bounded() {
        let history = LagHistory::default();
        let snapshots =
            |partitions| (0..partitions).map(|number| PartitionSnapshot::with_lag(number, Some(2))).collect::<Vec<_>>();
        let many = i32::try_from(PARTITIONS_MAX).unwrap();
        history.sample(&snapshots(many), history.begun);
        assert_eq!(of(&history, many - 1, history.begun)[MINUTES - 1], Some(2));
        let next = history.begun + MINUTE;
        history.sample(&snapshots(many + 1), next);
        assert_eq!(lock(&history.kept).partitions.len(), 0);
        assert_eq!(history.total(next)[MINUTES - 2..], [Some(2 * 1000), Some(2 * 1001)]);
        history.sample(&snapshots(1), next + MINUTE);
        history.sample(&[], next + MINUTE * 2);
        assert_eq!(lock(&history.kept).partitions.len(), 0, "a partition that was revoked is forgotten");
    }
}
