//! The state of the service at one moment: what `/status.json` and the status page show. Must not know how they show it.

use std::collections::BTreeMap;
use std::time::{Instant, SystemTime};

use super::health::{Health, readiness};
use super::history::total_lag;
use super::latest::{Dated, Jump, UnidentifiedMessage};
use super::metrics::{Description, Metrics, RESULTS};
use super::partitions::PartitionSnapshot;
use super::throughput::Rates;
use crate::runtime::logger::Problem;
use crate::storage::DatabaseSizes;

/// The state at one moment.
#[derive(Clone, Debug)]
pub struct Status {
    /// When.
    pub at: SystemTime,
    /// When the service started.
    pub started_at: SystemTime,
    /// What never changes.
    pub description: Description,
    /// The stages that are past their deadline.
    pub late_stages: Vec<&'static str>,
    /// Whether it is ready, and why not.
    pub health: Health,
    /// The assigned partitions, by topic and number.
    pub partitions: Vec<PartitionSnapshot>,
    /// Offsets that are not stored; `None` while the end of any partition is not known.
    pub lag_records: Option<u64>,
    /// What became of offsets.
    pub rates: Rates,
    /// Unidentified messages, by reason.
    pub unidentified: Vec<Occurrences<UnidentifiedMessage>>,
    /// Offset jumps, by reason.
    pub position_changes: Vec<Occurrences<Jump>>,
    /// Attempts to store records, by result.
    pub transactions: Vec<(&'static str, u64)>,
    /// Requests that commit offsets, by result.
    pub commits: Vec<(&'static str, u64)>,
    /// When the last transaction was committed.
    pub last_transaction_at: Option<SystemTime>,
    /// When offsets were committed to the group last.
    pub last_commit_at: Option<SystemTime>,
    /// Attempts in a row that have failed by now, by what was attempted.
    pub failing_attempts: [(&'static str, u64); 3],
    /// Assignments by the group.
    pub rebalances: u64,
    /// The sizes of the database, as they were read last.
    pub sizes: Option<DatabaseSizes>,
    /// The credentials that expire, and when.
    pub credentials: BTreeMap<&'static str, SystemTime>,
    /// The last warning or error.
    pub last_problem: Option<Problem>,
    /// Whether texts that come from outside may be shown: [`last_problem`](Self::last_problem), and those of unidentified
    /// messages.
    pub shows_texts: bool,
}

/// How often something has happened for one reason, and the latest time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occurrences<T> {
    /// The reason.
    pub reason: &'static str,
    /// Since the start.
    pub count: u64,
    /// `None` if it has not happened since the start.
    pub latest: Option<Dated<T>>,
}

impl Status {
    /// The state now.
    pub fn of(metrics: &Metrics, is_stopping: bool, shows_texts: bool, now: Instant) -> Self {
        let partitions = metrics.partition_snapshots(now);
        let lag_records = total_lag(&partitions);
        let consumer = &metrics.consumer;
        Self {
            at: SystemTime::now(),
            started_at: metrics.started_at,
            description: metrics.description.clone(),
            late_stages: metrics.stages.late(now).collect(),
            health: readiness(metrics, is_stopping, now),
            rates: metrics.throughput.rates(lag_records, now),
            lag_records,
            partitions,
            unidentified: occurrences(metrics.unidentified.iter(), metrics.latest_unidentified.all()),
            position_changes: occurrences(metrics.position_changes.iter(), metrics.latest_position_changes.all()),
            transactions: metrics.transactions.results.iter().collect(),
            commits: RESULTS.into_iter().zip([consumer.commits_accepted(), consumer.commits_failed()]).collect(),
            last_transaction_at: metrics.transactions.last_at(),
            last_commit_at: consumer.last_commit_at(),
            failing_attempts: [
                ("database", metrics.database_attempts.failing()),
                ("sync", metrics.sync_attempts.failing()),
                ("kafka", consumer.failing_attempts().into()),
            ],
            rebalances: consumer.rebalances(),
            sizes: metrics.sizes(),
            credentials: metrics.credentials(),
            last_problem: metrics.last_problem(),
            shows_texts,
        }
    }
}

fn occurrences<T>(
    counts: impl Iterator<Item = (&'static str, u64)>,
    mut latest: BTreeMap<&'static str, Dated<T>>,
) -> Vec<Occurrences<T>> {
    counts.map(|(reason, count)| Occurrences { reason, count, latest: latest.remove(reason) }).collect()
}
