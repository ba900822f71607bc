//! Publishes what the loop knows in the [`Metrics`]. Must not decide anything.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kafka::TopicPartition;

use super::decode::Decoded;
use crate::entity::Reason;
use crate::observability::{Jump, MessageTexts, Metrics, UnidentifiedMessage};
use crate::storage::{OffsetJump, Outcome, PartitionCounts, RejectedRecord, Writer};

/// How often positions are compared with the ends of the logs.
const ENDS_INTERVAL: Duration = Duration::from_secs(1);

/// How often the sizes of the database are read, and the throughput is sampled.
const SAMPLES_INTERVAL: Duration = Duration::from_secs(5);

/// What is due when.
#[derive(Debug, Default)]
pub(super) struct Publisher {
    ends_at: Option<Instant>,
    samples_at: Option<Instant>,
}

impl Publisher {
    /// Publishes what changes without records.
    pub(super) fn publish_when_due(&mut self, metrics: &Metrics, writer: &dyn Writer) {
        let now = Instant::now();
        let is_due = |at: Option<Instant>| at.is_none_or(|at| now >= at);
        if is_due(self.ends_at) {
            self.ends_at = Some(now + ENDS_INTERVAL);
            metrics.partitions.note_ends(&metrics.consumer.partitions());
        }
        if is_due(self.samples_at) {
            self.samples_at = Some(now + SAMPLES_INTERVAL);
            publish_sizes(metrics, writer);
            metrics.sample(now);
        }
    }
}

/// Publishes the sizes of the database.
pub(super) fn publish_sizes(metrics: &Metrics, writer: &dyn Writer) {
    // The next write reports what is wrong with the files.
    if let Ok(sizes) = writer.sizes() {
        metrics.note_sizes(sizes);
    }
}

/// Publishes that batches were stored, with what became of their offsets.
pub(super) fn publish_stored(metrics: &Metrics, stored: &[Decoded], counts: &PartitionCounts) {
    metrics.partitions.count(counts);
    let total = counts.total();
    metrics.throughput.add(total);
    metrics.transactions.records.observe(total.records());
    if total.get(Outcome::Unidentified) > 0 {
        publish_unidentified(metrics, stored, counts);
    }
    for batch in stored.iter().map(Decoded::records) {
        let last_record_ms = batch.records.last().and_then(|record| record.timestamp_ms);
        metrics.partitions.advance(&batch.partition, batch.next_offset, last_record_ms);
    }
}

fn publish_unidentified(metrics: &Metrics, stored: &[Decoded], counts: &PartitionCounts) {
    let mut rejected = counts.total().get(Outcome::Unidentified);
    let mut latest = BTreeMap::new();
    for batch in stored {
        for (entry, rejection) in batch.rejections() {
            let reason = rejection.reason.as_str();
            metrics.unidentified.add(reason, 1);
            rejected = rejected.saturating_sub(1);
            latest.insert(reason, (&batch.records().partition, entry, rejection));
        }
    }
    // The others are events whose rows the database has rejected.
    metrics.unidentified.add(Reason::Rejected.as_str(), rejected);
    for (reason, (partition, entry, rejection)) in latest {
        let texts = MessageTexts::new(&rejection.error, entry.value);
        let message = UnidentifiedMessage { partition: partition.clone(), offset: entry.offset, texts };
        metrics.latest_unidentified.note(reason, message);
    }
    if let Some(RejectedRecord { topic, partition, offset, error }) = counts.last_rejected() {
        let partition = TopicPartition::new(topic.as_str(), *partition);
        let batch = stored.iter().find(|batch| batch.records().partition == partition);
        let texts = MessageTexts::new(error, batch.and_then(|batch| batch.value_at(*offset)));
        let message = UnidentifiedMessage { partition, offset: *offset, texts };
        metrics.latest_unidentified.note(Reason::Rejected.as_str(), message);
    }
}

/// Publishes that a position has changed other than by reading.
pub(super) fn publish_jump(metrics: &Metrics, jump: &OffsetJump) {
    let reason = jump.reason.as_str();
    metrics.position_changes.add(reason, 1);
    let partition = TopicPartition::new(jump.topic.as_str(), jump.partition);
    metrics.latest_position_changes.note(reason, Jump { partition, from: jump.from, to: jump.to });
}

#[cfg(test)]
mod tests {
    use kafka::{PartitionRecords, Record};

    use super::*;
    use crate::observability::Description;
    use crate::service::decode::decode;
    use crate::settings::Settings;

    fn record(offset: i64, value: &'static [u8]) -> Record {
        Record { offset, timestamp_ms: None, key: None, value: Some(value.into()), headers: kafka::Headers::default() }
    }

    #[test]
    fn the_latest_unidentified_message_of_each_reason_is_published() {
        let settings = Settings::load(Vec::new(), None).unwrap();
        let metrics = Metrics::new(Description::of(&settings));
        let values: [&[u8]; 4] = [b"{", b"[", br#"{"event_id":"opp_1","name":"n","stage":"won"}"#, b"7"];
        let records = (10..).zip(values).map(|(offset, value)| record(offset, value)).collect();
        let partition = TopicPartition::new("t", 3);
        let batch = PartitionRecords::detached(partition.clone(), None, 10..14, 14, records);
        let stored = decode(vec![batch], settings.decoder());
        let mut counts = PartitionCounts::default();
        counts.add("t", 3, [(Outcome::Unidentified, 4)].into());
        let error = "the database says no".to_owned();
        counts.note_rejected(RejectedRecord { topic: "t".to_owned(), partition: 3, offset: 12, error });
        publish_stored(&metrics, &stored, &counts);
        let found: Vec<_> = metrics.latest_unidentified.all().into_iter().collect();
        let found: Vec<_> = found.iter().map(|(reason, latest)| (*reason, &latest.what)).collect();
        let value = |message: &UnidentifiedMessage| message.texts.value.clone().unwrap().beginning;
        let found: Vec<_> = found.iter().map(|(reason, what)| (*reason, what.offset, value(what))).collect();
        let event = String::from_utf8(values[2].to_vec()).unwrap();
        let expected =
            [("not_json", 11, "[".to_owned()), ("rejected", 12, event), ("unknown_type", 13, "7".to_owned())];
        assert_eq!(found, expected);
        let counted: Vec<_> = metrics.unidentified.iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [("not_json", 2), ("unknown_type", 1), ("rejected", 1)]);
        assert_eq!(metrics.throughput.rates(None, Instant::now()).totals.get(Outcome::Unidentified), 4);
    }
}
