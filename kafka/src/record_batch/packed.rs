//! A batch whose records are still compressed, and how they come into memory: within the budget, or not yet. Does not look at the
//! records.

use bytes::Bytes;

use super::FaultKind;
use super::compression::{Codec, DecompressError, expected_bytes};
use super::header::Batch;
use super::records::Records;
use crate::budget::Budget;

/// A batch that has been checked and whose records are wanted.
#[derive(Debug)]
pub(super) struct PackedBatch {
    batch: Batch,
    codec: Codec,
    /// Size of the decompressed records, once it had to be found out.
    bytes: Option<usize>,
}

impl PackedBatch {
    pub(super) fn new(batch: Batch) -> Result<Self, FaultKind> {
        let codec = batch.codec()?;
        Ok(Self { batch, codec, bytes: None })
    }

    pub(super) fn base_offset(&self) -> i64 {
        self.batch.base_offset
    }

    /// Whether its records take memory of their own.
    pub(super) fn is_compressed(&self) -> bool {
        self.codec != Codec::None
    }

    /// The records, decompressed into at most `bytes_max` bytes; the batch itself again if there is no memory for them yet.
    pub(super) fn unpack(mut self, budget: &Budget, bytes_max: usize) -> Result<Result<Records, Self>, FaultKind> {
        let payload = self.batch.payload();
        let unpacked = if self.is_compressed() { self.decompress(&payload, budget, bytes_max)? } else { Some(payload) };
        Ok(match unpacked {
            // Its records are slices of the response, or else the response is not needed any more.
            Some(unpacked) => Ok(Records::new(self.batch.without_bytes(), unpacked)),
            None => Err(self),
        })
    }

    /// Most batches are small, and their size is found out by decompressing them. A larger one is decompressed twice, the first
    /// time into nothing, so that the memory for it is known beforehand.
    fn decompress(
        &mut self,
        payload: &[u8],
        budget: &Budget,
        bytes_max: usize,
    ) -> Result<Option<Bytes>, DecompressError> {
        let working_bytes = self.codec.working_bytes(payload, bytes_max);
        let bytes = if let Some(bytes) = self.bytes {
            bytes
        } else {
            let limit = bytes_max.min(budget.guess_bytes());
            let guess = self.codec.working_bytes(payload, limit).saturating_add(limit);
            if let Some(share) = budget.batch_if_free(guess) {
                match self.codec.decompress_into(payload, expected_bytes(payload), limit) {
                    Ok(unpacked) => return Ok(Some(share.hold(unpacked))),
                    Err(DecompressError::TooLarge) if limit < bytes_max => {}
                    Err(error) => return Err(error),
                }
            }
            let Some(_share) = budget.batch(working_bytes) else { return Ok(None) };
            *self.bytes.insert(self.codec.decompressed_bytes(payload, bytes_max)?)
        };
        let Some(share) = budget.batch(working_bytes.saturating_add(bytes)) else { return Ok(None) };
        Ok(Some(share.hold(self.codec.decompress_into(payload, bytes, bytes)?)))
    }
}
