//! Producers whose clock is ahead: one WARN for all events of some minutes. Must not decide which times count.

use std::time::{Duration, Instant};

use log::warn;

use super::decode::Decoded;

/// The time between two WARNs.
const INTERVAL: Duration = Duration::from_mins(10);

/// Events since the last WARN.
#[derive(Debug, Default)]
pub(super) struct Clocks {
    warned: Option<Instant>,
    events: u64,
}

impl Clocks {
    /// Looks at records that have been stored, and warns if it is time.
    pub(super) fn look_at(&mut self, decoded: &[Decoded]) {
        let mut latest = None;
        for of in decoded {
            for (entry, sent) in of.ahead() {
                self.events += 1;
                latest = Some((of.records(), entry, sent));
            }
        }
        let is_due = self.warned.is_none_or(|warned| warned.elapsed() >= INTERVAL);
        if let Some((records, entry, sent)) = latest.filter(|_| is_due) {
            warn!(
                events = self.events, topic = &*records.partition.topic, partition = records.partition.partition,
                offset = entry.offset, last_modified = sent.as_str(),
                ahead_s = sent.unix_ms().saturating_sub(entry.timestamp_ms.unwrap_or_default()) / 1000;
                "last_modified is too far ahead of the record's timestamp, which is used instead; check the producer's clock"
            );
            *self = Self { warned: Some(Instant::now()), events: 0 };
        }
    }
}
