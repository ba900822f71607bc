//! Reads the fetched bytes of one partition, one record batch at a time. Trusts no byte: damage is an error, which is
//! returned after the records before it. Must not know connections.

use bytes::{Buf, Bytes};

use super::compressed_batch::{CompressedBatch, Decompressed};
use super::fault::{Fault, FaultKind};
use super::header::{Batch, FirstBatch, InvalidHeader};
use super::records::Records;
use super::transactions::{AbortedTransactions, ControlRecord};
use crate::budget::Budget;
use crate::error::{Error, Result};
use crate::protocol::{AbortedTransaction, Malformed};
use crate::types::{IsolationLevel, Record, TopicPartition};

/// The fetched bytes of one partition, and the position in them.
#[derive(Debug)]
pub(crate) struct PartitionReader {
    partition: TopicPartition,
    /// Complete batches that have not been checked yet.
    batches: Bytes,
    /// The batch before `batches`, checked but not decompressed.
    compressed: Option<CompressedBatch>,
    /// The batch before `batches`, decompressed.
    records: Option<Records>,
    /// Returned after all records before it.
    fault: Option<Fault>,
    incomplete_batch_bytes: Option<u64>,
    position: i64,
    end_position: i64,
    leader_epoch: Option<i32>,
    /// `None` under `read_uncommitted`.
    aborted: Option<AbortedTransactions>,
    bytes_max: u32,
    /// The memory for decompressed batches.
    budget: Budget,
}

/// How much may be read at once. The record that exceeds the bytes is the last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadBudget {
    pub(crate) records: usize,
    /// Bytes of keys, values and headers.
    pub(crate) bytes: usize,
    /// Whether another compressed batch may be decompressed.
    pub(crate) may_decompress: bool,
}

/// How a read without an error ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// At the end of the batches, or of the read budget.
    Done,
    /// Before a batch that the memory budget has no memory for at the moment.
    NoMemory,
}

impl ReadBudget {
    /// A number of records of any size.
    pub(crate) fn of(records: usize) -> Self {
        Self { records, bytes: usize::MAX, may_decompress: true }
    }

    pub(crate) fn is_full(self) -> bool {
        self.records == 0 || self.bytes == 0
    }

    pub(crate) fn fill(&mut self, record: &Record) {
        let payload: usize = [&record.key, &record.value].into_iter().flatten().map(Bytes::len).sum();
        self.records = self.records.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(payload.saturating_add(record.headers.encoded_bytes()));
    }
}

impl PartitionReader {
    /// `position` is the fetched offset, and `aborted` the aborted transactions of the response.
    /// `decompressed_bytes_max` bounds the records of one batch.
    pub(crate) fn new(
        partition: TopicPartition,
        records: Bytes,
        position: i64,
        isolation: IsolationLevel,
        aborted: Vec<AbortedTransaction>,
        decompressed_bytes_max: u32,
    ) -> Self {
        let mut reader = Self {
            partition,
            batches: records,
            compressed: None,
            records: None,
            fault: None,
            incomplete_batch_bytes: None,
            position,
            end_position: position,
            leader_epoch: None,
            aborted: match isolation {
                IsolationLevel::ReadCommitted => Some(AbortedTransactions::new(aborted)),
                IsolationLevel::ReadUncommitted => None,
            },
            bytes_max: decompressed_bytes_max,
            budget: Budget::unlimited(),
        };
        reader.scan();
        reader
    }

    /// Takes the memory for decompressed batches from a budget.
    pub(crate) fn within(self, budget: Budget) -> Self {
        Self { budget, ..self }
    }

    /// The offset of the next fetch: after all complete batches, including those that have not been read yet.
    pub(crate) fn end_position(&self) -> i64 {
        self.end_position
    }

    /// The offset after the returned records. Skips offsets without a visible record (control batches, aborted batches,
    /// compacted records) as soon as their batch has been read.
    pub(crate) fn position(&self) -> i64 {
        self.position
    }

    /// The leader epoch of the batch before the position; `None` until the position has advanced.
    pub(crate) fn leader_epoch(&self) -> Option<i32> {
        self.leader_epoch
    }

    /// Whether nothing is left to read, neither records nor an error; the position is then the end position.
    pub(crate) fn is_empty(&self) -> bool {
        !self.has_batches() && self.fault.is_none()
    }

    /// The size of the first batch in bytes, or its lower bound, if the response has only its beginning: the next fetch
    /// must have a higher limit, or name this partition first.
    pub(crate) fn incomplete_batch_bytes(&self) -> Option<u64> {
        self.incomplete_batch_bytes
    }

    /// Appends the next records within the read budget and the memory budget. Appends nothing only at the end, without
    /// memory, or with an error; each later call then returns the same error.
    pub(crate) fn read(&mut self, mut read_budget: ReadBudget, into: &mut Vec<Record>) -> Result<Progress> {
        let before = into.len();
        let mut progress = Progress::Done;
        while self.has_batches() && !read_budget.is_full() && progress == Progress::Done {
            progress = self.step(&mut read_budget, into).unwrap_or_else(|fault| {
                (self.batches, self.compressed, self.records) = (Bytes::new(), None, None);
                self.fault = Some(fault);
                Progress::Done
            });
        }
        match &self.fault {
            Some(fault) if into.len() == before && !self.has_batches() => Err(self.error(fault.clone())),
            _ => Ok(progress),
        }
    }

    fn has_batches(&self) -> bool {
        self.records.is_some() || self.compressed.is_some() || !self.batches.is_empty()
    }

    /// Finds the end of the complete batches by their headers.
    fn scan(&mut self) {
        let mut rest = self.batches.clone();
        let mut log_end = 0;
        while !rest.is_empty() {
            match Batch::first(&rest) {
                Ok(FirstBatch::Complete(batch)) if batch.base_offset < log_end => {
                    let detail = format!("it follows a batch that ends before offset {log_end}");
                    self.fault = Some(Fault { offset: batch.base_offset, kind: FaultKind::Corrupt(detail) });
                    break;
                }
                Ok(FirstBatch::Complete(batch)) => {
                    log_end = batch.next_offset;
                    self.end_position = self.end_position.max(log_end);
                    rest.advance(batch.size());
                }
                Ok(FirstBatch::Incomplete { batch_bytes }) => {
                    if rest.len() == self.batches.len() {
                        self.incomplete_batch_bytes = Some(batch_bytes);
                    }
                    break;
                }
                Err(InvalidHeader { base_offset, fault }) => {
                    let offset = base_offset.unwrap_or(self.end_position);
                    self.fault = Some(Fault { offset, kind: fault.into() });
                    break;
                }
            }
        }
        self.batches.truncate(self.batches.len() - rest.len());
    }

    /// Reads records of the decompressed batch; or decompresses the checked one; or checks the next one.
    fn step(&mut self, read_budget: &mut ReadBudget, into: &mut Vec<Record>) -> Result<Progress, Fault> {
        let fault = |offset| move |kind| Fault { offset, kind };
        if let Some(records) = self.records.take() {
            let offset = records.batch().base_offset;
            self.take_records(records, read_budget, into).map_err(fault(offset))?;
        } else if let Some(compressed) = self.compressed.take() {
            if compressed.is_compressed() && !read_budget.may_decompress {
                self.compressed = Some(compressed);
                return Ok(Progress::NoMemory);
            }
            let offset = compressed.base_offset();
            match compressed.decompress(&self.budget, to_usize(self.bytes_max)).map_err(fault(offset))? {
                Decompressed::Records(records) => self.records = Some(records),
                Decompressed::NoMemory(compressed) => {
                    self.compressed = Some(compressed);
                    return Ok(Progress::NoMemory);
                }
            }
        } else {
            let batch = match Batch::first(&self.batches) {
                Ok(FirstBatch::Complete(batch)) => batch,
                // Not reached: `scan` has ended before it.
                Ok(FirstBatch::Incomplete { .. }) | Err(_) => {
                    return Err(Fault { offset: self.position, kind: Malformed("it is not a batch".into()).into() });
                }
            };
            let offset = batch.base_offset;
            self.batches.advance(batch.size());
            if self.batches.is_empty() {
                // An empty slice would keep the response's memory.
                self.batches = Bytes::new();
            }
            self.compressed = self.check(batch).map_err(fault(offset))?;
        }
        Ok(Progress::Done)
    }

    /// Checks a batch, and skips it unless it has visible records at or after the position.
    fn check(&mut self, batch: Batch) -> Result<Option<CompressedBatch>, FaultKind> {
        batch.check_crc()?;
        let is_hidden = match &mut self.aborted {
            Some(aborted) if batch.is_control() => {
                aborted.apply(&batch, ControlRecord::decode(&batch)?);
                true
            }
            Some(aborted) => aborted.is_aborted(&batch),
            None => batch.is_control(),
        };
        // Compaction may leave a batch without records, and a fetch may begin with a batch that ends before the
        // position.
        if is_hidden || batch.record_count == 0 || batch.next_offset <= self.position {
            self.advance(&batch, batch.next_offset);
            return Ok(None);
        }
        CompressedBatch::new(batch).map(Some)
    }

    /// Reads records of the decompressed batch until its end or the end of the read budget.
    fn take_records(
        &mut self,
        mut records: Records,
        read_budget: &mut ReadBudget,
        into: &mut Vec<Record>,
    ) -> Result<(), FaultKind> {
        while !read_budget.is_full() || records.is_at_end() {
            let Some(record) = records.next()? else {
                self.advance(records.batch(), records.batch().next_offset);
                return Ok(());
            };
            if record.offset >= self.position {
                self.advance(records.batch(), record.offset.saturating_add(1));
                read_budget.fill(&record);
                into.push(record);
            }
        }
        self.records = Some(records);
        Ok(())
    }

    /// Advances position and leader epoch together, so that the epoch is that of a batch which has been read.
    fn advance(&mut self, over: &Batch, position: i64) {
        if position > self.position {
            self.position = position;
            self.leader_epoch = Some(over.leader_epoch).filter(|epoch| *epoch >= 0);
        }
    }

    fn error(&self, fault: Fault) -> Error {
        let (partition, offset) = (self.partition.clone(), fault.offset);
        match fault.kind {
            FaultKind::Corrupt(detail) => Error::CorruptBatch { partition, offset, detail },
            FaultKind::OldFormat(format) => Error::OldFormat { partition, offset, format },
            FaultKind::TooLarge => Error::BatchTooLarge { partition, offset, limit_bytes: self.bytes_max.into() },
        }
    }
}

/// The base timestamp of the first batch, in milliseconds since 1970-01-01 UTC; `None` if there is no complete batch,
/// or no timestamp.
pub(crate) fn first_batch_timestamp(batches: &Bytes) -> Option<i64> {
    match Batch::first(batches) {
        Ok(FirstBatch::Complete(batch)) => Some(batch.base_timestamp).filter(|timestamp| *timestamp >= 0),
        _ => None,
    }
}

pub(super) fn to_usize(bytes: u32) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
