//! Decodes records into what the database stores: an event, or the reason why the record is none. Must not do I/O.

use kafka::{PartitionRecords, Record};
use self_cell::self_cell;

use crate::entity::{Decoder, Rejection, UtcTime};
use crate::settings::Settings;
use crate::storage::{Entry, Header, Headers, ORDINARY_RECORDS, OffsetRange, PartitionBatch, TopicId};

self_cell!(
    /// Records of one partition and their decoded entries, which borrow from them, as one value for another thread.
    pub(super) struct Decoded {
        owner: PartitionRecords,
        #[covariant]
        dependent: Entries,
    }
);

type Entries<'a> = Vec<Entry<'a>>;

/// The memory of a record besides its bytes until it is stored: the record, its entry, and small texts of the entry.
const RECORD_BYTES: usize = size_of::<Record>() + size_of::<Entry<'_>>() + 128;

/// The records of one poll, not counting their bytes, take at most the memory for fetched data divided by this. Two
/// polls are in memory at most, see [`reader`](super::reader).
const BUFFER_DIVISOR: usize = 2;

/// How many records one poll may return: as many as a transaction shall have, which the [growth](crate::storage::Writer::growth) says.
pub(super) fn poll_records_max(settings: &Settings, growth: u32) -> usize {
    let bytes = usize::try_from(settings.kafka.buffer_max_bytes.get()).unwrap_or(usize::MAX);
    let wanted = ORDINARY_RECORDS.saturating_mul(usize::try_from(growth).unwrap_or(usize::MAX));
    wanted.min(settings.batch_records_max.get()).min(bytes / BUFFER_DIVISOR / RECORD_BYTES).max(1)
}

/// Decodes the records of each partition.
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
    /// The records that were fetched.
    pub(super) fn records(&self) -> &PartitionRecords {
        self.borrow_owner()
    }

    /// The records that are not events, and why.
    pub(super) fn rejections(&self) -> impl Iterator<Item = (&Entry<'_>, &Rejection)> {
        self.borrow_dependent().iter().filter_map(|entry| Some((entry, entry.decoded.as_ref().err()?)))
    }

    /// The value of the record at an offset; `None` if there is no such record, or it has no value.
    pub(super) fn value_at(&self, offset: i64) -> Option<&[u8]> {
        self.borrow_dependent().iter().find(|entry| entry.offset == offset)?.value
    }

    /// The events whose `last_modified` is too far ahead to be used, with that time.
    pub(super) fn too_far_ahead(&self) -> impl Iterator<Item = (&Entry<'_>, &UtcTime)> {
        self.borrow_dependent().iter().filter_map(|entry| {
            let last_modified = entry.decoded.as_ref().ok()?.last_modified()?;
            last_modified.too_far_ahead().map(|time| (entry, time))
        })
    }

    /// The batch for the database.
    pub(super) fn to_store<'a>(&'a self, topic_id: Option<&'a TopicId>) -> PartitionBatch<'a> {
        let records = self.records();
        PartitionBatch {
            topic: &records.partition.topic,
            topic_id,
            partition: records.partition.partition,
            leader_epoch: records.leader_epoch,
            offsets: OffsetRange { from: records.from_offset, next: records.next_offset },
            entries: self.borrow_dependent(),
        }
    }
}

impl Headers for kafka::Headers {
    fn for_each(&self, each: &mut dyn FnMut(Header<'_>)) {
        self.iter().for_each(|header| each((header.name, header.value)));
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::poll_records_max;
    use crate::settings::Settings;

    #[test]
    fn a_poll_is_bounded_by_growth_and_setting_and_memory() {
        let settings = |variables: &[(&str, &str)]| {
            let variables = variables.iter().map(|(name, value)| (OsString::from(*name), OsString::from(*value)));
            Settings::load(variables, None).unwrap()
        };
        let default = settings(&[]);
        assert_eq!([1, 2, 4, 8].map(|growth| poll_records_max(&default, growth)), [5_000, 10_000, 20_000, 20_000]);
        assert_eq!(poll_records_max(&settings(&[("BATCH_MAX_RECORDS", "70")]), 4), 70);
        let small = settings(&[("KAFKA_BUFFER_MAX_BYTES", "4194304"), ("KAFKA_FETCH_MAX_BYTES", "1048576")]);
        assert!((1_000..5_000).contains(&poll_records_max(&small, 4)));
    }
}
