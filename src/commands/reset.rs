//! The `reset` command: sets the group's offsets, so that the next start reads from there. Commits as an operator does, without the mark
//! of a database; must not open the database, and decides nothing about a start.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use kafka::{Client, IsolationLevel, MemberDescription, Metadata, TopicPartition};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::cli;
use crate::commands::inspection::{self, partitions_of, with_retry};
use crate::runtime::error_chain::ErrorChain;
use crate::settings::{GroupProtocol, Settings, SettingsError, advice, shorten};

/// What to reset, and to where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResetOptions {
    /// Where to.
    pub target: Target,
    /// Of which partitions; empty: of all that are read.
    pub scope: Vec<TopicScope>,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// Where to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The first offset of the log.
    Earliest,
    /// Behind the last record.
    Latest,
    /// This offset, or the nearest one that the log has.
    Offset(i64),
    /// The first record whose timestamp is not less, in milliseconds since 1970; behind the last record if there is none.
    Timestamp(i64),
}

impl Target {
    /// Reads the value of `--to-offset`.
    pub fn offset(text: &str) -> Option<Self> {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse().ok().map(Self::Offset))?
    }

    /// Reads the value of `--to-datetime`: RFC 3339, where the zone (UTC then), the seconds, or the time of day may be left out.
    pub fn datetime(text: &str) -> Option<Self> {
        let variants = ["", "Z", ":00Z", "T00:00:00Z"];
        let time = variants.iter().find_map(|rest| OffsetDateTime::parse(&format!("{text}{rest}"), &Rfc3339).ok())?;
        let timestamp_ms = i64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok()?;
        // Negative timestamps mean something else in the protocol.
        (timestamp_ms >= 0).then_some(Self::Timestamp(timestamp_ms))
    }
}

/// A topic, or some of its partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicScope {
    topic: String,
    /// Empty: all.
    partitions: Vec<i32>,
}

impl TopicScope {
    /// Reads `TOPIC` or `TOPIC:PARTITION,PARTITION`.
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

/// Why the offsets were not reset.
#[derive(Debug)]
pub enum ResetError {
    /// The group has members, which read from their own positions and would overwrite the offsets.
    Members {
        /// The group.
        group: String,
        /// Who they are.
        members: Vec<MemberDescription>,
    },
    /// A partition that was named does not exist.
    NoPartition(TopicPartition),
    /// Kafka refuses, or cannot be reached.
    Kafka(kafka::Error),
}

impl fmt::Display for ResetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Members { group, members } => {
                let members: Vec<String> = members.iter().map(describe).collect();
                write!(
                    f,
                    "group '{group}' has members, so its offsets cannot be reset: {}; stop them first (a member with a \
                     KAFKA_GROUP_INSTANCE_ID, or one that was killed, stays until its session times out)",
                    members.join(", ")
                )
            }
            Self::NoPartition(at) => write!(f, "partition {} of topic '{}' does not exist", at.partition, at.topic),
            Self::Kafka(error) => match advice(error) {
                Some(advice) => write!(f, "{error}; {advice}"),
                None => error.fmt(f),
            },
        }
    }
}

impl Error for ResetError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Kafka(error) => error.source(),
            Self::Members { .. } | Self::NoPartition(_) => None,
        }
    }
}

impl From<kafka::Error> for ResetError {
    fn from(error: kafka::Error) -> Self {
        Self::Kafka(error)
    }
}

/// What a member calls itself is up to it, so it is shortened to one line.
fn describe(member: &MemberDescription) -> String {
    let id = shorten(member.instance_id.as_deref().unwrap_or(&member.id));
    format!("'{id}' (client '{}' at {})", shorten(&member.client_id), shorten(member.host.trim_start_matches('/')))
}

/// Resets the offsets, and prints the old and the new one of each partition; true if all were reset.
pub fn reset(settings: &Settings, options: &ResetOptions) -> Result<bool, Box<dyn Error>> {
    let kafka = &settings.kafka;
    let topics = topics(settings, &options.scope)?;
    let mut client = inspection::client(kafka, kafka.security.load()?);
    let plan = plan(&mut client, &kafka.group_id, &topics, options)?;
    let mut report = Report { options, plan, refused: BTreeMap::new(), group: &kafka.group_id };
    if !options.dry_run {
        let offsets: Vec<_> = report.plan.iter().map(|reset| (reset.at.clone(), reset.to)).collect();
        let outcomes = with_retry(|| client.reset_offsets(&kafka.group_id, &offsets)).map_err(ResetError::Kafka)?;
        let refused = outcomes.into_iter().filter_map(|(at, error)| Some((at, ErrorChain(&error?).to_string())));
        report.refused = refused.collect();
    }
    let all_reset = report.refused.is_empty();
    cli::print(&report);
    if all_reset && !options.dry_run {
        cli::print(match kafka.group_protocol {
            GroupProtocol::None => "a running service obeys within some seconds, a stopped one with its next start\n",
            GroupProtocol::Classic | GroupProtocol::Consumer => "the next start reads from there\n",
        });
    }
    Ok(all_reset)
}

/// The topics to look at.
fn topics(settings: &Settings, scope: &[TopicScope]) -> Result<Vec<Arc<str>>, SettingsError> {
    let read = &settings.kafka.topics;
    if let Some(foreign) = scope.iter().find(|scope| !read.contains(&scope.topic)) {
        return Err(SettingsError::Contradiction {
            variable: "--topic",
            problem: format!("names '{}'; KAFKA_TOPIC has {}", shorten(&foreign.topic), read.join(", ")),
        });
    }
    let mut topics: Vec<Arc<str>> = scope.iter().map(|scope| Arc::from(scope.topic.as_str())).collect();
    topics.sort();
    topics.dedup();
    Ok(if topics.is_empty() { read.iter().map(|topic| Arc::from(topic.as_str())).collect() } else { topics })
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq)]
struct PlannedReset {
    at: TopicPartition,
    from: Option<i64>,
    to: i64,
    /// How many records the log has from there on.
    ahead: i64,
}

fn plan(
    client: &mut Client,
    group: &str,
    topics: &[Arc<str>],
    options: &ResetOptions,
) -> Result<Vec<PlannedReset>, ResetError> {
    let metadata = with_retry(|| client.metadata(topics.to_vec()))?;
    let partitions = partitions(&metadata, &options.scope)?;
    let members = with_retry(|| client.describe_group(group))?.members;
    if !members.is_empty() {
        return Err(ResetError::Members { group: group.to_owned(), members });
    }
    let committed = with_retry(|| client.committed(group, &partitions))?;
    let mut since = BTreeMap::new();
    if let Target::Timestamp(timestamp_ms) = options.target {
        for (at, offset) in with_retry(|| all(client.offsets_for_time(&partitions, timestamp_ms)?))? {
            since.insert(at, offset);
        }
    }
    // As Kafka's own tools: up to the end of the log, also behind transactions that are still open.
    let isolation = IsolationLevel::ReadUncommitted;
    let bounds = with_retry(|| all(client.log_offsets(&partitions, isolation)?))?;
    let reset = |(at, (start, end)): (TopicPartition, (i64, i64))| {
        let to = match options.target {
            Target::Earliest => start,
            Target::Latest => end,
            Target::Offset(offset) => offset.clamp(start, end),
            Target::Timestamp(_) => since.get(&at).copied().flatten().unwrap_or(end),
        };
        let from = committed.get(&at).map(|committed| committed.offset);
        PlannedReset { at, from, to, ahead: end - to }
    };
    let mut plan: Vec<PlannedReset> = bounds.into_iter().map(reset).collect();
    plan.sort_by(|one, other| one.at.cmp(&other.at));
    Ok(plan)
}

/// The results, or the first failure.
fn all<T>(results: Vec<(TopicPartition, kafka::Result<T>)>) -> kafka::Result<Vec<(TopicPartition, T)>> {
    results.into_iter().map(|(at, result)| Ok((at, result?))).collect()
}

fn partitions(metadata: &Metadata, scope: &[TopicScope]) -> Result<Vec<TopicPartition>, ResetError> {
    if let Some((topic, code)) = metadata.topics.iter().find_map(|topic| Some((topic.name.to_string(), topic.error?))) {
        return Err(kafka::Error::Topic { topic, code }.into());
    }
    let existing = partitions_of(metadata);
    if scope.is_empty() {
        return Ok(existing);
    }
    let mut partitions = Vec::new();
    for TopicScope { topic, partitions: numbers } in scope {
        if numbers.is_empty() {
            partitions.extend(existing.iter().filter(|at| *at.topic == **topic).cloned());
        }
        for number in numbers {
            let at = TopicPartition::new(topic.as_str(), *number);
            if !existing.contains(&at) {
                return Err(ResetError::NoPartition(at));
            }
            partitions.push(at);
        }
    }
    partitions.sort();
    partitions.dedup();
    Ok(partitions)
}

struct Report<'a> {
    options: &'a ResetOptions,
    group: &'a str,
    plan: Vec<PlannedReset>,
    refused: BTreeMap<TopicPartition, String>,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.options.dry_run { "would be reset" } else { "reset" };
        writeln!(f, "offsets of group '{}' {what}:", self.group)?;
        let width = self.plan.iter().map(|reset| reset.at.topic.len()).max().unwrap_or(0).max("topic".len());
        writeln!(f, "{:width$}  partition   old offset   new offset  records from there", "topic")?;
        for PlannedReset { at, from, to, ahead } in &self.plan {
            let from = from.map_or_else(|| "-".to_owned(), |from| from.to_string());
            write!(f, "{:width$}  {:>9}  {from:>11}  {to:>11}  {ahead:>18}", at.topic, at.partition)?;
            match (self.refused.get(at), self.options.target) {
                (Some(error), _) => writeln!(f, "  FAIL: {error}")?,
                (None, Target::Offset(offset)) if offset != *to => writeln!(f, "  the log does not have {offset}")?,
                _ => writeln!(f)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_unless_they_say_otherwise() {
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
    fn offsets_and_topics_are_taken_as_they_stand() {
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
