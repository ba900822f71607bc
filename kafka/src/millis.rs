//! Durations as whole milliseconds, for fields of log lines. Must not know what is timed.

use std::time::Duration;

/// The whole milliseconds of a duration; `u64::MAX` if they do not fit.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
