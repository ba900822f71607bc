//! SIGINT and SIGTERM in every phase of the service: it stops in order and soon, with exit code 0; if it cannot, a second
//! signal or the deadline ends it.

use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use testkit::{Cluster, ProduceOptions, unique};

use crate::support::fake_broker::{Answer, Api, FakeBroker, Log};
use crate::support::load::Load;
use crate::support::process;
use crate::support::process::{Installation, Service, WAIT_MAX};

const SIGNALS: [&str; 2] = ["INT", "TERM"];

/// Longest time of a stop if nothing blocks. It takes some hundredths of a second on an idle machine.
const STOP_TIME_MAX: Duration = Duration::from_secs(5);

fn assert_stops(installation: &Installation, mut service: Service<'_>, signal: &str) {
    assert!(service.is_running(), "{}", installation.tail());
    service.signal(signal);
    let status = service.wait(STOP_TIME_MAX);
    assert_eq!(status.code(), Some(0), "SIG{signal}: {status}; {}", installation.tail());
    if installation.database_path().exists() {
        installation.assert_clean();
    }
}

/// An address without a server.
fn dead_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Checks that the committed offset of every partition is the stored one.
fn assert_committed(cluster: &Cluster, installation: &Installation, topic: &str) {
    let committed = cluster.client().unwrap().committed_offsets(&format!("group-of-{topic}")).unwrap();
    let database = installation.database();
    let mut statement = database.prepare("SELECT partition, next_offset FROM consumer_offsets").unwrap();
    let stored = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    for (partition, offset) in stored.map(|row: rusqlite::Result<(i32, i64)>| row.unwrap()) {
        assert_eq!(committed.get(&(topic.to_owned(), partition)).unwrap().offset, offset, "{topic}-{partition}");
    }
}

#[test]
fn stops_while_idle() {
    let cluster = testkit::shared(testkit::NEWEST).unwrap();
    let kafka = cluster.client().unwrap();
    let topic = unique("idle");
    kafka.create_topic(&topic, 2, &[]).unwrap();
    let load = Load::of(100, 2, 200);
    kafka.produce(&topic, &ProduceOptions::default(), load.records.iter().cloned()).unwrap();
    let installation = Installation::new(&cluster.bootstrap_servers(), &topic);
    for signal in SIGNALS {
        let before = installation.log().len();
        let service = installation.start(&[]);
        installation.wait_for("both partitions", |installation| {
            let started = |line: &serde_json::Value| line["message"] == "partition assigned";
            installation.stored() == 100 && installation.log().into_iter().skip(before).filter(started).count() == 2
        });
        assert_stops(&installation, service, signal);
        assert_committed(cluster, &installation, &topic);
    }
    load.assert_stored(&installation.database());
}

#[test]
fn stops_while_storing() {
    let cluster = testkit::shared(testkit::NEWEST).unwrap();
    let kafka = cluster.client().unwrap();
    let topic = unique("busy");
    kafka.create_topic(&topic, 3, &[]).unwrap();
    let load = Load::of(60_000, 3, 300);
    kafka.produce(&topic, &ProduceOptions::default(), load.records.iter().cloned()).unwrap();
    let mut installation = Installation::new(&cluster.bootstrap_servers(), &topic);
    installation.set("BATCH_MAX_RECORDS", "20").set("KAFKA_FETCH_MAX_BYTES", "100000").set("LOG_LEVEL", "INFO");
    for (signal, mark) in SIGNALS.into_iter().zip([1, 5_000, 10_000]) {
        let service = installation.start(&["run"]);
        installation.wait_for(&format!("{mark} records"), |installation| installation.stored() >= mark);
        assert_stops(&installation, service, signal);
        assert!((mark..60_000).contains(&installation.stored()), "not in the middle: {}", installation.stored());
        assert_committed(cluster, &installation, &topic);
    }
    installation.set("BATCH_MAX_RECORDS", "5000").set("KAFKA_FETCH_MAX_BYTES", "1000000");
    installation.run_to_end();
    load.assert_stored(&installation.database());
    installation.assert_clean();
}

#[test]
fn stops_during_a_long_backoff() {
    for signal in SIGNALS {
        let mut installation = Installation::new(&dead_address(), "nowhere");
        installation.set("RETRY_INITIAL_MS", "600000").set("RETRY_MAX_MS", "600000");
        let service = installation.start(&["run"]);
        let warning = installation.wait_warning(0, &["cannot connect"]);
        assert!(warning["wait_ms"].as_u64().is_some_and(|wait| wait >= 300_000), "{warning}");
        assert_stops(&installation, service, signal);
    }
}

#[test]
fn stops_while_connecting() {
    for signal in SIGNALS {
        // The kernel accepts connections; no request gets a response.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let installation = Installation::new(&listener.local_addr().unwrap().to_string(), "nowhere");
        let service = installation.start(&["run"]);
        installation.wait_for("the start", |installation| !installation.log().is_empty());
        assert_stops(&installation, service, signal);
    }
}

#[test]
fn stops_at_any_moment_of_the_start() {
    // At any moment: before the handler is installed the signal ends the process, after that it stops in order.
    for attempt in 0..30 {
        let installation = Installation::new(&dead_address(), "nowhere");
        let mut service = installation.start(&["run"]);
        thread::sleep(Duration::from_millis(attempt));
        service.signal("TERM");
        let status = service.wait(STOP_TIME_MAX);
        assert!(
            status.code() == Some(0) || status.signal() == Some(15),
            "after {attempt} ms: {status}; {}",
            installation.tail()
        );
        if installation.number("SELECT count(*) FROM database_identity").is_some() {
            installation.assert_clean();
        }
    }
}

#[test]
fn stops_while_the_database_is_locked() {
    let cluster = testkit::shared(testkit::NEWEST).unwrap();
    let kafka = cluster.client().unwrap();
    let topic = unique("locked");
    kafka.create_topic(&topic, 1, &[]).unwrap();
    let load = Load::of(200, 1, 200);
    let installation = Installation::new(&cluster.bootstrap_servers(), &topic);
    installation.run_to_end();
    kafka.produce(&topic, &ProduceOptions::default(), load.records.iter().cloned()).unwrap();
    for signal in SIGNALS {
        let before = installation.log().len();
        let other = Connection::open(installation.database_path()).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let service = installation.start(&["run"]);
        installation.wait_warning(before, &["storing", "locked"]);
        assert_stops(&installation, service, signal);
        assert_eq!(installation.stored(), 0);
    }
    // Opening may have to wait too: an exclusive lock blocks even readers.
    let before = installation.log().len();
    let other = Connection::open(installation.database_path()).unwrap();
    other.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; COMMIT").unwrap();
    let mut service = installation.start(&["run"]);
    installation.wait_warning(before, &["opening the database", "locked"]);
    service.signal("TERM");
    assert_eq!(service.wait(STOP_TIME_MAX).code(), Some(0));
    drop(other);
    installation.run_to_end();
    load.assert_stored(&installation.database());
}

#[test]
fn stops_while_the_broker_is_paused() {
    let cluster = Cluster::start(testkit::NEWEST).unwrap();
    let kafka = cluster.client().unwrap();
    let node = cluster.node(1).unwrap();
    let topic = unique("still");
    kafka.create_topic(&topic, 1, &[]).unwrap();
    let load = Load::of(20_000, 1, 300);
    kafka.produce(&topic, &ProduceOptions::default(), load.records.iter().cloned()).unwrap();
    let mut installation = Installation::new(&cluster.bootstrap_servers(), &topic);
    installation
        .set("BATCH_MAX_RECORDS", "20")
        .set("KAFKA_FETCH_MAX_BYTES", "50000")
        .set("SHUTDOWN_TIMEOUT_MS", "2000");
    for (signal, mark) in ["TERM", "INT", "TERM"].into_iter().zip([0, 1_000, 3_000]) {
        let before = installation.log().len();
        let service = installation.start(&["run"]);
        installation.wait_for("the start", |installation| {
            installation.log().len() > before + 1 && installation.stored() >= mark
        });
        node.pause().unwrap();
        // It may store records that it has fetched; then it waits for a response.
        assert_stops(&installation, service, signal);
        node.resume().unwrap();
    }
    installation.set("BATCH_MAX_RECORDS", "5000").set("KAFKA_FETCH_MAX_BYTES", "1000000");
    installation.run_to_end();
    load.assert_stored(&installation.database());
    installation.assert_clean();
    assert_committed(&cluster, &installation, &topic);
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    for [first, second] in [["INT", "INT"], ["TERM", "INT"], ["INT", "TERM"]] {
        // A commit never gets a response: a stop waits for it for half of its time.
        let broker = FakeBroker::start("stuck", Log::default());
        broker.misbehave(Api::OffsetCommit, |_| Answer::Silence);
        let mut installation = Installation::new(&broker.address(), "stuck");
        installation.set("SHUTDOWN_TIMEOUT_MS", "600000");
        let mut service = installation.start(&["run"]);
        assert!(broker.wait_asked(Api::OffsetCommit, 1, WAIT_MAX));
        service.signal(first);
        installation.wait_for("the first signal", |installation| {
            installation.log().iter().any(|line| line["message"].as_str().unwrap().contains("stopping"))
        });
        assert!(service.is_running(), "ended before the second signal");
        // A signal within a short time is part of the first request; a later one is the second.
        installation.wait_for("the end", |_| {
            if !service.is_running() {
                return true;
            }
            service.signal(second);
            false
        });
        assert_eq!(service.wait(STOP_TIME_MAX).code(), Some(130), "SIG{first}, SIG{second}");
    }
}

#[test]
fn a_fatal_error_at_the_stop_is_an_error_and_exit_code_1() {
    let broker = FakeBroker::start("refuses", Log::default());
    let (entered, is_entered) = mpsc::channel();
    let (release, is_released) = mpsc::channel::<()>();
    broker.misbehave(Api::OffsetCommit, move |mut good| {
        // Only the first call is received.
        let _ = entered.send(());
        let _ = is_released.recv();
        *good.last_mut().unwrap() = 30; // GROUP_AUTHORIZATION_FAILED
        Answer::Response(good)
    });
    let mut installation = Installation::new(&broker.address(), "refuses");
    installation.set("SHUTDOWN_TIMEOUT_MS", "600000");
    let mut service = installation.start(&["run"]);
    is_entered.recv_timeout(WAIT_MAX).unwrap();
    service.signal("TERM");
    installation.wait_for("the stop", |installation| {
        installation.log().iter().any(|line| line["message"].as_str().unwrap().contains("stopping;"))
    });
    drop(release);
    service.ends_with(1);
    let log = installation.log();
    let errors: Vec<&str> =
        log.iter().filter(|line| line["level"] == "ERROR").map(|line| line["message"].as_str().unwrap()).collect();
    assert!(errors.len() == 1 && errors[0].contains("GROUP_AUTHORIZATION_FAILED"), "{errors:?}");
}

/// As the `timeout` of the GNU coreutils sends it: to the process and to its group.
#[test]
fn several_signals_at_once_are_one_request() {
    let installation = Installation::new(&dead_address(), "nowhere");
    let mut service = installation.start(&["run"]);
    installation.wait_for("the start", |installation| {
        installation.log().iter().any(|line| line["message"] == "service started")
    });
    // All signals are pending when the process continues.
    for signal in ["STOP", "TERM", "INT", "CONT"] {
        service.signal(signal);
    }
    assert_eq!(service.wait(STOP_TIME_MAX).code(), Some(0), "{}", installation.tail());
    let log = installation.log();
    assert_eq!(log.iter().filter(|line| line["message"].as_str().unwrap().contains("stopping;")).count(), 1);
}

#[test]
fn a_signal_that_is_ignored_at_the_start_stays_ignored() {
    for (ignored, number, other) in [("HUP", 1, "TERM"), ("INT", 2, "TERM"), ("TERM", 15, "INT")] {
        let mut installation = Installation::new(&dead_address(), "nowhere");
        // As `nohup` and a shell that runs it in the background do.
        installation.wrap(&["sh", "-c", &format!("trap '' {ignored}; exec \"$@\""), "sh"]);
        let mut service = installation.start(&["run"]);
        installation.wait_for("the start", |installation| {
            installation.log().iter().any(|line| line["message"] == "service started")
        });
        let bit = 1 << (number - 1);
        let mask = |field| process::signal_mask(&service.pid().to_string(), field) & bit;
        assert_eq!((mask("SigIgn"), mask("SigCgt")), (bit, 0), "SIG{ignored}");
        service.signal(ignored);
        assert!(service.is_running());
        assert_stops(&installation, service, other);
    }
}

/// `ulimit -f` is like a full disk: nothing is lost, and the service continues when the limit is raised.
#[test]
fn a_file_size_limit_is_retried() {
    let cluster = testkit::shared(testkit::NEWEST).unwrap();
    let kafka = cluster.client().unwrap();
    let topic = unique("ulimit");
    kafka.create_topic(&topic, 1, &[]).unwrap();
    let load = Load::of(10_000, 1, 300);
    kafka.produce(&topic, &ProduceOptions::default(), load.records.iter().cloned()).unwrap();
    let mut installation = Installation::new(&cluster.bootstrap_servers(), &topic);
    // 1 MiB, in the blocks of 512 bytes of POSIX. The log file stays below it.
    installation.set("LOG_LEVEL", "INFO").wrap(&["sh", "-c", "ulimit -S -f 2048; exec \"$@\"", "sh"]);
    let mut service = installation.start(&["run"]);
    installation.wait_warning(0, &["storing a batch failed, trying again"]);
    installation.wait_warning(0, &["the largest size that this process may write", "ulimit -f"]);
    assert!(service.is_running() && installation.stored() < 10_000, "{}", installation.tail());
    let pid = service.pid().to_string();
    let status = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]).status().unwrap();
    assert!(status.success());
    installation.wait_for("all records", |installation| installation.stored() == 10_000);
    service.signal("TERM");
    service.ends_with(0);
    load.assert_stored(&installation.database());
    installation.assert_clean();

    drop(service);

    // A command reports it too.
    installation.wrap(&["sh", "-c", "ulimit -f 0; exec \"$@\"", "sh"]);
    let mut service = installation.start(&["--help"]);
    assert_eq!(service.wait(STOP_TIME_MAX).code(), Some(1));
}

#[test]
fn the_deadline_ends_the_process_even_if_its_log_is_blocked() {
    // A pipe holds 64 KiB; then a write blocks forever.
    let mut installation = Installation::new(&dead_address(), "nowhere");
    installation.set("LOG_FILE", "").set("LOG_LEVEL", "TRACE").set("RETRY_INITIAL_MS", "1").set("RETRY_MAX_MS", "1");
    installation.set("SHUTDOWN_TIMEOUT_MS", "300");
    let mut command = Command::new(env!("CARGO_BIN_EXE_enterprise-consumer"));
    command.current_dir(installation.path()).env_clear().envs(installation.variables()).stdin(Stdio::null());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let pid = child.id();
    let waits_in_pipe = || {
        let path = format!("/proc/{pid}/task/{pid}/wchan");
        std::fs::read_to_string(path).is_ok_and(|installation| installation.contains("pipe"))
    };
    process::wait_until("a full pipe", WAIT_MAX, waits_in_pipe);
    process::signal(pid, "TERM");
    let mut status = None;
    process::wait_until("the end", WAIT_MAX, || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(1));
}
