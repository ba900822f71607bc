//! What goes wrong around the service: brokers stop, stand still and die, the database is locked, its disk full or read-only, logs
//! cannot be written. It says so, waits, goes on by itself, and ends with the same tables.
//!
//! `TEST_SIZE=full` lets each failure last as long as the service promises to ride out at least: 15 or 20 seconds.

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

use crate::support::child;
use crate::support::child::{Place, Service, json_lines};
use crate::support::load::Load;

/// How long a failure lasts.
fn lasting(full: Duration) -> Duration {
    if std::env::var_os("TEST_SIZE").is_some_and(|size| size == "full") { full } else { Duration::from_secs(2) }
}

/// How many records a load has.
const RECORDS: u32 = 12_000;
/// As many are more than fits into what the write-ahead log has of the disk already, wherever it stands.
const FULL_RECORDS: u32 = 30_000;
const PARTITIONS: i32 = 3;

/// A topic with half of a load in it.
fn half_loaded(kafka: &Client, name: &str) -> (String, Load) {
    half_loaded_with(kafka, name, RECORDS)
}

fn half_loaded_with(kafka: &Client, name: &str, records: u32) -> (String, Load) {
    let topic = unique(name);
    kafka.create_topic(&topic, PARTITIONS.try_into().unwrap(), &[]).unwrap();
    let load = Load::of(records, PARTITIONS, 300);
    let (first, _) = load.records.split_at(load.records.len() / 2);
    kafka.produce(&topic, &ProduceOptions::default(), first.iter().cloned()).unwrap();
    (topic, load)
}

fn produce_rest(kafka: &Client, topic: &str, load: &Load) {
    let (_, rest) = load.records.split_at(load.records.len() / 2);
    kafka.produce(topic, &ProduceOptions::default(), rest.iter().cloned()).unwrap();
}

/// One that reads in small steps, so that it is in the middle for a while.
fn slow_place(cluster: &Cluster, topic: &str) -> Place {
    let mut place = Place::new(&cluster.bootstrap_servers(), topic);
    place.set("BATCH_MAX_RECORDS", "50").set("KAFKA_FETCH_MAX_BYTES", "50000").set("LOG_LEVEL", "INFO");
    place
}

/// The whole load takes effect, the service stops in order, and the tables are right.
fn assert_goes_on(place: &Place, mut service: Service<'_>, load: &Load) {
    place.wait_for("the whole load", |place| place.stored() == i64::from(RECORDS));
    // Twice what the whole service may take at full rate: nothing piles up while it waits.
    let peak_kib = service.peak_kib();
    assert!(peak_kib < 200 << 10, "{peak_kib} KiB");
    service.signal("TERM");
    service.ends_with(0);
    place.assert_clean();
    load.assert_stored(&place.database());
}

#[test]
fn a_broker_that_is_stopped_and_started_again() {
    let cluster = Cluster::start(testkit::NEWEST).unwrap();
    let kafka = cluster.client().unwrap();
    let node = cluster.node(1).unwrap();
    let (topic, load) = half_loaded(kafka, "stopped");
    let place = slow_place(&cluster, &topic);
    let service = place.start(&["run"]);
    place.wait_for("the middle", |place| place.stored() > 2_000);
    node.stop().unwrap();
    place.wait_warning(0, &[&node.address(), "trying again"]);
    thread::sleep(lasting(Duration::from_secs(20)));
    node.start().unwrap();
    produce_rest(kafka, &topic, &load);
    assert_goes_on(&place, service, &load);
}

#[test]
fn a_broker_that_stands_still_for_a_while() {
    let cluster = Cluster::start(testkit::OLDEST).unwrap();
    let kafka = cluster.client().unwrap();
    let node = cluster.node(1).unwrap();
    let (topic, load) = half_loaded(kafka, "paused");
    let place = slow_place(&cluster, &topic);
    let service = place.start(&["run"]);
    place.wait_for("the middle", |place| place.stored() > 2_000);
    node.pause().unwrap();
    place.wait_warning(0, &[&node.address(), "has not answered"]);
    thread::sleep(lasting(Duration::from_secs(15)));
    node.resume().unwrap();
    produce_rest(kafka, &topic, &load);
    assert_goes_on(&place, service, &load);
}

#[test]
fn a_leader_that_is_killed() {
    let cluster = Cluster::builder(testkit::NEWEST).nodes(3).start().unwrap();
    let kafka = cluster.client().unwrap();
    let (topic, load) = half_loaded(kafka, "killed");
    let place = slow_place(&cluster, &topic);
    let service = place.start(&["run"]);
    place.wait_for("the middle", |place| place.stored() > 2_000);
    let leader = kafka.leaders(&topic).unwrap()[0].unwrap();
    cluster.node(leader).unwrap().kill().unwrap();
    place.wait_warning(0, &[&cluster.node(leader).unwrap().address(), "trying again"]);
    produce_rest(kafka, &topic, &load);
    assert_goes_on(&place, service, &load);
}

#[test]
fn a_database_that_is_locked_for_a_while() {
    let cluster = testkit::shared(testkit::NEWEST).unwrap();
    let kafka = cluster.client().unwrap();
    let (topic, load) = half_loaded(kafka, "locked");
    let place = slow_place(cluster, &topic);
    let service = place.start(&["run"]);
    place.wait_for("the middle", |place| place.stored() > 2_000);
    let mut other = Connection::open(place.database_path()).unwrap();
    other.busy_timeout(child::PATIENCE).unwrap();
    let held = other.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
    let before = place.stored();
    produce_rest(kafka, &topic, &load);
    let warning = place.wait_warning(0, &["storing", "locked", "trying again"]);
    assert!(warning["attempt"].is_u64() && warning["wait_ms"].is_u64(), "{warning}");
    thread::sleep(lasting(Duration::from_secs(15)));
    assert_eq!(place.stored(), before, "stored in spite of the lock");
    held.commit().unwrap();
    assert_goes_on(&place, service, &load);
}

#[test]
fn a_reader_that_keeps_the_write_ahead_log_from_being_reused() {
    let cluster = testkit::shared(testkit::NEWEST).unwrap();
    let kafka = cluster.client().unwrap();
    let (topic, load) = half_loaded(kafka, "snapshot");
    let mut place = slow_place(cluster, &topic);
    place.set("WAL_MAX_BYTES", "1048576");
    let service = place.start(&["run"]);
    place.wait_for("the beginning", |place| place.stored() > 0);
    let reader = place.database();
    reader.execute_batch("BEGIN; SELECT count(*) FROM opportunities").unwrap();
    produce_rest(kafka, &topic, &load);
    place.wait_warning(0, &["the WAL has", "limit is 1048576", "trying again"]);
    let before = place.stored();
    thread::sleep(lasting(Duration::from_secs(15)));
    assert_eq!(place.stored(), before, "stored beyond the limit");
    let wal = fs::metadata(place.path().join("data/enterprise.db-wal")).unwrap().len();
    // One transaction may go beyond it.
    assert!(wal < 2 << 20, "the log has {wal} bytes");
    reader.execute_batch("COMMIT").unwrap();
    assert_goes_on(&place, service, &load);
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().unwrap().stdout == b"0\n"
}

/// Runs the service with a file system of its own at `data`, as root or, where users may, as somebody who plays root.
fn with_own_disk(place: &mut Place, options: &str) {
    let mount = format!("mount -t tmpfs -o {options} tmpfs data && exec \"$@\"");
    fs::create_dir(place.path().join("data")).unwrap();
    let namespaces = if is_root() { "-m" } else { "-Urm" };
    let tried = Command::new("unshare").args([namespaces, "true"]).status();
    assert!(tried.is_ok_and(|status| status.success()), "needs util-linux and the right to run `unshare {namespaces}`");
    place.wrap(&["unshare", namespaces, "sh", "-c", &mount, "sh"]);
}

/// The file system at `data` of a running service. It lives on as long as this does.
struct Disk(File);

impl Disk {
    fn of(place: &Place, service: &Service<'_>) -> Self {
        let data = place.path().join("data");
        let inside = format!("/proc/{}/root{}", service.pid(), data.to_str().unwrap());
        Self(File::open(inside).unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new(&format!("/proc/self/fd/{}", self.0.as_raw_fd())).join(name)
    }

    /// Copies the database to where it would be without a file system of its own; the service must have ended.
    fn bring_out(&self, place: &Place) {
        for name in ["enterprise.db", "enterprise.db-wal"] {
            if self.path(name).exists() {
                fs::copy(self.path(name), place.path().join("data").join(name)).unwrap();
            }
        }
    }
}

/// Records stored so far, as the log tells, since the database itself cannot be seen from outside.
fn logged(place: &Place) -> u64 {
    place
        .log()
        .iter()
        .filter(|line| line["message"] == "batch stored")
        .map(|line| line["records"].as_u64().unwrap())
        .sum()
}

#[test]
fn a_disk_that_is_full_for_a_while() {
    let cluster = testkit::shared(testkit::NEWEST).unwrap();
    let kafka = cluster.client().unwrap();
    let (topic, load) = half_loaded_with(kafka, "full", FULL_RECORDS);
    let mut place = slow_place(cluster, &topic);
    place.set("LOG_LEVEL", "DEBUG");
    with_own_disk(&mut place, "size=64m");
    let mut service = place.start(&["run"]);
    place.wait_for("the middle", |place| logged(place) > 2_000);
    service.signal("STOP");
    let disk = Disk::of(&place, &service);
    let mut ballast = File::create(disk.path("ballast")).unwrap();
    while ballast.write_all(&[0; 4096]).is_ok() {}
    service.signal("CONT");
    produce_rest(kafka, &topic, &load);
    let warning = place.wait_warning(0, &["storing", "full", "trying again"]);
    assert!(warning["attempt"].is_u64() && warning["wait_ms"].is_u64(), "{warning}");
    let before = logged(&place);
    thread::sleep(lasting(Duration::from_secs(15)));
    assert_eq!(logged(&place), before, "stored on a full disk");
    drop(ballast);
    fs::remove_file(disk.path("ballast")).unwrap();
    place.wait_for("the whole load", |place| logged(place) == u64::from(FULL_RECORDS));
    service.signal("TERM");
    service.ends_with(0);
    disk.bring_out(&place);
    place.assert_clean();
    load.assert_stored(&place.database());
}

#[test]
fn a_disk_that_is_read_only_for_a_while() {
    let cluster = testkit::shared(testkit::NEWEST).unwrap();
    let kafka = cluster.client().unwrap();
    let (topic, load) = half_loaded(kafka, "readonly");
    produce_rest(kafka, &topic, &load);
    let mut place = slow_place(cluster, &topic);
    place.set("LOG_LEVEL", "DEBUG");
    with_own_disk(&mut place, "ro");
    let mut service = place.start(&["run"]);
    let warning = place.wait_warning(0, &["database", "trying again"]);
    assert!(warning["message"].as_str().unwrap().to_lowercase().contains("read-only"), "{warning}");
    thread::sleep(lasting(Duration::from_secs(15)));
    assert!(service.is_running());
    let pid = service.pid().to_string();
    let mut command = Command::new("nsenter");
    command.args(["-t", &pid, "-m"]);
    if !is_root() {
        command.args(["-U", "--preserve-credentials"]);
    }
    let data = place.path().join("data");
    // Named in full: else the options that it has now would be given again, of which a user may not give some.
    assert!(command.args(["mount", "-t", "tmpfs", "-o", "remount,rw", "tmpfs"]).arg(&data).status().unwrap().success());
    place.wait_for("the whole load", |place| logged(place) == u64::from(RECORDS));
    let disk = Disk::of(&place, &service);
    service.signal("TERM");
    service.ends_with(0);
    disk.bring_out(&place);
    place.assert_clean();
    load.assert_stored(&place.database());
}

#[test]
fn logs_that_cannot_be_written() {
    let cluster = testkit::shared(testkit::NEWEST).unwrap();
    let kafka = cluster.client().unwrap();
    let (topic, load) = half_loaded(kafka, "logs");
    produce_rest(kafka, &topic, &load);
    for (log, unidentified) in
        [(".", ".."), ("/dev/null/x", "/dev/null/y"), ("/dev/full", "/dev/full/x"), ("stdout/x", "/dev/full")]
    {
        let mut place = Place::new(&cluster.bootstrap_servers(), &topic);
        place.set("KAFKA_GROUP_ID", &unique("group")).set("LOG_FILE", log).set("UNIDENTIFIED_LOG_FILE", unidentified);
        place.run_to_end();
        place.assert_clean();
        load.assert_stored(&place.database());
        let stderr = place.stderr();
        assert!(stderr.contains("WARN") && stderr.contains(&format!("path={unidentified}")), "{stderr}");
        assert!(stderr.contains(log), "nothing about {log}: {stderr}");
    }
}

#[test]
fn an_unidentified_log_that_can_be_written_again() {
    let cluster = testkit::shared(testkit::NEWEST).unwrap();
    let kafka = cluster.client().unwrap();
    let (topic, load) = half_loaded(kafka, "again");
    produce_rest(kafka, &topic, &load);
    let place = Place::new(&cluster.bootstrap_servers(), &topic);
    fs::create_dir_all(place.unidentified_path()).unwrap();
    let service = place.start(&["run"]);
    place.wait_warning(0, &["cannot write the log of unidentified messages"]);
    fs::remove_dir(place.unidentified_path()).unwrap();
    let messages = usize::try_from(RECORDS / 100).unwrap();
    place.wait_for("the messages", |place| json_lines(&place.unidentified_path()).len() >= messages);
    assert_goes_on(&place, service, &load);
    assert_eq!(json_lines(&place.unidentified_path()).len(), messages);
    let warnings = place.log().into_iter().filter(|line| child::is_warning(line, &["cannot write the log"])).count();
    assert_eq!(warnings, 1, "one failure, one WARN");
}

#[test]
fn a_log_file_that_logrotate_copies_and_truncates() {
    let cluster = testkit::shared(testkit::NEWEST).unwrap();
    let kafka = cluster.client().unwrap();
    let (topic, load) = half_loaded(kafka, "rotated");
    let mut place = slow_place(cluster, &topic);
    place.set("LOG_LEVEL", "DEBUG");
    let service = place.start(&["run"]);
    place.wait_for("the middle", |place| place.stored() > 2_000);
    let truncate = || File::options().write(true).open(place.log_path()).unwrap().set_len(0).unwrap();
    truncate();
    produce_rest(kafka, &topic, &load);
    place.wait_for("new lines", |place| !place.log().is_empty());
    truncate();
    // `log` insists on whole JSON lines: a hole in the file would be none.
    place.wait_for("the last line", |place| place.stored() == i64::from(RECORDS));
    assert_goes_on(&place, service, &load);
    assert_eq!(place.log().last().unwrap()["message"], "service stopped");
}

#[test]
fn attempts_run_out_where_they_are_counted() {
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut place = Place::new(&dead, "nowhere");
    place.set("RETRY_MAX_ATTEMPTS", "3");
    let attempts = |from: usize| {
        let log = place.log();
        let warnings = log[from..].iter().filter(|line| child::is_warning(line, &["trying again"]));
        warnings.map(|line| line["attempt"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    place.start(&["run"]).ends_with(1);
    let last_line = || place.stderr().lines().last().unwrap().to_owned();
    assert!(last_line().contains("gave up after 3 failed attempts") && last_line().contains(&dead), "{}", last_line());
    assert_eq!(attempts(0), [1, 2]);

    let before = place.log().len();
    let other = Connection::open(place.database_path()).unwrap();
    other.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; COMMIT").unwrap();
    place.start(&["run"]).ends_with(1);
    assert!(
        last_line().contains("gave up after 3 failed attempts") && last_line().contains("locked"),
        "{}",
        last_line()
    );
    assert_eq!(attempts(before), [1, 2]);
}
