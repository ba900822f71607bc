//! SIGINT, SIGTERM and SIGHUP in every phase of the service's life: it ends by itself, soon, with exit code 0 and everything in
//! order; and when it cannot, a second signal or the deadline ends it.

use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use testkit::{Cluster, ProduceOptions, unique};

use crate::support::child;
use crate::support::child::{PATIENCE, Place, Service};
use crate::support::fake_broker::{Answer, Api, FakeBroker, Log};
use crate::support::load::Load;

const SIGNALS: [&str; 3] = ["INT", "TERM", "HUP"];

/// What a stop may take where nothing hangs. It takes some hundredths of a second; machines that do much else take longer.
const SOON: Duration = Duration::from_secs(5);

fn assert_stops(place: &Place, mut service: Service<'_>, signal: &str) {
    assert!(service.is_running(), "{}", place.tail());
    service.signal(signal);
    let status = service.wait(SOON);
    assert_eq!(status.code(), Some(0), "SIG{signal}: {status}; {}", place.tail());
    if place.database_path().exists() {
        place.assert_clean();
    }
}

/// An address that nobody listens at.
fn dead_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// What the group has committed is what the database holds, for every partition.
fn assert_committed(cluster: &Cluster, place: &Place, topic: &str) {
    let committed = cluster.client().unwrap().committed_offsets(&format!("group-of-{topic}")).unwrap();
    let database = place.database();
    let mut statement = database.prepare("SELECT partition, next_offset FROM consumer_offsets").unwrap();
    let stored = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    for (partition, offset) in stored.map(|row: rusqlite::Result<(i32, i64)>| row.unwrap()) {
        assert_eq!(committed.get(&(topic.to_owned(), partition)).unwrap().offset, offset, "{topic}-{partition}");
    }
}

#[test]
fn while_idle() {
    let cluster = testkit::shared(testkit::NEWEST).unwrap();
    let kafka = cluster.client().unwrap();
    let topic = unique("idle");
    kafka.create_topic(&topic, 2, &[]).unwrap();
    let load = Load::of(100, 2, 200);
    kafka.produce(&topic, &ProduceOptions::default(), load.records.iter().cloned()).unwrap();
    let place = Place::new(&cluster.bootstrap_servers(), &topic);
    for signal in SIGNALS {
        let before = place.log().len();
        let service = place.start(&[]);
        place.wait_for("both partitions", |place| {
            let started = |line: &serde_json::Value| line["message"] == "partition assigned";
            place.stored() == 100 && place.log().into_iter().skip(before).filter(started).count() == 2
        });
        assert_stops(&place, service, signal);
        assert_committed(cluster, &place, &topic);
    }
    load.assert_stored(&place.database());
}

#[test]
fn in_the_middle_of_the_work() {
    let cluster = testkit::shared(testkit::NEWEST).unwrap();
    let kafka = cluster.client().unwrap();
    let topic = unique("busy");
    kafka.create_topic(&topic, 3, &[]).unwrap();
    let load = Load::of(60_000, 3, 300);
    kafka.produce(&topic, &ProduceOptions::default(), load.records.iter().cloned()).unwrap();
    let mut place = Place::new(&cluster.bootstrap_servers(), &topic);
    place.set("BATCH_MAX_RECORDS", "20").set("KAFKA_FETCH_MAX_BYTES", "100000").set("LOG_LEVEL", "INFO");
    for (signal, mark) in SIGNALS.into_iter().zip([1, 5_000, 10_000]) {
        let service = place.start(&["run"]);
        place.wait_for(&format!("{mark} records"), |place| place.stored() >= mark);
        assert_stops(&place, service, signal);
        assert!((mark..60_000).contains(&place.stored()), "not in the middle: {}", place.stored());
        assert_committed(cluster, &place, &topic);
    }
    place.set("BATCH_MAX_RECORDS", "5000").set("KAFKA_FETCH_MAX_BYTES", "1000000");
    place.run_to_end();
    load.assert_stored(&place.database());
    place.assert_clean();
}

#[test]
fn in_a_long_backoff_without_any_broker() {
    for signal in SIGNALS {
        let mut place = Place::new(&dead_address(), "nowhere");
        place.set("RETRY_INITIAL_MS", "600000").set("RETRY_MAX_MS", "600000");
        let service = place.start(&["run"]);
        let warning = place.wait_warning(0, &["cannot connect"]);
        assert!(warning["wait_ms"].as_u64().is_some_and(|wait| wait >= 300_000), "{warning}");
        assert_stops(&place, service, signal);
    }
}

#[test]
fn while_a_connection_is_being_made() {
    for signal in SIGNALS {
        // Accepts by the kernel's hand only, and never answers.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = Place::new(&listener.local_addr().unwrap().to_string(), "nowhere");
        let service = place.start(&["run"]);
        place.wait_for("the start", |place| !place.log().is_empty());
        assert_stops(&place, service, signal);
    }
}

#[test]
fn before_anything_at_all() {
    // Whatever it is at: before the handler is set a signal ends it as it ends any program, later it stops in order.
    for attempt in 0..30 {
        let place = Place::new(&dead_address(), "nowhere");
        let mut service = place.start(&["run"]);
        thread::sleep(Duration::from_millis(attempt));
        service.signal("TERM");
        let status = service.wait(SOON);
        assert!(
            status.code() == Some(0) || status.signal() == Some(15),
            "after {attempt} ms: {status}; {}",
            place.tail()
        );
        if place.number("SELECT count(*) FROM database_identity").is_some() {
            place.assert_clean();
        }
    }
}

#[test]
fn while_the_database_is_locked() {
    let cluster = testkit::shared(testkit::NEWEST).unwrap();
    let kafka = cluster.client().unwrap();
    let topic = unique("locked");
    kafka.create_topic(&topic, 1, &[]).unwrap();
    let load = Load::of(200, 1, 200);
    let place = Place::new(&cluster.bootstrap_servers(), &topic);
    place.run_to_end();
    kafka.produce(&topic, &ProduceOptions::default(), load.records.iter().cloned()).unwrap();
    for signal in SIGNALS {
        let before = place.log().len();
        let other = Connection::open(place.database_path()).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let service = place.start(&["run"]);
        place.wait_warning(before, &["storing", "locked"]);
        assert_stops(&place, service, signal);
        assert_eq!(place.stored(), 0);
    }
    // Opening it may have to wait too: with the file's exclusive lock not even reading is possible.
    let before = place.log().len();
    let other = Connection::open(place.database_path()).unwrap();
    other.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; COMMIT").unwrap();
    let mut service = place.start(&["run"]);
    place.wait_warning(before, &["opening the database", "locked"]);
    service.signal("TERM");
    assert_eq!(service.wait(SOON).code(), Some(0));
    drop(other);
    place.run_to_end();
    load.assert_stored(&place.database());
}

#[test]
fn while_the_broker_stands_still() {
    let cluster = Cluster::start(testkit::NEWEST).unwrap();
    let kafka = cluster.client().unwrap();
    let node = cluster.node(1).unwrap();
    let topic = unique("still");
    kafka.create_topic(&topic, 1, &[]).unwrap();
    let load = Load::of(20_000, 1, 300);
    kafka.produce(&topic, &ProduceOptions::default(), load.records.iter().cloned()).unwrap();
    let mut place = Place::new(&cluster.bootstrap_servers(), &topic);
    place.set("BATCH_MAX_RECORDS", "20").set("KAFKA_FETCH_MAX_BYTES", "50000").set("SHUTDOWN_TIMEOUT_MS", "2000");
    for (signal, mark) in SIGNALS.into_iter().zip([0, 1_000, 3_000]) {
        let before = place.log().len();
        let service = place.start(&["run"]);
        place.wait_for("the start", |place| place.log().len() > before + 1 && place.stored() >= mark);
        node.pause().unwrap();
        // What it has on hand it may still store; then it waits for an answer.
        assert_stops(&place, service, signal);
        node.resume().unwrap();
    }
    place.set("BATCH_MAX_RECORDS", "5000").set("KAFKA_FETCH_MAX_BYTES", "1000000");
    place.run_to_end();
    load.assert_stored(&place.database());
    place.assert_clean();
    assert_committed(&cluster, &place, &topic);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for [first, second] in [["INT", "INT"], ["TERM", "INT"], ["HUP", "TERM"]] {
        // A commit that is never answered is waited for: half of the time that a stop has.
        let broker = FakeBroker::start("stuck", Log::default());
        broker.misbehave(Api::OffsetCommit, |_| Answer::Silence);
        let mut place = Place::new(&broker.address(), "stuck");
        place.set("SHUTDOWN_TIMEOUT_MS", "600000");
        let mut service = place.start(&["run"]);
        assert!(broker.wait_asked(Api::OffsetCommit, 1, PATIENCE));
        service.signal(first);
        place.wait_for("the first signal", |place| {
            place.log().iter().any(|line| line["message"].as_str().unwrap().contains("stopping"))
        });
        assert!(service.is_running(), "ended before the second signal");
        // One that comes at once is the same request; however long that is, a later one is not.
        place.wait_for("the end", |_| {
            if !service.is_running() {
                return true;
            }
            service.signal(second);
            false
        });
        assert_eq!(service.wait(SOON).code(), Some(130), "SIG{first}, SIG{second}");
    }
}

#[test]
fn a_fatal_error_at_the_stop_is_an_error_and_exit_code_1() {
    let broker = FakeBroker::start("refuses", Log::default());
    let (entered, is_entered) = mpsc::channel();
    let (release, is_released) = mpsc::channel::<()>();
    broker.misbehave(Api::OffsetCommit, move |mut good| {
        // Nobody listens to the second time.
        let _ = entered.send(());
        let _ = is_released.recv();
        *good.last_mut().unwrap() = 30; // GROUP_AUTHORIZATION_FAILED
        Answer::Response(good)
    });
    let mut place = Place::new(&broker.address(), "refuses");
    place.set("SHUTDOWN_TIMEOUT_MS", "600000");
    let mut service = place.start(&["run"]);
    is_entered.recv_timeout(PATIENCE).unwrap();
    service.signal("TERM");
    place.wait_for("the stop", |place| {
        place.log().iter().any(|line| line["message"].as_str().unwrap().contains("stopping;"))
    });
    drop(release);
    service.ends_with(1);
    let log = place.log();
    let errors: Vec<&str> =
        log.iter().filter(|line| line["level"] == "ERROR").map(|line| line["message"].as_str().unwrap()).collect();
    assert!(errors.len() == 1 && errors[0].contains("GROUP_AUTHORIZATION_FAILED"), "{errors:?}");
}

/// As the `timeout` of the GNU coreutils sends it: to the process and to its group.
#[test]
fn a_signal_that_comes_twice_at_once_stops_it_in_order() {
    let place = Place::new(&dead_address(), "nowhere");
    let mut service = place.start(&["run"]);
    place.wait_for("the start", |place| place.log().iter().any(|line| line["message"] == "service started"));
    // All of them are there when it goes on.
    for signal in ["STOP", "TERM", "INT", "HUP", "CONT"] {
        service.signal(signal);
    }
    assert_eq!(service.wait(SOON).code(), Some(0), "{}", place.tail());
    let log = place.log();
    assert_eq!(log.iter().filter(|line| line["message"].as_str().unwrap().contains("stopping;")).count(), 1);
}

#[test]
fn a_signal_that_it_was_started_to_ignore_stays_ignored() {
    for (ignored, number, other) in [("HUP", 1, "TERM"), ("INT", 2, "TERM"), ("TERM", 15, "INT")] {
        let mut place = Place::new(&dead_address(), "nowhere");
        // As `nohup` and a shell that runs it in the background do.
        place.wrap(&["sh", "-c", &format!("trap '' {ignored}; exec \"$@\""), "sh"]);
        let mut service = place.start(&["run"]);
        place.wait_for("the start", |place| place.log().iter().any(|line| line["message"] == "service started"));
        let bit = 1 << (number - 1);
        let mask = |field| child::signal_mask(&service.pid().to_string(), field) & bit;
        assert_eq!((mask("SigIgn"), mask("SigCgt")), (bit, 0), "SIG{ignored}");
        service.signal(ignored);
        assert!(service.is_running());
        assert_stops(&place, service, other);
    }
}

/// `ulimit -f` is a full disk: nothing is lost, and it goes on by itself once there is room.
#[test]
fn a_file_size_limit_is_waited_for() {
    let cluster = testkit::shared(testkit::NEWEST).unwrap();
    let kafka = cluster.client().unwrap();
    let topic = unique("ulimit");
    kafka.create_topic(&topic, 1, &[]).unwrap();
    let load = Load::of(10_000, 1, 300);
    kafka.produce(&topic, &ProduceOptions::default(), load.records.iter().cloned()).unwrap();
    let mut place = Place::new(&cluster.bootstrap_servers(), &topic);
    // 1 MiB, in the blocks of 512 bytes of POSIX. The log file has room: it holds little.
    place.set("LOG_LEVEL", "INFO").wrap(&["sh", "-c", "ulimit -S -f 2048; exec \"$@\"", "sh"]);
    let mut service = place.start(&["run"]);
    place.wait_warning(0, &["storing a batch failed, trying again"]);
    place.wait_warning(0, &["the largest size that this process may write", "ulimit -f"]);
    assert!(service.is_running() && place.stored() < 10_000, "{}", place.tail());
    let pid = service.pid().to_string();
    let status = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]).status().unwrap();
    assert!(status.success());
    place.wait_for("all records", |place| place.stored() == 10_000);
    service.signal("TERM");
    service.ends_with(0);
    load.assert_stored(&place.database());
    place.assert_clean();

    drop(service);

    // A command, too, says what is wrong.
    place.wrap(&["sh", "-c", "ulimit -f 0; exec \"$@\"", "sh"]);
    let mut service = place.start(&["--help"]);
    assert_eq!(service.wait(SOON).code(), Some(1));
}

#[test]
fn the_deadline_ends_it_even_if_nobody_reads_its_log() {
    // A pipe that nobody reads takes 64 KiB; then writing to it waits for ever.
    let mut place = Place::new(&dead_address(), "nowhere");
    place.set("LOG_FILE", "").set("LOG_LEVEL", "TRACE").set("RETRY_INITIAL_MS", "1").set("RETRY_MAX_MS", "1");
    place.set("SHUTDOWN_TIMEOUT_MS", "300");
    let mut command = Command::new(env!("CARGO_BIN_EXE_enterprise-consumer"));
    command.current_dir(place.path()).env_clear().envs(place.variables()).stdin(Stdio::null());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let pid = child.id();
    let waits_in_pipe = || {
        let path = format!("/proc/{pid}/task/{pid}/wchan");
        std::fs::read_to_string(path).is_ok_and(|place| place.contains("pipe"))
    };
    child::wait_until("a full pipe", PATIENCE, waits_in_pipe);
    child::signal(pid, "TERM");
    let mut status = None;
    child::wait_until("the end", PATIENCE, || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(1));
}
