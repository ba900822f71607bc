//! What the service costs while no records arrive: CPU and wake-ups, as the kernel counts them for each of its threads.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use testkit::ProduceOptions;

use crate::Result;
use crate::broker::Broker;
use crate::events::{Ids, Shape, Size};
use crate::options::Options;
use crate::results::Idle;
use crate::service::{self, Place};

const WATCHED: Duration = Duration::from_secs(20);
const WATCHED_QUICK: Duration = Duration::from_secs(5);
/// After the last record: commits, and what else follows a start.
const SETTLING: Duration = Duration::from_secs(3);

/// As a member of a group, with heartbeats, and without one.
const PROTOCOLS: [&str; 2] = ["classic", "none"];

/// Watches the service with each protocol.
pub fn measure(options: &Options, broker: &Broker) -> Result<Vec<Idle>> {
    PROTOCOLS.iter().map(|protocol| with_protocol(options, broker, protocol)).collect()
}

fn with_protocol(options: &Options, broker: &Broker, protocol: &str) -> Result<Idle> {
    println!("idle, group protocol {protocol}");
    let topic = testkit::unique("idle");
    let client = broker.client()?;
    client.create_topic(&topic, 1, &[])?;
    let shape = Shape { ids: Ids::Sequential, size: Size::Ordinary };
    client.produce(&topic, &ProduceOptions::default(), [shape.record(0)])?;
    let directory = options.work.join("run");
    let mut place = Place::new(&directory, &options.service_static, &broker.servers(), &topic)?;
    place.set("KAFKA_GROUP_PROTOCOL", protocol);
    let mut running = place.start(&["run"])?;
    let connection = place.wait_for_database()?;
    let stored = "SELECT EXISTS (SELECT 1 FROM opportunities)";
    service::wait_for("the first row", || Ok(connection.query_row(stored, [], |row| row.get(0))?))?;
    drop(connection);
    thread::sleep(SETTLING);

    let (begun, before) = (Instant::now(), Counts::of(running.pid())?);
    thread::sleep(if options.quick { WATCHED_QUICK } else { WATCHED });
    let (seconds, after) = (begun.elapsed().as_secs_f64(), Counts::of(running.pid())?);
    running.check()?;
    drop(running);
    broker.remove(&topic)?;
    service::empty(&directory)?;
    Ok(Idle {
        protocol: protocol.to_owned(),
        cpu_percent: (after.cpu_ns - before.cpu_ns) as f64 / 1e9 / seconds * 100.0,
        wake_ups_per_second: (after.wake_ups - before.wake_ups) as f64 / seconds,
    })
}

/// Since its start, of all threads of a process. None of the service's threads ends while it is idle.
#[derive(Default)]
struct Counts {
    cpu_ns: u64,
    wake_ups: u64,
}

impl Counts {
    fn of(pid: u32) -> Result<Self> {
        let mut counts = Self::default();
        for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
            let thread = thread?.path();
            // Nanoseconds on the CPU come first: https://docs.kernel.org/scheduler/sched-stats.html
            let on_cpu = fs::read_to_string(thread.join("schedstat"))?;
            counts.cpu_ns += on_cpu.split(' ').next().unwrap_or_default().parse::<u64>()?;
            let status = fs::read_to_string(thread.join("status"))?;
            let switches = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            counts.wake_ups += switches.ok_or("no voluntary_ctxt_switches")?.trim().parse::<u64>()?;
        }
        Ok(counts)
    }
}
