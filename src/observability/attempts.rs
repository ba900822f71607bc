//! Failed attempts in a row of one kind of operation, and since when it fails. Must not know the operation.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::lock::lock;
use crate::runtime::measures::Counter;

/// The attempts of one kind of operation.
#[derive(Debug, Default)]
pub struct Attempts {
    in_a_row: AtomicU64,
    since: Mutex<Option<Instant>>,
    retries: Counter,
}

impl Attempts {
    /// An attempt has failed, and is retried.
    pub fn note_failure(&self) {
        self.retries.increment();
        if self.in_a_row.fetch_add(1, Ordering::Relaxed) == 0 {
            *lock(&self.since) = Some(Instant::now());
        }
    }

    /// An attempt has succeeded.
    pub fn note_success(&self) {
        // No lock while nothing fails.
        if self.in_a_row.swap(0, Ordering::Relaxed) > 0 {
            *lock(&self.since) = None;
        }
    }

    /// How many have failed in a row; 0 if the last one succeeded.
    pub fn failing(&self) -> u64 {
        self.in_a_row.load(Ordering::Relaxed)
    }

    /// Time since the first failure in a row.
    pub fn failing_for(&self, now: Instant) -> Option<Duration> {
        let since = *lock(&self.since);
        since.map(|since| now.saturating_duration_since(since))
    }

    /// How many have failed at all.
    pub fn retries(&self) -> u64 {
        self.retries.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_success_ends_the_row_and_not_the_count() {
        let attempts = Attempts::default();
        let minute = Duration::from_mins(1);
        let later = || Instant::now() + minute;
        assert_eq!((attempts.failing(), attempts.failing_for(later())), (0, None));
        attempts.note_failure();
        attempts.note_failure();
        assert_eq!(attempts.failing(), 2);
        assert!(attempts.failing_for(later()).is_some_and(|time| time >= minute));
        attempts.note_success();
        assert_eq!((attempts.failing(), attempts.failing_for(later()), attempts.retries()), (0, None, 2));
    }
}
