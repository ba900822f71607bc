//! The `reset` command: commits offsets for the group, from which the next start reads. Commits as an operator does, without the
//! metadata of a database. Must not open the database or apply start rules.

pub mod error;
mod options;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use kafka::{Client, IsolationLevel, Metadata, TopicPartition};

use crate::commands::error::CommandError;
use crate::commands::inspection::requests::{self, partitions_of, with_retry};
use crate::runtime::error_chain::ErrorChain;
use crate::runtime::output;
use crate::settings::{GroupProtocol, Settings, SettingsError, shorten};
use error::ResetError;
pub use options::{ResetOptions, Target, TopicScope};

/// Resets the offsets, and prints the old and the new offset of each partition. Returns whether the broker accepted all.
pub fn reset(settings: &Settings, options: &ResetOptions) -> Result<bool, CommandError> {
    let kafka = &settings.kafka;
    let topics = topics(settings, &options.scope)?;
    let mut client = requests::client(kafka, kafka.security.load()?);
    let plan = plan(&mut client, &kafka.group_id, &topics, options)?;
    let mut report = Report { options, plan, refused: BTreeMap::new(), group: &kafka.group_id };
    if !options.dry_run {
        let offsets: Vec<_> = report.plan.iter().map(|reset| (reset.at.clone(), reset.to)).collect();
        let outcomes = with_retry(|| client.reset_offsets(&kafka.group_id, &offsets)).map_err(ResetError::Kafka)?;
        let refused = outcomes.into_iter().filter_map(|(at, error)| Some((at, ErrorChain(&error?).to_string())));
        report.refused = refused.collect();
    }
    let all_reset = report.refused.is_empty();
    output::print(&report);
    if all_reset && !options.dry_run {
        output::print(match kafka.group_protocol {
            GroupProtocol::None => {
                "a running service continues there within some seconds, a stopped one at its next start\n"
            }
            GroupProtocol::Classic { .. } | GroupProtocol::Consumer { .. } => "the next start reads from there\n",
        });
    }
    Ok(all_reset)
}

/// The topics whose partitions are reset.
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

/// The planned reset of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
struct PlannedReset {
    at: TopicPartition,
    from: Option<i64>,
    to: i64,
    /// Offsets from `to` to the end of the log.
    to_end: i64,
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
    let mut offsets_for_time = BTreeMap::new();
    if let Target::Timestamp(timestamp_ms) = options.target {
        for (at, offset) in with_retry(|| all(client.offsets_for_time(&partitions, timestamp_ms)?))? {
            offsets_for_time.insert(at, offset);
        }
    }
    // Like Kafka's tools, to the high watermark even if transactions are open before it.
    let isolation = IsolationLevel::ReadUncommitted;
    let bounds = with_retry(|| all(client.log_offsets(&partitions, isolation)?))?;
    let reset = |(at, (start, end)): (TopicPartition, (i64, i64))| {
        let to = match options.target {
            Target::Earliest => start,
            Target::Latest => end,
            Target::Offset(offset) => offset.clamp(start, end),
            Target::Timestamp(_) => offsets_for_time.get(&at).copied().flatten().unwrap_or(end),
        };
        let from = committed.get(&at).map(|committed| committed.offset);
        PlannedReset { at, from, to, to_end: end - to }
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
        for PlannedReset { at, from, to, to_end } in &self.plan {
            let from = from.map_or_else(|| "-".to_owned(), |from| from.to_string());
            write!(f, "{:width$}  {:>9}  {from:>11}  {to:>11}  {to_end:>18}", at.topic, at.partition)?;
            match (self.refused.get(at), self.options.target) {
                (Some(error), _) => writeln!(f, "  FAIL: {error}")?,
                (None, Target::Offset(offset)) if offset != *to => writeln!(f, "  the log does not have {offset}")?,
                _ => writeln!(f)?,
            }
        }
        Ok(())
    }
}
