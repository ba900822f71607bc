//! The `status` command: what is stored and how far that is behind Kafka, for people and for programs. Reads only; what cannot
//! be had is said to be missing, and why.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::SystemTime;

use kafka::{Client, TopicPartition};
use serde::Serialize;

use crate::check::{client, explain, partitions_of};
use crate::cli;
use crate::database::{DatabaseError, DatabaseReader};
use crate::error_chain::ErrorChain;
use crate::repository::offset::StoredPosition;
use crate::repository::position_change::PositionChange;
use crate::settings::{KafkaSettings, Settings};

/// All that `status` tells.
#[derive(Debug, Serialize)]
pub struct Report {
    database: DatabasePart,
    kafka: KafkaPart,
    rows: Rows,
    /// Unidentified messages by reason; those that have been replayed are not among them.
    unidentified: BTreeMap<String, u64>,
    partitions: Vec<PartitionRow>,
    /// The latest jumps, newest first.
    position_changes: Vec<PositionChange>,
}

#[derive(Debug, Serialize)]
struct DatabasePart {
    path: PathBuf,
    id: String,
    schema_version: i64,
}

#[derive(Debug, Serialize)]
struct Rows {
    opportunities: u64,
    projects: u64,
}

#[derive(Debug, Serialize)]
struct KafkaPart {
    group: String,
    /// Why end offsets are missing; absent if they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// One partition. Of what is `None`, either the database or Kafka knows nothing.
#[derive(Debug, Serialize)]
struct PartitionRow {
    topic: String,
    partition: i32,
    next_offset: Option<i64>,
    end_offset: Option<i64>,
    lag_records: Option<i64>,
    /// Age of the oldest record that has not been read.
    lag_seconds: Option<f64>,
    applied: u64,
    stale: u64,
    unidentified: u64,
    absent: u64,
    updated_at: Option<String>,
}

/// What Kafka says of a partition.
#[derive(Clone, Copy, Debug, Default)]
struct End {
    end_offset: Option<i64>,
    lag_seconds: Option<f64>,
}

/// Prints the report.
pub fn print(settings: &Settings, json: bool) -> Result<(), DatabaseError> {
    let report = Report::make(settings)?;
    if json {
        cli::print_json(&report);
    } else {
        cli::print(report);
    }
    Ok(())
}

impl Report {
    fn make(settings: &Settings) -> Result<Self, DatabaseError> {
        let group = settings.kafka.group_id.clone();
        let summary = DatabaseReader::open(&settings.database.path)?.summary(&group)?;
        let (ends, error) = ask_kafka(&settings.kafka, &summary.positions);
        let mut positions: BTreeMap<TopicPartition, StoredPosition> = summary
            .positions
            .into_iter()
            .map(|position| (TopicPartition::new(position.topic.as_str(), position.partition), position))
            .collect();
        let mut all: Vec<TopicPartition> = positions.keys().chain(ends.keys()).cloned().collect();
        all.sort();
        all.dedup();
        let partitions = all
            .into_iter()
            .map(|at| PartitionRow::new(&at, positions.remove(&at), ends.get(&at).copied().unwrap_or_default()))
            .collect();
        let unidentified = summary.unidentified.into_iter();
        Ok(Self {
            database: DatabasePart {
                path: settings.database.path.clone(),
                id: summary.database_id,
                schema_version: summary.schema_version,
            },
            kafka: KafkaPart { group, error },
            rows: Rows { opportunities: summary.opportunities, projects: summary.projects },
            unidentified: unidentified.map(|count| (count.reason, count.messages - count.replayed)).collect(),
            partitions,
            position_changes: summary.changes,
        })
    }
}

impl PartitionRow {
    fn new(at: &TopicPartition, stored: Option<StoredPosition>, end: End) -> Self {
        let next_offset = stored.as_ref().map(|stored| stored.next_offset);
        let lag_records = next_offset.zip(end.end_offset).map(|(next, end)| (end - next).max(0));
        let counts = stored.as_ref().map(|stored| stored.counters).unwrap_or_default();
        Self {
            topic: at.topic.to_string(),
            partition: at.partition,
            next_offset,
            end_offset: end.end_offset,
            lag_records,
            lag_seconds: end.lag_seconds,
            applied: counts.applied,
            stale: counts.stale,
            unidentified: counts.unidentified,
            absent: counts.absent,
            updated_at: stored.map(|stored| stored.updated_at),
        }
    }
}

/// Where the partitions end, and why that is not known for some.
fn ask_kafka(kafka: &KafkaSettings, positions: &[StoredPosition]) -> (BTreeMap<TopicPartition, End>, Option<String>) {
    let mut ends = BTreeMap::new();
    let failure = match kafka.security.load() {
        Err(error) => Some(ErrorChain(&error).to_string()),
        Ok(security) => {
            let result = ask_ends(&mut client(kafka, security), kafka, positions, &mut ends);
            result.err().map(|error| explain(&error))
        }
    };
    (ends, failure)
}

fn ask_ends(
    client: &mut Client,
    kafka: &KafkaSettings,
    positions: &[StoredPosition],
    ends: &mut BTreeMap<TopicPartition, End>,
) -> kafka::Result<()> {
    let metadata = client.metadata(kafka.topics.iter().map(|topic| topic.as_str().into()).collect())?;
    let missing = metadata.topics.iter().find_map(|topic| Some((topic.name.to_string(), topic.error?)));
    // What is known of the others is told all the same.
    let mut failure = missing.map(|(topic, code)| kafka::Error::Topic { topic, code });
    for (at, offsets) in client.log_offsets(&partitions_of(&metadata), kafka.isolation_level)? {
        let (start_offset, end_offset) = match offsets {
            Ok(offsets) => offsets,
            Err(error) => {
                failure = failure.or(Some(error));
                continue;
            }
        };
        let stored = positions.iter().find(|stored| *stored.topic == *at.topic && stored.partition == at.partition);
        // Nothing below the log's start can be asked for its time.
        let next_offset = stored.map_or(start_offset, |stored| stored.next_offset.max(start_offset));
        let lag_seconds = if next_offset >= end_offset {
            Some(0.0)
        } else {
            client.timestamp_at(&at, next_offset, kafka.isolation_level)?.map(seconds_since)
        };
        ends.insert(at, End { end_offset: Some(end_offset), lag_seconds });
    }
    failure.map_or(Ok(()), Err)
}

/// Whole milliseconds as seconds. A time in the future, by a clock that is ahead of ours, counts as now.
fn seconds_since(timestamp_ms: i64) -> f64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let then = std::time::Duration::from_millis(u64::try_from(timestamp_ms).unwrap_or(0));
    (now.saturating_sub(then).as_secs_f64() * 1000.0).round() / 1000.0
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "database      {} (id {})", self.database.path.display(), self.database.id)?;
        writeln!(f, "group         {}", self.kafka.group)?;
        writeln!(f, "rows          {} opportunities, {} projects", self.rows.opportunities, self.rows.projects)?;
        let reasons: Vec<String> =
            self.unidentified.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        writeln!(f, "unidentified  {}", if reasons.is_empty() { "none".to_owned() } else { reasons.join(", ") })?;
        if let Some(error) = &self.kafka.error {
            writeln!(f, "kafka         end offsets are missing: {error}")?;
        }
        self.write_partitions(f)?;
        self.write_changes(f)
    }
}

impl Report {
    fn write_partitions(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.partitions.iter().map(|partition| partition.topic.len()).max().unwrap_or(0).max("topic".len());
        writeln!(f, "\n{:width$}  partition  next offset   end offset  lag (records)  lag (seconds)", "topic")?;
        for partition in &self.partitions {
            writeln!(
                f,
                "{:width$}  {:>9}  {:>11}  {:>11}  {:>13}  {:>13}",
                partition.topic,
                partition.partition,
                or_unknown(partition.next_offset),
                or_unknown(partition.end_offset),
                or_unknown(partition.lag_records),
                or_unknown(partition.lag_seconds),
            )?;
        }
        Ok(())
    }

    fn write_changes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.position_changes.is_empty() {
            return Ok(());
        }
        writeln!(f, "\nlatest changes of position other than by reading:")?;
        for change in &self.position_changes {
            writeln!(
                f,
                "{}  {}-{}  {} -> {}  {}: {}",
                change.at,
                change.topic,
                change.partition,
                or_unknown(change.from_offset),
                change.to_offset,
                change.reason,
                change.detail
            )?;
        }
        Ok(())
    }
}

fn or_unknown(value: Option<impl fmt::Display>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}
