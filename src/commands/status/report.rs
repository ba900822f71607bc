//! The report of `status`, as JSON and as text. Must not read the database or send requests.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::service::record::ServiceState;
use crate::storage::{OffsetCounts, RowCount, StoredJump};

/// The whole report.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) database: DatabasePart,
    pub(super) service: ServiceState,
    pub(super) kafka: KafkaPart,
    pub(super) rows: Rows,
    /// Rows whose `last_modified` was too far ahead of the record's timestamp, which is used instead.
    pub(super) last_modified_ahead: u64,
    /// Unidentified messages by reason, without those that have been replayed.
    pub(super) unidentified: BTreeMap<String, u64>,
    pub(super) partitions: Vec<PartitionRow>,
    /// The latest offset jumps, newest first.
    pub(super) position_changes: Vec<StoredJump>,
}

#[derive(Debug, Serialize)]
pub(super) struct DatabasePart {
    pub(super) path: PathBuf,
    pub(super) id: String,
    pub(super) schema_version: i64,
}

/// The rows of each table of events; in JSON an object.
#[derive(Debug)]
pub(super) struct Rows(pub(super) Vec<RowCount>);

impl Serialize for Rows {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|count| (count.table, count.rows)))
    }
}

#[derive(Debug, Serialize)]
pub(super) struct KafkaPart {
    pub(super) group: String,
    /// As Kafka's tools show it; absent with `KAFKA_GROUP_PROTOCOL=none`, or if the coordinator does not describe the group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) members: Option<usize>,
    /// Why a value is missing; absent if none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

/// One partition. A value is `None` if the database or Kafka does not have it.
#[derive(Debug, Serialize)]
pub(super) struct PartitionRow {
    pub(super) topic: String,
    pub(super) partition: i32,
    /// The position stored in this database.
    pub(super) next_offset: Option<i64>,
    /// The group's committed offset.
    pub(super) committed_offset: Option<i64>,
    pub(super) last_stable_offset: Option<i64>,
    pub(super) end_offset: Option<i64>,
    /// From the position of the partition's reader, or else of the next start, to the end.
    pub(super) lag_records: Option<i64>,
    /// Age of the oldest record that has not been read.
    pub(super) lag_seconds: Option<f64>,
    /// Records from the last stable offset on: with `read_committed` they are read when a transaction ends.
    pub(super) blocked_records: Option<i64>,
    /// The age of the first of them.
    pub(super) blocked_seconds: Option<f64>,
    pub(super) read_by: Option<ReadBy>,
    /// What the next start does with the partition, unless it resumes at `next_offset`.
    pub(super) next_start: Option<NextStart>,
    /// Why a value is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    #[serde(flatten, serialize_with = "serialize_counts")]
    pub(super) counts: OffsetCounts,
    /// How many of the unidentified messages that were counted have been pruned.
    pub(super) pruned: u64,
    pub(super) updated_at: Option<String>,
}

fn serialize_counts<S: Serializer>(counts: &OffsetCounts, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(counts.iter().map(|(outcome, count)| (outcome.name(), count)))
}

/// A member of the group.
#[derive(Debug, Serialize)]
pub(super) struct ReadBy {
    pub(super) is_this_instance: bool,
    pub(super) member_id: String,
    pub(super) instance_id: Option<String>,
    pub(super) client_id: String,
    pub(super) host: String,
}

/// What a start does other than resuming at the stored position.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "action")]
pub(super) enum NextStart {
    MovesPosition { from_offset: Option<i64>, to_offset: i64, reason: &'static str, detail: String },
    Fails { error: String },
}

impl Report {
    /// Whether no value is missing.
    pub(super) fn is_complete(&self) -> bool {
        self.kafka.error.is_none()
    }

    /// Whether the lag of each partition is known and at most `lag_max`.
    pub(super) fn keeps_up(&self, lag_max: Duration) -> bool {
        let keeps_up = |row: &PartitionRow| row.lag_seconds.is_some_and(|seconds| seconds <= lag_max.as_secs_f64());
        !self.partitions.is_empty() && self.partitions.iter().all(keeps_up)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "database      {} (id {})", self.database.path.display(), self.database.id)?;
        self.write_service(f)?;
        write!(f, "group         {}", self.kafka.group)?;
        match (&self.kafka.state, self.kafka.members) {
            (Some(state), Some(members)) => writeln!(f, " ({state}, members: {members})")?,
            _ => writeln!(f)?,
        }
        let rows: Vec<String> = self.rows.0.iter().map(|count| format!("{} {}", count.rows, count.table)).collect();
        writeln!(f, "rows          {}", rows.join(", "))?;
        if self.last_modified_ahead > 0 {
            let rows = self.last_modified_ahead;
            writeln!(
                f,
                "clocks        {rows} rows with a last_modified too far ahead of the record's timestamp, which is used instead"
            )?;
        }
        let reasons: Vec<String> =
            self.unidentified.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        writeln!(f, "unidentified  {}", if reasons.is_empty() { "none".to_owned() } else { reasons.join(", ") })?;
        let pruned: u64 = self.partitions.iter().map(|row| row.pruned).sum();
        if pruned > 0 {
            writeln!(f, "pruned        {pruned} unidentified messages since the positions were set")?;
        }
        if let Some(error) = &self.kafka.error {
            writeln!(f, "kafka         incomplete, end offsets are missing: {error}")?;
        }
        self.write_partitions(f)?;
        for row in &self.partitions {
            row.write_remarks(f)?;
        }
        self.write_changes(f)
    }
}

impl Report {
    fn write_service(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ServiceState { running, pid, started_at, stopped_at, last_error } = &self.service;
        write!(f, "service       ")?;
        match (running, pid, started_at, stopped_at) {
            (true, Some(pid), Some(started), _) => writeln!(f, "running, process {pid} since {started}")?,
            (true, ..) => writeln!(f, "running")?,
            (false, _, Some(started), Some(stopped)) => {
                writeln!(f, "not running; the last one ran from {started} to {stopped}")?;
            }
            (false, _, Some(started), None) => {
                writeln!(f, "not running; the last one started at {started} and did not stop in order")?;
            }
            (false, ..) => writeln!(f, "not running")?,
        }
        if let Some(problem) = last_error {
            writeln!(f, "last error    {} {}: {}", problem.at, problem.level, problem.message)?;
        }
        Ok(())
    }

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
        writeln!(f, "\nlatest offset jumps:")?;
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

impl PartitionRow {
    /// Writes what the table does not show.
    fn write_remarks(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = format!("{}-{}", self.topic, self.partition);
        if let Some(member) = self.read_by.as_ref().filter(|member| !member.is_this_instance) {
            writeln!(
                f,
                "{at}: read by member '{}' (client '{}' at {}); the lag is that of the group's offset {}",
                member.member_id,
                member.client_id,
                member.host,
                or_unknown(self.committed_offset)
            )?;
        }
        if let Some(records) = self.blocked_records.filter(|records| *records > 0) {
            writeln!(
                f,
                "{at}: {records} records from offset {} on wait for an open transaction, the first of them for {} s",
                or_unknown(self.last_stable_offset),
                or_unknown(self.blocked_seconds)
            )?;
        }
        match &self.next_start {
            None => {}
            Some(NextStart::MovesPosition { from_offset, to_offset, reason, detail }) => {
                writeln!(
                    f,
                    "{at}: the next start moves {} -> {to_offset}  {reason}: {detail}",
                    or_unknown(*from_offset)
                )?;
            }
            Some(NextStart::Fails { error }) => writeln!(f, "{at}: the next start fails: {error}")?,
        }
        self.error.iter().try_for_each(|error| writeln!(f, "{at}: {error}"))
    }
}

fn or_unknown(value: Option<impl fmt::Display>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}
