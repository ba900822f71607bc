//! The numbers that the service publishes. Must not know how they are shown.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use kafka::{IsolationLevel, Statistics};

use super::attempts::Attempts;
use super::history::{LagHistory, total_lag};
use super::latest::{Jump, Latest, UnidentifiedMessage};
use super::lock::lock;
use super::partitions::{PartitionSnapshot, Partitions};
use super::throughput::Throughput;
use crate::entity::Reason;
use crate::runtime::logger::Problem;
use crate::runtime::measures::{Counter, Counters, Histogram};
use crate::runtime::stages::Stages;
use crate::settings::{GroupProtocol, Settings, Synchronous};
use crate::storage::{self, DatabaseSizes, DatabaseStatistics, JumpReason};

/// Bounds of the histogram of transactions, in microseconds.
const TRANSACTION_BOUNDS_US: &[u64] =
    &[1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000, 30_000_000];

/// Bounds of the histogram of records in a transaction: up to `BATCH_MAX_RECORDS` and above.
const RECORD_BOUNDS: &[u64] = &[1, 10, 100, 500, 1_000, 2_500, 5_000, 10_000, 20_000, 100_000];

/// The results of what can fail.
pub(super) const RESULTS: [&str; 2] = ["success", "failure"];

/// What never changes while the service runs.
#[derive(Clone, Debug)]
pub struct Description {
    /// `KAFKA_GROUP_PROTOCOL`.
    pub group_protocol: &'static str,
    /// `KAFKA_ISOLATION_LEVEL`.
    pub isolation_level: &'static str,
    /// `DATABASE_SYNCHRONOUS`.
    pub synchronous: &'static str,
    /// `WAL_MAX_BYTES`.
    pub wal_limit_bytes: u64,
    /// The version of SQLite.
    pub sqlite_version: &'static str,
}

impl Description {
    /// What the settings say.
    pub fn of(settings: &Settings) -> Self {
        Self {
            group_protocol: match settings.kafka.group_protocol {
                GroupProtocol::None => "none",
                GroupProtocol::Classic { .. } => "classic",
                GroupProtocol::Consumer { .. } => "consumer",
            },
            isolation_level: match settings.kafka.isolation_level {
                IsolationLevel::ReadCommitted => "read_committed",
                IsolationLevel::ReadUncommitted => "read_uncommitted",
            },
            synchronous: match settings.database.synchronous {
                Synchronous::Normal => "NORMAL",
                Synchronous::Full => "FULL",
            },
            wal_limit_bytes: settings.database.wal_bytes_max,
            sqlite_version: storage::engine_version(),
        }
    }
}

/// The published numbers of one service.
#[derive(Debug)]
pub struct Metrics {
    /// What never changes.
    pub description: Description,
    /// When the service started.
    pub started_at: SystemTime,
    /// The deadlines of its threads.
    pub stages: Stages,
    /// The numbers of the Kafka client.
    pub consumer: Statistics,
    /// The assigned partitions.
    pub partitions: Partitions,
    /// Their lag in the last hour.
    pub lag_history: LagHistory,
    /// What became of all offsets.
    pub throughput: Throughput,
    /// Transactions that store records.
    pub transactions: Transactions,
    /// Records that are not events, by reason.
    pub unidentified: Counters,
    /// The latest of each reason.
    pub latest_unidentified: Latest<UnidentifiedMessage>,
    /// Offset jumps, by reason.
    pub position_changes: Counters,
    /// The latest of each reason.
    pub latest_position_changes: Latest<Jump>,
    /// Calls of the database that are retried.
    pub database_attempts: Attempts,
    /// Syncs of the database.
    pub sync_attempts: Attempts,
    /// Failures that the Kafka client retries.
    pub kafka_retries: Counter,
    /// Reloads of certificates and passwords, by result.
    pub reloads: Counters,
    /// Requests of the HTTP server, by path and status code.
    http_requests: Mutex<BTreeMap<(&'static str, u16), u64>>,
    credentials: Mutex<BTreeMap<&'static str, SystemTime>>,
    database: OnceLock<Arc<DatabaseStatistics>>,
    sizes: Mutex<Option<DatabaseSizes>>,
    last_problem: Mutex<Option<Problem>>,
}

/// Transactions that store records.
#[derive(Debug)]
pub struct Transactions {
    /// How long each took, with the waits for checkpoints in it.
    pub duration: Histogram,
    /// How many records each has stored.
    pub records: Histogram,
    /// By result.
    pub results: Counters,
    last_at: Mutex<Option<SystemTime>>,
}

impl Transactions {
    /// Counts one attempt.
    pub fn note(&self, duration: Duration, succeeded: bool) {
        self.duration.observe_duration(duration);
        if succeeded {
            self.results.add("success", 1);
            *lock(&self.last_at) = Some(SystemTime::now());
        } else {
            self.results.add("failure", 1);
        }
    }

    /// When the last one was committed.
    pub fn last_at(&self) -> Option<SystemTime> {
        *lock(&self.last_at)
    }
}

impl Metrics {
    /// Of a service that starts now.
    pub fn new(description: Description) -> Self {
        Self {
            description,
            started_at: SystemTime::now(),
            stages: Stages::default(),
            consumer: Statistics::default(),
            partitions: Partitions::default(),
            lag_history: LagHistory::default(),
            throughput: Throughput::default(),
            transactions: Transactions {
                duration: Histogram::of_microseconds(TRANSACTION_BOUNDS_US),
                records: Histogram::of_numbers(RECORD_BOUNDS),
                results: Counters::new(RESULTS),
                last_at: Mutex::default(),
            },
            unidentified: Counters::new(Reason::ALL.map(Reason::as_str)),
            latest_unidentified: Latest::default(),
            position_changes: Counters::new(JumpReason::ALL.map(JumpReason::as_str)),
            latest_position_changes: Latest::default(),
            database_attempts: Attempts::default(),
            sync_attempts: Attempts::default(),
            kafka_retries: Counter::default(),
            reloads: Counters::new(RESULTS),
            http_requests: Mutex::default(),
            credentials: Mutex::default(),
            database: OnceLock::new(),
            sizes: Mutex::default(),
            last_problem: Mutex::default(),
        }
    }

    /// The database is open.
    pub fn note_database(&self, statistics: Arc<DatabaseStatistics>) {
        // A service opens its database once.
        let _ = self.database.set(statistics);
    }

    /// The numbers of the database; `None` before it is open.
    pub fn database(&self) -> Option<&DatabaseStatistics> {
        self.database.get().map(Arc::as_ref)
    }

    /// The sizes of the database were read.
    pub fn note_sizes(&self, sizes: DatabaseSizes) {
        *lock(&self.sizes) = Some(sizes);
    }

    /// The sizes of the database as they were read last.
    pub fn sizes(&self) -> Option<DatabaseSizes> {
        *lock(&self.sizes)
    }

    /// A credential, such as `client_certificate`, expires then; `None`: it does not, or that is not known.
    pub fn set_credential_expiry(&self, credential: &'static str, at: Option<SystemTime>) {
        let mut credentials = lock(&self.credentials);
        match at {
            Some(at) => drop(credentials.insert(credential, at)),
            None => drop(credentials.remove(credential)),
        }
    }

    /// The credentials that expire, and when.
    pub fn credentials(&self) -> BTreeMap<&'static str, SystemTime> {
        let token = self.consumer.token_expires_at().map(|at| ("token", at));
        lock(&self.credentials).clone().into_iter().chain(token).collect()
    }

    /// A warning or an error was logged.
    pub fn note_problem(&self, problem: Problem) {
        *lock(&self.last_problem) = Some(problem);
    }

    /// The last warning or error.
    pub fn last_problem(&self) -> Option<Problem> {
        lock(&self.last_problem).clone()
    }

    /// The HTTP server has answered a request. The path is one that the server knows, or `other`.
    pub fn note_http_request(&self, path: &'static str, code: u16) {
        *lock(&self.http_requests).entry((path, code)).or_default() += 1;
    }

    /// How many requests the HTTP server has answered, by path and status code.
    pub(super) fn http_requests(&self) -> BTreeMap<(&'static str, u16), u64> {
        lock(&self.http_requests).clone()
    }

    /// Takes samples of the throughput, and once a minute of the lag.
    pub fn sample(&self, now: Instant) {
        let snapshots = self.partition_snapshots(now);
        self.throughput.sample(total_lag(&snapshots), now);
        if self.lag_history.is_due(now) {
            self.lag_history.sample(&snapshots, now);
        }
    }

    /// The assigned partitions, as of now.
    pub fn partition_snapshots(&self, now: Instant) -> Vec<PartitionSnapshot> {
        self.partitions.snapshots(&self.consumer.partitions(), now)
    }
}
