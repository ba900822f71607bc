//! From produce to visible: how long an event takes from right before it is sent until a reader of the database sees it.

use std::thread;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rusqlite::Connection;

use crate::broker::Broker;
use crate::events::{Ids, Shape, Size};
use crate::options::Options;
use crate::results::Latency;
use crate::service::{self, Place};
use crate::{Failure, Result};

/// Events a second.
const RATES: [u64; 2] = [100, 10_000];
/// Between two looks.
const LOOK: Duration = Duration::from_micros(200);
/// How long the measured load lasts, and the one before it that warms up all three programs.
const LOAD: Duration = Duration::from_secs(30);
const LOAD_QUICK: Duration = Duration::from_secs(5);
const WARM_UP: Duration = Duration::from_secs(2);
/// Longer than anything takes unless it hangs.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Measures at each rate.
pub fn measure(options: &Options, broker: &Broker) -> Result<Vec<Latency>> {
    RATES.iter().map(|&rate| at_rate(options, broker, rate)).collect()
}

fn at_rate(options: &Options, broker: &Broker, rate: u64) -> Result<Latency> {
    println!("latency at {rate} events/s");
    let topic = testkit::unique("latency");
    broker.client()?.create_topic(&topic, 1, &[])?;
    let directory = options.work.join("run");
    let place = Place::new(&directory, &options.service_static, &broker.servers(), &topic)?;
    let mut running = place.start(&["run"])?;
    let connection = place.wait_for_database()?;
    let producer = producer(&broker.servers())?;

    let load = if options.quick { LOAD_QUICK } else { LOAD };
    let warm_up = rate * WARM_UP.as_secs();
    let mut latencies = pass(&producer, &topic, &connection, 0..warm_up, rate).and_then(|_| {
        let events = warm_up..warm_up + rate * load.as_secs();
        pass(&producer, &topic, &connection, events, rate)
    })?;
    running.check()?;
    drop(running);
    place.verify()?;
    broker.remove(&topic)?;
    service::empty(&directory)?;
    latencies.sort();
    let sorted_us =
        latencies.iter().map(|latency| u32::try_from(latency.as_micros())).collect::<std::result::Result<_, _>>();
    Ok(Latency { rate, sorted_us: sorted_us? })
}

fn producer(servers: &str) -> Result<ThreadedProducer<DefaultProducerContext>> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers).set("linger.ms", "0").set("socket.nagle.disable", "true");
    // As Kafka's own client has it. Without a bound each event is a request, and what is measured is the broker under those.
    config.set("max.in.flight", "5");
    Ok(config.create()?)
}

/// Sends these events at the rate, sees each become visible, and gives the time between for each.
fn pass(
    producer: &ThreadedProducer<DefaultProducerContext>,
    topic: &str,
    connection: &Connection,
    events: std::ops::Range<u64>,
    rate: u64,
) -> Result<Vec<Duration>> {
    thread::scope(|scope| {
        let sending = scope.spawn(|| send(producer, topic, events.clone(), rate));
        let seen = watch(connection, events.clone(), rate)?;
        let sent = sending.join().map_err(|_| "the producer has panicked")??;
        Ok(latencies(&sent, &seen, events.start))
    })
}

/// When each was sent.
fn send(
    producer: &ThreadedProducer<DefaultProducerContext>,
    topic: &str,
    events: std::ops::Range<u64>,
    rate: u64,
) -> Result<Vec<Instant>> {
    let shape = Shape { ids: Ids::Sequential, size: Size::Ordinary };
    let interval = Duration::from_secs(1) / u32::try_from(rate)?;
    let (begun, mut sent) = (Instant::now(), Vec::new());
    for (number, at) in events.zip(0_u32..) {
        // What is late is sent at once, so that the rate stays.
        let due = begun + interval * at;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let (id, json) = shape.event(opportunity(number));
        sent.push(Instant::now());
        producer.send(BaseRecord::to(topic).key(&id).payload(&json)).map_err(|(error, _)| error)?;
    }
    producer.flush(TIMEOUT)?;
    Ok(sent)
}

/// The number of the n-th event that is an opportunity, so that one table shows them all.
fn opportunity(number: u64) -> u64 {
    number / 2 * 4 + number % 2
}

/// At each look that shows more: when it was, and how many rows there are.
fn watch(connection: &Connection, events: std::ops::Range<u64>, rate: u64) -> Result<Vec<(Instant, u64)>> {
    let mut rows = connection.prepare("SELECT coalesce(max(rowid), 0) FROM opportunities")?;
    let (mut seen, mut count) = (Vec::new(), events.start);
    let deadline = Instant::now() + Duration::from_secs((events.end - events.start) / rate) + TIMEOUT;
    while count < events.end {
        // Rows are never removed, and every id is new: the last rowid is their number.
        let now_there: u64 = rows.query_row([], |row| row.get(0))?;
        if now_there > count {
            count = now_there;
            seen.push((Instant::now(), count));
        } else if Instant::now() > deadline {
            return Err(Failure::from(format!("only {count} of {} events have become visible", events.end)));
        }
        thread::sleep(LOOK);
    }
    Ok(seen)
}

fn latencies(sent: &[Instant], seen: &[(Instant, u64)], first: u64) -> Vec<Duration> {
    let mut looks = seen.iter().peekable();
    let mut latencies = Vec::with_capacity(sent.len());
    for (sent, number) in sent.iter().zip(first..) {
        while looks.next_if(|(_, rows)| *rows <= number).is_some() {}
        if let Some((at, _)) = looks.peek() {
            latencies.push(at.saturating_duration_since(*sent));
        }
    }
    latencies
}
