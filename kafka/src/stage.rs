//! What a thread does, and until when at the latest: it declares each piece of work and each wait before it begins, so
//! that others can tell a slow thread from one that hangs. Must not know what depends on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How much later than its declared end a wait may end: a machine that swaps wakes threads late.
const WAIT_MARGIN: Duration = Duration::from_mins(1);

/// One thread's declaration. Clones share it; only the thread itself declares.
#[derive(Clone, Debug)]
pub struct Stage(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// The times below are milliseconds since then.
    epoch: Instant,
    /// An [`Activity`] as one number, so that its parts belong together: see [`encode`].
    activity: AtomicU64,
    since_ms: AtomicU64,
}

/// What a thread has declared last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// It waits for another thread, has not begun, or has ended: it has no deadline of its own.
    Resting,
    /// It waits, for time to pass or for an event.
    Waiting {
        /// When the wait has ended at the latest.
        until: Instant,
    },
    /// It works, which includes a wait for a disk or a response.
    Working {
        /// When the work has ended at the latest.
        until: Instant,
    },
}

impl Default for Stage {
    /// One that is resting.
    fn default() -> Self {
        let (activity, since_ms) = (AtomicU64::new(RESTING), AtomicU64::new(0));
        Self(Arc::new(Shared { epoch: Instant::now(), activity, since_ms }))
    }
}

impl Stage {
    /// Work begins that takes at most `time_max`, unless something hangs.
    pub fn work(&self, time_max: Duration) {
        self.declare(WORKING, time_max);
    }

    /// A wait begins that ends by itself after `time_max` at the latest.
    pub fn wait(&self, time_max: Duration) {
        self.declare(WAITING, time_max.saturating_add(WAIT_MARGIN));
    }

    /// The thread waits for another one, or ends.
    pub fn rest(&self) {
        self.0.activity.store(RESTING, Ordering::Relaxed);
    }

    /// What the thread has declared last.
    pub fn activity(&self) -> Activity {
        let encoded = self.0.activity.load(Ordering::Relaxed);
        let until = || self.0.epoch + Duration::from_millis(encoded >> KIND_BITS);
        match encoded & KINDS {
            WAITING => Activity::Waiting { until: until() },
            WORKING => Activity::Working { until: until() },
            _ => Activity::Resting,
        }
    }

    /// Whether the thread is past its deadline.
    pub fn is_late(&self, now: Instant) -> bool {
        match self.activity() {
            Activity::Resting => false,
            Activity::Waiting { until } | Activity::Working { until } => now > until,
        }
    }

    /// How long the present piece of work has taken; zero while there is none.
    pub fn busy_for(&self, now: Instant) -> Duration {
        match self.activity() {
            Activity::Resting | Activity::Waiting { .. } => Duration::ZERO,
            Activity::Working { .. } => {
                let since = self.0.epoch + Duration::from_millis(self.0.since_ms.load(Ordering::Relaxed));
                now.saturating_duration_since(since)
            }
        }
    }

    fn declare(&self, kind: u64, time_max: Duration) {
        let now_ms = to_ms(self.0.epoch.elapsed());
        self.0.since_ms.store(now_ms, Ordering::Relaxed);
        self.0.activity.store(encode(kind, now_ms.saturating_add(to_ms(time_max))), Ordering::Relaxed);
    }
}

/// The kind of an activity takes the lowest bits, its end in milliseconds the others.
const KIND_BITS: u32 = 2;
const KINDS: u64 = (1 << KIND_BITS) - 1;
const RESTING: u64 = 0;
const WAITING: u64 = 1;
const WORKING: u64 = 2;

/// The latest end that can be declared, in milliseconds: 2,000 years, which every clock can add.
const UNTIL_MS_MAX: u64 = 2_000 * 365 * 24 * 60 * 60 * 1000;

fn encode(kind: u64, until_ms: u64) -> u64 {
    until_ms.min(UNTIL_MS_MAX) << KIND_BITS | kind
}

fn to_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    #[test]
    fn a_stage_is_late_after_its_declared_end_only() {
        let stage = Stage::default();
        let later = |minutes: u32| Instant::now() + MINUTE * minutes;
        assert!(!stage.is_late(later(600)), "it has declared nothing");
        stage.work(MINUTE * 5);
        assert_eq!([4, 6].map(|minutes| stage.is_late(later(minutes))), [false, true]);
        stage.wait(MINUTE * 60);
        assert_eq!([6, 60, 62].map(|minutes| stage.is_late(later(minutes))), [false, false, true], "with a margin");
        stage.rest();
        assert!(!stage.is_late(later(600)));
        stage.wait(Duration::MAX);
        assert!(!stage.is_late(later(600)));
    }

    #[test]
    fn only_work_keeps_a_stage_busy() {
        let stage = Stage::default();
        let shared = stage.clone();
        let busy = |stage: &Stage| stage.busy_for(Instant::now() + MINUTE);
        assert_eq!(busy(&stage), Duration::ZERO);
        shared.work(MINUTE);
        assert!((MINUTE..MINUTE * 2).contains(&busy(&stage)));
        shared.wait(MINUTE);
        assert_eq!((busy(&stage), stage.activity() == Activity::Resting), (Duration::ZERO, false));
    }
}
