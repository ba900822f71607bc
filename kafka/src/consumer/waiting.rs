//! When the user is notified that the member has no partitions: when that begins, when the reason changes, and at growing intervals while
//! it lasts. Must not know why the member has none.

use std::time::{Duration, Instant};

use super::event::{WaitReason, Waiting};
use super::pause::after;

/// Time to the first reminder, and the longest time between two: it doubles from one to the other.
const REMINDER_FIRST: Duration = Duration::from_mins(1);
const REMINDER_MAX: Duration = Duration::from_hours(1);

/// A wait for partitions.
#[derive(Debug)]
pub(super) struct Wait {
    waiting: Waiting,
    remind_at: Instant,
    gap: Duration,
}

impl Wait {
    fn new(waiting: Waiting, now: Instant) -> Self {
        Self { waiting, remind_at: after(now, REMINDER_FIRST), gap: REMINDER_FIRST }
    }

    /// Records the reason; returns it if the user is to be notified. A standby rejoins with each rebalance: that is not reported.
    pub(super) fn note(wait: &mut Option<Self>, waiting: Waiting, now: Instant) -> Option<Waiting> {
        let is_known = match wait {
            Some(wait) => waiting.reason == WaitReason::Rebalance || wait.waiting == waiting,
            None => false,
        };
        if is_known {
            return None;
        }
        *wait = Some(Self::new(waiting.clone(), now));
        Some(waiting)
    }

    pub(super) fn remind_at(&self) -> Instant {
        self.remind_at
    }

    /// The reminder, if it is due.
    pub(super) fn take_reminder(&mut self, now: Instant) -> Option<Waiting> {
        if now < self.remind_at {
            return None;
        }
        self.gap = (self.gap * 2).min(REMINDER_MAX);
        self.remind_at = after(now, self.gap);
        Some(self.waiting.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::Holder;
    use super::*;

    fn waiting(reason: WaitReason, partitions: &[usize]) -> Waiting {
        let holder =
            |partitions: &usize| Holder { client_id: "c".to_owned(), host: "/h".to_owned(), partitions: *partitions };
        Waiting { reason, holders: partitions.iter().map(holder).collect() }
    }

    #[test]
    fn a_wait_is_reported_when_it_begins_and_when_the_reason_changes() {
        let now = Instant::now();
        let mut wait = None;
        let joins = waiting(WaitReason::Rebalance, &[4]);
        assert_eq!(Wait::note(&mut wait, joins.clone(), now), Some(joins.clone()));
        let standby = waiting(WaitReason::Standby, &[4]);
        assert_eq!(Wait::note(&mut wait, standby.clone(), now), Some(standby.clone()));
        assert_eq!(Wait::note(&mut wait, joins, now), None);
        assert_eq!(Wait::note(&mut wait, standby, now), None);
        let others = waiting(WaitReason::Standby, &[2, 2]);
        assert_eq!(Wait::note(&mut wait, others.clone(), now), Some(others));
    }

    #[test]
    fn the_time_between_reminders_grows() {
        let begun = Instant::now();
        let mut wait = None;
        Wait::note(&mut wait, waiting(WaitReason::Standby, &[]), begun);
        let mut wait = wait.unwrap();
        let mut minutes = Vec::new();
        for minute in 0..500 {
            if wait.take_reminder(begun + Duration::from_mins(minute)).is_some() {
                minutes.push(minute);
            }
        }
        assert_eq!(minutes, [1, 3, 7, 15, 31, 63, 123, 183, 243, 303, 363, 423, 483]);
    }

    #[test]
    fn a_message_names_a_few_holders() {
        let text = waiting(WaitReason::Standby, &[1, 2, 3, 4, 5, 6, 7]).to_string();
        assert!(text.contains("assigned to 'c' at /h (1), 'c' at /h (2)"), "{text}");
        assert!(text.ends_with("(5) and 2 more members"), "{text}");
        assert!(waiting(WaitReason::Rebalance, &[]).to_string().ends_with("timed out"));
    }
}
