//! Reads what a fetch brought of one partition: record batches, one at a time. Knows nothing of connections, and trusts no
//! byte: damage is an error, reported after the records before it have been given out.

#[cfg(feature = "bench")]
pub mod bench;
mod compression;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod header;
mod headers;
mod packed;
mod records;
#[cfg(test)]
mod tests;
mod transactions;

use bytes::{Buf, Bytes};

use self::compression::DecompressError;
use self::header::{BadHead, Batch, Head, Problem};
pub use self::headers::{Header, Headers};
use self::packed::PackedBatch;
use self::records::Records;
use self::transactions::{AbortedTransactions, Marker};
use crate::budget::Budget;
use crate::error::{Error, Result};
use crate::protocol::{AbortedTransaction, Malformed, Reader};
use crate::types::{IsolationLevel, Record, TopicPartition};

/// The record of a control batch has a few bytes; nobody compresses it.
const CONTROL_BYTES_MAX: usize = 64 * 1024;

/// The fetched bytes of one partition, and how far they have been read.
#[derive(Debug)]
pub(crate) struct PartitionReader {
    partition: TopicPartition,
    /// Complete batches that have not been opened yet.
    batches: Bytes,
    /// The batch before those, which has been checked.
    packed: Option<PackedBatch>,
    open: Option<Records>,
    /// What ends the reading once everything before it has been given out.
    fault: Option<Fault>,
    incomplete_batch_bytes: Option<u64>,
    position: i64,
    end_position: i64,
    leader_epoch: Option<i32>,
    /// `None` under `read_uncommitted`.
    aborted: Option<AbortedTransactions>,
    bytes_max: u32,
    /// Where the memory for decompressed batches comes from.
    budget: Budget,
}

/// Why a batch cannot be read.
#[derive(Debug, Clone)]
struct Fault {
    offset: i64,
    kind: FaultKind,
}

#[derive(Debug, Clone)]
enum FaultKind {
    Corrupt(String),
    OldFormat(i8),
    TooLarge,
}

impl From<Malformed> for FaultKind {
    fn from(malformed: Malformed) -> Self {
        Self::Corrupt(malformed.0)
    }
}

impl From<Problem> for FaultKind {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::Damaged(detail) => Self::Corrupt(detail),
            Problem::OldFormat(format) => Self::OldFormat(format),
        }
    }
}

impl From<DecompressError> for FaultKind {
    fn from(error: DecompressError) -> Self {
        match error {
            DecompressError::Damaged(detail) => Self::Corrupt(format!("its records cannot be decompressed: {detail}")),
            DecompressError::TooLarge => Self::TooLarge,
        }
    }
}

/// How much may be read at once. What goes over the bytes is the last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) records: usize,
    /// Of keys, values and headers.
    pub(crate) bytes: usize,
    /// Whether another batch may be decompressed.
    pub(crate) may_unpack: bool,
}

/// How a read ended that met no damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// At the end, or with as many records as there was room for.
    Done,
    /// Before a batch that there is no memory for at the moment.
    NoMemory,
}

impl Room {
    /// For so many records, whatever their size.
    pub(crate) fn of(records: usize) -> Self {
        Self { records, bytes: usize::MAX, may_unpack: true }
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
    /// `position` is the offset that was asked for, and `aborted` what the broker said with the records.
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
            packed: None,
            open: None,
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

    /// Takes the memory for decompressed batches out of a budget.
    pub(crate) fn within(self, budget: Budget) -> Self {
        Self { budget, ..self }
    }

    /// Where the next fetch of the partition starts: after all complete batches, even those that have not been read yet.
    pub(crate) fn end_position(&self) -> i64 {
        self.end_position
    }

    /// The next offset to read after what was given out. Passes over offsets that hold no visible record (control and
    /// aborted batches, holes) as soon as the batch around them has been read.
    pub(crate) fn position(&self) -> i64 {
        self.position
    }

    /// The leader's epoch when the batch before the position was written, once the position has moved.
    pub(crate) fn leader_epoch(&self) -> Option<i32> {
        self.leader_epoch
    }

    /// Nothing is left to read, not even an error; the position is the end position.
    pub(crate) fn is_empty(&self) -> bool {
        !self.has_batches() && self.fault.is_none()
    }

    /// The size of the first batch in bytes (or the least it can have), if the fetch brought only its beginning: the next
    /// one must allow for more, or ask for this partition first.
    pub(crate) fn incomplete_batch_bytes(&self) -> Option<u64> {
        self.incomplete_batch_bytes
    }

    /// Appends the next records, as long as there is room for them, and memory for the batches that they lie in. Nothing is
    /// appended only at the end, or without memory, or with an error, which then stays.
    pub(crate) fn read(&mut self, mut room: Room, into: &mut Vec<Record>) -> Result<Progress> {
        let before = into.len();
        let mut progress = Progress::Done;
        while self.has_batches() && !room.is_full() && progress == Progress::Done {
            progress = self.step(&mut room, into).unwrap_or_else(|fault| {
                (self.batches, self.packed, self.open) = (Bytes::new(), None, None);
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
        self.open.is_some() || self.packed.is_some() || !self.batches.is_empty()
    }

    /// Finds the end of the complete batches by their heads alone.
    fn scan(&mut self) {
        let mut rest = self.batches.clone();
        let mut log_end = 0;
        while !rest.is_empty() {
            match Batch::first(&rest) {
                Ok(Head::Complete(batch)) if batch.base_offset < log_end => {
                    let detail = format!("it follows a batch that ends before offset {log_end}");
                    self.fault = Some(Fault { offset: batch.base_offset, kind: FaultKind::Corrupt(detail) });
                    break;
                }
                Ok(Head::Complete(batch)) => {
                    log_end = batch.next_offset;
                    self.end_position = self.end_position.max(log_end);
                    rest.advance(batch.size());
                }
                Ok(Head::Incomplete { batch_bytes }) => {
                    if rest.len() == self.batches.len() {
                        self.incomplete_batch_bytes = Some(batch_bytes);
                    }
                    break;
                }
                Err(BadHead { base_offset, problem }) => {
                    let offset = base_offset.unwrap_or(self.end_position);
                    self.fault = Some(Fault { offset, kind: problem.into() });
                    break;
                }
            }
        }
        self.batches.truncate(self.batches.len() - rest.len());
    }

    /// Takes records out of the open batch; or opens one that has been checked; or checks the next one.
    fn step(&mut self, room: &mut Room, into: &mut Vec<Record>) -> Result<Progress, Fault> {
        let fault = |offset| move |kind| Fault { offset, kind };
        if let Some(records) = self.open.take() {
            let offset = records.batch().base_offset;
            self.take_records(records, room, into).map_err(fault(offset))?;
        } else if let Some(packed) = self.packed.take() {
            if packed.is_compressed() && !room.may_unpack {
                self.packed = Some(packed);
                return Ok(Progress::NoMemory);
            }
            let offset = packed.base_offset();
            match packed.unpack(&self.budget, to_usize(self.bytes_max)).map_err(fault(offset))? {
                Ok(records) => self.open = Some(records),
                Err(packed) => {
                    self.packed = Some(packed);
                    return Ok(Progress::NoMemory);
                }
            }
        } else {
            let batch = match Batch::first(&self.batches) {
                Ok(Head::Complete(batch)) => batch,
                // Not reached: the scan has ended before it.
                Ok(Head::Incomplete { .. }) | Err(_) => {
                    return Err(Fault { offset: self.position, kind: Malformed("it is no batch".into()).into() });
                }
            };
            let offset = batch.base_offset;
            self.batches.advance(batch.size());
            if self.batches.is_empty() {
                // An empty slice would hold the response's memory too.
                self.batches = Bytes::new();
            }
            self.packed = self.check(batch).map_err(fault(offset))?;
        }
        Ok(Progress::Done)
    }

    /// Checks a batch, and passes over it unless it holds records that are wanted.
    fn check(&mut self, batch: Batch) -> Result<Option<PackedBatch>, FaultKind> {
        batch.check_crc()?;
        let hidden = match &mut self.aborted {
            Some(aborted) if batch.is_control() => {
                aborted.mark(&batch, marker(&batch)?);
                true
            }
            Some(aborted) => aborted.hide(&batch),
            None => batch.is_control(),
        };
        // Compaction may leave a batch without records, and a fetch may begin with one that ends before its position.
        if hidden || batch.record_count == 0 || batch.next_offset <= self.position {
            self.advance(&batch, batch.next_offset);
            return Ok(None);
        }
        PackedBatch::new(batch).map(Some)
    }

    /// Takes records out of the open batch until it is at its end or enough have been given out.
    fn take_records(&mut self, mut records: Records, room: &mut Room, into: &mut Vec<Record>) -> Result<(), FaultKind> {
        while !room.is_full() || records.is_at_end() {
            let Some(record) = records.next()? else {
                self.advance(records.batch(), records.batch().next_offset);
                return Ok(());
            };
            if record.offset >= self.position {
                self.advance(records.batch(), record.offset.saturating_add(1));
                room.fill(&record);
                into.push(record);
            }
        }
        self.open = Some(records);
        Ok(())
    }

    /// Position and epoch move together: a batch that is only open has given nothing yet.
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

/// When the first batch was written, as its header says, in milliseconds since 1970; `None` if there is no whole batch, or no time.
pub(crate) fn first_batch_timestamp(batches: &Bytes) -> Option<i64> {
    match Batch::first(batches) {
        Ok(Head::Complete(batch)) => Some(batch.base_timestamp).filter(|timestamp| *timestamp >= 0),
        _ => None,
    }
}

/// What a control batch says: its record's key is a version and a type.
fn marker(batch: &Batch) -> Result<Marker, FaultKind> {
    if batch.record_count == 0 {
        return Ok(Marker::Other);
    }
    let payload = match batch.codec()?.decompress(batch.payload(), CONTROL_BYTES_MAX) {
        Err(DecompressError::TooLarge) => {
            return Err(FaultKind::Corrupt(format!("it is a control batch of more than {CONTROL_BYTES_MAX} bytes")));
        }
        payload => payload?,
    };
    let Some(record) = Records::new(batch.clone(), payload).next()? else {
        return Ok(Marker::Other);
    };
    let mut key = Reader::new(record.key.unwrap_or_default(), false);
    key.i16()?; // version
    Ok(Marker::from_type(key.i16()?))
}

fn to_usize(bytes: u32) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
