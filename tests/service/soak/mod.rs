//! The service under a steady load, while it is killed and stopped, its broker is killed, restarted and paused, and a long-running
//! reader blocks checkpoints: memory and the WAL stay bounded, and every record takes effect once. `scripts/soak` runs it for minutes.

mod faults;
mod load;
mod watch;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use testkit::{Client, Cluster, NEWEST, unique};

use crate::support::events::stream;
use crate::support::process::{Installation, memory_kib};
use crate::support::sized;
use faults::{Chaos, Fault};
use load::Produced;
use watch::{Watch, wal_bytes};

const PARTITIONS: u32 = 6;
/// Records a second.
const RATE: u64 = 1_000;
const BATCH_MAX_RECORDS: u64 = 200;
/// Greatest size that one transaction adds to the WAL: a page of the table and one of its index for each record, and few others.
const TRANSACTION_BYTES_MAX: u64 = BATCH_MAX_RECORDS * 2 * 4096 + (1 << 20);
/// Several times the usual memory under this load.
const MEMORY_KIB_MAX: u64 = 64 << 10;

/// The size of the test.
#[derive(Clone, Copy)]
struct Size {
    /// Zero: each fault once, except a killed broker, whose start takes long.
    duration: Duration,
    /// Greatest duration of a fault, and greatest time between two faults.
    lasting_max: Duration,
    wal_max_bytes: u64,
    /// The number of ids of events.
    ids: u64,
}

impl Size {
    fn of(minutes: u64) -> Self {
        let duration = Duration::from_mins(minutes);
        if duration.is_zero() {
            return Self { duration, lasting_max: Duration::from_millis(300), wal_max_bytes: 4 << 20, ids: 2_000 };
        }
        // More than the size at which SQLite restarts the WAL, so that the test includes that.
        Self { duration, lasting_max: Duration::from_secs(5), wal_max_bytes: 80 << 20, ids: 50_000 }
    }
}

/// A number from the environment.
fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|error| panic!("{name} is '{text}': {error}")))
}

/// Tells the other threads to end, even if the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn faults_under_a_steady_load() {
    let seed = variable("SOAK_SEED").unwrap_or(1);
    let size = Size::of(variable("SOAK_MINUTES").unwrap_or(sized(0, 10)));
    println!("seed {seed}, {RATE} events a second, {} minutes", size.duration.as_secs() / 60);

    let cluster = Cluster::start(NEWEST).unwrap();
    let (kafka, topic) = (cluster.client().unwrap(), unique("soak"));
    kafka.create_topic(&topic, PARTITIONS, &[]).unwrap();
    let mut installation = Installation::new(&cluster.bootstrap_servers(), &topic);
    installation.set("WAL_MAX_BYTES", &size.wal_max_bytes.to_string());
    installation.set("BATCH_MAX_RECORDS", &BATCH_MAX_RECORDS.to_string());
    installation.set("RETRY_MAX_MS", "1000").set("LOG_LEVEL", "INFO");
    let (watch, over) = (Watch::default(), AtomicBool::new(false));
    let (mut chaos, produced) = thread::scope(|scope| {
        let over_at_end = Over(&over);
        scope.spawn(|| watch.look(&installation.wal_path(), &over));
        let events = stream(seed, size.ids, PARTITIONS.cast_signed());
        let load = scope.spawn(|| load::produce(kafka, &topic, events, RATE, &over));
        let mut chaos = Chaos::begin(&installation, cluster.node(1).unwrap(), &watch, seed, size);
        endure(&mut chaos, size.duration);
        drop(over_at_end);
        (chaos, load.join().unwrap())
    });

    let lag = catch_up(kafka, &topic, &installation);
    let at_end = (memory_kib(watch.pid.load(Ordering::Relaxed), "VmRSS").unwrap(), wal_bytes(&installation.wal_path()));
    chaos.stop();
    report(&installation, &chaos, &watch, &produced, at_end, lag);
    assert_right(&installation, &watch, &produced, size);
}

/// Rounds of faults. One process runs for the last third of the time, so that a memory leak shows.
fn endure(chaos: &mut Chaos<'_>, duration: Duration) {
    let begun = Instant::now();
    loop {
        for fault in chaos.round() {
            let may_end = duration.is_zero() || begun.elapsed() < duration * 2 / 3;
            let is_left_out =
                if duration.is_zero() { fault == Fault::KilledBroker } else { !may_end && fault.ends_service() };
            if !is_left_out {
                chaos.suffer(fault, may_end);
            }
            if !duration.is_zero() && begun.elapsed() >= duration {
                return;
            }
        }
        if duration.is_zero() {
            return;
        }
    }
}

/// Waits until everything is stored and committed; returns the remaining lag.
fn catch_up(kafka: &Client, topic: &str, installation: &Installation) -> i64 {
    let end: i64 = kafka.end_offsets(topic).unwrap().iter().sum();
    installation.wait_for("the last record", |installation| installation.stored() == end);
    let mut lag = end;
    installation.wait_for("the last commit", |_| {
        let committed = kafka.committed_offsets(&installation.group()).unwrap();
        lag = end - committed.values().map(|committed| committed.offset).sum::<i64>();
        lag == 0
    });
    lag
}

fn report(
    installation: &Installation,
    chaos: &Chaos<'_>,
    watch: &Watch,
    produced: &Produced,
    (memory_kib, wal_bytes): (u64, u64),
    lag: i64,
) {
    let line = |what: &str, value: String| println!("{what:<48} {value:>12}");
    let rows = |table: &str| installation.number(&format!("SELECT count(*) FROM {table}")).unwrap().to_string();
    let mib = |bytes: u64| format!("{}.{} MiB", bytes >> 20, (bytes % (1 << 20)) * 10 / (1 << 20));
    let seconds = produced.elapsed.as_secs();
    line("duration of the load", format!("{seconds} s"));
    line("events produced", produced.records.to_string());
    line("events a second", (produced.records / seconds.max(1)).to_string());
    for table in ["opportunities", "projects", "unidentified_messages"] {
        line(&format!("rows of {table}"), rows(table));
    }
    for (fault, count) in &chaos.counts {
        line(fault.as_str(), count.times.to_string());
        line("    longest from its end to the next stored row", format!("{:.2} s", count.recovery_max.as_secs_f64()));
    }
    line("kills of the service during another fault", chaos.kills_meanwhile.to_string());
    line("memory of the service, at most", mib(watch.memory_kib_max.load(Ordering::Relaxed) << 10));
    line("memory of the service, at the end", mib(memory_kib << 10));
    line("write-ahead log, at most", mib(watch.wal_bytes_max.load(Ordering::Relaxed)));
    line("write-ahead log, at the end", mib(wal_bytes));
    line("lag at the end", lag.to_string());
}

/// Checks the tables after everything has been read and the service has stopped.
fn assert_right(installation: &Installation, watch: &Watch, produced: &Produced, size: Size) {
    let memory_kib = watch.memory_kib_max.load(Ordering::Relaxed);
    assert!(memory_kib < MEMORY_KIB_MAX, "the service had {memory_kib} KiB");
    let wal_bytes = watch.wal_bytes_max.load(Ordering::Relaxed);
    assert!(wal_bytes < size.wal_max_bytes + TRANSACTION_BYTES_MAX, "the write-ahead log had {wal_bytes} bytes");
    let errors: Vec<_> = installation.log().into_iter().filter(|line| line["level"] == "ERROR").collect();
    assert!(errors.is_empty(), "{errors:?}");

    let verified = installation.ask(&["verify"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    installation.run_to_end();
    installation.assert_clean();
    produced.tables.assert_stored(&installation.database());
    produced.tables.assert_logged(&installation.unidentified_path());
    let jumps = "SELECT count(*) FROM position_changes WHERE reason <> 'first_start'";
    assert_eq!(installation.number(jumps), Some(0), "positions moved other than by reading");
}
