//! Clocks of producers: a `last_modified` far after the time of its own record is not believed. Must not know the present time, so
//! that the same record always decodes to the same event.

use std::time::Duration;

use super::{Event, Rejection, UtcTime, decode};

/// A record's time before this one bounds nothing: 2001-09-09, long before Kafka. Whoever writes it has no clock, or counts in
/// seconds.
const RECORD_TIME_MIN_MS: i64 = 1_000_000_000_000;

/// The time of an event, as sent and as it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastModified {
    sent: UtcTime,
    /// The time of the record, where `sent` is too far after it.
    instead: Option<UtcTime>,
}

impl LastModified {
    /// One that counts as sent.
    pub fn new(sent: UtcTime) -> Self {
        Self { sent, instead: None }
    }

    /// The time that orders the event.
    pub fn effective(&self) -> &UtcTime {
        self.instead.as_ref().unwrap_or(&self.sent)
    }

    /// The time as sent, if that is too far after the record's and does not count.
    pub fn too_far_ahead(&self) -> Option<&UtcTime> {
        self.instead.as_ref().map(|_| &self.sent)
    }
}

/// Reads records: what [`decode`] says of their values, with the producer's clock held against the record's time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decoder {
    /// How far after its record's time a `last_modified` may be; `None` if any may.
    pub last_modified_max_ahead: Option<Duration>,
}

impl Decoder {
    /// Reads the value of a record that has this time, in milliseconds since 1970.
    pub fn decode<'a>(&self, value: Option<&'a [u8]>, timestamp_ms: Option<i64>) -> Result<Event<'a>, Rejection> {
        let mut event = decode(value)?;
        if let Some(last_modified) = event.last_modified_mut()
            && let Some(record_ms) = timestamp_ms.filter(|record_ms| *record_ms >= RECORD_TIME_MIN_MS)
            && let Some(max_ahead) = self.last_modified_max_ahead
            && last_modified.sent.unix_ms() > record_ms.saturating_add_unsigned(millis(max_ahead))
        {
            last_modified.instead = Some(UtcTime::from_unix_ms(record_ms));
        }
        Ok(event)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
