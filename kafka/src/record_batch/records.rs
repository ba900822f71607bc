//! Decodes the records of one batch, one after the other. Must not know which of them the consumer may see.

use bytes::Bytes;

use super::header::Batch;
use crate::protocol::{Malformed, Reader};
use crate::types::{Headers, Record};

/// The timestamp of a record without a timestamp.
const NO_TIMESTAMP: i64 = -1;

/// The records of a batch that have not been decoded yet.
#[derive(Debug)]
pub(super) struct Records {
    batch: Batch,
    payload: Reader,
    left: u32,
    offset_delta_min: i64,
}

impl Records {
    /// `payload` is decompressed. Decoding allocates nothing: records and their headers are slices of it.
    pub(super) fn new(batch: Batch, payload: Bytes) -> Self {
        let left = batch.record_count;
        Self { batch, payload: Reader::new(payload, false), left, offset_delta_min: 0 }
    }

    pub(super) fn batch(&self) -> &Batch {
        &self.batch
    }

    /// Whether no record is left. `next` still checks that no bytes follow the last one.
    pub(super) fn is_at_end(&self) -> bool {
        self.left == 0
    }

    /// Decodes the next record; `None` after the last one.
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
            let detail = format!("a record has offset delta {offset_delta}, not {low} to {high}");
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
        let headers = headers(&mut body)?;
        body.finish()?;
        self.offset_delta_min = offset_delta + 1;
        Ok(Record {
            // The header's check has shown that the batch's last offset does not overflow.
            offset: self.batch.base_offset.saturating_add(offset_delta),
            timestamp_ms: Some(timestamp).filter(|timestamp| *timestamp != NO_TIMESTAMP),
            key,
            value,
            headers,
        })
    }
}

/// Decodes the headers at the end of a record: their count, then each of them.
fn headers(body: &mut Reader) -> Result<Headers, Malformed> {
    let announced = body.varint()?;
    let count = usize::try_from(announced).ok();
    let Some(count) = count.filter(|count| count.saturating_mul(Headers::HEADER_BYTES_MIN) <= body.remaining()) else {
        return Err(body.malformed(&format!("{announced} headers announced in {} bytes", body.remaining())));
    };
    if count == 0 {
        return Ok(Headers::default());
    }
    let bytes = Headers::encoded_length(count, body.rest()).map_err(|what| body.malformed(&what))?;
    Ok(Headers::from_encoded(count, body.take(bytes)?))
}
