//! Failures of the environment: brokers stop, pause and are killed, the database is locked, its disk is full or read-only, logs cannot
//! be written. The service logs them, retries, recovers by itself, and ends with the same tables.
//!
//! With `TEST_SIZE=full` each failure lasts 15 or 20 seconds, the time that the service promises to survive at least.

use std::fs::{self, File};
use std::io::Write;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use testkit::{Client, Cluster, ProduceOptions, unique};

use crate::support::load::Load;
use crate::support::process;
use crate::support::process::{Installation, Service, json_lines};

/// The duration of a failure.
fn lasting(full: Duration) -> Duration {
    if std::env::var_os("TEST_SIZE").is_some_and(|size| size == "full") { full } else { Duration::from_secs(2) }
}

/// The number of records of a load.
const RECORDS: u32 = 12_000;
/// The number of records of a load that does not fit into the present WAL file, whatever its state.
const FULL_RECORDS: u32 = 30_000;
const PARTITIONS: i32 = 3;

/// A topic with the first half of a load, and an installation whose service reads it in small steps, so that a failure can happen in
/// the middle.
struct HalfLoaded<'a> {
    kafka: &'a Client,
    topic: String,
    load: Load,
    installation: Installation,
}

impl<'a> HalfLoaded<'a> {
    fn new(cluster: &'a Cluster, name: &str) -> Self {
        Self::of(cluster, name, RECORDS)
    }

    fn of(cluster: &'a Cluster, name: &str, records: u32) -> Self {
        let (kafka, topic) = (cluster.client().unwrap(), unique(name));
        kafka.create_topic(&topic, PARTITIONS.try_into().unwrap(), &[]).unwrap();
        let load = Load::of(records, PARTITIONS, 300);
        let (first, _) = load.records.split_at(load.records.len() / 2);
        kafka.produce(&topic, &ProduceOptions::default(), first.iter().cloned()).unwrap();
        let mut installation = Installation::new(&cluster.bootstrap_servers(), &topic);
        installation.set("BATCH_MAX_RECORDS", "50").set("KAFKA_FETCH_MAX_BYTES", "50000").set("LOG_LEVEL", "INFO");
        Self { kafka, topic, load, installation }
    }

    fn produce_rest(&self) {
        let (_, rest) = self.load.records.split_at(self.load.records.len() / 2);
        self.kafka.produce(&self.topic, &ProduceOptions::default(), rest.iter().cloned()).unwrap();
    }

    /// Starts the service, and waits until it has stored some records.
    fn start_and_wait(&self) -> Service<'_> {
        let service = self.installation.start(&["run"]);
        self.installation.wait_for("the middle", |installation| installation.stored() > 2_000);
        service
    }

    /// Waits until the whole load is stored, stops the service, and checks the tables.
    fn assert_recovers(&self, mut service: Service<'_>) {
        self.installation.wait_for("the whole load", |installation| installation.stored() == i64::from(RECORDS));
        // Twice the memory of a service at full rate: the backlog is bounded while it retries.
        let peak_kib = service.peak_kib();
        assert!(peak_kib < 200 << 10, "{peak_kib} KiB");
        service.signal("TERM");
        service.ends_with(0);
        self.assert_stored();
    }

    fn assert_stored(&self) {
        self.installation.assert_clean();
        self.load.assert_stored(&self.installation.database());
    }
}

#[test]
fn a_broker_that_is_stopped_and_started_again() {
    let cluster = Cluster::start(testkit::NEWEST).unwrap();
    let node = cluster.node(1).unwrap();
    let half = HalfLoaded::new(&cluster, "stopped");
    let (installation, service) = (&half.installation, half.start_and_wait());
    node.stop().unwrap();
    installation.wait_warning(0, &[&node.address(), "trying again"]);
    thread::sleep(lasting(Duration::from_secs(20)));
    node.start().unwrap();
    half.produce_rest();
    half.assert_recovers(service);
}

#[test]
fn a_broker_that_is_paused_for_a_while() {
    let cluster = Cluster::start(testkit::OLDEST).unwrap();
    let node = cluster.node(1).unwrap();
    let half = HalfLoaded::new(&cluster, "paused");
    let (installation, service) = (&half.installation, half.start_and_wait());
    node.pause().unwrap();
    installation.wait_warning(0, &[&node.address(), "has not answered"]);
    thread::sleep(lasting(Duration::from_secs(15)));
    node.resume().unwrap();
    half.produce_rest();
    half.assert_recovers(service);
}

#[test]
fn a_leader_that_is_killed() {
    let cluster = Cluster::builder(testkit::NEWEST).nodes(3).start().unwrap();
    let half = HalfLoaded::new(&cluster, "killed");
    let (installation, service) = (&half.installation, half.start_and_wait());
    let leader = half.kafka.leaders(&half.topic).unwrap()[0].unwrap();
    cluster.node(leader).unwrap().kill().unwrap();
    installation.wait_warning(0, &[&cluster.node(leader).unwrap().address(), "trying again"]);
    half.produce_rest();
    half.assert_recovers(service);
}

#[test]
fn a_database_that_is_locked_for_a_while() {
    let cluster = testkit::shared(testkit::NEWEST).unwrap();
    let half = HalfLoaded::new(cluster, "locked");
    let (installation, service) = (&half.installation, half.start_and_wait());
    let mut other = Connection::open(installation.database_path()).unwrap();
    other.busy_timeout(process::WAIT_MAX).unwrap();
    let held = other.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
    let before = installation.stored();
    half.produce_rest();
    let warning = installation.wait_warning(0, &["storing", "locked", "trying again"]);
    assert!(warning["attempt"].is_u64() && warning["wait_ms"].is_u64(), "{warning}");
    thread::sleep(lasting(Duration::from_secs(15)));
    assert_eq!(installation.stored(), before, "stored in spite of the lock");
    held.commit().unwrap();
    half.assert_recovers(service);
}

#[test]
fn a_long_running_reader_that_blocks_checkpoints() {
    let cluster = testkit::shared(testkit::NEWEST).unwrap();
    let mut half = HalfLoaded::new(cluster, "snapshot");
    half.installation.set("WAL_MAX_BYTES", "1048576");
    let installation = &half.installation;
    let service = installation.start(&["run"]);
    installation.wait_for("the beginning", |installation| installation.stored() > 0);
    let reader = installation.database();
    reader.execute_batch("BEGIN; SELECT count(*) FROM opportunities").unwrap();
    half.produce_rest();
    installation.wait_warning(0, &["the WAL has", "limit is 1048576", "trying again"]);
    let before = installation.stored();
    thread::sleep(lasting(Duration::from_secs(15)));
    assert_eq!(installation.stored(), before, "stored beyond the limit");
    let wal = fs::metadata(installation.path().join("data/enterprise.db-wal")).unwrap().len();
    // One transaction may exceed the limit.
    assert!(wal < 2 << 20, "the log has {wal} bytes");
    reader.execute_batch("COMMIT").unwrap();
    half.assert_recovers(service);
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().unwrap().stdout == b"0\n"
}

/// Runs the service with a separate file system at `data`, as root or in a user namespace.
fn with_own_disk(installation: &mut Installation, options: &str) {
    let mount = format!("mount -t tmpfs -o {options} tmpfs data && exec \"$@\"");
    fs::create_dir(installation.path().join("data")).unwrap();
    let namespaces = if is_root() { "-m" } else { "-Urm" };
    let tried = Command::new("unshare").args([namespaces, "true"]).status();
    assert!(tried.is_ok_and(|status| status.success()), "needs util-linux and the right to run `unshare {namespaces}`");
    installation.wrap(&["unshare", namespaces, "sh", "-c", &mount, "sh"]);
}

/// The file system at `data` of a running service, kept open after the service has ended.
struct Disk(File);

impl Disk {
    fn of(installation: &Installation, service: &Service<'_>) -> Self {
        let data = installation.path().join("data");
        let inside = format!("/proc/{}/root{}", service.pid(), data.to_str().unwrap());
        Self(File::open(inside).unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new(&format!("/proc/self/fd/{}", self.0.as_raw_fd())).join(name)
    }

    /// Copies the database out of the separate file system; the service must have ended.
    fn bring_out(&self, installation: &Installation) {
        for name in ["enterprise.db", "enterprise.db-wal"] {
            if self.path(name).exists() {
                fs::copy(self.path(name), installation.path().join("data").join(name)).unwrap();
            }
        }
    }
}

/// The number of stored records according to the log: the database cannot be read from outside.
fn logged(installation: &Installation) -> u64 {
    installation
        .log()
        .iter()
        .filter(|line| line["message"] == "batch stored")
        .map(|line| line["records"].as_u64().unwrap())
        .sum()
}

#[test]
fn a_disk_that_is_full_for_a_while() {
    let cluster = testkit::shared(testkit::NEWEST).unwrap();
    let mut half = HalfLoaded::of(cluster, "full", FULL_RECORDS);
    half.installation.set("LOG_LEVEL", "DEBUG");
    with_own_disk(&mut half.installation, "size=64m");
    let installation = &half.installation;
    let mut service = installation.start(&["run"]);
    installation.wait_for("the middle", |installation| logged(installation) > 2_000);
    service.signal("STOP");
    let disk = Disk::of(installation, &service);
    let mut ballast = File::create(disk.path("ballast")).unwrap();
    while ballast.write_all(&[0; 4096]).is_ok() {}
    service.signal("CONT");
    half.produce_rest();
    let warning = installation.wait_warning(0, &["storing", "full", "trying again"]);
    assert!(warning["attempt"].is_u64() && warning["wait_ms"].is_u64(), "{warning}");
    let before = logged(installation);
    thread::sleep(lasting(Duration::from_secs(15)));
    assert_eq!(logged(installation), before, "stored on a full disk");
    drop(ballast);
    fs::remove_file(disk.path("ballast")).unwrap();
    installation.wait_for("the whole load", |installation| logged(installation) == u64::from(FULL_RECORDS));
    service.signal("TERM");
    service.ends_with(0);
    disk.bring_out(installation);
    half.assert_stored();
}

#[test]
fn a_disk_that_is_read_only_for_a_while() {
    let cluster = testkit::shared(testkit::NEWEST).unwrap();
    let mut half = HalfLoaded::new(cluster, "readonly");
    half.produce_rest();
    half.installation.set("LOG_LEVEL", "DEBUG");
    with_own_disk(&mut half.installation, "ro");
    let installation = &half.installation;
    let mut service = installation.start(&["run"]);
    let warning = installation.wait_warning(0, &["database", "trying again"]);
    assert!(warning["message"].as_str().unwrap().to_lowercase().contains("read-only"), "{warning}");
    thread::sleep(lasting(Duration::from_secs(15)));
    assert!(service.is_running());
    let pid = service.pid().to_string();
    let mut command = Command::new("nsenter");
    command.args(["-t", &pid, "-m"]);
    if !is_root() {
        command.args(["-U", "--preserve-credentials"]);
    }
    let data = installation.path().join("data");
    // All options: otherwise `mount` repeats the present ones, some of which only root may set.
    assert!(command.args(["mount", "-t", "tmpfs", "-o", "remount,rw", "tmpfs"]).arg(&data).status().unwrap().success());
    installation.wait_for("the whole load", |installation| logged(installation) == u64::from(RECORDS));
    let disk = Disk::of(installation, &service);
    service.signal("TERM");
    service.ends_with(0);
    disk.bring_out(installation);
    half.assert_stored();
}

#[test]
fn logs_that_cannot_be_written() {
    let cluster = testkit::shared(testkit::NEWEST).unwrap();
    let half = HalfLoaded::new(cluster, "logs");
    half.produce_rest();
    for (log, unidentified) in
        [(".", ".."), ("/dev/null/x", "/dev/null/y"), ("/dev/full", "/dev/full/x"), ("stdout/x", "/dev/full")]
    {
        let mut installation = Installation::new(&cluster.bootstrap_servers(), &half.topic);
        installation
            .set("KAFKA_GROUP_ID", &unique("group"))
            .set("LOG_FILE", log)
            .set("UNIDENTIFIED_LOG_FILE", unidentified);
        installation.run_to_end();
        installation.assert_clean();
        half.load.assert_stored(&installation.database());
        let stderr = installation.stderr();
        assert!(stderr.contains("WARN") && stderr.contains(&format!("path={unidentified}")), "{stderr}");
        assert!(stderr.contains(log), "nothing about {log}: {stderr}");
    }
}

#[test]
fn an_unidentified_log_that_can_be_written_again() {
    let cluster = testkit::shared(testkit::NEWEST).unwrap();
    let half = HalfLoaded::new(cluster, "again");
    half.produce_rest();
    let installation = &half.installation;
    fs::create_dir_all(installation.unidentified_path()).unwrap();
    let service = installation.start(&["run"]);
    installation.wait_warning(0, &["cannot write the log of unidentified messages"]);
    fs::remove_dir(installation.unidentified_path()).unwrap();
    let messages = usize::try_from(RECORDS / 100).unwrap();
    installation
        .wait_for("the messages", |installation| json_lines(&installation.unidentified_path()).len() >= messages);
    half.assert_recovers(service);
    assert_eq!(json_lines(&installation.unidentified_path()).len(), messages);
    let warnings =
        installation.log().into_iter().filter(|line| process::is_warning(line, &["cannot write the log"])).count();
    assert_eq!(warnings, 1, "one failure, one WARN");
}

#[test]
fn a_log_file_that_logrotate_copies_and_truncates() {
    let cluster = testkit::shared(testkit::NEWEST).unwrap();
    let mut half = HalfLoaded::new(cluster, "rotated");
    half.installation.set("LOG_LEVEL", "DEBUG");
    let installation = &half.installation;
    let service = installation.start(&["run"]);
    installation.wait_for("the middle", |installation| installation.stored() > 2_000);
    let truncate = || File::options().write(true).open(installation.log_path()).unwrap().set_len(0).unwrap();
    truncate();
    half.produce_rest();
    installation.wait_for("new lines", |installation| !installation.log().is_empty());
    truncate();
    // `log` requires whole JSON lines: a hole in the file would fail.
    installation.wait_for("the last line", |installation| installation.stored() == i64::from(RECORDS));
    half.assert_recovers(service);
    assert_eq!(installation.log().last().unwrap()["message"], "service stopped");
}

#[test]
fn attempts_are_exhausted_if_they_are_limited() {
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut installation = Installation::new(&dead, "nowhere");
    installation.set("RETRY_MAX_ATTEMPTS", "3");
    let attempts = |from: usize| {
        let log = installation.log();
        let warnings = log[from..].iter().filter(|line| process::is_warning(line, &["trying again"]));
        warnings.map(|line| line["attempt"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    installation.start(&["run"]).ends_with(1);
    let last_line = || installation.stderr().lines().last().unwrap().to_owned();
    assert!(last_line().contains("gave up after 3 failed attempts") && last_line().contains(&dead), "{}", last_line());
    assert_eq!(attempts(0), [1, 2]);

    let before = installation.log().len();
    let other = Connection::open(installation.database_path()).unwrap();
    other.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; COMMIT").unwrap();
    installation.start(&["run"]).ends_with(1);
    assert!(
        last_line().contains("gave up after 3 failed attempts") && last_line().contains("locked"),
        "{}",
        last_line()
    );
    assert_eq!(attempts(before), [1, 2]);
}
