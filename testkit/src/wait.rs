//! Waiting for a condition, with a deadline.

use std::thread;
use std::time::{Duration, Instant};

/// Between two looks at a condition: short against everything that a broker does, long against the cost of a look.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Looks until there is a value, an error, or the deadline has passed (`None`). Looks at least once.
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
