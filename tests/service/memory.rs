//! Small batches that decompress to much data: the service reads them within the memory limits of its settings. Without the limits each
//! of these tests needed several times as much.

use testkit::NEWEST;

use crate::support::batches::{Batch, varint};
use crate::support::decompression_bombs::{self, Part};
use crate::support::raw_produce::produce;
use crate::support::topic_fixture::TopicFixture;

/// Memory of the process without fetched data, in bytes: code, SQLite's page cache, stacks, and free memory of the allocator.
const PROCESS_BYTES: u64 = 64 << 20;
/// `KAFKA_BUFFER_MAX_BYTES`.
const BUFFER_BYTES: u64 = 32 << 20;
/// The copies of a text in memory while SQLite stores it: decoded, bound to the statement, and in the row.
const STORED_COPIES: u64 = 3;

const ZSTD: i16 = 4;

/// A large record: the number of zeros in its key, and the number of its headers, each of two zeros.
struct Large<'a> {
    key_bytes: usize,
    value: &'a str,
    headers: usize,
}

impl Large<'_> {
    /// Its encoding, with runs of zeros.
    fn parts(&self, offset_delta: i64) -> Vec<Part> {
        let number = |number: usize| varint(i64::try_from(number).unwrap());
        let key = if self.key_bytes == 0 { varint(-1) } else { number(self.key_bytes) };
        let before_key = [vec![0], varint(0), varint(offset_delta), key].concat();
        let after_key = [number(self.value.len()), self.value.as_bytes().to_vec(), number(self.headers)].concat();
        let length = before_key.len() + self.key_bytes + after_key.len() + 2 * self.headers;
        vec![
            Part::Bytes([number(length), before_key].concat()),
            Part::Zeros(self.key_bytes),
            Part::Bytes(after_key),
            Part::Zeros(2 * self.headers),
        ]
    }
}

/// A batch of such records, compressed with zstd.
fn batch(records: &[Large<'_>]) -> Batch {
    let parts: Vec<Part> = (0..).zip(records).flat_map(|(delta, record)| record.parts(delta)).collect();
    let values: Vec<&str> = records.iter().map(|record| record.value).collect();
    let batch = Batch::of(0, &values).with_payload(ZSTD, decompression_bombs::zstd_of(&parts));
    assert!(batch.payload.len() < 20_000, "{} bytes on disk", batch.payload.len());
    batch
}

fn event(number: usize) -> String {
    format!(r#"{{"event_id":"opp_{number}","name":"n","stage":"s"}}"#)
}

fn fixture(name: &str, partitions: u32) -> TopicFixture {
    let mut fixture = TopicFixture::on(NEWEST, name, partitions);
    fixture.installation.set("KAFKA_BUFFER_MAX_BYTES", &BUFFER_BYTES.to_string());
    fixture
}

/// Reads everything with a memory peak below the limit; returns the number of stored rows and messages.
fn read_within(fixture: &TopicFixture, records: i64, bytes_max: u64) {
    let mut service = fixture.installation.start(&["run"]);
    fixture.installation.wait_for("everything stored", |installation| {
        assert!(service.is_running(), "ended; {}", installation.tail());
        installation.stored() == records
    });
    let peak_kib = service.peak_kib();
    service.signal("TERM");
    service.ends_with(0);
    fixture.installation.assert_clean();
    assert!(peak_kib < bytes_max >> 10, "{} MiB at the most, more than {} MiB", peak_kib >> 10, bytes_max >> 20);
}

#[test]
fn large_batches_of_many_partitions_are_read_one_at_a_time() {
    const PARTITIONS: u32 = 12;
    const BATCH_BYTES: u64 = 48 << 20;
    let fixture = fixture("large-batches", PARTITIONS);
    for partition in 0..PARTITIONS {
        let value = event(usize::try_from(partition).unwrap());
        let record = Large { key_bytes: usize::try_from(BATCH_BYTES).unwrap(), value: &value, headers: 0 };
        produce(&fixture.cluster.bootstrap_servers(), &fixture.topic, partition.cast_signed(), &batch(&[record]));
    }
    read_within(&fixture, i64::from(PARTITIONS), PROCESS_BYTES + BUFFER_BYTES + 2 * BATCH_BYTES);
    assert_eq!(fixture.installation.number("SELECT count(*) FROM opportunities"), Some(i64::from(PARTITIONS)));
}

#[test]
fn empty_headers_of_events_take_no_memory() {
    const BATCHES: usize = 8;
    const RECORDS: usize = 1;
    const HEADERS: usize = 1_500_000;
    const BATCH_BYTES: u64 = (RECORDS * HEADERS * 2) as u64;
    let fixture = fixture("empty-headers", 1);
    for number in 0..BATCHES {
        let values: Vec<String> = (0..RECORDS).map(|record| event(number * RECORDS + record)).collect();
        let record = |value| Large { key_bytes: 0, value, headers: HEADERS };
        let records: Vec<Large<'_>> = values.iter().map(|value| record(value)).collect();
        produce(&fixture.cluster.bootstrap_servers(), &fixture.topic, 0, &batch(&records));
    }
    let records = i64::try_from(BATCHES * RECORDS).unwrap();
    read_within(&fixture, records, PROCESS_BYTES + BUFFER_BYTES + 2 * BATCH_BYTES);
    assert_eq!(fixture.installation.number("SELECT count(*) FROM opportunities"), Some(records));
}

#[test]
fn all_empty_headers_of_an_unidentified_message_are_kept() {
    const HEADERS: usize = 1_700_000;
    let fixture = fixture("kept-headers", 1);
    let value = event(0);
    for (value, headers) in [("no event", HEADERS), (&value, 0)] {
        let record = Large { key_bytes: 0, value, headers };
        produce(&fixture.cluster.bootstrap_servers(), &fixture.topic, 0, &batch(&[record]));
    }
    let batch_bytes = (HEADERS * 2) as u64;
    let list_bytes = (HEADERS * r#"["",""],"#.len()) as u64;
    read_within(&fixture, 2, PROCESS_BYTES + BUFFER_BYTES + 2 * batch_bytes + STORED_COPIES * list_bytes);
    let kept = "SELECT count(*) FROM unidentified_messages, json_each(headers)
                WHERE kafka_offset = 0 AND json_each.type = 'array' AND json_each.value = '[\"\",\"\"]'";
    assert_eq!(fixture.installation.number(kept), Some(i64::try_from(HEADERS).unwrap()));
    assert_eq!(fixture.installation.number("SELECT count(*) FROM opportunities WHERE kafka_offset = 1"), Some(1));
}
