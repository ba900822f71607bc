//! Counters, gauges and histograms that one thread changes and another one reads, without locks. Must not know what is
//! counted, nor how it is shown.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds some.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The number so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that is set.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Sets it.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The present number.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counters of a fixed set of labels.
#[derive(Debug)]
pub struct Counters(Vec<(&'static str, Counter)>);

impl Counters {
    /// Counters at zero, one for each label.
    pub fn new(labels: impl IntoIterator<Item = &'static str>) -> Self {
        Self(labels.into_iter().map(|label| (label, Counter::default())).collect())
    }

    /// Adds to the counter of a label; one that is not in the set is not counted.
    pub fn add(&self, label: &str, count: u64) {
        if let Some((_, counter)) = self.0.iter().find(|(known, _)| *known == label) {
            counter.add(count);
        }
    }

    /// Each label and its number.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().map(|(label, counter)| (*label, counter.get()))
    }
}

/// How values are distributed: how many are at most as great as each bound, and their sum.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    unit: Unit,
    /// Values up to each bound and above the one before; the last are above all bounds.
    counts: Vec<Counter>,
    sum: Counter,
}

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    One,
    /// Microseconds, which are shown as seconds.
    Microseconds,
}

/// The distribution at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribution {
    /// What the bounds and the sum count.
    pub unit: Unit,
    /// Each bound, and how many values are at most as great.
    pub buckets: Vec<(u64, u64)>,
    /// How many values there are.
    pub count: u64,
    /// Their sum.
    pub sum: u64,
}

impl Histogram {
    /// Of numbers of things, by ascending bounds.
    pub fn of_numbers(bounds: &'static [u64]) -> Self {
        Self::new(bounds, Unit::One)
    }

    /// Of durations, by ascending bounds in microseconds.
    pub fn of_microseconds(bounds: &'static [u64]) -> Self {
        Self::new(bounds, Unit::Microseconds)
    }

    fn new(bounds: &'static [u64], unit: Unit) -> Self {
        let counts = (0..=bounds.len()).map(|_| Counter::default()).collect();
        Self { bounds, unit, counts, sum: Counter::default() }
    }

    /// Adds a value.
    pub fn observe(&self, value: u64) {
        let place = self.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get(place) {
            count.increment();
        }
        self.sum.add(value);
    }

    /// Adds a duration.
    pub fn observe_duration(&self, duration: Duration) {
        self.observe(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }

    /// The distribution now.
    pub fn distribution(&self) -> Distribution {
        let mut count = 0;
        let mut buckets = Vec::with_capacity(self.bounds.len());
        for (bound, more) in self.bounds.iter().zip(&self.counts) {
            count += more.get();
            buckets.push((*bound, count));
        }
        count += self.counts.last().map_or(0, Counter::get);
        Distribution { unit: self.unit, buckets, count, sum: self.sum.get() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_in_each_bucket_that_is_not_below_it() {
        let histogram = Histogram::of_numbers(&[1, 10, 100]);
        for value in [0, 1, 2, 10, 11, 100, 101, 5_000] {
            histogram.observe(value);
        }
        let Distribution { unit, buckets, count, sum } = histogram.distribution();
        assert_eq!((unit, buckets), (Unit::One, vec![(1, 2), (10, 4), (100, 6)]));
        assert_eq!((count, sum), (8, 5_225));
    }

    #[test]
    fn durations_are_microseconds() {
        let histogram = Histogram::of_microseconds(&[1_000]);
        histogram.observe_duration(Duration::from_millis(1));
        histogram.observe_duration(Duration::from_nanos(1_000_999));
        histogram.observe_duration(Duration::from_micros(1_001));
        let found = histogram.distribution();
        assert_eq!((found.buckets, found.count, found.sum), (vec![(1_000, 2)], 3, 3_001));
    }
}
