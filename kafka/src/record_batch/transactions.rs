//! Which batches are part of aborted transactions
//! ([KIP-98](https://cwiki.apache.org/confluence/display/KAFKA/KIP-98+-+Exactly+Once+Delivery+and+Transactional+Messaging)).
//! Must not know positions.

use std::collections::HashSet;

use super::compression::DecompressError;
use super::fault::FaultKind;
use super::header::Batch;
use super::records::Records;
use crate::protocol::{AbortedTransaction, Reader};

/// A control batch has one record of a few bytes, uncompressed.
const CONTROL_BYTES_MAX: usize = 64 * 1024;

/// The type of a control record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ControlRecord {
    Abort,
    /// A commit, or another type that consumers skip.
    Other,
}

impl ControlRecord {
    const ABORT_TYPE: i16 = 0;

    /// Decodes the record of a control batch: its key is a version and a type.
    pub(super) fn decode(batch: &Batch) -> Result<Self, FaultKind> {
        if batch.record_count == 0 {
            return Ok(Self::Other);
        }
        let payload = match batch.codec()?.decompress(batch.payload(), CONTROL_BYTES_MAX) {
            Err(DecompressError::TooLarge) => {
                return Err(FaultKind::Corrupt(format!(
                    "it is a control batch of more than {CONTROL_BYTES_MAX} bytes"
                )));
            }
            payload => payload?,
        };
        let Some(record) = Records::new(batch.clone(), payload).next()? else {
            return Ok(Self::Other);
        };
        let mut key = Reader::new(record.key.unwrap_or_default(), false);
        key.i16()?; // version
        Ok(if key.i16()? == Self::ABORT_TYPE { Self::Abort } else { Self::Other })
    }
}

/// The aborted transactions of a fetch response, while its batches are read in offset order.
#[derive(Debug)]
pub(super) struct AbortedTransactions {
    /// Those that begin after the batches read so far, the next one last.
    ahead: Vec<AbortedTransaction>,
    /// Producers with an aborted transaction that is open at this batch.
    producers: HashSet<i64>,
}

impl AbortedTransactions {
    pub(super) fn new(mut aborted: Vec<AbortedTransaction>) -> Self {
        aborted.sort_unstable_by_key(|transaction| std::cmp::Reverse(transaction.first_offset));
        Self { ahead: aborted, producers: HashSet::new() }
    }

    /// Advances to the next batch, which has data records. True if it is part of an aborted transaction.
    pub(super) fn is_aborted(&mut self, batch: &Batch) -> bool {
        self.advance(batch);
        batch.is_transactional() && self.producers.contains(&batch.producer_id)
    }

    /// Advances to the next batch, which is a control batch.
    pub(super) fn apply(&mut self, batch: &Batch, record: ControlRecord) {
        self.advance(batch);
        if record == ControlRecord::Abort {
            self.producers.remove(&batch.producer_id);
        }
    }

    fn advance(&mut self, batch: &Batch) {
        while let Some(next) = self.ahead.pop_if(|next| next.first_offset < batch.next_offset) {
            self.producers.insert(next.producer_id);
        }
    }
}
