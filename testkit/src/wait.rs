//! Waiting for a condition, with a deadline.

use std::thread;
use std::time::{Duration, Instant};

/// Time between two checks of a condition: short compared with broker operations, long compared with a check.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Checks until there is a value, an error, or the deadline has passed (`None`). Checks at least once.
pub(crate) fn poll<T, E>(deadline: Instant, mut look: impl FnMut() -> Result<Option<T>, E>) -> Result<Option<T>, E> {
    loop {
        if let Some(found) = look()? {
            return Ok(Some(found));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        thread::sleep(POLL_INTERVAL);
    }
}
