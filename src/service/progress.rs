//! Logs progress: what was stored since the last line, at most every 10 s and only if anything was. Must not know why.

use std::time::{Duration, Instant};

use log::info;

use crate::runtime::millis::millis;
use crate::storage::{OffsetCounts, Outcome};

const INTERVAL: Duration = Duration::from_secs(10);

/// Counts since the last line.
#[derive(Debug)]
pub(super) struct Progress {
    since: Instant,
    counts: OffsetCounts,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), counts: OffsetCounts::default() }
    }

    pub(super) fn add(&mut self, more: OffsetCounts) {
        self.counts += more;
    }

    /// How long until the next line; `None` if there is nothing to log.
    pub(super) fn due_in(&self) -> Option<Duration> {
        (self.counts.total() > 0).then(|| INTERVAL.saturating_sub(self.since.elapsed()))
    }

    pub(super) fn log_when_due(&mut self) {
        if self.due_in() == Some(Duration::ZERO) {
            self.log();
        }
    }

    /// Logs the counts, if there are any, and resets them.
    pub(super) fn log(&mut self) {
        let counts = std::mem::take(&mut self.counts);
        let elapsed_ms = millis(self.since.elapsed());
        self.since = Instant::now();
        if counts.total() > 0 {
            info!(
                records = counts.records(), applied = counts.get(Outcome::Applied), stale = counts.get(Outcome::Stale),
                unidentified = counts.get(Outcome::Unidentified), absent = counts.get(Outcome::Absent),
                elapsed_ms = elapsed_ms; "progress"
            );
        }
    }
}
