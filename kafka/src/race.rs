//! Staggered connection attempts ([RFC 8305](https://www.rfc-editor.org/rfc/rfc8305#section-5)): each runs on its own
//! thread, and the next one starts when the earlier ones are slow or have failed. Must not know what is attempted.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

type Attempt<C, T> = Arc<dyn Fn(&C) -> T + Send + Sync>;

/// Waiting candidates and running attempts. An attempt that is still running when this is dropped ends by itself, and
/// its result is dropped.
pub(crate) struct Race<C, T> {
    waiting: VecDeque<C>,
    running: Vec<Running<C>>,
    started: u64,
    delay: Duration,
    attempt: Attempt<C, T>,
    results: Receiver<(u64, T)>,
    results_to: Sender<(u64, T)>,
}

/// A running attempt.
pub(crate) struct Running<C> {
    number: u64,
    pub(crate) candidate: C,
    pub(crate) since: Instant,
}

/// The next event of a race.
pub(crate) enum Progress<C, T> {
    /// An attempt has ended.
    Ended(C, T),
    /// No attempt has ended within the delay after which the next candidate may start.
    Slow,
    /// All attempts have ended.
    Over,
}

impl<C: Clone + Send + 'static, T: Send + 'static> Race<C, T> {
    /// Starts no attempt yet. An attempt must end by itself.
    pub(crate) fn new(
        candidates: impl IntoIterator<Item = C>,
        delay: Duration,
        attempt: impl Fn(&C) -> T + Send + Sync + 'static,
    ) -> Self {
        let (results_to, results) = channel();
        Self {
            waiting: candidates.into_iter().collect(),
            running: Vec::new(),
            started: 0,
            delay,
            attempt: Arc::new(attempt),
            results,
            results_to,
        }
    }

    /// Waits for the next event. Starts the next candidate if no attempt is running.
    pub(crate) fn next(&mut self) -> Progress<C, T> {
        if self.running.is_empty() && !self.start_next() {
            return Progress::Over;
        }
        let until = Instant::now() + self.delay;
        loop {
            match self.results.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok((number, result)) => {
                    // The result of an abandoned attempt is dropped.
                    if let Some(at) = self.running.iter().position(|running| running.number == number) {
                        return Progress::Ended(self.running.remove(at).candidate, result);
                    }
                }
                Err(_) => return Progress::Slow,
            }
        }
    }

    /// Starts the next candidate; false if there is none.
    pub(crate) fn start_next(&mut self) -> bool {
        let Some(candidate) = self.waiting.pop_front() else { return false };
        self.started += 1;
        let number = self.started;
        self.running.push(Running { number, candidate: candidate.clone(), since: Instant::now() });
        let run = {
            let (attempt, results) = (Arc::clone(&self.attempt), self.results_to.clone());
            move || {
                // The receiver is gone once another attempt has won.
                let _ = results.send((number, attempt(&candidate)));
            }
        };
        // If no thread can be started, the attempts run one after the other on this one.
        if thread::Builder::new().name("kafka-connect".to_owned()).spawn(run.clone()).is_err() {
            run();
        }
        true
    }

    /// The candidate that starts next.
    pub(crate) fn waiting(&self) -> Option<&C> {
        self.waiting.front()
    }

    /// The running attempts.
    pub(crate) fn running(&self) -> &[Running<C>] {
        &self.running
    }

    /// Removes an attempt that has taken too long; its result will be dropped.
    pub(crate) fn abandon(&mut self, is_too_long: impl Fn(&Running<C>) -> bool) -> Option<C> {
        let at = self.running.iter().position(is_too_long)?;
        Some(self.running.remove(at).candidate)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Never reached.
    const LONG: Duration = Duration::from_mins(1);

    #[test]
    fn candidates_that_fail_at_once_run_one_after_the_other() {
        let mut race = Race::new([1, 2, 3], LONG, |number: &i32| *number * 10);
        let mut seen = Vec::new();
        while let Progress::Ended(candidate, result) = race.next() {
            seen.push((candidate, result));
        }
        assert_eq!(seen, [(1, 10), (2, 20), (3, 30)]);
        assert!(matches!(race.next(), Progress::Over));
    }

    #[test]
    fn a_slow_candidate_does_not_delay_the_next_one() {
        let (release, held) = channel::<()>();
        let held = Mutex::new(held);
        let mut race = Race::new(["slow", "fast"], Duration::from_millis(10), move |name: &&str| {
            if *name == "slow" {
                held.lock().unwrap().recv().unwrap();
            }
        });
        assert!(matches!(race.next(), Progress::Slow));
        assert!(race.start_next() && !race.start_next());
        loop {
            match race.next() {
                Progress::Ended(name, ()) => break assert_eq!(name, "fast"),
                Progress::Slow => {}
                Progress::Over => panic!("nothing ended"),
            }
        }
        assert_eq!(race.running().iter().map(|running| running.candidate).collect::<Vec<_>>(), ["slow"]);
        assert_eq!(race.abandon(|_| true), Some("slow"));
        release.send(()).unwrap();
        assert!(matches!(race.next(), Progress::Over), "an abandoned attempt is not waited for");
    }
}
