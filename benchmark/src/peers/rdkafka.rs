//! What most Rust services would be: rdkafka (librdkafka), serde and rusqlite, one row after the other by a prepared statement;
//! with the service's tables, and with narrow ones.
//! Reads to the ends that the partitions have at its start, commits, and ends.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::*;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::metadata::MetadataTopic;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rusqlite::{Connection, TransactionBehavior};

use super::events::AsTheService;
use super::narrow::Narrow;
use super::tables::{Coordinates, Tables};
use crate::checkpointer::Checkpointer;
use crate::sql::Table;
use crate::{Result, database};

/// Longer than a broker of this machine is silent.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How much thought has gone into it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// By the book: batches of 5,000, offsets committed and waited for.
    Plain,
    /// Batches of 20,000, offsets committed without waiting, checkpoints by a thread, librdkafka's queue well filled.
    Tuned,
    /// As tuned, but with tables of its own: twelve columns, and the last event wins.
    Narrow,
}

/// What to read, and into which file.
pub struct PeerRun {
    kind: Kind,
    servers: String,
    topic: String,
    database: PathBuf,
}

impl PeerRun {
    pub fn parse(mut parser: lexopt::Parser) -> Result<Self> {
        let kind = match parser.value()?.string()?.as_str() {
            "plain" => Kind::Plain,
            "tuned" => Kind::Tuned,
            "narrow" => Kind::Narrow,
            other => return Err(format!("no peer is called '{other}'").into()),
        };
        let (servers, topic) = (parser.value()?.string()?, parser.value()?.string()?);
        Ok(Self { kind, servers, topic, database: parser.value()?.into() })
    }
}

impl Kind {
    fn batch_records(self) -> usize {
        match self {
            Self::Plain => 5_000,
            Self::Tuned | Self::Narrow => 20_000,
        }
    }

    fn commit_mode(self) -> CommitMode {
        match self {
            Self::Plain => CommitMode::Sync,
            Self::Tuned | Self::Narrow => CommitMode::Async,
        }
    }
}

/// Runs one of them.
pub fn run(peer: &PeerRun) -> Result<()> {
    match peer.kind {
        Kind::Plain | Kind::Tuned => run_with::<AsTheService>(peer),
        Kind::Narrow => run_with::<Narrow>(peer),
    }
}

fn run_with<T: Tables>(peer: &PeerRun) -> Result<()> {
    let consumer = consumer(peer)?;
    let mut ends = assign(&consumer, &peer.topic)?;
    let mut connection = database::create(&peer.database, T::schema())?;
    let checkpointer = match peer.kind {
        Kind::Plain => None,
        Kind::Tuned | Kind::Narrow => {
            connection.execute_batch("PRAGMA wal_autocheckpoint = 0;")?;
            Some(Checkpointer::start(&peer.database)?)
        }
    };
    while !ends.is_empty() {
        let next = store_batch::<T>(&consumer, &mut connection, peer.kind.batch_records(), &mut ends)?;
        let mode = if ends.is_empty() { CommitMode::Sync } else { peer.kind.commit_mode() };
        consumer.commit(&list(&peer.topic, &next)?, mode)?;
    }
    if let Some(checkpointer) = checkpointer {
        checkpointer.stop()?;
    }
    Ok(())
}

fn consumer(peer: &PeerRun) -> Result<BaseConsumer> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &peer.servers).set("group.id", format!("group-{}", std::process::id()));
    config.set("enable.auto.commit", "false");
    if peer.kind != Kind::Plain {
        config.set("fetch.queue.backoff.ms", "5").set("queued.min.messages", "200000");
        config.set("queued.max.messages.kbytes", "131072");
    }
    Ok(config.create()?)
}

/// Reads every partition from its beginning; gives the end of each that is not empty.
fn assign(consumer: &BaseConsumer, topic: &str) -> Result<HashMap<i32, i64>> {
    let metadata = consumer.fetch_metadata(Some(topic), TIMEOUT)?;
    let partitions = metadata.topics().iter().flat_map(MetadataTopic::partitions);
    let mut ends = HashMap::new();
    let mut beginnings = TopicPartitionList::new();
    for partition in partitions {
        let (_, end) = consumer.fetch_watermarks(topic, partition.id(), TIMEOUT)?;
        beginnings.add_partition_offset(topic, partition.id(), Offset::Beginning)?;
        if end > 0 {
            ends.insert(partition.id(), end);
        }
    }
    consumer.assign(&beginnings)?;
    Ok(ends)
}

/// One transaction: so many records, or up to the ends. Gives the next offset of each partition, and forgets those at their end.
fn store_batch<T: Tables>(
    consumer: &BaseConsumer,
    connection: &mut Connection,
    records_max: usize,
    ends: &mut HashMap<i32, i64>,
) -> Result<HashMap<i32, i64>> {
    let mut next = HashMap::new();
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let now: String = transaction.query_row("SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now')", [], |row| row.get(0))?;
    let mut opportunities = transaction.prepare_cached(&T::upsert(Table::Opportunities))?;
    let mut projects = transaction.prepare_cached(&T::upsert(Table::Projects))?;
    for _ in 0..records_max {
        let message = consumer.poll(TIMEOUT).ok_or("the broker says nothing")??;
        let event: T::Event<'_> = serde_json::from_slice(message.payload().unwrap_or_default())?;
        let statement = match T::table(&event) {
            Table::Opportunities => &mut opportunities,
            Table::Projects => &mut projects,
        };
        T::store(&event, statement, &coordinates(&message, &now))?;
        let after = message.offset() + 1;
        next.insert(message.partition(), after);
        if ends.get(&message.partition()) == Some(&after) {
            ends.remove(&message.partition());
        }
        if ends.is_empty() {
            break;
        }
    }
    drop((opportunities, projects));
    transaction.commit()?;
    Ok(next)
}

fn coordinates<'m>(message: &'m BorrowedMessage<'_>, now: &'m str) -> Coordinates<'m> {
    Coordinates {
        topic: message.topic(),
        partition: message.partition(),
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis(),
        now,
    }
}

fn list(topic: &str, next: &HashMap<i32, i64>) -> Result<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for (&partition, &offset) in next {
        list.add_partition_offset(topic, partition, Offset::Offset(offset))?;
    }
    Ok(list)
}
