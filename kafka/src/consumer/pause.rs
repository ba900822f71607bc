//! When something that failed may be tried again: a backoff with its point in time.

use std::time::{Duration, Instant};

use super::event::Retrying;
use crate::backoff::{Backoff, RetryPolicy};
use crate::error::{Error, Result};

/// Stands for "never" in waits that are too long for a clock to tell their end.
const FOR_EVER: Duration = Duration::from_hours(24 * 365);

/// The end of a wait, however long.
pub(super) fn after(now: Instant, wait: Duration) -> Instant {
    now.checked_add(wait).unwrap_or(now + FOR_EVER)
}

/// A thing that may have to wait before it is tried again.
#[derive(Debug)]
pub(super) struct Pause {
    backoff: Backoff,
    until: Option<Instant>,
}

impl Pause {
    pub(super) fn new(policy: RetryPolicy) -> Self {
        Self { backoff: Backoff::new(policy), until: None }
    }

    /// Whether it may be tried now.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now >= until)
    }

    /// When it may be tried, if it has to wait.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// It failed once more: how long it waits now; an error if it is of no use to wait, or has been tried often enough.
    pub(super) fn failed(&mut self, error: Error, now: Instant) -> Result<Retrying> {
        if error.is_retriable() { self.again(error, now) } else { Err(error) }
    }

    /// The same of an error that the caller knows to be of the moment.
    pub(super) fn again(&mut self, error: Error, now: Instant) -> Result<Retrying> {
        let Some(wait) = self.backoff.next_wait() else {
            return Err(Error::RetriesExhausted { attempts: self.backoff.attempt(), source: Box::new(error) });
        };
        self.until = Some(after(now, wait));
        Ok(Retrying { error, attempt: self.backoff.attempt(), wait })
    }

    /// Nothing failed, yet nothing is to be tried before `until`.
    pub(super) fn hold(&mut self, until: Instant) {
        self.until = Some(until);
    }

    /// It may be tried at once, as often as it has failed before.
    pub(super) fn cut_short(&mut self) {
        self.until = None;
    }

    /// It worked.
    pub(super) fn succeeded(&mut self) {
        self.backoff.reset();
        self.until = None;
    }
}
