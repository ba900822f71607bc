//! From records to what the database applies: each decoded, or with the reason why not. No I/O.

use kafka::PartitionRecords;
use self_cell::self_cell;

use crate::entity::{Decoder, UtcTime};
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
pub(super) fn decode(batches: Vec<PartitionRecords>, decoder: Decoder) -> Vec<Decoded> {
    batches.into_iter().map(|batch| Decoded::new(batch, |batch| entries(batch, decoder))).collect()
}

fn entries(batch: &PartitionRecords, decoder: Decoder) -> Entries<'_> {
    let entries = batch.records.iter().map(|record| Entry {
        offset: record.offset,
        timestamp_ms: record.timestamp_ms,
        key: record.key.as_deref(),
        value: record.value.as_deref(),
        headers: &record.headers,
        decoded: decoder.decode(record.value.as_deref(), record.timestamp_ms),
    });
    entries.collect()
}

impl Decoded {
    /// The records as they came.
    pub(super) fn records(&self) -> &PartitionRecords {
        self.borrow_owner()
    }

    /// The events whose `last_modified` does not count, with that time.
    pub(super) fn ahead(&self) -> impl Iterator<Item = (&Entry<'_>, &UtcTime)> {
        self.borrow_dependent().iter().filter_map(|entry| {
            let last_modified = entry.decoded.as_ref().ok()?.last_modified()?;
            last_modified.too_far_ahead().map(|sent| (entry, sent))
        })
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
