//! The stages between a fetch response and its records, for benchmarks. Not part of the API: changes without notice.

use bytes::{Buf, Bytes};

use super::fault::FaultKind;
use super::header::{Batch, FirstBatch};
use super::partition_reader::{PartitionReader, ReadBudget, to_usize};
use crate::error::Result;
use crate::types::{IsolationLevel, Record, TopicPartition};

/// Larger than the batches of the benchmarks.
const BYTES_MAX: u32 = 100 << 20;

/// Reads record batches of a log.
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
        self.0.read(ReadBudget::of(records_max), into).map(|_| ())
    }
}

/// Decompresses every batch, and returns the count of the decompressed bytes.
///
/// # Errors
/// What is wrong with a batch.
pub fn decompress(mut batches: Bytes) -> std::result::Result<usize, String> {
    let mut bytes = 0_usize;
    while let Ok(FirstBatch::Complete(batch)) = Batch::first(&batches) {
        batches.advance(batch.size());
        bytes = bytes.saturating_add(payload_bytes(&batch).map_err(|fault| format!("{fault:?}"))?);
    }
    Ok(bytes)
}

fn payload_bytes(batch: &Batch) -> std::result::Result<usize, FaultKind> {
    Ok(batch.codec()?.decompress(batch.payload(), to_usize(BYTES_MAX))?.len())
}
