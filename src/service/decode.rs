//! From records to what the database applies: each decoded, or with the reason why not. No I/O.

use kafka::PartitionRecords;

use super::positions::Positions;
use crate::entity;
use crate::repository::{Entry, Header, Headers, PartitionBatch};

/// Decodes records. What is no event stays with its reason.
pub(super) fn decode<'a>(batch: &'a PartitionRecords, positions: &'a Positions) -> PartitionBatch<'a> {
    let entries = batch.records.iter().map(|record| Entry {
        offset: record.offset,
        timestamp_ms: record.timestamp_ms,
        key: record.key.as_deref(),
        value: record.value.as_deref(),
        headers: &record.headers,
        decoded: entity::decode(record.value.as_deref()),
    });
    PartitionBatch {
        topic: &batch.partition.topic,
        topic_id: positions.topic_id(&batch.partition),
        partition: batch.partition.partition,
        leader_epoch: batch.leader_epoch,
        from_offset: batch.from_offset,
        next_offset: batch.next_offset,
        entries: entries.collect(),
    }
}

impl Headers for Vec<kafka::Header> {
    fn list(&self) -> Vec<Header<'_>> {
        self.iter().map(|header| (&*header.name, header.value.as_deref())).collect()
    }
}
