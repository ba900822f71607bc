//! Times on the command line: a date or time, or how long ago. Must not read the clock.

use std::time::Duration;

use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcDateTime};

use crate::runtime::timestamp::{timestamp, timestamp_before};

/// A time of an option such as `--before`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// This time.
    At(UtcDateTime),
    /// So long before the command runs.
    Ago(Duration),
}

/// The seconds of the units that a duration can have.
const UNITS: [(&str, u64); 5] = [("s", 1), ("m", 60), ("h", 60 * 60), ("d", 24 * 60 * 60), ("w", 7 * 24 * 60 * 60)];

impl When {
    /// The allowed values.
    pub const ALLOWED: &'static str =
        "a date or time such as 2026-01-15T09:30:00Z, without a zone in UTC, or how long ago, such as 90m, 12h or 30d";

    /// Parses the value of an option.
    pub fn parse(text: &str) -> Option<Self> {
        parse_ago(text).map(Self::Ago).or_else(|| parse_time(text).map(|time| Self::At(time.to_utc())))
    }

    /// The time as the database spells times of storing.
    pub fn resolve(self, now: UtcDateTime) -> String {
        match self {
            Self::At(time) => timestamp(time),
            Self::Ago(duration) => timestamp_before(now, duration),
        }
    }
}

/// Parses RFC 3339; the zone (default UTC), the seconds and the time of day are optional.
pub fn parse_time(text: &str) -> Option<OffsetDateTime> {
    let variants = ["", "Z", ":00Z", "T00:00:00Z"];
    variants.iter().find_map(|rest| OffsetDateTime::parse(&format!("{text}{rest}"), &Rfc3339).ok())
}

fn parse_ago(text: &str) -> Option<Duration> {
    let (number, seconds) = UNITS.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)))?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| Some(Duration::from_secs(number.parse::<u64>().ok()?.checked_mul(*seconds)?)))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_spelled_as_in_the_database() {
        let now = parse_time("2026-01-15T09:30:00.5Z").unwrap().to_utc();
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(When::parse(text).map(|when| when.resolve(now)).as_deref(), expected, "{text}");
        };
        check("2026-01-15T10:30:00.1239+01:00", Some("2026-01-15T09:30:00.123Z"));
        check("2026-01-15T09:30", Some("2026-01-15T09:30:00.000Z"));
        check("2026-01-15", Some("2026-01-15T00:00:00.000Z"));
        check("0s", Some("2026-01-15T09:30:00.500Z"));
        check("90m", Some("2026-01-15T08:00:00.500Z"));
        check("12h", Some("2026-01-14T21:30:00.500Z"));
        check("30d", Some("2025-12-16T09:30:00.500Z"));
        check("2w", Some("2026-01-01T09:30:00.500Z"));
        check("9999999999999h", Some("1970-01-01T00:00:00.000Z"));
        for text in ["", "d", "-1d", "1.5d", "1 d", "5", "yesterday", "2026-13-01", "18446744073709551615w"] {
            check(text, None);
        }
    }
}
