//! From the start of the process to its first stored row, compared with the time that the broker alone takes for the same requests.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use kafka::{Address, Client, ConnectionSettings, IsolationLevel, TopicPartition};

use crate::broker::Broker;
use crate::events::{Ids, Shape, Size};
use crate::options::Options;
use crate::results::Start;
use crate::service::{self, Place};
use crate::sets::{self, DataSet};
use crate::{Result, database};

/// Starts; the median counts.
const STARTS: usize = 20;
const STARTS_QUICK: usize = 5;
/// More than the first transaction takes.
const EVENTS: u64 = 10_000;
/// Between two looks.
const LOOK: Duration = Duration::from_micros(200);

/// Starts the service again and again on a new database.
pub fn measure(options: &Options, broker: &Broker) -> Result<Start> {
    println!("time from start to the first stored row");
    let set = DataSet { events: EVENTS, shape: Shape { ids: Ids::Sequential, size: Size::Ordinary }, ..main_set()? };
    let topic = broker.fill(&set)?;
    let starts = if options.quick { STARTS_QUICK } else { STARTS };
    let mut result = Start::default();
    // The first one of all finds a coordinator that has not begun to work.
    ask_broker(&broker.servers(), &topic)?;
    for _ in 0..starts {
        result.service_ms.push(milliseconds(first_row(options, broker, &topic)?));
        result.broker_ms.push(milliseconds(ask_broker(&broker.servers(), &topic)?));
    }
    broker.remove(&topic)?;
    Ok(result)
}

fn main_set() -> Result<DataSet> {
    Ok(sets::find(sets::MAIN, EVENTS).ok_or("no main data set")?)
}

fn first_row(options: &Options, broker: &Broker, topic: &str) -> Result<Duration> {
    let directory = options.work.join("run");
    let place = Place::new(&directory, &options.service_static, &broker.servers(), topic)?;
    let begun = Instant::now();
    let mut running = place.start(&["run"])?;
    let connection = place.wait_for_database()?;
    while !has_row(&connection)? {
        running.check()?;
        thread::sleep(LOOK);
    }
    let elapsed = begun.elapsed();
    drop((running, connection));
    service::empty(&directory)?;
    Ok(elapsed)
}

fn has_row(connection: &rusqlite::Connection) -> Result<bool> {
    let found = connection.query_row("SELECT EXISTS (SELECT 1 FROM opportunities)", [], |row| row.get(0));
    Ok(database::unless_busy(found)?.unwrap_or(false))
}

/// The requests of the service before its first record, on new connections: metadata, the group's offsets, the log's offsets, one
/// fetch. The commit that claims the partition is not among them, so that it counts as the service's own time.
fn ask_broker(servers: &str, topic: &str) -> Result<Duration> {
    let (group, at) = (testkit::unique("group"), TopicPartition::new(topic, 0));
    let isolation = IsolationLevel::ReadCommitted;
    let begun = Instant::now();
    let mut client = Client::new(addresses(servers)?, ConnectionSettings::default());
    client.metadata(vec![Arc::from(topic)])?;
    client.committed(&group, std::slice::from_ref(&at))?;
    client.log_offsets(std::slice::from_ref(&at), isolation)?;
    for (_, timestamp) in client.timestamps_at(&[(at, 0)].into())? {
        timestamp?;
    }
    Ok(begun.elapsed())
}

/// Of one `host:port`.
pub fn addresses(servers: &str) -> Result<Vec<Address>> {
    let (host, port) = servers.split_once(':').ok_or("no port in the broker's address")?;
    Ok(vec![Address { host: host.to_owned(), port: port.parse()? }])
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
