//! When a failed attempt may be repeated: a backoff with its point in time.

use std::time::{Duration, Instant};

use super::event::Retrying;
use crate::backoff::{Backoff, RetryPolicy};
use crate::error::{Error, Result};

/// The end of waits that are longer than the clock can represent.
const FOR_EVER: Duration = Duration::from_hours(24 * 365);

/// The end of a wait, however long.
pub(super) fn after(now: Instant, wait: Duration) -> Instant {
    now.checked_add(wait).unwrap_or(now + FOR_EVER)
}

/// The backoff of one kind of attempt, with the time of the next one.
#[derive(Debug)]
pub(super) struct Pause {
    backoff: Backoff,
    until: Option<Instant>,
}

impl Pause {
    pub(super) fn new(policy: RetryPolicy) -> Self {
        Self { backoff: Backoff::new(policy), until: None }
    }

    /// Whether the next attempt may be made now.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now >= until)
    }

    /// When the next attempt may be made, if it has to wait.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// How many attempts in a row have failed.
    pub(super) fn attempts(&self) -> u32 {
        self.backoff.attempt()
    }

    /// The attempt failed: when the next one follows; an error if a retry cannot cure it, or if the attempts are used up.
    pub(super) fn failed(&mut self, error: Error, now: Instant) -> Result<Retrying> {
        if error.is_retriable() { self.again(error, now) } else { Err(error) }
    }

    /// The same for an error that a retry cures here, whatever it is elsewhere.
    pub(super) fn again(&mut self, error: Error, now: Instant) -> Result<Retrying> {
        let Some(wait) = self.backoff.next_wait() else {
            return Err(Error::RetriesExhausted { attempts: self.backoff.attempt(), source: Box::new(error) });
        };
        self.until = Some(after(now, wait));
        Ok(Retrying { error, attempt: self.backoff.attempt(), wait })
    }

    /// No attempt before `until`, though none has failed.
    pub(super) fn hold(&mut self, until: Instant) {
        self.until = Some(until);
    }

    /// The next attempt may be made at once; the failures still count.
    pub(super) fn cut_short(&mut self) {
        self.until = None;
    }

    /// The attempt succeeded.
    pub(super) fn succeeded(&mut self) {
        self.backoff.reset();
        self.until = None;
    }
}
