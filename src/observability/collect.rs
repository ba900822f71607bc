//! Every metric: its name, type, labels, meaning, and what to alert on; and its samples from what the service has
//! published. `docs/metrics.md` is written from it. Labels hold topics, partition numbers and fixed words only, never ids,
//! errors or addresses. Here are the metrics of partitions; the others are in `collect_service.rs`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::collect_service::add_service;
use super::family::{About, Families, Family, Kind, Sample, Value};
use super::metrics::Metrics;
use super::partitions::{PARTITIONS_MAX, PartitionSnapshot};
use crate::storage::OffsetCounts;

const PARTITION: &[&str] = &["topic", "partition"];

/// All metrics now, those that have no samples too.
pub fn collect(metrics: &Metrics, is_stopping: bool, now: Instant) -> Vec<Family> {
    let mut families = Families::default();
    let snapshots = metrics.partition_snapshots(now);
    add_partitions(&mut families, &rows(&snapshots, metrics), metrics.description.isolation_level == "read_committed");
    add_service(&mut families, metrics, is_stopping, now);
    families.into_vec()
}

/// What the metrics of a partition show; summed over a topic if there are too many partitions.
#[derive(Clone, Debug)]
struct Row {
    labels: Vec<String>,
    counts: OffsetCounts,
    /// Not of a topic: offsets of several partitions cannot be summed.
    offsets: Option<(i64, Option<i64>, Option<i64>)>,
    lag_records: Option<u64>,
    lag: Option<Duration>,
    open_records: Option<u64>,
}

fn rows(snapshots: &[PartitionSnapshot], metrics: &Metrics) -> Vec<Row> {
    if snapshots.len() <= PARTITIONS_MAX {
        return snapshots.iter().map(row).collect();
    }
    // Those of present partitions would fall when one is revoked, as a counter never does.
    let counts = metrics.partitions.topics();
    let mut topics: BTreeMap<&str, Row> = BTreeMap::new();
    for snapshot in snapshots {
        let (topic, more) = (&*snapshot.partition.topic, row(snapshot));
        let sum = topics.entry(topic).or_insert_with(|| Row {
            labels: vec![topic.to_owned(), String::new()],
            counts: counts.get(topic).copied().unwrap_or_default(),
            offsets: None,
            lag_records: Some(0),
            lag: Some(Duration::ZERO),
            open_records: Some(0),
        });
        // What is not known of one partition is not known of the topic.
        sum.lag_records = sum.lag_records.zip(more.lag_records).map(|(sum, more)| sum.saturating_add(more));
        sum.open_records = sum.open_records.zip(more.open_records).map(|(sum, more)| sum.saturating_add(more));
        sum.lag = sum.lag.zip(more.lag).map(|(greatest, more)| greatest.max(more));
    }
    topics.into_values().collect()
}

fn row(snapshot: &PartitionSnapshot) -> Row {
    let PartitionSnapshot { partition, log_end, .. } = snapshot;
    let open = log_end.map(|end| end.high_watermark.saturating_sub(end.end_offset));
    Row {
        labels: vec![partition.topic.to_string(), partition.partition.to_string()],
        counts: snapshot.counts,
        offsets: Some((snapshot.next_offset, snapshot.committed_offset, log_end.map(|end| end.end_offset))),
        lag_records: snapshot.lag_records,
        lag: snapshot.lag,
        open_records: open.and_then(|open| u64::try_from(open).ok()),
    }
}

fn add_partitions(families: &mut Families, rows: &[Row], reads_committed: bool) {
    let gauge = |name: &'static str| (name, Kind::Gauge, PARTITION);
    let counts = rows.iter().flat_map(|row| {
        row.counts.iter().map(|(outcome, count)| Sample {
            labels: [row.labels.as_slice(), &[outcome.name().to_owned()]].concat(),
            value: count.into(),
        })
    });
    families.add(
        ("enterprise_consumer_offsets_total", Kind::Counter, &["topic", "partition", "outcome"]),
        About(
            "Offsets that have taken effect since the partition was assigned, by outcome: applied, stale, unidentified, absent",
            "a rate of `applied` of 0 while `lag_records` grows",
        ),
        counts.collect(),
    );
    families.add(
        gauge("enterprise_consumer_next_offset"),
        About("First offset that is not stored in the database", ""),
        samples(rows, |row| Some(row.offsets?.0.into())),
    );
    families.add(
        gauge("enterprise_consumer_committed_offset"),
        About("Offset of the group that the coordinator has accepted last", ""),
        samples(rows, |row| Some(row.offsets?.1?.into())),
    );
    families.add(
        gauge("enterprise_consumer_end_offset"),
        About("End of the partition for the isolation level; no series while its leader does not respond", ""),
        samples(rows, |row| Some(row.offsets?.2?.into())),
    );
    families.add(
        gauge("enterprise_consumer_lag_records"),
        About(
            "Offsets that are not stored; no series while the end of the partition is not known, or it is assigned to another member",
            "growing for 30 minutes",
        ),
        samples(rows, |row| Some(row.lag_records?.into())),
    );
    families.add(
        gauge("enterprise_consumer_lag_seconds"),
        About(
            "Greatest possible age of the oldest record that is not stored, 0 if there is none; no series while it is not known",
            "above what the readers of the database accept, for 10 minutes",
        ),
        samples(rows, |row| Some(row.lag?.into())),
    );
    families.add(
        gauge("enterprise_consumer_open_transaction_records"),
        About(
            "Offsets that an open transaction of a producer holds back; only under read_committed",
            "above 0 for longer than the producers' transaction.timeout.ms: a transaction hangs (kafka-transactions.sh find-hanging)",
        ),
        samples(rows, |row| Some(row.open_records.filter(|_| reads_committed)?.into())),
    );
}

fn samples(rows: &[Row], value: impl Fn(&Row) -> Option<Value>) -> Vec<Sample> {
    let samples = rows.iter().filter_map(|row| Some(Sample { labels: row.labels.clone(), value: value(row)? }));
    samples.collect()
}
