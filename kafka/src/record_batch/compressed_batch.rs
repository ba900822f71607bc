//! A batch whose records have not been decompressed, and their decompression within the memory budget. Does not decode
//! the records.

use bytes::Bytes;

use super::compression::{Codec, DecompressError, expected_bytes};
use super::fault::FaultKind;
use super::header::Batch;
use super::records::Records;
use crate::budget::Budget;

/// A batch whose checksum is right and whose records are to be read.
#[derive(Debug)]
pub(super) struct CompressedBatch {
    batch: Batch,
    codec: Codec,
    /// Size of the decompressed records, once it had to be measured.
    decompressed_bytes: Option<usize>,
}

/// The result of a decompression.
#[derive(Debug)]
pub(super) enum Decompressed {
    Records(Records),
    /// The budget has no memory for the records at the moment.
    NoMemory(CompressedBatch),
}

impl CompressedBatch {
    pub(super) fn new(batch: Batch) -> Result<Self, FaultKind> {
        let codec = batch.codec()?;
        Ok(Self { batch, codec, decompressed_bytes: None })
    }

    pub(super) fn base_offset(&self) -> i64 {
        self.batch.base_offset
    }

    /// Whether the records need memory of their own.
    pub(super) fn is_compressed(&self) -> bool {
        self.codec != Codec::None
    }

    /// Decompresses the records into at most `bytes_max` bytes.
    pub(super) fn decompress(mut self, budget: &Budget, bytes_max: usize) -> Result<Decompressed, FaultKind> {
        let payload = self.batch.payload();
        let records =
            if self.is_compressed() { self.decompress_payload(&payload, budget, bytes_max)? } else { Some(payload) };
        Ok(match records {
            // Uncompressed records are slices of the response; otherwise the response is not needed any more.
            Some(records) => Decompressed::Records(Records::new(self.batch.without_bytes(), records)),
            None => Decompressed::NoMemory(self),
        })
    }

    /// Most batches are small: decompressing them is the cheapest way to learn their size. A larger one is decompressed
    /// twice, first without keeping the output, so that its memory is known before it is allocated.
    fn decompress_payload(
        &mut self,
        payload: &[u8],
        budget: &Budget,
        bytes_max: usize,
    ) -> Result<Option<Bytes>, DecompressError> {
        let working_bytes = self.codec.working_bytes(payload, bytes_max);
        let bytes = if let Some(bytes) = self.decompressed_bytes {
            bytes
        } else {
            let limit = bytes_max.min(budget.guess_bytes());
            let guess = self.codec.working_bytes(payload, limit).saturating_add(limit);
            if let Some(share) = budget.batch_if_free(guess) {
                match self.codec.decompress_into(payload, expected_bytes(payload), limit) {
                    Ok(records) => return Ok(Some(share.hold(records))),
                    Err(DecompressError::TooLarge) if limit < bytes_max => {}
                    Err(error) => return Err(error),
                }
            }
            let Some(_share) = budget.batch(working_bytes) else { return Ok(None) };
            *self.decompressed_bytes.insert(self.codec.decompressed_bytes(payload, bytes_max)?)
        };
        let Some(share) = budget.batch(working_bytes.saturating_add(bytes)) else { return Ok(None) };
        Ok(Some(share.hold(self.codec.decompress_into(payload, bytes, bytes)?)))
    }
}
