//! Attempts that run side by side, each on a thread of its own: the next one starts when those before it take long or have failed, as in
//! [RFC 8305](https://www.rfc-editor.org/rfc/rfc8305#section-5). Knows nothing of what is attempted.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

type Attempt<C, T> = Arc<dyn Fn(&C) -> T + Send + Sync>;

/// Candidates that wait, and attempts that run. What still runs when it is dropped ends on its own, and its result is dropped.
pub(crate) struct Race<C, T> {
    waiting: VecDeque<C>,
    running: Vec<Running<C>>,
    started: u64,
    delay: Duration,
    attempt: Attempt<C, T>,
    results: Receiver<(u64, T)>,
    results_to: Sender<(u64, T)>,
}

/// An attempt that has not ended yet.
pub(crate) struct Running<C> {
    number: u64,
    pub(crate) candidate: C,
    pub(crate) since: Instant,
}

/// What happened next.
pub(crate) enum Progress<C, T> {
    /// An attempt has ended.
    Ended(C, T),
    /// Nothing has ended for the time after which the next candidate may start.
    Slow,
    /// Every candidate has been tried.
    Over,
}

impl<C: Clone + Send + 'static, T: Send + 'static> Race<C, T> {
    /// Starts nothing yet. An attempt must come to an end by itself.
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

    /// Waits for what happens next. Starts the next candidate if nothing runs.
    pub(crate) fn next(&mut self) -> Progress<C, T> {
        if self.running.is_empty() && !self.start_next() {
            return Progress::Over;
        }
        let until = Instant::now() + self.delay;
        loop {
            match self.results.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok((number, result)) => {
                    // The result of an attempt that was abandoned is dropped.
                    if let Some(at) = self.running.iter().position(|running| running.number == number) {
                        return Progress::Ended(self.running.remove(at).candidate, result);
                    }
                }
                Err(_) => return Progress::Slow,
            }
        }
    }

    /// Starts the next candidate beside those that run; false if there is none.
    pub(crate) fn start_next(&mut self) -> bool {
        let Some(candidate) = self.waiting.pop_front() else { return false };
        self.started += 1;
        let number = self.started;
        self.running.push(Running { number, candidate: candidate.clone(), since: Instant::now() });
        let run = {
            let (attempt, results) = (Arc::clone(&self.attempt), self.results_to.clone());
            move || {
                // Nobody listens any more once another attempt has won.
                let _ = results.send((number, attempt(&candidate)));
            }
        };
        // Without another thread it is tried here, and the candidates take turns.
        if thread::Builder::new().name("kafka-connect".to_owned()).spawn(run.clone()).is_err() {
            run();
        }
        true
    }

    /// The candidate that starts next.
    pub(crate) fn waiting(&self) -> Option<&C> {
        self.waiting.front()
    }

    /// What runs.
    pub(crate) fn running(&self) -> &[Running<C>] {
        &self.running
    }

    /// Takes out an attempt that has taken too long; its result will be dropped.
    pub(crate) fn abandon(&mut self, is_too_long: impl Fn(&Running<C>) -> bool) -> Option<C> {
        let at = self.running.iter().position(is_too_long)?;
        Some(self.running.remove(at).candidate)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Never waited for.
    const LONG: Duration = Duration::from_mins(1);

    #[test]
    fn candidates_take_turns_while_they_fail_at_once() {
        let mut race = Race::new([1, 2, 3], LONG, |number: &i32| *number * 10);
        let mut seen = Vec::new();
        while let Progress::Ended(candidate, result) = race.next() {
            seen.push((candidate, result));
        }
        assert_eq!(seen, [(1, 10), (2, 20), (3, 30)]);
        assert!(matches!(race.next(), Progress::Over));
    }

    #[test]
    fn a_slow_candidate_does_not_hold_up_the_next_one() {
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
        assert!(matches!(race.next(), Progress::Over), "an abandoned attempt is nothing to wait for");
    }
}
