//! Shows what the running service does: a status for the service manager, and a progress line on a terminal while the service
//! catches up. Costs nothing where nobody looks. Must not know how records are stored.

use std::time::{Duration, Instant};

use super::catch_up::{CatchUp, State};
use super::offsets::Offsets;
use crate::runtime::notify::Notifier;
use crate::runtime::progress_line::{ProgressLine, REDRAW_INTERVAL};

/// How often the status changes at most.
const STATUS_INTERVAL: Duration = Duration::from_secs(10);

/// The service has caught up if it needs less than this for the remaining records: new ones arrive all the time.
const CAUGHT_UP: Duration = Duration::from_secs(1);

/// What is shown.
#[derive(Debug)]
pub(super) struct ServiceDisplay {
    notifier: Notifier,
    line: ProgressLine,
    catch_up: CatchUp,
    redraw_at: Instant,
    status_at: Instant,
    /// The last status.
    status: String,
}

impl ServiceDisplay {
    /// Shows nothing yet.
    pub(super) fn new(notifier: Notifier, line: ProgressLine) -> Self {
        let now = Instant::now();
        let (catch_up, status) = (CatchUp::default(), String::new());
        Self { notifier, line, catch_up, redraw_at: now, status_at: now, status }
    }

    /// Records were stored.
    pub(super) fn add(&mut self, records: u64) {
        self.catch_up.add(records);
    }

    /// Shows the present state, if that is due.
    pub(super) fn update(&mut self, offsets: &Offsets) {
        let now = Instant::now();
        if now < self.redraw_at || !(self.line.is_enabled() || self.notifier.is_connected()) {
            return;
        }
        self.redraw_at = now + REDRAW_INTERVAL;
        let state = self.catch_up.sample(now, offsets.lag());
        if is_behind(&state) {
            self.line.show(format!("catching up: {state}"));
        } else {
            self.line.hide();
        }
        if now >= self.status_at {
            self.send_status(status(offsets.partitions(), &state), now);
        }
    }

    fn send_status(&mut self, status: String, now: Instant) {
        if status != self.status {
            self.notifier.status(&status);
            self.status = status;
            self.status_at = now + STATUS_INTERVAL;
        }
    }

    /// The service stops: it catches up no more.
    pub(super) fn stop(&mut self) {
        self.line.hide();
        self.notifier.stopping();
        self.notifier.status("stopping");
    }
}

fn status(partitions: usize, state: &State) -> String {
    match partitions {
        0 => "waiting for partitions".to_owned(),
        1 => format!("1 partition, {state}"),
        more => format!("{more} partitions, {state}"),
    }
}

fn is_behind(state: &State) -> bool {
    state.lag > 0 && state.per_second.is_some() && state.left.is_none_or(|left| left >= CAUGHT_UP)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(lag: u64, per_second: Option<u64>, left_seconds: Option<u64>) -> State {
        State { records: 7, lag, per_second, left: left_seconds.map(Duration::from_secs) }
    }

    #[test]
    fn a_service_that_needs_a_second_or_more_is_behind() {
        assert!(is_behind(&state(1000, Some(100), Some(10))));
        assert!(is_behind(&state(1000, Some(100), None)), "the lag grows");
        assert!(is_behind(&state(1000, Some(0), None)), "nothing is read");
        assert!(!is_behind(&state(1000, None, None)), "just started");
        assert!(!is_behind(&state(3, Some(100), Some(0))), "records that have just come");
        assert!(!is_behind(&state(0, Some(100), None)));
    }

    #[test]
    fn the_status_says_what_the_service_waits_for() {
        assert_eq!(status(0, &state(0, None, None)), "waiting for partitions");
        assert_eq!(status(1, &state(0, Some(5), None)), "1 partition, 7 records, 5/s, lag 0");
        assert_eq!(status(12, &state(9, None, None)), "12 partitions, 7 records, lag 9");
    }
}
