//! How many records became what, since the start and in the last minute, and when the lag will be gone. Must not know how
//! records are stored.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::lock::lock;
use crate::storage::OffsetCounts;

/// The time that rates are of.
const WINDOW: Duration = Duration::from_mins(1);

/// The shortest time that a rate is of.
const WINDOW_LEAST: Duration = Duration::from_secs(1);

/// The samples that are kept: at one every 5 s, those of a little more than the window.
const SAMPLES_MAX: usize = 14;

/// The counts of all partitions.
#[derive(Debug, Default)]
pub struct Throughput(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    totals: OffsetCounts,
    samples: VecDeque<Sample>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    totals: OffsetCounts,
    lag: Option<u64>,
}

/// The counts at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// What became of all offsets since the start.
    pub totals: OffsetCounts,
    /// What became of offsets lately; `None` just after the start.
    pub window: Option<Window>,
    /// The time until there is no lag, if the lag decreases.
    pub left: Option<Duration>,
}

/// Counts of the last minute or less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// What became of offsets.
    pub counts: OffsetCounts,
    /// In which time.
    pub elapsed: Duration,
}

impl Throughput {
    /// Offsets have taken effect.
    pub fn add(&self, counts: OffsetCounts) {
        lock(&self.0).totals += counts;
    }

    /// Takes a sample, with the lag of all partitions if it is known.
    pub fn sample(&self, lag: Option<u64>, now: Instant) {
        let mut counted = lock(&self.0);
        if counted.samples.len() >= SAMPLES_MAX {
            counted.samples.pop_front();
        }
        let sample = Sample { at: now, totals: counted.totals, lag };
        counted.samples.push_back(sample);
    }

    /// The counts now, with the lag of all partitions if it is known.
    pub fn rates(&self, lag: Option<u64>, now: Instant) -> Rates {
        let counted = lock(&self.0);
        let age = |sample: &Sample| now.saturating_duration_since(sample.at);
        // The last sample that is a minute old; while the writer waits, that may be much older.
        let past = counted.samples.iter().rfind(|sample| age(sample) >= WINDOW).or(counted.samples.front());
        let past = past.filter(|past| age(past) >= WINDOW_LEAST);
        Rates {
            totals: counted.totals,
            window: past.map(|past| Window { counts: counted.totals.since(&past.totals), elapsed: age(past) }),
            left: past.and_then(|past| time_left(past.lag?, lag?, age(past))),
        }
    }
}

/// The time until there is no lag, if it decreases as it did.
pub fn time_left(before: u64, lag: u64, elapsed: Duration) -> Option<Duration> {
    let decrease = before.checked_sub(lag).filter(|decrease| *decrease > 0)?;
    let ms = u128::from(lag) * elapsed.as_millis() / u128::from(decrease);
    u64::try_from(ms).ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Outcome;

    const SECOND: Duration = Duration::from_secs(1);

    fn applied(count: u64) -> OffsetCounts {
        [(Outcome::Applied, count)].into()
    }

    #[test]
    fn rates_are_of_the_last_minute() {
        let (throughput, start) = (Throughput::default(), Instant::now());
        assert_eq!(throughput.rates(Some(5), start), Rates::default());
        throughput.add(applied(1000));
        for step in 0..100 {
            throughput.sample(Some(100_000 - u64::from(step) * 50), start + 5 * SECOND * step);
            throughput.add(applied(50));
        }
        let now = start + 5 * SECOND * 99;
        let rates = throughput.rates(Some(95_000), now);
        assert_eq!(rates.totals, applied(6000));
        assert_eq!(rates.window, Some(Window { counts: applied(13 * 50), elapsed: 60 * SECOND }));
        // 650 in a minute.
        assert_eq!(rates.left, Some(Duration::from_millis(95_000 * 60_000 / 650)));
        assert_eq!(throughput.rates(None, now).left, None, "not known");
        assert_eq!(throughput.rates(Some(200_000), now).left, None, "it grows");
    }

    #[test]
    fn a_writer_that_waits_for_an_hour_stores_nothing() {
        let (throughput, start) = (Throughput::default(), Instant::now());
        throughput.sample(Some(0), start);
        throughput.add(applied(600));
        throughput.sample(Some(0), start + 5 * SECOND);
        let window = throughput.rates(Some(9), start + 3605 * SECOND).window;
        assert_eq!(window, Some(Window { counts: applied(0), elapsed: 3600 * SECOND }));
    }

    #[test]
    fn a_moment_has_no_rate() {
        let (throughput, start) = (Throughput::default(), Instant::now());
        throughput.sample(None, start);
        assert_eq!(throughput.rates(None, start + SECOND / 2).window, None);
        assert_eq!(throughput.rates(None, start + SECOND).window.map(|window| window.elapsed), Some(SECOND));
    }
}
