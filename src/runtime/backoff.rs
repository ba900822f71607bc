//! Does something that may fail for a while until it works, is hopeless, or nobody waits for it any more. Must not know
//! what it is doing; the waits are [`kafka::Backoff`]'s.

use std::error::Error;
use std::fmt;
use std::time::{Duration, Instant};

use kafka::{Backoff, RetryPolicy};

use crate::runtime::error_chain::ErrorChain;
use crate::runtime::shutdown::{Slept, Stop};

/// An error that knows whether another attempt can help.
pub trait Retriable: Error + 'static {
    /// Whether waiting and trying again can help without anybody doing something.
    fn is_retriable(&self) -> bool;
}

/// Why there is no result.
#[derive(Debug, PartialEq, Eq)]
pub enum RetryError<E> {
    /// Another attempt cannot help.
    Fatal(E),
    /// As many attempts failed in a row as the policy allows.
    Exhausted {
        /// How many.
        attempts: u32,
        /// The last failure.
        source: E,
    },
    /// The service shall stop.
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
            // Stands for the error itself, so its cause is the cause.
            Self::Fatal(error) => error.source(),
            Self::Exhausted { source, .. } => Some(source),
            Self::Stopped => None,
        }
    }
}

/// How long a command that runs once tries in all, from the first failure in a row on: somebody waits for its end.
pub const ONCE_TIME_MAX: Duration = Duration::from_secs(30);

/// Calls `attempt` until it succeeds, as `policy` says. `what` names it in the log, like "opening the database".
///
/// Each failure that is followed by another attempt is a WARN with its causes, its number and the wait.
pub fn retry<T, E: Retriable>(
    what: &str,
    policy: &RetryPolicy,
    stop: &Stop,
    attempt: impl FnMut() -> Result<T, E>,
) -> Result<T, RetryError<E>> {
    retry_with(what, Backoff::new(*policy), Duration::MAX, |wait| stop.sleep(wait), stop, attempt)
}

/// The same for commands that run once: gives up where the next attempt would begin more than [`ONCE_TIME_MAX`] after the
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
                    log::info!(failed_attempts = failed; "{what}: works again");
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
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        log::warn!(attempt = backoff.attempt(), wait_ms; "{what} failed, trying again: {}", ErrorChain(&error));
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
        Passing,
        Lasting,
    }

    impl fmt::Display for Failure {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{self:?}")
        }
    }

    impl Error for Failure {}

    impl Retriable for Failure {
        fn is_retriable(&self) -> bool {
            *self == Self::Passing
        }
    }

    /// Runs through the outcomes; `stop_at` is the number of the sleep that the stop interrupts.
    fn run(
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
    fn a_command_that_runs_once_gives_up_after_a_while() {
        let mut waits = Vec::new();
        let sleep = |wait| {
            waits.push(wait);
            Slept::WholeTime
        };
        let attempt = || -> Result<(), Failure> { Err(Failure::Passing) };
        let backoff = Backoff::with_seed(RetryPolicy::default(), 1);
        let result = retry_with("testing", backoff, ONCE_TIME_MAX, sleep, &Stop::manual(), attempt);
        let Err(RetryError::Exhausted { attempts, source: Failure::Passing }) = result else { panic!("{result:?}") };
        assert_eq!(attempts as usize, waits.len() + 1);
        assert!(attempts > 3 && waits.iter().sum::<Duration>() <= ONCE_TIME_MAX, "{waits:?}");
    }

    #[test]
    fn ends_with_success_hopelessness_exhaustion_or_stop() {
        use Failure::{Lasting, Passing};
        // Attempts allowed, sleep that is interrupted, outcomes; then the result, sleeps slept, outcomes left over.
        assert_eq!(run(0, None, vec![Ok(7)]), (Ok(7), 0, 0));
        assert_eq!(run(0, None, vec![Err(Passing), Err(Passing), Ok(7)]), (Ok(7), 2, 0));
        assert_eq!(run(3, None, vec![Err(Passing), Err(Passing), Ok(7)]), (Ok(7), 2, 0));
        assert_eq!(run(0, None, vec![Err(Passing), Err(Lasting), Ok(7)]), (Err(RetryError::Fatal(Lasting)), 1, 1));
        assert_eq!(
            run(2, None, vec![Err(Passing), Err(Passing), Ok(7)]),
            (Err(RetryError::Exhausted { attempts: 2, source: Passing }), 1, 1)
        );
        assert_eq!(run(0, Some(2), vec![Err(Passing), Err(Passing), Ok(7)]), (Err(RetryError::Stopped), 2, 1));
    }

    #[test]
    fn nothing_is_tried_after_the_stop() {
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
            Err(Failure::Passing)
        };
        assert_eq!(retry("testing", &policy, &stop, attempt), Err(RetryError::Stopped));
    }

    #[test]
    fn errors_tell_each_cause_once() {
        let check = |error: RetryError<Failure>, line| assert_eq!(ErrorChain(&error).to_string(), line);
        check(RetryError::Fatal(Failure::Lasting), "Lasting");
        check(
            RetryError::Exhausted { attempts: 3, source: Failure::Passing },
            "gave up after 3 failed attempts in a row: Passing",
        );
        check(RetryError::Stopped, "stopped before it was done");
    }
}
