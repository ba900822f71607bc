//! Warns about producers whose clock is ahead: one WARN for all such events of some minutes. Must not decide which
//! timestamp is used.

use std::time::{Duration, Instant};

use log::warn;

use super::decode::Decoded;

/// The time between two WARNs.
const INTERVAL: Duration = Duration::from_mins(10);

/// What was found since the last WARN.
#[derive(Debug, Default)]
pub(super) struct ProducerClocks {
    warned_at: Option<Instant>,
    events_ahead: u64,
}

impl ProducerClocks {
    /// Checks stored records, and warns if a WARN is due.
    pub(super) fn check(&mut self, decoded: &[Decoded]) {
        let mut latest = None;
        for batch in decoded {
            for (entry, last_modified) in batch.too_far_ahead() {
                self.events_ahead += 1;
                latest = Some((batch.records(), entry, last_modified));
            }
        }
        let is_due = self.warned_at.is_none_or(|warned_at| warned_at.elapsed() >= INTERVAL);
        if let Some((records, entry, last_modified)) = latest.filter(|_| is_due) {
            warn!(
                events = self.events_ahead, topic = &*records.partition.topic, partition = records.partition.partition,
                offset = entry.offset, last_modified = last_modified.as_str(),
                ahead_s = last_modified.unix_ms().saturating_sub(entry.timestamp_ms.unwrap_or_default()) / 1000;
                "last_modified is too far ahead of the record's timestamp, which is used instead; check the producer's clock"
            );
            *self = Self { warned_at: Some(Instant::now()), events_ahead: 0 };
        }
    }
}
