//! The metrics of the service as a whole, of its database and of its process. As in `collect.rs`, each has a fixed set of
//! labels.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::family::{About, Families, Kind, Sample, Value};
use super::health::readiness;
use super::metrics::{Metrics, RESULTS};
use crate::runtime::process::Process;
use crate::storage::DatabaseStatistics;

const NONE: &[&str] = &[];

pub(super) fn add_service(families: &mut Families, metrics: &Metrics, is_stopping: bool, now: Instant) {
    add_health(families, metrics, is_stopping, now);
    add_progress(families, metrics);
    add_kafka(families, metrics);
    add_failures(families, metrics);
    add_database(families, metrics);
    add_disk(families, metrics.database());
    add_operation(families, metrics);
    add_info(families, metrics);
    add_process(families, metrics);
}

fn add_health(families: &mut Families, metrics: &Metrics, is_stopping: bool, now: Instant) {
    families.add(
        ("enterprise_consumer_live", Kind::Gauge, NONE),
        About("1 while each stage is inside its deadline", "0 for 1 minute: a thread hangs; restart the service"),
        one(metrics.stages.is_live(now)),
    );
    families.add(
        ("enterprise_consumer_ready", Kind::Gauge, NONE),
        About("1 while the service can make progress; /readyz has every reason", "0 for 10 minutes"),
        one(readiness(metrics, is_stopping, now).is_ready()),
    );
    let checkpoint = metrics.database().map(|database| ("checkpoint", &database.checkpoint_stage));
    let busy = metrics.stages.iter().chain(checkpoint).map(|(name, stage)| (name, stage.busy_for(now).into()));
    families.add(
        ("enterprise_consumer_stage_busy_seconds", Kind::Gauge, &["stage"]),
        About(
            "How long the present piece of work of a stage has taken, 0 while it waits: reader, writer, group, checkpoint",
            "`checkpoint` above 60: the disk is overloaded or hangs",
        ),
        labelled(busy),
    );
}

fn add_progress(families: &mut Families, metrics: &Metrics) {
    families.add(
        ("enterprise_consumer_unidentified_total", Kind::Counter, &["reason"]),
        About(
            "Records that are kept as unidentified messages, by reason",
            "any increase: a producer sends what is not an event",
        ),
        labelled(metrics.unidentified.iter().map(|(reason, count)| (reason, count.into()))),
    );
    families.add(
        ("enterprise_consumer_transactions_total", Kind::Counter, &["result"]),
        About("Attempts to store records in one transaction, by result", ""),
        labelled(metrics.transactions.results.iter().map(|(result, count)| (result, count.into()))),
    );
    families.add(
        ("enterprise_consumer_transaction_duration_seconds", Kind::Histogram, NONE),
        About("Time of each attempt, with its wait for a checkpoint", ""),
        one(metrics.transactions.duration.distribution()),
    );
    families.add(
        ("enterprise_consumer_transaction_records", Kind::Histogram, NONE),
        About("Records of each transaction", ""),
        one(metrics.transactions.records.distribution()),
    );
    families.add(
        ("enterprise_consumer_last_transaction_timestamp_seconds", Kind::Gauge, NONE),
        About(
            "When the last transaction was committed, in seconds since 1970",
            "far in the past while `lag_records` is above 0",
        ),
        timestamp(metrics.transactions.last_at()),
    );
    families.add(
        ("enterprise_consumer_position_changes_total", Kind::Counter, &["reason"]),
        About(
            "Offset jumps, by reason, as in the table position_changes",
            "any increase of `offsets_expired` or `log_truncated`: records were lost",
        ),
        labelled(metrics.position_changes.iter().map(|(reason, count)| (reason, count.into()))),
    );
    families.add(
        ("enterprise_consumer_partitions_assigned", Kind::Gauge, NONE),
        About(
            "Partitions that this instance stores",
            "the sum over all instances is not the number of partitions, for 10 minutes",
        ),
        one(u64::try_from(metrics.partitions.count_assigned()).unwrap_or(u64::MAX)),
    );
}

fn add_kafka(families: &mut Families, metrics: &Metrics) {
    let consumer = &metrics.consumer;
    families.add(
        ("enterprise_consumer_commits_total", Kind::Counter, &["result"]),
        About("Requests that commit group offsets, by result", "`failure` without `success` for 10 minutes"),
        labelled(RESULTS.into_iter().zip([consumer.commits_accepted().into(), consumer.commits_failed().into()])),
    );
    families.add(
        ("enterprise_consumer_last_commit_timestamp_seconds", Kind::Gauge, NONE),
        About("When group offsets were committed last, in seconds since 1970", ""),
        timestamp(consumer.last_commit_at()),
    );
    families.add(
        ("enterprise_consumer_fetched_bytes_total", Kind::Counter, NONE),
        About("Bytes of fetched record batches, as the brokers sent them", ""),
        one(consumer.fetched_bytes()),
    );
    families.add(
        ("enterprise_consumer_connects_total", Kind::Counter, NONE),
        About("Connections to brokers that were opened", "above 1 per second for 10 minutes: connections break"),
        one(consumer.connects()),
    );
    families.add(
        ("enterprise_consumer_rebalances_total", Kind::Counter, NONE),
        About("Assignments by the consumer group", "more than 10 in 10 minutes: members come and go"),
        one(consumer.rebalances()),
    );
}

fn add_failures(families: &mut Families, metrics: &Metrics) {
    let (database, sync) = (&metrics.database_attempts, &metrics.sync_attempts);
    families.add(
        ("enterprise_consumer_retries_total", Kind::Counter, &["what"]),
        About("Failed attempts that were retried, of: database, sync, kafka", ""),
        labelled([
            ("database", database.retries().into()),
            ("sync", sync.retries().into()),
            ("kafka", metrics.kafka_retries.get().into()),
        ]),
    );
    families.add(
        ("enterprise_consumer_failing_attempts", Kind::Gauge, &["what"]),
        About("Attempts in a row that have failed by now, 0 if the last one succeeded", "above 0 for 5 minutes"),
        labelled([
            ("database", database.failing().into()),
            ("sync", sync.failing().into()),
            ("kafka", u64::from(metrics.consumer.failing_attempts()).into()),
        ]),
    );
}

fn add_database(families: &mut Families, metrics: &Metrics) {
    let sizes = metrics.sizes();
    families.add(
        ("enterprise_consumer_wal_bytes", Kind::Gauge, NONE),
        About(
            "Size of the WAL",
            "above a quarter of `wal_limit_bytes` for 10 minutes: a long-running reader blocks checkpoints",
        ),
        sizes.map(|sizes| one(sizes.wal_bytes)).unwrap_or_default(),
    );
    families.add(
        ("enterprise_consumer_wal_limit_bytes", Kind::Gauge, NONE),
        About("Size of the WAL at which nothing is written any more: WAL_MAX_BYTES", ""),
        one(metrics.description.wal_limit_bytes),
    );
    families.add(
        ("enterprise_consumer_database_bytes", Kind::Gauge, NONE),
        About("Size of the database file", ""),
        sizes.map(|sizes| one(sizes.database_bytes)).unwrap_or_default(),
    );
    families.add(
        ("enterprise_consumer_disk_free_bytes", Kind::Gauge, NONE),
        About("Free space of the database's file system", "below what the database grows by in a week"),
        sizes.map(|sizes| one(sizes.free_bytes)).unwrap_or_default(),
    );
}

fn add_disk(families: &mut Families, database: Option<&DatabaseStatistics>) {
    let checkpoints = database.map(|database| &database.checkpoints);
    let results = checkpoints.map(|checkpoints| {
        let (all, failed) = (checkpoints.duration.distribution().count, checkpoints.failed.get());
        labelled(RESULTS.into_iter().zip([all.saturating_sub(failed).into(), failed.into()]))
    });
    families.add(
        ("enterprise_consumer_checkpoints_total", Kind::Counter, &["result"]),
        About("Checkpoints of the WAL, by result", "any `failure`: the disk fails"),
        results.unwrap_or_default(),
    );
    let timed = [
        (
            "enterprise_consumer_checkpoint_duration_seconds",
            About("Time of each checkpoint of the WAL", ""),
            checkpoints,
        ),
        (
            "enterprise_consumer_sync_duration_seconds",
            About("Time of each sync of the WAL", "the 99th percentile above 1 s for 10 minutes: the disk is slow"),
            database.map(|database| &database.syncs),
        ),
    ];
    for (name, about, timed) in timed {
        let samples = timed.map(|timed| one(timed.duration.distribution()));
        families.add((name, Kind::Histogram, NONE), about, samples.unwrap_or_default());
    }
}

fn add_operation(families: &mut Families, metrics: &Metrics) {
    let expiry = metrics.credentials().into_iter();
    families.add(
        ("enterprise_consumer_credential_expiry_timestamp_seconds", Kind::Gauge, &["credential"]),
        About(
            "When a credential expires, in seconds since 1970: client_certificate, and token, which is that of the last authentication; no series if that is not known",
            "`client_certificate` less than 14 days away",
        ),
        labelled(expiry.map(|(credential, at)| (credential, seconds_since_1970(at)))),
    );
    families.add(
        ("enterprise_consumer_reloads_total", Kind::Counter, &["result"]),
        About(
            "Reloads of credentials and log files, by result",
            "any `failure`: a file is not valid, or a broker refuses the new credentials",
        ),
        labelled(metrics.reloads.iter().map(|(result, count)| (result, count.into()))),
    );
    let requests = metrics.http_requests();
    let sample = |((path, code), count): (&(&'static str, u16), &u64)| Sample {
        labels: vec![(*path).to_owned(), code.to_string()],
        value: (*count).into(),
    };
    families.add(
        ("enterprise_consumer_http_requests_total", Kind::Counter, &["path", "code"]),
        About("Requests that the HTTP server has answered, by path and status code", ""),
        requests.iter().map(sample).collect(),
    );
}

fn add_info(families: &mut Families, metrics: &Metrics) {
    let info = |labels: &[&str]| {
        vec![Sample { labels: labels.iter().map(|label| (*label).to_owned()).collect(), value: true.into() }]
    };
    let description = &metrics.description;
    families.add(
        ("enterprise_consumer_build_info", Kind::Gauge, &["version"]),
        About("The version of the program; always 1", "several versions for a day"),
        info(&[env!("CARGO_PKG_VERSION")]),
    );
    families.add(
        ("enterprise_consumer_database_info", Kind::Gauge, &["engine", "synchronous"]),
        About("The database engine and DATABASE_SYNCHRONOUS; always 1", ""),
        info(&["sqlite", description.synchronous]),
    );
    families.add(
        ("enterprise_consumer_group_info", Kind::Gauge, &["protocol", "isolation_level"]),
        About("KAFKA_GROUP_PROTOCOL and KAFKA_ISOLATION_LEVEL; always 1", ""),
        info(&[description.group_protocol, description.isolation_level]),
    );
}

fn add_process(families: &mut Families, metrics: &Metrics) {
    let Process { cpu, threads, resident_bytes, open_files, files_max } = Process::read();
    let known = |value: Option<Value>| value.map(one::<Value>).unwrap_or_default();
    let of_process: [(&str, Kind, About, Option<Value>); 6] = [
        ("process_cpu_seconds_total", Kind::Counter, About("CPU time of the process", ""), cpu.map(Value::from)),
        (
            "process_resident_memory_bytes",
            Kind::Gauge,
            About("Memory of the process that is resident", "above its usual value by a half for an hour"),
            resident_bytes.map(Value::from),
        ),
        ("process_threads", Kind::Gauge, About("Threads of the process", ""), threads.map(Value::from)),
        (
            "process_open_fds",
            Kind::Gauge,
            About("Open file descriptors", "above three quarters of `process_max_fds`"),
            open_files.map(Value::from),
        ),
        ("process_max_fds", Kind::Gauge, About("Limit of open file descriptors", ""), files_max.map(Value::from)),
        (
            "process_start_time_seconds",
            Kind::Gauge,
            About(
                "When the process started, in seconds since 1970",
                "it changes more than twice in an hour: a restart loop",
            ),
            Some(seconds_since_1970(metrics.started_at)),
        ),
    ];
    for (name, kind, about, value) in of_process {
        families.add((name, kind, NONE), about, known(value));
    }
}

fn one<T: Into<Value>>(value: T) -> Vec<Sample> {
    vec![Sample { labels: Vec::new(), value: value.into() }]
}

fn labelled(samples: impl IntoIterator<Item = (&'static str, Value)>) -> Vec<Sample> {
    let sample = |(label, value): (&str, Value)| Sample { labels: vec![label.to_owned()], value };
    samples.into_iter().map(sample).collect()
}

fn timestamp(at: Option<SystemTime>) -> Vec<Sample> {
    at.map(|at| one(seconds_since_1970(at))).unwrap_or_default()
}

fn seconds_since_1970(at: SystemTime) -> Value {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().into()
}
