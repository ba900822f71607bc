//! The header of a record batch of format 2 ([record batch](https://kafka.apache.org/documentation/#recordbatch)). Does
//! not decode the records.

use bytes::Bytes;

use super::compression::Codec;
use crate::protocol::{Malformed, Reader};

/// Bytes before the records.
const HEADER_BYTES: usize = 61;
/// The batch's length counts the bytes from here on.
const LENGTH_END: usize = 12;
/// The end of the format number (`magic`), which is at the same place in the older formats.
const FORMAT_END: usize = 17;
/// The checksum covers the bytes from here on.
const CRC_END: usize = 21;
const FORMAT: i8 = 2;
/// The end of the checksum of the older formats, which is followed by the format number.
const OLD_CRC_END: usize = FORMAT_END - 1;

const CODEC_BITS: i16 = 0x07;
const APPEND_TIME_BIT: i16 = 0x08;
const TRANSACTIONAL_BIT: i16 = 0x10;
const CONTROL_BIT: i16 = 0x20;

/// The first batch of some bytes.
#[derive(Debug)]
pub(super) enum FirstBatch {
    /// A complete batch with a valid header. Its records may still be damaged.
    Complete(Batch),
    /// The beginning of a batch; `batch_bytes` is its size, or a lower bound of it.
    Incomplete { batch_bytes: u64 },
}

/// An invalid header, with the batch's base offset if it can be read.
#[derive(Debug)]
pub(super) struct InvalidHeader {
    pub(super) base_offset: Option<i64>,
    pub(super) fault: HeaderFault,
}

/// Why a header is invalid.
#[derive(Debug)]
pub(super) enum HeaderFault {
    /// Its fields are invalid, as described.
    Damaged(String),
    /// It is a valid message of format v0 or v1.
    OldFormat(i8),
}

/// A batch as its header describes it.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    pub(super) base_offset: i64,
    /// Offset delta of the last record that the batch had when it was written; compaction may have removed that record.
    pub(super) last_offset_delta: i32,
    /// The offset after the batch's last one.
    pub(super) next_offset: i64,
    pub(super) leader_epoch: i32,
    pub(super) base_timestamp: i64,
    pub(super) max_timestamp: i64,
    pub(super) producer_id: i64,
    /// At most one per offset of the batch.
    pub(super) record_count: u32,
    crc: u32,
    attributes: i16,
    bytes: Bytes,
}

impl Batch {
    /// Decodes the header of the first batch.
    pub(super) fn first(bytes: &Bytes) -> Result<FirstBatch, InvalidHeader> {
        let mut reader = Reader::new(bytes.clone(), false);
        let (Ok(base_offset), Ok(length)) = (reader.i64(), reader.i32()) else {
            return Ok(FirstBatch::incomplete(HEADER_BYTES));
        };
        if base_offset < 0 {
            let fault = HeaderFault::Damaged(format!("its base offset is {base_offset}"));
            return Err(InvalidHeader { base_offset: None, fault });
        }
        let bad = |detail| InvalidHeader { base_offset: Some(base_offset), fault: HeaderFault::Damaged(detail) };
        let size = usize::try_from(length).map_or(0, |length| length.saturating_add(LENGTH_END));
        if size < FORMAT_END {
            return Err(bad(format!("it announces a length of {length} bytes")));
        }
        let (Ok(leader_epoch), Ok(format)) = (reader.i32(), reader.i8()) else {
            return Ok(FirstBatch::incomplete(size));
        };
        match format {
            FORMAT if size >= HEADER_BYTES => {}
            FORMAT => return Err(bad(format!("it announces a length of {length} bytes, less than its header has"))),
            0 | 1 => {
                let Some(message) = bytes.get(..size) else { return Ok(FirstBatch::incomplete(size)) };
                if !is_valid_message(message) {
                    return Err(bad(format!("it seems to have message format v{format}, but its checksum is wrong")));
                }
                return Err(InvalidHeader { base_offset: Some(base_offset), fault: HeaderFault::OldFormat(format) });
            }
            _ => return Err(bad(format!("it has message format v{format}, which is unknown"))),
        }
        match bytes.get(..size) {
            None => Ok(FirstBatch::incomplete(size)),
            Some(whole) => Self::rest(base_offset, leader_epoch, reader, bytes.slice_ref(whole))
                .map(FirstBatch::Complete)
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
            return Err(Malformed(format!("its last offset delta is {last_offset_delta}")));
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

    /// Size in bytes, including the header.
    pub(super) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Compares the checksum with the bytes.
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

    /// Whether records have the time at which the broker appended the batch instead of their create time
    /// ([KIP-32](https://cwiki.apache.org/confluence/display/KAFKA/KIP-32)).
    pub(super) fn has_append_time(&self) -> bool {
        self.attributes & APPEND_TIME_BIT != 0
    }

    pub(super) fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL_BIT != 0
    }

    /// Whether it is a control batch, such as the end of a transaction.
    pub(super) fn is_control(&self) -> bool {
        self.attributes & CONTROL_BIT != 0
    }

    /// The records, still compressed; they share the batch's memory.
    pub(super) fn payload(&self) -> Bytes {
        self.bytes.slice(HEADER_BYTES.min(self.bytes.len())..)
    }

    /// The header without the records, which no longer holds the response's memory.
    pub(super) fn without_bytes(self) -> Self {
        Self { bytes: Bytes::new(), ..self }
    }
}

/// Whether the checksum of a [message of the old formats](https://kafka.apache.org/documentation/#messageset) is right,
/// so that a damaged byte is not taken for an old format. It is a CRC-32 of the bytes after itself.
fn is_valid_message(message: &[u8]) -> bool {
    let Some((head, covered)) = message.split_at_checked(OLD_CRC_END) else { return false };
    let Some(crc) = head.last_chunk().map(|crc| u32::from_be_bytes(*crc)) else { return false };
    let mut computed = flate2::Crc::new();
    computed.update(covered);
    computed.sum() == crc
}

impl FirstBatch {
    fn incomplete(batch_bytes: usize) -> Self {
        Self::Incomplete { batch_bytes: u64::try_from(batch_bytes).unwrap_or(u64::MAX) }
    }
}
