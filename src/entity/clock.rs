//! The time of an event, limited by the timestamp of its record: a producer's clock may be far ahead.

use std::time::Duration;

use super::moment::UtcTime;
use crate::runtime::millis::millis;

/// A record's timestamp before this one limits nothing: 2001-09-09, long before Kafka. Its producer has no clock, or sends seconds.
const RECORD_TIME_MIN_MS: i64 = 1_000_000_000_000;

/// The time of an event, as sent and as it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastModified {
    sent: UtcTime,
    /// The record's timestamp, if `sent` is too far after it.
    instead: Option<Box<UtcTime>>,
}

impl LastModified {
    /// A time that counts as sent.
    pub fn new(sent: UtcTime) -> Self {
        Self { sent, instead: None }
    }

    /// The time that orders the event.
    pub fn effective(&self) -> &UtcTime {
        self.instead.as_deref().unwrap_or(&self.sent)
    }

    /// The time as sent, if it is too far after the record's timestamp and does not count.
    pub fn too_far_ahead(&self) -> Option<&UtcTime> {
        self.instead.as_ref().map(|_| &self.sent)
    }

    /// Replaces the time by the record's timestamp, in milliseconds since 1970, if it is more than `max_ahead` after it.
    pub(super) fn limit(&mut self, timestamp_ms: Option<i64>, max_ahead: Duration) {
        if let Some(record_ms) = timestamp_ms.filter(|record_ms| *record_ms >= RECORD_TIME_MIN_MS)
            && self.sent.unix_ms() > record_ms.saturating_add_unsigned(millis(max_ahead))
        {
            self.instead = Some(Box::new(UtcTime::from_unix_ms(record_ms)));
        }
    }
}
