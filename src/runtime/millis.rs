//! Durations as whole milliseconds, for log fields and timestamps. Must not know what is timed.

use std::time::Duration;

/// The whole milliseconds of a duration; `u64::MAX` if they do not fit.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_rounded_down_and_bounded() {
        assert_eq!(millis(Duration::from_micros(1_999)), 1);
        assert_eq!(millis(Duration::MAX), u64::MAX);
    }
}
