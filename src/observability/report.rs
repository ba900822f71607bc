//! The status of the service as JSON, for `/status.json`. Must not know the metrics' names.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::health::readiness;
use super::metrics::{Metrics, RESULTS};
use super::partitions::PartitionSnapshot;
use crate::runtime::millis::millis;
use crate::storage::Outcome;

/// The status now. `with_texts`: with the last warning or error, whose text may quote a payload.
pub fn report(metrics: &Metrics, is_stopping: bool, with_texts: bool, now: Instant) -> Value {
    let health = readiness(metrics, is_stopping, now);
    let late: Vec<&str> = metrics.stages.late(now).collect();
    let partitions: Vec<Value> = metrics.partition_snapshots(now).iter().map(partition).collect();
    let sizes = metrics.sizes();
    let mut report = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "started_at": seconds_since_1970(Some(metrics.started_at)),
        "live": late.is_empty(),
        "late_stages": late,
        "ready": health.is_ready(),
        "reasons": health.reasons,
        "group_protocol": metrics.description.group_protocol,
        "isolation_level": metrics.description.isolation_level,
        "partitions": partitions,
        "unidentified": counters(metrics.unidentified.iter()),
        "position_changes": counters(metrics.position_changes.iter()),
        "transactions": counters(metrics.transactions.results.iter()),
        "commits": counters(RESULTS.into_iter().zip([
            metrics.consumer.commits_accepted(),
            metrics.consumer.commits_failed(),
        ])),
        "last_transaction_at": seconds_since_1970(metrics.transactions.last_at()),
        "last_commit_at": seconds_since_1970(metrics.consumer.last_commit_at()),
        "failing_attempts": {
            "database": metrics.database_attempts.failing(),
            "sync": metrics.sync_attempts.failing(),
            "kafka": metrics.consumer.failing_attempts(),
        },
        "rebalances": metrics.consumer.rebalances(),
        "database_bytes": sizes.map(|sizes| sizes.database_bytes),
        "disk_free_bytes": sizes.map(|sizes| sizes.free_bytes),
        "wal_bytes": sizes.map(|sizes| sizes.wal_bytes),
        "wal_limit_bytes": metrics.description.wal_limit_bytes,
        "credentials": metrics.credentials().into_iter().map(|(credential, at)| {
            (credential.to_owned(), seconds_since_1970(Some(at)))
        }).collect::<Map<String, Value>>(),
    });
    if with_texts && let Some(fields) = report.as_object_mut() {
        fields.insert("last_problem".to_owned(), json!(metrics.last_problem()));
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
    if let Some(fields) = fields.as_object_mut() {
        for outcome in Outcome::ALL {
            fields.insert(outcome.name().to_owned(), snapshot.counts.get(outcome).into());
        }
    }
    fields
}

fn counters(counters: impl Iterator<Item = (&'static str, u64)>) -> Map<String, Value> {
    counters.map(|(label, count)| (label.to_owned(), count.into())).collect()
}

/// Whole seconds since 1970.
fn seconds_since_1970(at: Option<SystemTime>) -> Value {
    let seconds = at.and_then(|at| at.duration_since(UNIX_EPOCH).ok()).as_ref().map(Duration::as_secs);
    json!(seconds)
}
