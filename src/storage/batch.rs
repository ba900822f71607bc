//! Records on their way into the database. Borrows everything.

use super::headers::Headers;
use super::range::OffsetRange;
use super::topic_id::TopicId;
use crate::entity::{Event, Rejection};

/// The records of an ordinary batch: enough to share the cost of a transaction, few enough for one of milliseconds.
pub const ORDINARY_RECORDS: usize = 5_000;

/// Consecutive offsets of one partition. They take effect together or not at all.
#[derive(Debug)]
pub struct PartitionBatch<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// The topic's id; `None` if the broker has none.
    pub topic_id: Option<&'a TopicId>,
    /// The partition's number.
    pub partition: i32,
    /// Epoch of the leader that the records were fetched from, where known.
    pub leader_epoch: Option<i32>,
    /// From the offset that was fetched, which must be the stored position, to the offset to fetch next.
    pub offsets: OffsetRange,
    /// The records, by ascending offset, each in `offsets`. An offset without a record is absent.
    pub entries: &'a [Entry<'a>],
}

/// One record, decoded.
#[derive(Debug)]
pub struct Entry<'a> {
    /// Its offset in the partition.
    pub offset: i64,
    /// Milliseconds since 1970; `None` if the record has no timestamp.
    pub timestamp_ms: Option<i64>,
    /// The key; `None` is not the same as empty.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// The headers. Only read if the record is kept as an unidentified message.
    pub headers: &'a dyn Headers,
    /// The event, or why the record is none.
    pub decoded: Result<Event<'a>, Rejection>,
}

/// Topic, partition and offset of a record, with the topic's id and the record's timestamp.
#[derive(Clone, Copy, Debug)]
pub(super) struct Coordinates<'a> {
    pub(super) topic: &'a str,
    pub(super) topic_id: Option<&'a TopicId>,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) timestamp_ms: Option<i64>,
}

impl<'a> PartitionBatch<'a> {
    /// A batch from an offset on to its last record, of a broker that has no topic ids.
    pub fn of_records(topic: &'a str, partition: i32, from: i64, entries: &'a [Entry<'a>]) -> Self {
        let next = entries.last().map_or(from, |last| last.offset.saturating_add(1));
        let offsets = OffsetRange { from, next };
        Self { topic, topic_id: None, partition, leader_epoch: None, offsets, entries }
    }

    /// The coordinates of one of its records.
    pub(super) fn coordinates(&self, entry: &Entry<'_>) -> Coordinates<'_> {
        Coordinates {
            topic: self.topic,
            topic_id: self.topic_id,
            partition: self.partition,
            offset: entry.offset,
            timestamp_ms: entry.timestamp_ms,
        }
    }
}
