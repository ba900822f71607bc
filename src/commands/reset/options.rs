//! The options of `reset`, and how they are spelled on the command line.

use crate::commands::when::parse_time;

/// The options of `reset`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResetOptions {
    /// The new offsets.
    pub target: Target,
    /// The partitions; empty: all partitions of the topics of the settings.
    pub scope: Vec<TopicScope>,
    /// Only print the offsets.
    pub dry_run: bool,
}

/// The offset that a partition is reset to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The first offset of the log.
    Earliest,
    /// The end offset of the log.
    Latest,
    /// This offset, or the nearest one in the log.
    Offset(i64),
    /// The first record with this timestamp or a later one, in milliseconds since 1970; the end offset if there is none.
    Timestamp(i64),
}

impl Target {
    /// Parses the value of `--to-offset`.
    pub fn offset(text: &str) -> Option<Self> {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse().ok().map(Self::Offset))?
    }

    /// Parses the value of `--to-datetime`: RFC 3339; the zone (default UTC), the seconds and the time of day are optional.
    pub fn datetime(text: &str) -> Option<Self> {
        let time = parse_time(text)?;
        let timestamp_ms = i64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok()?;
        // Negative timestamps have other meanings in ListOffsets.
        (timestamp_ms >= 0).then_some(Self::Timestamp(timestamp_ms))
    }
}

/// A topic, or some of its partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicScope {
    /// The topic's name.
    pub topic: String,
    /// Empty: all partitions.
    pub partitions: Vec<i32>,
}

impl TopicScope {
    /// Parses `TOPIC` or `TOPIC:PARTITION,PARTITION`.
    pub fn parse(text: &str) -> Option<Self> {
        let (topic, partitions) = match text.split_once(':') {
            None => (text, Vec::new()),
            Some((topic, partitions)) => {
                let number = |number: &str| number.parse().ok().filter(|number: &i32| *number >= 0);
                (topic, partitions.split(',').map(number).collect::<Option<Vec<_>>>()?)
            }
        };
        (!topic.is_empty()).then(|| Self { topic: topic.to_owned(), partitions })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_without_a_zone_is_utc() {
        let check = |text: &str, expected: Option<i64>| {
            assert_eq!(Target::datetime(text), expected.map(Target::Timestamp), "{text}");
        };
        check("2026-01-15T09:30:00Z", Some(1_768_469_400_000));
        check("2026-01-15T10:30:00.250+01:00", Some(1_768_469_400_250));
        check("2026-01-15T09:30:00.25", Some(1_768_469_400_250));
        check("2026-01-15T09:30", Some(1_768_469_400_000));
        check("2026-01-15", Some(1_768_435_200_000));
        check("1969-12-31", None);
        for wrong in ["", "yesterday", "2026-13-01", "2026-01-15 ", "1768469400000"] {
            check(wrong, None);
        }
    }

    #[test]
    fn offsets_and_topics_have_one_spelling() {
        assert_eq!(Target::offset("0"), Some(Target::Offset(0)));
        for wrong in ["", "-1", "+1", "1.0", "9223372036854775808", "x"] {
            assert_eq!(Target::offset(wrong), None, "{wrong}");
        }
        let scope = |topic: &str, partitions: &[i32]| {
            Some(TopicScope { topic: topic.to_owned(), partitions: partitions.to_vec() })
        };
        assert_eq!(TopicScope::parse("a.b"), scope("a.b", &[]));
        assert_eq!(TopicScope::parse("a:0,12"), scope("a", &[0, 12]));
        for wrong in ["", ":1", "a:", "a:x", "a:-1", "a:1,,2"] {
            assert_eq!(TopicScope::parse(wrong), None, "{wrong}");
        }
    }
}
