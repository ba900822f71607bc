//! How fast the service reads, and when it will have caught up, of samples of the last seconds. Reads no clock.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use crate::observability::time_left;
use crate::runtime::readable::{Grouped, Rounded};

/// The samples that are kept: at four a second, those of the last 10 s.
const SAMPLES_MAX: usize = 40;

/// The shortest time of which a rate is meaningful.
const RATE_TIME_MIN: Duration = Duration::from_millis(500);

/// What was read so far.
#[derive(Debug, Default)]
pub(super) struct CatchUp {
    records: u64,
    samples: VecDeque<Sample>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    records: u64,
    lag: u64,
}

/// The state at the last sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// Records since the start.
    pub(super) records: u64,
    /// Offsets that are not stored yet.
    pub(super) lag: u64,
    /// Records in a second; `None` before there are samples of a while.
    pub(super) per_second: Option<u64>,
    /// The time until there is no lag, if it decreases.
    pub(super) left: Option<Duration>,
}

impl CatchUp {
    /// Records were stored.
    pub(super) fn add(&mut self, records: u64) {
        self.records = self.records.saturating_add(records);
    }

    /// Takes a sample.
    pub(super) fn sample(&mut self, at: Instant, lag: u64) -> State {
        if self.samples.len() >= SAMPLES_MAX {
            self.samples.pop_front();
        }
        let last = Sample { at, records: self.records, lag };
        self.samples.push_back(last);
        let first = self.samples.front().copied().unwrap_or(last);
        let elapsed = at.saturating_duration_since(first.at);
        let is_meaningful = elapsed >= RATE_TIME_MIN;
        let per_second =
            |count: u64| u64::try_from(u128::from(count) * 1000 / elapsed.as_millis().max(1)).unwrap_or(u64::MAX);
        State {
            records: self.records,
            lag,
            per_second: is_meaningful.then(|| per_second(last.records.saturating_sub(first.records))),
            left: time_left(first.lag, lag, elapsed).filter(|_| is_meaningful),
        }
    }
}

/// For a line on a terminal.
impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} records", Grouped(self.records))?;
        if let Some(per_second) = self.per_second {
            write!(f, ", {}/s", Grouped(per_second))?;
        }
        write!(f, ", lag {}", Grouped(self.lag))?;
        self.left.map_or(Ok(()), |left| write!(f, ", {} left", Rounded(left)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn rate_and_remaining_time_are_of_the_last_seconds() {
        let (mut catch_up, start) = (CatchUp::default(), Instant::now());
        let first = catch_up.sample(start, 100_000);
        assert_eq!(first, State { records: 0, lag: 100_000, per_second: None, left: None });
        catch_up.add(1000);
        let second = catch_up.sample(start + 500 * MS, 99_000);
        assert_eq!((second.per_second, second.left), (Some(2000), Some(Duration::from_millis(49_500))));
        assert_eq!(second.to_string(), "1,000 records, 2,000/s, lag 99,000, 49 s left");
        // A minute without records: the samples of before count no more.
        let mut last = second;
        for quarter in 1..=240 {
            last = catch_up.sample(start + (500 + 250 * quarter) * MS, 99_000);
        }
        assert_eq!(last, State { records: 1000, lag: 99_000, per_second: Some(0), left: None });
    }

    #[test]
    fn a_lag_that_grows_has_no_end() {
        let (mut catch_up, start) = (CatchUp::default(), Instant::now());
        catch_up.sample(start, 10);
        catch_up.add(500);
        let state = catch_up.sample(start + 1000 * MS, 1_234_567);
        assert_eq!(state.to_string(), "500 records, 500/s, lag 1,234,567");
    }
}
