//! The records of one batch, taken out one after the other. Does not know which of them the caller may see.

use bytes::Bytes;

use super::header::Batch;
use super::headers::Headers;
use crate::protocol::{Malformed, Reader};
use crate::types::Record;

/// What the producer's "no timestamp" looks like.
const NO_TIMESTAMP: i64 = -1;

/// The records of a batch that have not been taken out yet.
#[derive(Debug)]
pub(super) struct Records {
    batch: Batch,
    payload: Reader,
    left: u32,
    offset_delta_min: i64,
}

impl Records {
    /// `payload` is decompressed. Nothing grows as it is taken out: records and their headers are parts of it.
    pub(super) fn new(batch: Batch, payload: Bytes) -> Self {
        let left = batch.record_count;
        Self { batch, payload: Reader::new(payload, false), left, offset_delta_min: 0 }
    }

    pub(super) fn batch(&self) -> &Batch {
        &self.batch
    }

    /// No record is left; what follows the last one has perhaps not been looked at yet.
    pub(super) fn is_at_end(&self) -> bool {
        self.left == 0
    }

    /// `None` after the last record, if nothing follows it.
    pub(super) fn next(&mut self) -> Result<Option<Record>, Malformed> {
        if self.left == 0 {
            self.payload.clone().finish()?;
            return Ok(None);
        }
        let body = self.payload.varint_bytes()?.ok_or_else(|| self.payload.malformed("a record without a length"))?;
        let record = self.record(Reader::new(body, false))?;
        self.left -= 1;
        Ok(Some(record))
    }

    fn record(&mut self, mut body: Reader) -> Result<Record, Malformed> {
        body.i8()?; // attributes: none are defined
        let timestamp_delta = body.varlong()?;
        let offset_delta = i64::from(body.varint()?);
        let (low, high) = (self.offset_delta_min, i64::from(self.batch.last_offset_delta));
        if !(low..=high).contains(&offset_delta) {
            let detail = format!("a record's offset lies {offset_delta} after the batch's, not {low} to {high}");
            return Err(body.malformed(&detail));
        }
        let timestamp = if self.batch.has_append_time() {
            self.batch.max_timestamp
        } else {
            let timestamp = self.batch.base_timestamp.checked_add(timestamp_delta);
            timestamp.ok_or_else(|| body.malformed("a record's timestamp is out of range"))?
        };
        let key = body.varint_bytes()?;
        let value = body.varint_bytes()?;
        let headers = Headers::read(&mut body)?;
        body.finish()?;
        self.offset_delta_min = offset_delta + 1;
        Ok(Record {
            // The batch's last offset has been checked to be one.
            offset: self.batch.base_offset.saturating_add(offset_delta),
            timestamp_ms: Some(timestamp).filter(|timestamp| *timestamp != NO_TIMESTAMP),
            key,
            value,
            headers,
        })
    }
}
