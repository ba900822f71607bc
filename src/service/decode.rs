//! From records to what the database applies: each decoded, or with the reason why not. No I/O.

use kafka::PartitionRecords;
use self_cell::self_cell;

use crate::entity;
use crate::repository::{Entry, Header, Headers, PartitionBatch};

self_cell!(
    /// Records of one partition, and what they say, which borrows from them: both go from thread to thread together.
    pub(super) struct Decoded {
        owner: PartitionRecords,
        #[covariant]
        dependent: Entries,
    }
);

type Entries<'a> = Vec<Entry<'a>>;

/// Decodes what came of each partition. What is no event stays with its reason.
pub(super) fn decode(batches: Vec<PartitionRecords>) -> Vec<Decoded> {
    batches.into_iter().map(|batch| Decoded::new(batch, entries)).collect()
}

fn entries(batch: &PartitionRecords) -> Entries<'_> {
    let entries = batch.records.iter().map(|record| Entry {
        offset: record.offset,
        timestamp_ms: record.timestamp_ms,
        key: record.key.as_deref(),
        value: record.value.as_deref(),
        headers: &record.headers,
        decoded: entity::decode(record.value.as_deref()),
    });
    entries.collect()
}

impl Decoded {
    /// The records as they came.
    pub(super) fn records(&self) -> &PartitionRecords {
        self.borrow_owner()
    }

    /// What the database applies.
    pub(super) fn batch<'a>(&'a self, topic_id: &'a str) -> PartitionBatch<'a> {
        let records = self.records();
        PartitionBatch {
            topic: &records.partition.topic,
            topic_id,
            partition: records.partition.partition,
            leader_epoch: records.leader_epoch,
            from_offset: records.from_offset,
            next_offset: records.next_offset,
            entries: self.borrow_dependent(),
        }
    }
}

impl Headers for Vec<kafka::Header> {
    fn list(&self) -> Vec<Header<'_>> {
        self.iter().map(|header| (&*header.name, header.value.as_deref())).collect()
    }
}
