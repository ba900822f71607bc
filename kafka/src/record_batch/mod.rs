//! Reads the record batches of one partition's fetch. Stub for now.

use bytes::Bytes;

use crate::error::Result;
use crate::protocol::AbortedTransaction;
use crate::types::{IsolationLevel, Record, TopicPartition};

pub(crate) struct PartitionReader {
    partition: TopicPartition,
    records: Bytes,
    position: i64,
    isolation: IsolationLevel,
    aborted: Vec<AbortedTransaction>,
    decompressed_bytes_max: u32,
}

impl PartitionReader {
    pub(crate) fn new(
        partition: TopicPartition,
        records: Bytes,
        position: i64,
        isolation: IsolationLevel,
        aborted: Vec<AbortedTransaction>,
        decompressed_bytes_max: u32,
    ) -> Self {
        Self { partition, records, position, isolation, aborted, decompressed_bytes_max }
    }

    /// Position after all complete batches, from the headers alone.
    pub(crate) fn end_position(&self) -> i64 {
        self.position
    }

    /// Appends at most `records_max` visible records.
    pub(crate) fn read(&mut self, records_max: usize, into: &mut Vec<Record>) -> Result<()> {
        drop((records_max, into));
        Ok(())
    }

    /// The next offset to read after what was given out.
    pub(crate) fn position(&self) -> i64 {
        self.position
    }

    /// Leader epoch of the last batch read.
    pub(crate) fn leader_epoch(&self) -> Option<i32> {
        None
    }

    /// Nothing left to read, not even an error.
    pub(crate) fn is_empty(&self) -> bool {
        true
    }

    /// Size in bytes of the first batch, if the fetch holds only its beginning.
    pub(crate) fn incomplete_batch_bytes(&self) -> Option<u64> {
        None
    }
}
