//! Progress lines: what happened since the last one, at most every 10 s while there is any.

use std::time::{Duration, Instant};

use log::info;

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

    /// How long until there is something to say; `None` while there is nothing.
    pub(super) fn due_in(&self) -> Option<Duration> {
        (self.counts.total() > 0).then(|| INTERVAL.saturating_sub(self.since.elapsed()))
    }

    pub(super) fn tell_when_due(&mut self) {
        if self.due_in() == Some(Duration::ZERO) {
            self.tell();
        }
    }

    /// Says what there is to say and begins anew.
    pub(super) fn tell(&mut self) {
        let counts = std::mem::take(&mut self.counts);
        let elapsed_ms = super::millis(self.since.elapsed());
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
