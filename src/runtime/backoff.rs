//! Retries an operation until it succeeds, fails for good, exhausts its attempts, or the service stops. Must not know what the
//! operation does; [`kafka::Backoff`] gives the waits.

use std::error::Error;
use std::fmt;
use std::time::{Duration, Instant};

use kafka::{Backoff, RetryPolicy};

use crate::runtime::error_chain::ErrorChain;
use crate::runtime::millis::millis;
use crate::runtime::shutdown::{Slept, Stop};

/// An error that says whether a retry can succeed.
pub trait Retriable: Error + 'static {
    /// Whether a later attempt can succeed although nobody has intervened.
    fn is_retriable(&self) -> bool;
}

/// Why the operation did not succeed.
#[derive(Debug, PartialEq, Eq)]
pub enum RetryError<E> {
    /// A retry cannot succeed.
    Fatal(E),
    /// The policy or the time limit allows no further attempt.
    Exhausted {
        /// How many attempts failed in a row.
        attempts: u32,
        /// The last failure.
        source: E,
    },
    /// A stop was requested.
    Stopped,
}

impl<E: fmt::Display> fmt::Display for RetryError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fatal(error) => error.fmt(f),
            Self::Exhausted { attempts, .. } => write!(f, "gave up after {attempts} failed attempts in a row"),
            Self::Stopped => f.write_str("stopped before it was done"),
        }
    }
}

impl<E: Error + 'static> Error for RetryError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            // Displayed as the error itself, so the chain continues with its source.
            Self::Fatal(error) => error.source(),
            Self::Exhausted { source, .. } => Some(source),
            Self::Stopped => None,
        }
    }
}

/// How long a command that runs once retries, from the first failure in a row: an operator waits for its end.
pub const ONCE_TIME_MAX: Duration = Duration::from_secs(30);

/// Calls `attempt` until it succeeds, under `policy`. `what` names the operation in the log, like "opening the database".
///
/// Each failure before a retry is logged as a WARN with its causes, its number and the wait.
pub fn retry<T, E: Retriable>(
    what: &str,
    policy: &RetryPolicy,
    stop: &Stop,
    attempt: impl FnMut() -> Result<T, E>,
) -> Result<T, RetryError<E>> {
    retry_with(what, Backoff::new(*policy), Duration::MAX, |wait| stop.sleep(wait), stop, attempt)
}

/// Like [`retry`], with another function that sleeps.
pub fn retry_with_sleep<T, E: Retriable>(
    what: &str,
    policy: &RetryPolicy,
    stop: &Stop,
    sleep: impl FnMut(Duration) -> Slept,
    attempt: impl FnMut() -> Result<T, E>,
) -> Result<T, RetryError<E>> {
    retry_with(what, Backoff::new(*policy), Duration::MAX, sleep, stop, attempt)
}

/// Like [`retry`], for commands that run once: gives up if the next attempt would begin more than [`ONCE_TIME_MAX`] after the
/// first failure.
pub fn retry_once_command<T, E: Retriable>(
    what: &str,
    policy: &RetryPolicy,
    stop: &Stop,
    attempt: impl FnMut() -> Result<T, E>,
) -> Result<T, RetryError<E>> {
    retry_with(what, Backoff::new(*policy), ONCE_TIME_MAX, |wait| stop.sleep(wait), stop, attempt)
}

fn retry_with<T, E: Retriable>(
    what: &str,
    mut backoff: Backoff,
    time_max: Duration,
    mut sleep: impl FnMut(Duration) -> Slept,
    stop: &Stop,
    mut attempt: impl FnMut() -> Result<T, E>,
) -> Result<T, RetryError<E>> {
    let (mut first_failure, mut waited) = (None, Duration::ZERO);
    while !stop.is_requested() {
        let error = match attempt() {
            Ok(done) => {
                let failed = backoff.attempt();
                if failed > 0 {
                    log::info!(failed_attempts = failed; "{what} succeeded after {failed} failed attempts");
                }
                return Ok(done);
            }
            Err(error) if error.is_retriable() => error,
            Err(error) => return Err(RetryError::Fatal(error)),
        };
        let first_failure = *first_failure.get_or_insert_with(Instant::now);
        let is_in_time = |wait: &Duration| waited.max(first_failure.elapsed()).saturating_add(*wait) <= time_max;
        let Some(wait) = backoff.next_wait().filter(is_in_time) else {
            return Err(RetryError::Exhausted { attempts: backoff.attempt(), source: error });
        };
        waited += wait;
        log::warn!(attempt = backoff.attempt(), wait_ms = millis(wait); "{what} failed, trying again: {}", ErrorChain(&error));
        if sleep(wait) == Slept::Stopped {
            break;
        }
    }
    Err(RetryError::Stopped)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    #[derive(Debug, PartialEq, Eq)]
    enum Failure {
        Transient,
        Permanent,
    }

    impl fmt::Display for Failure {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{self:?}")
        }
    }

    impl Error for Failure {}

    impl Retriable for Failure {
        fn is_retriable(&self) -> bool {
            *self == Self::Transient
        }
    }

    /// Retries until the outcomes are used up; `stop_at` is the number of the sleep that the stop interrupts. Returns the result, the
    /// number of sleeps and the number of outcomes left.
    fn retry_outcomes(
        attempts_max: u32,
        stop_at: Option<u32>,
        outcomes: Vec<Result<u8, Failure>>,
    ) -> (Result<u8, RetryError<Failure>>, u32, usize) {
        let policy = RetryPolicy { attempts_max: NonZeroU32::new(attempts_max), ..RetryPolicy::default() };
        let stop = Stop::manual();
        let mut sleeps = 0;
        let mut outcomes = outcomes.into_iter();
        let sleep = |wait: Duration| {
            assert!(wait <= policy.max && !wait.is_zero());
            sleeps += 1;
            if stop_at == Some(sleeps) { Slept::Stopped } else { Slept::WholeTime }
        };
        let attempt = || outcomes.next().unwrap();
        let result = retry_with("testing", Backoff::with_seed(policy, 1), Duration::MAX, sleep, &stop, attempt);
        (result, sleeps, outcomes.len())
    }

    #[test]
    fn a_command_that_runs_once_gives_up_at_its_time_limit() {
        let mut waits = Vec::new();
        let sleep = |wait| {
            waits.push(wait);
            Slept::WholeTime
        };
        let attempt = || -> Result<(), Failure> { Err(Failure::Transient) };
        let backoff = Backoff::with_seed(RetryPolicy::default(), 1);
        let result = retry_with("testing", backoff, ONCE_TIME_MAX, sleep, &Stop::manual(), attempt);
        let Err(RetryError::Exhausted { attempts, source: Failure::Transient }) = result else { panic!("{result:?}") };
        assert_eq!(attempts as usize, waits.len() + 1);
        assert!(attempts > 3 && waits.iter().sum::<Duration>() <= ONCE_TIME_MAX, "{waits:?}");
    }

    #[test]
    fn ends_with_success_a_permanent_failure_exhaustion_or_stop() {
        use Failure::{Permanent, Transient};
        assert_eq!(retry_outcomes(0, None, vec![Ok(7)]), (Ok(7), 0, 0));
        assert_eq!(retry_outcomes(0, None, vec![Err(Transient), Err(Transient), Ok(7)]), (Ok(7), 2, 0));
        assert_eq!(retry_outcomes(3, None, vec![Err(Transient), Err(Transient), Ok(7)]), (Ok(7), 2, 0));
        assert_eq!(
            retry_outcomes(0, None, vec![Err(Transient), Err(Permanent), Ok(7)]),
            (Err(RetryError::Fatal(Permanent)), 1, 1)
        );
        assert_eq!(
            retry_outcomes(2, None, vec![Err(Transient), Err(Transient), Ok(7)]),
            (Err(RetryError::Exhausted { attempts: 2, source: Transient }), 1, 1)
        );
        assert_eq!(
            retry_outcomes(0, Some(2), vec![Err(Transient), Err(Transient), Ok(7)]),
            (Err(RetryError::Stopped), 2, 1)
        );
    }

    #[test]
    fn no_attempt_is_made_after_the_stop() {
        let stop = Stop::manual();
        stop.request();
        let attempt = || -> Result<(), Failure> { panic!("tried") };
        assert_eq!(retry("testing", &RetryPolicy::default(), &stop, attempt), Err(RetryError::Stopped));
    }

    #[test]
    fn a_stop_during_the_attempt_cuts_the_wait_short() {
        let stop = Stop::manual();
        let policy = RetryPolicy { initial: Duration::from_hours(1), max: Duration::from_hours(1), attempts_max: None };
        let attempt = || -> Result<(), Failure> {
            stop.request();
            Err(Failure::Transient)
        };
        assert_eq!(retry("testing", &policy, &stop, attempt), Err(RetryError::Stopped));
    }

    #[test]
    fn an_error_chain_has_each_cause_once() {
        let check = |error: RetryError<Failure>, line| assert_eq!(ErrorChain(&error).to_string(), line);
        check(RetryError::Fatal(Failure::Permanent), "Permanent");
        check(
            RetryError::Exhausted { attempts: 3, source: Failure::Transient },
            "gave up after 3 failed attempts in a row: Transient",
        );
        check(RetryError::Stopped, "stopped before it was done");
    }
}
