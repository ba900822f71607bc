//! Times as text: RFC 3339 in UTC, to the millisecond, as in the log files and in the database, so that they sort as times. Must not read
//! the clock.

use std::time::Duration;

use time::UtcDateTime;

/// The last time that has a year of four digits.
const LAST: &str = "9999-12-31T23:59:59.999Z";

/// A time as text; one before 1970 as the first of 1970, one after the year 9999 as the last of that year.
pub fn timestamp(time: UtcDateTime) -> String {
    let time = time.max(UtcDateTime::UNIX_EPOCH);
    let (year, month, day) = (time.year(), u8::from(time.month()), time.day());
    let (hour, minute, second, millisecond) = time.as_hms_milli();
    if year > 9999 {
        return LAST.to_owned();
    }
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z")
}

/// The time so long before another one as text.
pub fn timestamp_before(now: UtcDateTime, duration: Duration) -> String {
    let before = time::Duration::try_from(duration).ok().and_then(|duration| now.checked_sub(duration));
    timestamp(before.unwrap_or(UtcDateTime::UNIX_EPOCH))
}
