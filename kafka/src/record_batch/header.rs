//! The head of a record batch of format 2 ([record batch](https://kafka.apache.org/documentation/#recordbatch)). Does not
//! look at the records.

use bytes::Bytes;

use super::compression::Codec;
use crate::protocol::{Malformed, Reader};

/// Bytes before the first record.
const HEADER_BYTES: usize = 61;
/// The batch's length counts the bytes after this one.
const LENGTH_END: usize = 12;
/// The format stands before this byte, in this one and in the older formats.
const FORMAT_END: usize = 17;
/// The checksum covers the bytes after this one.
const CRC_END: usize = 21;
const FORMAT: i8 = 2;
/// The checksum of the older formats ends before this byte, where the format stands.
const OLD_CRC_END: usize = FORMAT_END - 1;

const CODEC_BITS: i16 = 0x07;
const APPEND_TIME_BIT: i16 = 0x08;
const TRANSACTIONAL_BIT: i16 = 0x10;
const CONTROL_BIT: i16 = 0x20;

/// What stands at the head of some bytes.
#[derive(Debug)]
pub(super) enum Head {
    /// A whole batch, with a head that makes sense. What follows the head may still be damaged.
    Complete(Batch),
    /// The beginning of one; `batch_bytes` is its whole size, or the least that it can have.
    Incomplete { batch_bytes: u64 },
}

/// What is wrong with a head, and the batch's base offset if that much can be read.
#[derive(Debug)]
pub(super) struct BadHead {
    pub(super) base_offset: Option<i64>,
    pub(super) problem: Problem,
}

/// What is wrong with a head.
#[derive(Debug)]
pub(super) enum Problem {
    /// It makes no sense, as described.
    Damaged(String),
    /// It is a sound message of format v0 or v1.
    OldFormat(i8),
}

/// A batch as its head describes it.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    pub(super) base_offset: i64,
    /// Of the last record that the batch ever had; it may have been removed since by compaction.
    pub(super) last_offset_delta: i32,
    /// The offset after the batch.
    pub(super) next_offset: i64,
    pub(super) leader_epoch: i32,
    pub(super) base_timestamp: i64,
    pub(super) max_timestamp: i64,
    pub(super) producer_id: i64,
    /// As announced, at most one per offset of the batch.
    pub(super) record_count: u32,
    crc: u32,
    attributes: i16,
    bytes: Bytes,
}

impl Batch {
    /// Reads the head of the first batch.
    pub(super) fn first(bytes: &Bytes) -> Result<Head, BadHead> {
        let mut reader = Reader::new(bytes.clone(), false);
        let (Ok(base_offset), Ok(length)) = (reader.i64(), reader.i32()) else {
            return Ok(Head::incomplete(HEADER_BYTES));
        };
        if base_offset < 0 {
            let problem = Problem::Damaged(format!("its base offset is {base_offset}"));
            return Err(BadHead { base_offset: None, problem });
        }
        let bad = |detail| BadHead { base_offset: Some(base_offset), problem: Problem::Damaged(detail) };
        let size = usize::try_from(length).map_or(0, |length| length.saturating_add(LENGTH_END));
        if size < FORMAT_END {
            return Err(bad(format!("it announces a length of {length} bytes")));
        }
        let (Ok(leader_epoch), Ok(format)) = (reader.i32(), reader.i8()) else {
            return Ok(Head::incomplete(size));
        };
        match format {
            FORMAT if size >= HEADER_BYTES => {}
            FORMAT => return Err(bad(format!("it announces a length of {length} bytes, less than its head has"))),
            0 | 1 => {
                let Some(message) = bytes.get(..size) else { return Ok(Head::incomplete(size)) };
                if !is_sound_message(message) {
                    return Err(bad(format!("it seems to have message format v{format}, but its checksum is wrong")));
                }
                return Err(BadHead { base_offset: Some(base_offset), problem: Problem::OldFormat(format) });
            }
            _ => return Err(bad(format!("it has message format v{format}, which is unknown"))),
        }
        match bytes.get(..size) {
            None => Ok(Head::incomplete(size)),
            Some(whole) => Self::rest(base_offset, leader_epoch, reader, bytes.slice_ref(whole))
                .map(Head::Complete)
                .map_err(|malformed| bad(malformed.0)),
        }
    }

    fn rest(base_offset: i64, leader_epoch: i32, mut from: Reader, bytes: Bytes) -> Result<Self, Malformed> {
        let crc = from.u32()?;
        let attributes = from.i16()?;
        let last_offset_delta = from.i32()?;
        let base_timestamp = from.i64()?;
        let max_timestamp = from.i64()?;
        let producer_id = from.i64()?;
        from.i16()?; // producer epoch
        from.i32()?; // base sequence
        let record_count = from.i32()?;

        let next_offset = base_offset.checked_add(i64::from(last_offset_delta)).and_then(|last| last.checked_add(1));
        let (Some(next_offset), 0..) = (next_offset, last_offset_delta) else {
            return Err(Malformed(format!("its last offset lies {last_offset_delta} after its first")));
        };
        let record_count = match u32::try_from(record_count) {
            Ok(count) if i64::from(count) <= next_offset - base_offset => count,
            _ => {
                let offsets = next_offset - base_offset;
                return Err(Malformed(format!("it announces {record_count} records in {offsets} offsets")));
            }
        };
        Ok(Self {
            base_offset,
            last_offset_delta,
            next_offset,
            leader_epoch,
            base_timestamp,
            max_timestamp,
            producer_id,
            record_count,
            crc,
            attributes,
            bytes,
        })
    }

    /// Size in bytes, head and all.
    pub(super) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Whether the bytes are those that were written.
    pub(super) fn check_crc(&self) -> Result<(), Malformed> {
        let computed = crc32c::crc32c(self.bytes.get(CRC_END..).unwrap_or_default());
        if computed == self.crc {
            return Ok(());
        }
        Err(Malformed(format!("its checksum is {:08x}, but its bytes have {computed:08x}", self.crc)))
    }

    pub(super) fn codec(&self) -> Result<Codec, Malformed> {
        let bits = self.attributes & CODEC_BITS;
        Codec::from_bits(bits).ok_or_else(|| Malformed(format!("it is compressed by codec {bits}, which is unknown")))
    }

    /// Records carry the time at which the broker got the batch, not their own
    /// ([KIP-32](https://cwiki.apache.org/confluence/display/KAFKA/KIP-32)).
    pub(super) fn has_append_time(&self) -> bool {
        self.attributes & APPEND_TIME_BIT != 0
    }

    pub(super) fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL_BIT != 0
    }

    /// Its records are the broker's own marks, such as the end of a transaction.
    pub(super) fn is_control(&self) -> bool {
        self.attributes & CONTROL_BIT != 0
    }

    /// The records, still compressed; they share the batch's memory.
    pub(super) fn payload(&self) -> Bytes {
        self.bytes.slice(HEADER_BYTES.min(self.bytes.len())..)
    }

    /// Only what the head says, so that the response's memory is not held any longer.
    pub(super) fn without_bytes(self) -> Self {
        Self { bytes: Bytes::new(), ..self }
    }
}

/// Whether the checksum of a [message of the old formats](https://kafka.apache.org/documentation/#messageset) is right, so that no
/// damaged byte passes for an old format. It is CRC-32, and covers the bytes after itself.
fn is_sound_message(message: &[u8]) -> bool {
    let Some((head, covered)) = message.split_at_checked(OLD_CRC_END) else { return false };
    let Some(crc) = head.last_chunk().map(|crc| u32::from_be_bytes(*crc)) else { return false };
    let mut computed = flate2::Crc::new();
    computed.update(covered);
    computed.sum() == crc
}

impl Head {
    fn incomplete(batch_bytes: usize) -> Self {
        Self::Incomplete { batch_bytes: u64::try_from(batch_bytes).unwrap_or(u64::MAX) }
    }
}
