//! Progress lines: what happened since the last one, at most every 10 s while there is any.

use std::time::{Duration, Instant};

use log::info;

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

    /// How long until there is something to say; `None` while there is nothing.
    pub(super) fn due_in(&self) -> Option<Duration> {
        (self.applied != Applied::default()).then(|| INTERVAL.saturating_sub(self.since.elapsed()))
    }

    pub(super) fn tell_when_due(&mut self) {
        if self.due_in() == Some(Duration::ZERO) {
            self.tell();
        }
    }

    /// Says what there is to say and begins anew.
    pub(super) fn tell(&mut self) {
        let Applied { applied, stale, unidentified, absent } = std::mem::take(&mut self.applied);
        let elapsed_ms = super::millis(self.since.elapsed());
        self.since = Instant::now();
        if applied + stale + unidentified + absent > 0 {
            info!(
                records = applied + stale + unidentified, applied = applied, stale = stale, unidentified = unidentified,
                absent = absent, elapsed_ms = elapsed_ms; "progress"
            );
        }
    }
}
