//! Where the time goes: the stages one after the other in one thread of this process, by the service's own functions as far as
//! they are functions. Not what the service takes as a whole, where threads work side by side.

use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka::{Consumer, Event, GroupProtocol, OffsetPosition, Record};
use nix::time::ClockId;
use rusqlite::{Connection, TransactionBehavior};

use crate::broker::Broker;
use crate::checkpointer::checkpoint;
use crate::limit::{self, Row};
use crate::options::Options;
use crate::peers::STATEMENT_ROWS;
use crate::results::{Profile, Stage};
use crate::{Result, database, service, sets, start};

const TIMEOUT: Duration = Duration::from_secs(30);
/// Records of one transaction.
const TRANSACTION_ROWS: usize = 5_000;
/// Transactions between two checkpoints: about 64 MiB of WAL.
const TRANSACTIONS_PER_CHECKPOINT: u32 = 20;

/// Takes the main data set apart.
pub fn measure(options: &Options, broker: &Broker) -> Result<Profile> {
    println!("stages");
    let set = sets::find(sets::MAIN, options.events).ok_or("no main data set")?;
    let topic = broker.fill(&set)?;
    let consume = Time::of(|| consume(&broker.servers(), &topic, set.events))?;
    // A log holds batches as they come over the wire.
    let segment = broker.data_dir()?.join(format!("{topic}-0/00000000000000000000.log"));
    let batches = Bytes::from(std::fs::read(segment)?);
    broker.remove(&topic)?;

    let mut times = Times::default();
    let decompress = Time::of(|| Ok(kafka::bench::decompress(batches.clone()).map(drop)?))?;
    let events = times.measure(options, batches)?;
    if events != set.events {
        return Err(format!("{events} of {} events were read", set.events).into());
    }
    let stages = vec![
        consume.without(times.read).stage("fetch"),
        decompress.stage("decompress"),
        times.read.without(decompress).stage("records (checksum, parsing)"),
        times.decode.stage("decode"),
        times.bind.stage("bind"),
        times.step.stage("step"),
        times.commit.stage("commit"),
        times.checkpoint.stage("checkpoint"),
    ];
    Ok(Profile { events, stages })
}

/// CPU and wall clock.
#[derive(Clone, Copy, Default)]
struct Time {
    cpu: Duration,
    wall: Duration,
}

impl Time {
    /// Adds what some work takes, of all threads.
    fn add<T>(&mut self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let (begun, cpu_before) = (Instant::now(), cpu_time()?);
        let done = work()?;
        self.wall += begun.elapsed();
        self.cpu += cpu_time()?.saturating_sub(cpu_before);
        Ok(done)
    }

    fn of(work: impl FnOnce() -> Result<()>) -> Result<Self> {
        let mut time = Self::default();
        time.add(work)?;
        Ok(time)
    }

    /// The rest, without a part of the work.
    fn without(self, part: Self) -> Self {
        Self { cpu: self.cpu.saturating_sub(part.cpu), wall: self.wall.saturating_sub(part.wall) }
    }

    fn stage(self, name: &str) -> Stage {
        Stage { name: name.to_owned(), cpu_seconds: self.cpu.as_secs_f64(), wall_seconds: self.wall.as_secs_f64() }
    }
}

fn cpu_time() -> Result<Duration> {
    Ok(ClockId::CLOCK_PROCESS_CPUTIME_ID.now()?.into())
}

/// Reads the topic as the service does, and drops what comes.
fn consume(servers: &str, topic: &str, events: u64) -> Result<()> {
    let mut consumer = Consumer::from_hosts(start::addresses(servers)?)
        .with_group(testkit::unique("group"))
        .with_group_protocol(GroupProtocol::None)
        .with_topic(topic)
        .create()?;
    let mut count = 0;
    while count < events {
        match consumer.poll(TIMEOUT, TRANSACTION_ROWS)? {
            Event::Assigned(assignments) => {
                let starts = assignments.into_iter().map(|assignment| OffsetPosition {
                    partition: assignment.partition,
                    token: assignment.token,
                    offset: 0,
                    leader_epoch: None,
                });
                consumer.start(starts.collect(), "");
            }
            Event::Records(batches) => count += batches.iter().map(|batch| batch.records.len() as u64).sum::<u64>(),
            Event::Idle => return Err("the broker says nothing".into()),
            Event::Retrying(retrying) => return Err(retrying.error.into()),
            _ => {}
        }
    }
    Ok(())
}

/// What the stages took, added up over all transactions.
#[derive(Default)]
struct Times {
    read: Time,
    decode: Time,
    bind: Time,
    step: Time,
    commit: Time,
    checkpoint: Time,
}

impl Times {
    /// Takes batches to a new database, a transaction at a time, so that each stage finds in the processor's caches what it finds
    /// there in the service. Gives the number of events.
    fn measure(&mut self, options: &Options, batches: Bytes) -> Result<u64> {
        let directory = options.work.join("run");
        service::empty(&directory)?;
        let mut connection = database::create_as_the_service(&directory.join("stages.db"))?;
        let mut reader = kafka::bench::Reader::new(batches);
        let (mut events, mut records, mut transactions) = (0, Vec::new(), 0);
        loop {
            records.clear();
            self.read.add(|| Ok(reader.read(TRANSACTION_ROWS, &mut records)?))?;
            if records.is_empty() {
                break;
            }
            let rows = self.decode.add(|| rows(&records))?;
            self.store(&mut connection, &rows)?;
            events += rows.len() as u64;
            transactions += 1;
            if transactions % TRANSACTIONS_PER_CHECKPOINT == 0 {
                self.checkpoint.add(|| Ok(checkpoint(&connection)?))?;
            }
        }
        self.checkpoint.add(|| Ok(checkpoint(&connection)?))?;
        drop(connection);
        service::empty(&directory)?;
        Ok(events)
    }

    /// One transaction, by statements of many rows.
    fn store(&mut self, connection: &mut Connection, rows: &[Row<'_>]) -> Result<()> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for (table, rows) in limit::by_table(rows) {
            for chunk in rows.chunks(STATEMENT_ROWS) {
                let mut statement = transaction.prepare_cached(&table.upsert(chunk.len()))?;
                self.bind.add(|| Ok(limit::bind(&mut statement, chunk)?))?;
                self.step.add(|| Ok(statement.raw_execute()?))?;
            }
        }
        self.commit.add(|| Ok(transaction.commit()?))
    }
}

fn rows(records: &[Record]) -> Result<Vec<Row<'_>>> {
    // Rows are not copied as the vector grows: that would count as decoding.
    let mut rows = Vec::with_capacity(records.len());
    for record in records {
        rows.push(row(record)?);
    }
    Ok(rows)
}

fn row(record: &Record) -> Result<Row<'_>> {
    Ok(Row { event: limit::decode(record.value.as_deref().unwrap_or_default())?, offset: record.offset })
}
