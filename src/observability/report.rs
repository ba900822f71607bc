//! The status of the service as JSON, for `/status.json`. Must not know the metrics' names.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::latest::{Dated, Jump, UnidentifiedMessage};
use super::partitions::PartitionSnapshot;
use super::status::{Occurrences, Status};
use super::throughput::Window;
use crate::runtime::millis::millis;
use crate::storage::{OffsetCounts, Outcome};

/// The status as JSON.
pub fn report(status: &Status) -> Value {
    let description = &status.description;
    let partitions: Vec<Value> = status.partitions.iter().map(partition).collect();
    let mut report = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "sqlite_version": description.sqlite_version,
        "started_at": seconds_since_1970(Some(status.started_at)),
        "live": status.late_stages.is_empty(),
        "late_stages": status.late_stages,
        "ready": status.health.is_ready(),
        "reasons": status.health.reasons,
        "group_protocol": description.group_protocol,
        "isolation_level": description.isolation_level,
        "partitions": partitions,
        "lag_records": status.lag_records,
        "left_ms": status.rates.left.map(millis),
        "offsets": outcomes(&status.rates.totals),
        "last_minute": status.rates.window.as_ref().map(window),
        "unidentified": counters(status.unidentified.iter().map(count)),
        "latest_unidentified": latest(&status.unidentified, |message| unidentified(message, status.shows_texts)),
        "position_changes": counters(status.position_changes.iter().map(count)),
        "latest_position_changes": latest(&status.position_changes, jump),
        "transactions": counters(status.transactions.iter().copied()),
        "commits": counters(status.commits.iter().copied()),
        "last_transaction_at": seconds_since_1970(status.last_transaction_at),
        "last_commit_at": seconds_since_1970(status.last_commit_at),
        "failing_attempts": counters(status.failing_attempts.into_iter()),
        "rebalances": status.rebalances,
        "database_bytes": status.sizes.map(|sizes| sizes.database_bytes),
        "disk_free_bytes": status.sizes.map(|sizes| sizes.free_bytes),
        "wal_bytes": status.sizes.map(|sizes| sizes.wal_bytes),
        "wal_limit_bytes": description.wal_limit_bytes,
        "credentials": status.credentials.iter().map(|(credential, at)| {
            ((*credential).to_owned(), seconds_since_1970(Some(*at)))
        }).collect::<Map<String, Value>>(),
    });
    if status.shows_texts {
        insert(&mut report, "last_problem", json!(status.last_problem));
    }
    report
}

fn partition(snapshot: &PartitionSnapshot) -> Value {
    let mut fields = json!({
        "topic": &*snapshot.partition.topic,
        "partition": snapshot.partition.partition,
        "reading": snapshot.is_reading,
        "next_offset": snapshot.next_offset,
        "committed_offset": snapshot.committed_offset,
        "end_offset": snapshot.log_end.map(|end| end.end_offset),
        "high_watermark": snapshot.log_end.map(|end| end.high_watermark),
        "lag_records": snapshot.lag_records,
        "lag_ms": snapshot.lag.map(millis),
    });
    for (outcome, count) in outcomes(&snapshot.counts) {
        insert(&mut fields, &outcome, count);
    }
    fields
}

fn window(Window { counts, elapsed }: &Window) -> Value {
    let mut fields = Value::from(outcomes(counts));
    insert(&mut fields, "elapsed_ms", millis(*elapsed).into());
    fields
}

fn outcomes(counts: &OffsetCounts) -> Map<String, Value> {
    Outcome::ALL.iter().map(|outcome| (outcome.name().to_owned(), counts.get(*outcome).into())).collect()
}

fn count<T>(occurrences: &Occurrences<T>) -> (&'static str, u64) {
    (occurrences.reason, occurrences.count)
}

/// The latest occurrence of each reason that has one.
fn latest<T>(occurrences: &[Occurrences<T>], fields: impl Fn(&T) -> Value) -> Map<String, Value> {
    let latest = occurrences.iter().filter_map(|Occurrences { reason, latest, .. }| {
        let Dated { at, what } = latest.as_ref()?;
        let mut fields = fields(what);
        insert(&mut fields, "at", seconds_since_1970(Some(*at)));
        Some(((*reason).to_owned(), fields))
    });
    latest.collect()
}

fn unidentified(UnidentifiedMessage { partition, offset, texts }: &UnidentifiedMessage, shows_texts: bool) -> Value {
    let mut fields = json!({ "topic": &*partition.topic, "partition": partition.partition, "offset": offset });
    if shows_texts {
        insert(&mut fields, "error", texts.error.as_str().into());
        insert(&mut fields, "payload", json!(texts.value.as_ref().map(|value| &value.beginning)));
        insert(&mut fields, "payload_bytes", json!(texts.value.as_ref().map(|value| value.bytes)));
    }
    fields
}

fn jump(Jump { partition, from, to }: &Jump) -> Value {
    json!({
        "topic": &*partition.topic,
        "partition": partition.partition,
        "from_offset": from,
        "to_offset": to,
    })
}

fn insert(fields: &mut Value, name: &str, value: Value) {
    if let Some(fields) = fields.as_object_mut() {
        fields.insert(name.to_owned(), value);
    }
}

fn counters(counters: impl Iterator<Item = (&'static str, u64)>) -> Map<String, Value> {
    counters.map(|(label, count)| (label.to_owned(), count.into())).collect()
}

/// Whole seconds since 1970.
fn seconds_since_1970(at: Option<SystemTime>) -> Value {
    let seconds = at.and_then(|at| at.duration_since(UNIX_EPOCH).ok()).as_ref().map(Duration::as_secs);
    json!(seconds)
}
