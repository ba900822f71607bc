//! Logs progress: what was stored since the last line, at most every 10 s and only if anything was. Must not know why.

use std::time::{Duration, Instant};

use log::info;

use crate::runtime::millis::millis;
use crate::storage::sqlite::tables::Applied;

const INTERVAL: Duration = Duration::from_secs(10);

/// Counts since the last line.
#[derive(Debug)]
pub(super) struct Progress {
    since: Instant,
    applied: Applied,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), applied: Applied::default() }
    }

    pub(super) fn add(&mut self, more: Applied) {
        self.applied += more;
    }

    /// How long until the next line; `None` if there is nothing to log.
    pub(super) fn due_in(&self) -> Option<Duration> {
        (self.applied != Applied::default()).then(|| INTERVAL.saturating_sub(self.since.elapsed()))
    }

    pub(super) fn log_when_due(&mut self) {
        if self.due_in() == Some(Duration::ZERO) {
            self.log();
        }
    }

    /// Logs the counts, if there are any, and resets them.
    pub(super) fn log(&mut self) {
        let Applied { applied, stale, unidentified, absent } = std::mem::take(&mut self.applied);
        let elapsed_ms = millis(self.since.elapsed());
        self.since = Instant::now();
        if applied + stale + unidentified + absent > 0 {
            info!(
                records = applied + stale + unidentified, applied = applied, stale = stale, unidentified = unidentified,
                absent = absent, elapsed_ms = elapsed_ms; "progress"
            );
        }
    }
}
