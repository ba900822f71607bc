//! The stages between a fetch and its records, for benchmarks to call. No part of the interface: changes without notice.

use bytes::{Buf, Bytes};

use super::header::{Batch, Head};
use super::{FaultKind, PartitionReader, Room, to_usize};
use crate::error::Result;
use crate::types::{IsolationLevel, Record, TopicPartition};

/// More than a batch of any benchmark has.
const BYTES_MAX: u32 = 100 << 20;

/// Reads record batches as they come from a log.
#[derive(Debug)]
pub struct Reader(PartitionReader);

impl Reader {
    /// Reads from the first batch on, whose offset is 0.
    pub fn new(batches: Bytes) -> Self {
        let (partition, isolation) = (TopicPartition::new("bench", 0), IsolationLevel::ReadCommitted);
        Self(PartitionReader::new(partition, batches, 0, isolation, Vec::new(), BYTES_MAX))
    }

    /// Appends the next records; none at the end.
    pub fn read(&mut self, records_max: usize, into: &mut Vec<Record>) -> Result<()> {
        self.0.read(Room::of(records_max), into).map(|_| ())
    }
}

/// Takes every batch out of its compression, and gives the bytes that there were.
///
/// # Errors
/// What is wrong with a batch, for people.
pub fn decompress(mut batches: Bytes) -> std::result::Result<usize, String> {
    let mut bytes = 0_usize;
    while let Ok(Head::Complete(batch)) = Batch::first(&batches) {
        batches.advance(batch.size());
        bytes = bytes.saturating_add(payload_bytes(&batch).map_err(|fault| format!("{fault:?}"))?);
    }
    Ok(bytes)
}

fn payload_bytes(batch: &Batch) -> std::result::Result<usize, FaultKind> {
    Ok(batch.codec()?.decompress(batch.payload(), to_usize(BYTES_MAX))?.len())
}
