//! Publishes what the loop knows in the [`Metrics`]. Must not decide anything.

use std::time::{Duration, Instant};

use super::decode::Decoded;
use crate::entity::Reason;
use crate::observability::Metrics;
use crate::storage::{Outcome, PartitionCounts, Writer};

/// How often positions are compared with the ends of the logs.
const ENDS_INTERVAL: Duration = Duration::from_secs(1);

/// How often the sizes of the database are read.
const SIZES_INTERVAL: Duration = Duration::from_secs(5);

/// What is due when.
#[derive(Debug, Default)]
pub(super) struct Publisher {
    ends_at: Option<Instant>,
    sizes_at: Option<Instant>,
}

impl Publisher {
    /// Publishes what changes without records.
    pub(super) fn publish_when_due(&mut self, metrics: &Metrics, writer: &dyn Writer) {
        let now = Instant::now();
        let is_due = |at: Option<Instant>| at.is_none_or(|at| now >= at);
        if is_due(self.ends_at) {
            self.ends_at = Some(now + ENDS_INTERVAL);
            metrics.partitions.note_ends(&metrics.consumer.partitions(), now);
        }
        if is_due(self.sizes_at) {
            self.sizes_at = Some(now + SIZES_INTERVAL);
            // The next write reports what is wrong with the files.
            if let Ok(sizes) = writer.sizes() {
                metrics.note_sizes(sizes);
            }
        }
    }
}

/// Publishes that batches were stored, with what became of their offsets.
pub(super) fn publish_stored(metrics: &Metrics, stored: &[Decoded], counts: &PartitionCounts) {
    metrics.partitions.count(counts);
    let total = counts.total();
    metrics.transactions.records.observe(total.records());
    let mut rejected = total.get(Outcome::Unidentified);
    for reason in stored.iter().flat_map(Decoded::rejections) {
        metrics.unidentified.add(reason.as_str(), 1);
        rejected = rejected.saturating_sub(1);
    }
    // The others are events whose rows the database has rejected.
    metrics.unidentified.add(Reason::Rejected.as_str(), rejected);
    for batch in stored.iter().map(Decoded::records) {
        let last_record_ms = batch.records.last().and_then(|record| record.timestamp_ms);
        metrics.partitions.advance(&batch.partition, batch.next_offset, batch.end_offset, last_record_ms);
    }
}
