//! What is stored, one table per module: SQL and the binding of values, nothing else.
//! Must not know files, connections or Kafka: every function works in a transaction that it is given.

pub(crate) mod headers;
pub(crate) mod identity;
pub mod invariants;
pub mod offset;
pub(crate) mod opportunity;
pub(crate) mod order;
pub mod position_change;
pub(crate) mod project;
pub(crate) mod tally;
pub mod unidentified;
pub(crate) mod upsert;
pub mod views;

use std::ops::AddAssign;

pub use headers::{Header, Headers};

use crate::entity::{Event, Rejection};

/// What was read of one partition, in one piece: it takes effect as a whole or not at all.
#[derive(Debug)]
pub struct PartitionBatch<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// The topic's id as Kafka's tools print it; empty where the broker has none.
    pub topic_id: &'a str,
    /// The partition's number.
    pub partition: i32,
    /// Epoch of the leader that the records came from, where known.
    pub leader_epoch: Option<i32>,
    /// The offset that was asked for. Must be the stored position.
    pub from_offset: i64,
    /// The offset to ask for next: behind the last record and whatever else the log holds up to there.
    pub next_offset: i64,
    /// The records, by ascending offset, each in `from_offset..next_offset`.
    pub entries: &'a [Entry<'a>],
}

impl PartitionBatch<'_> {
    /// Where one of its records lies.
    pub(crate) fn coordinates(&self, entry: &Entry<'_>) -> Coordinates<'_> {
        Coordinates {
            topic: self.topic,
            topic_id: self.topic_id,
            partition: self.partition,
            offset: entry.offset,
            timestamp_ms: entry.timestamp_ms,
        }
    }
}

/// One record and what became of it. Borrows everything.
#[derive(Debug)]
pub struct Entry<'a> {
    /// Place in the partition.
    pub offset: i64,
    /// Milliseconds since 1970; `None` if the record has no time.
    pub timestamp_ms: Option<i64>,
    /// The key; `None` is not the same as empty.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// The headers; looked at only when the record is kept as unidentified.
    pub headers: &'a dyn Headers,
    /// What the value says.
    pub decoded: Result<Event<'a>, Rejection>,
}

/// What became of the offsets that a transaction (or a position since its beginning) covers: each is in exactly one of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Events stored, also those that were stored already and were read again, which change nothing.
    pub applied: u64,
    /// Events older than the stored one of their id; they change nothing.
    pub stale: u64,
    /// Records kept as unidentified messages, those that SQLite or a trigger refused included.
    pub unidentified: u64,
    /// Offsets without a record: compacted, control records, aborted transactions.
    pub absent: u64,
}

impl AddAssign for Applied {
    fn add_assign(&mut self, more: Self) {
        self.applied += more.applied;
        self.stale += more.stale;
        self.unidentified += more.unidentified;
        self.absent += more.absent;
    }
}

/// What a trigger does so that an event's row is not stored, though SQLite reports no error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// It [skips the row](https://www.sqlite.org/lang_createtrigger.html#raise).
    Skips,
    /// It deletes the row, or gives it another id.
    Deletes,
}

/// Where a record lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Coordinates<'a> {
    pub(crate) topic: &'a str,
    pub(crate) topic_id: &'a str,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) timestamp_ms: Option<i64>,
}
