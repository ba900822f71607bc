//! Producing records, inside and outside of transactions.

use std::fmt::Write as _;
use std::io;

use super::{Client, frame};
use crate::error::{Error, Result};

/// A record to be produced. Null and empty differ, for the key, the value, and the value of a header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The partition; `None`: chosen by Kafka's partitioner.
    pub partition: Option<i32>,
    /// Milliseconds since 1970; `None`: the producer's clock.
    pub timestamp_ms: Option<i64>,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Name and value, in this order, duplicates allowed.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Record {
    /// A record with a value and nothing else.
    pub fn value(value: impl Into<Vec<u8>>) -> Self {
        Self { value: Some(value.into()), ..Self::default() }
    }

    /// A record without a value (and, so far, without a key).
    pub fn tombstone() -> Self {
        Self::default()
    }

    /// Sets the key.
    #[must_use]
    pub fn key(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Sets the partition.
    #[must_use]
    pub fn partition(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }

    /// Sets the timestamp, in milliseconds since 1970.
    #[must_use]
    pub fn timestamp_ms(mut self, timestamp_ms: i64) -> Self {
        self.timestamp_ms = Some(timestamp_ms);
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: Option<&[u8]>) -> Self {
        self.headers.push((name.into(), value.map(<[u8]>::to_vec)));
        self
    }
}

/// The position of a produced record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

/// How a batch is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // Their names say it all.
pub enum Codec {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl Codec {
    /// Every codec.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// As Kafka's `compression.type` spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// Settings of the producer; by default Kafka's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProduceOptions {
    configuration: String,
}

impl ProduceOptions {
    /// Sets `compression.type`.
    #[must_use]
    pub fn codec(self, codec: Codec) -> Self {
        self.config("compression.type", codec.as_str())
    }

    /// The size that ends a batch. With a large one and [`Self::linger_ms`], the records of one call for one partition
    /// become one batch.
    #[must_use]
    pub fn batch_bytes(self, bytes: u32) -> Self {
        self.config("batch.size", &bytes.to_string())
    }

    /// How long a batch waits for more records; the end of the call flushes all batches.
    #[must_use]
    pub fn linger_ms(self, linger_ms: u32) -> Self {
        self.config("linger.ms", &linger_ms.to_string())
    }

    /// Any other [producer setting](https://kafka.apache.org/documentation/#producerconfigs).
    #[must_use]
    pub fn config(mut self, name: &str, value: &str) -> Self {
        // Writing to a String cannot fail.
        let _ = writeln!(self.configuration, "{name}={value}");
        self
    }
}

impl Client {
    /// Produces the records in order and waits until the cluster has all of them; returns the position of each.
    ///
    /// The records are taken one by one while they are sent, so a long list need not be in memory. Their iterator must not use this
    /// client.
    pub fn produce(
        &self,
        topic: &str,
        options: &ProduceOptions,
        records: impl IntoIterator<Item = Record>,
    ) -> Result<Vec<Position>> {
        self.produce_with(topic, &options.configuration, records)
    }

    /// Begins a transaction. Kafka aborts an open one of the same id.
    pub fn begin(&self, transactional_id: &str, options: &ProduceOptions) -> Result<Transaction<'_>> {
        self.ask("begin a transaction", "begin", &[transactional_id, &options.configuration])?;
        Ok(Transaction { client: self, id: transactional_id.to_owned() })
    }

    fn produce_with(
        &self,
        topic: &str,
        producer: &str,
        records: impl IntoIterator<Item = Record>,
    ) -> Result<Vec<Position>> {
        const REQUEST: &str = "produce";
        let response = self.exchange(REQUEST, |to| {
            frame::write(to, [REQUEST, topic, producer].map(|field| Some(field.as_bytes())).into_iter())?;
            for record in records {
                write_record(to, &record)?;
            }
            frame::write(to, [None].into_iter())
        })?;
        let positions = response.into_iter().next().flatten().unwrap_or_default();
        read_positions(&positions).ok_or_else(|| Error::Client {
            request: REQUEST,
            detail: format!("{} bytes are not a list of positions", positions.len()),
        })
    }
}

/// An open transaction. If it is dropped, it stays open, and blocks readers of committed records, until its timeout
/// (`transaction.timeout.ms`, a minute) or until the next one of the same id begins.
#[derive(Debug)]
pub struct Transaction<'a> {
    client: &'a Client,
    id: String,
}

impl Transaction<'_> {
    /// Like [`Client::produce`], within the transaction.
    pub fn produce(&self, topic: &str, records: impl IntoIterator<Item = Record>) -> Result<Vec<Position>> {
        self.client.produce_with(topic, &format!("id {}", self.id), records)
    }

    /// Commits.
    pub fn commit(self) -> Result<()> {
        self.client.ask("commit a transaction", "commit", &[&self.id]).map(drop)
    }

    /// Aborts.
    pub fn abort(self) -> Result<()> {
        self.client.ask("abort a transaction", "abort", &[&self.id]).map(drop)
    }
}

fn write_record(to: &mut impl io::Write, record: &Record) -> io::Result<()> {
    let partition = record.partition.map(|number| number.to_string());
    let timestamp = record.timestamp_ms.map(|number| number.to_string());
    let mut fields = vec![
        partition.as_ref().map(String::as_bytes),
        timestamp.as_ref().map(String::as_bytes),
        record.key.as_deref(),
        record.value.as_deref(),
    ];
    for (name, value) in &record.headers {
        fields.extend([Some(name.as_bytes()), value.as_deref()]);
    }
    frame::write(to, fields.into_iter())
}

/// Big-endian pairs of 32 and 64 bits; `None` if the length is not a multiple.
fn read_positions(bytes: &[u8]) -> Option<Vec<Position>> {
    let (pairs, rest) = bytes.as_chunks::<12>();
    let position = |pair: &[u8; 12]| {
        let (partition, offset) = pair.split_first_chunk::<4>()?;
        let offset = i64::from_be_bytes(*offset.first_chunk::<8>()?);
        Some(Position { partition: i32::from_be_bytes(*partition), offset })
    };
    if rest.is_empty() { pairs.iter().map(position).collect() } else { None }
}
