//! The `status` command: reports what is stored, the lag behind Kafka, and what the next start would do, as text or as JSON. Reads
//! only; a value that is not available is missing in the report, with the reason.

mod report;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use kafka::TopicPartition;

use crate::commands::inspection;
use crate::commands::inspection::requests;
use crate::commands::inspection::view::{Inspection, LocalState, PartitionInspection, Reader};
use crate::runtime::error_chain::ErrorChain;
use crate::runtime::output;
use crate::service::record::ServiceState;
use crate::service::start_rules::StartDecision;
use crate::settings::{GroupProtocol, Settings};
use crate::storage::{self, StorageError, StoredPosition, Summary};
use report::{DatabasePart, KafkaPart, NextStart, PartitionRow, ReadBy, Report, Rows};

/// The options of `status`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatusOptions {
    /// Print JSON.
    pub json: bool,
    /// Fail if the lag of a partition is greater or not known.
    pub lag_max: Option<Duration>,
}

/// Prints the report. Returns whether it is complete, and no lag is greater than `lag_max`.
pub fn print(settings: &Settings, options: StatusOptions) -> Result<bool, StorageError> {
    let report = report(settings)?;
    if options.json {
        output::print_json(&report);
    } else {
        output::print(&report);
    }
    let keeps_up = options.lag_max.is_none_or(|lag_max| report.keeps_up(lag_max));
    Ok(report.is_complete() && keeps_up)
}

fn report(settings: &Settings) -> Result<Report, StorageError> {
    let path = &settings.database.path;
    let service = ServiceState::read(&storage::lock_path(&settings.database)?);
    let group = settings.kafka.group_id.clone();
    let Summary { database_id, schema_version, rows: row_counts, ahead, unidentified, positions, jumps } =
        storage::inspect(&settings.database)?.summary(&group)?;
    let local = LocalState { database_id: Some(database_id.clone()), positions };
    let inspection = match settings.kafka.security.load() {
        Ok(security) => inspection::inspect(settings, &mut requests::client(&settings.kafka, security), &local),
        Err(error) => Inspection::failed("brokers", ErrorChain(&error).to_string()),
    };
    let is_member = settings.kafka.group_protocol != GroupProtocol::None;
    let members = inspection.group.as_ref().filter(|_| is_member).map(|group| group.members.len());
    let state =
        inspection.group.as_ref().map(|group| group.state.clone()).filter(|state| is_member && !state.is_empty());
    let failures: Vec<String> = inspection.failures.iter().map(|failure| failure.text.clone()).collect();
    Ok(Report {
        database: DatabasePart { path: path.clone(), id: database_id, schema_version },
        service,
        kafka: KafkaPart { group, state, members, error: (!failures.is_empty()).then(|| failures.join("; ")) },
        rows: Rows(row_counts),
        last_modified_ahead: ahead,
        unidentified: unidentified.into_iter().map(|count| (count.reason, count.messages - count.replayed)).collect(),
        partitions: rows(inspection, local.positions),
        position_changes: jumps,
    })
}

/// A row for each partition that Kafka or the database knows.
fn rows(inspection: Inspection, positions: Vec<StoredPosition>) -> Vec<PartitionRow> {
    let mut partitions: BTreeMap<TopicPartition, (Option<StoredPosition>, PartitionInspection)> =
        inspection.partitions.into_iter().map(|(at, found)| (at, (None, found))).collect();
    for stored in positions {
        let at = TopicPartition::new(stored.topic.as_str(), stored.partition);
        partitions.entry(at).or_default().0 = Some(stored);
    }
    partitions.into_iter().map(|(at, (stored, found))| row(&at, stored, found)).collect()
}

fn row(at: &TopicPartition, stored: Option<StoredPosition>, found: PartitionInspection) -> PartitionRow {
    let next_offset = stored.as_ref().map(|stored| stored.next_offset);
    let lag_records = lag(&found, next_offset);
    let blocked = found.watermarks.map(|watermarks| watermarks.end_offset - watermarks.last_stable_offset);
    let counts = stored.as_ref().map(|stored| stored.counters).unwrap_or_default();
    PartitionRow {
        topic: at.topic.to_string(),
        partition: at.partition,
        next_offset,
        committed_offset: found.committed.as_ref().map(|committed| committed.offset),
        last_stable_offset: found.watermarks.map(|watermarks| watermarks.last_stable_offset),
        end_offset: found.watermarks.map(|watermarks| watermarks.end_offset),
        lag_records,
        lag_seconds: lag_records
            .and_then(|records| if records == 0 { Some(0.0) } else { found.oldest_unread_ms.map(age_seconds) }),
        blocked_records: blocked,
        blocked_seconds: blocked
            .and_then(|records| if records == 0 { Some(0.0) } else { found.blocked_since_ms.map(age_seconds) }),
        read_by: member(&found.reader),
        next_start: next_start(&found, next_offset),
        error: found.error,
        counts,
        pruned: stored.as_ref().map_or(0, |stored| stored.pruned),
        updated_at: stored.map(|stored| stored.updated_at),
    }
}

/// The number of records that the partition's reader has not read yet, without deleted ones.
fn lag(found: &PartitionInspection, stored: Option<i64>) -> Option<i64> {
    let watermarks = found.watermarks?;
    let position = found.position(stored)?;
    Some((watermarks.end_offset - position.max(watermarks.start_offset)).max(0))
}

fn member(reader: &Reader) -> Option<ReadBy> {
    let (member, is_this_instance) = match reader {
        Reader::Unassigned => return None,
        Reader::ThisInstance(member) => (member, true),
        Reader::Other(member) => (member, false),
    };
    Some(ReadBy {
        is_this_instance,
        member_id: member.id.clone(),
        instance_id: member.instance_id.clone(),
        client_id: member.client_id.clone(),
        host: member.host.clone(),
    })
}

/// What a start does other than resuming at the stored position.
fn next_start(found: &PartitionInspection, stored: Option<i64>) -> Option<NextStart> {
    match found.start.as_ref()? {
        Ok(StartDecision::Resume { .. }) => None,
        Ok(StartDecision::Jump { to_offset, reason, detail, .. }) => Some(NextStart::MovesPosition {
            from_offset: stored,
            to_offset: *to_offset,
            reason: reason.as_str(),
            detail: detail.clone(),
        }),
        Err(error) => Some(NextStart::Fails { error: error.to_string() }),
    }
}

/// The age of a timestamp in seconds, rounded to milliseconds. A timestamp in the future, from a clock that is ahead, has age 0.
fn age_seconds(timestamp_ms: i64) -> f64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let then = Duration::from_millis(u64::try_from(timestamp_ms).unwrap_or(0));
    (now.saturating_sub(then).as_secs_f64() * 1000.0).round() / 1000.0
}
