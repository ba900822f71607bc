//! Reads batches that Kafka's client has written (`testdata/Generate.java`), and checks positions.

mod damage;
mod forge;
mod memory;

use std::fmt::Write;

use bytes::Bytes;

use super::partition_reader::{PartitionReader, Progress, ReadBudget};
use crate::budget::Budget;
use crate::error::{Error, Result};
use crate::protocol::AbortedTransaction;
use crate::types::{IsolationLevel, Record, TopicPartition};

/// Larger than the test batches.
const BYTES_MAX: u32 = 16 * 1024 * 1024;

macro_rules! testdata {
    ($name:expr) => {
        Bytes::from_static(include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/record_batch/testdata/", $name)))
    };
}
use testdata;

/// The records of `none.bin` and of its compressed variants.
const RECORDS: &str = include_str!("../testdata/records.tsv");

fn partition() -> TopicPartition {
    TopicPartition::new("topic", 0)
}

fn reader(bytes: impl Into<Bytes>, position: i64) -> PartitionReader {
    PartitionReader::new(partition(), bytes.into(), position, IsolationLevel::ReadCommitted, vec![], BYTES_MAX)
}

/// All records before the end or an error.
fn drain(reader: &mut PartitionReader, records_max: usize) -> (Vec<Record>, Result<()>) {
    let mut records = Vec::new();
    while !reader.is_empty() {
        let before = records.len();
        if let Err(error) = reader.read(ReadBudget::of(records_max), &mut records) {
            assert_eq!(records.len(), before, "records came with an error");
            return (records, Err(error));
        }
        assert!(records.len() - before <= records_max);
    }
    assert_eq!(reader.position(), reader.end_position());
    (records, Ok(()))
}

fn read_all(reader: &mut PartitionReader) -> Vec<Record> {
    let (records, end) = drain(reader, usize::MAX);
    end.unwrap();
    records
}

fn values(records: &[Record]) -> Vec<&str> {
    records.iter().map(|record| str::from_utf8(record.value.as_ref().unwrap()).unwrap()).collect()
}

/// As `Generate.java` prints records.
fn lines(records: &[Record]) -> String {
    fn hex(bytes: Option<&[u8]>) -> String {
        let Some(bytes) = bytes else { return "-".to_owned() };
        bytes.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        })
    }
    let mut lines = String::new();
    for record in records {
        let (key, value) = (hex(record.key.as_deref()), hex(record.value.as_deref()));
        write!(lines, "{}\t{}\t{key}\t{value}\t", record.offset, record.timestamp_ms.unwrap_or(-1)).unwrap();
        for header in &record.headers {
            write!(lines, "{}={};", hex(Some(header.name)), hex(header.value)).unwrap();
        }
        lines.push('\n');
    }
    lines
}

#[test]
fn batches_of_kafkas_client_are_read_as_it_reads_them() {
    let check = |bytes: Bytes, expected: &str, end_position| {
        for records_max in [1, 3, usize::MAX] {
            let mut reader = reader(bytes.clone(), 0);
            assert_eq!(reader.end_position(), end_position);
            let (records, end) = drain(&mut reader, records_max);
            end.unwrap();
            assert_eq!(lines(&records), expected);
            assert_eq!((reader.position(), reader.leader_epoch()), (end_position, Some(5)));
        }
    };
    check(testdata!("none.bin"), RECORDS, 120);
    check(testdata!("gzip.bin"), RECORDS, 120);
    check(testdata!("snappy.bin"), RECORDS, 120);
    check(testdata!("lz4.bin"), RECORDS, 120);
    check(testdata!("zstd.bin"), RECORDS, 120);
    check(testdata!("append-time.bin"), include_str!("../testdata/append-time.tsv"), 27);
    check(testdata!("no-timestamp.bin"), include_str!("../testdata/no-timestamp.tsv"), 1);
    check(testdata!("compacted.bin"), include_str!("../testdata/compacted.tsv"), 29);
    check(testdata!("transactions.bin"), include_str!("../testdata/transactions.tsv"), 12);
}

#[test]
fn no_timestamp_is_none() {
    let records = read_all(&mut reader(testdata!("no-timestamp.bin"), 0));
    assert_eq!(records[0].timestamp_ms, None);
}

#[test]
fn batches_of_several_compressed_blocks() {
    let expected = |number: i64| {
        (0..10_000).fold(String::new(), |mut text, line| {
            writeln!(text, "line {}", line % (89 + number)).unwrap();
            text
        })
    };
    let gzip = testdata!("large-gzip.bin");
    let snappy = testdata!("large-snappy.bin");
    let lz4 = testdata!("large-lz4.bin");
    let zstd = testdata!("large-zstd.bin");
    for bytes in [gzip, snappy, lz4, zstd] {
        let records = read_all(&mut reader(bytes, 0));
        assert_eq!(values(&records), [expected(0), expected(1), expected(2)]);
    }
}

#[test]
fn payloads_are_not_copied() {
    let bytes = testdata!("none.bin");
    let records = read_all(&mut reader(bytes.clone(), 0));
    let range = bytes.as_ptr_range();
    let values = records.iter().filter_map(|record| record.value.as_ref()).filter(|value| !value.is_empty());
    assert!(values.map(|value| value.as_ptr()).all(|value| range.contains(&value)));
}

#[test]
fn records_before_the_fetched_offset_are_skipped() {
    for (bytes, position) in [(testdata!("none.bin"), 117), (testdata!("zstd.bin"), 117)] {
        let mut reader = reader(bytes, position);
        let records = read_all(&mut reader);
        assert_eq!(records.iter().map(|record| record.offset).collect::<Vec<_>>(), [117, 118, 119]);
    }
    let mut reader = reader(testdata!("none.bin"), 500);
    assert_eq!((read_all(&mut reader), reader.position(), reader.end_position()), (vec![], 500, 500));
}

#[test]
fn the_position_follows_the_returned_records() {
    let mut reader = reader(testdata!("compacted.bin"), 18);
    let mut step = |records_max| {
        let mut records = Vec::new();
        reader.read(ReadBudget::of(records_max), &mut records).unwrap();
        (values(&records).join(" "), reader.position(), reader.is_empty())
    };
    assert_eq!(step(0), (String::new(), 18, false));
    assert_eq!(step(1), ("21".to_owned(), 22, false));
    // Compaction has removed two more records of the batch.
    assert_eq!(step(1), ("23".to_owned(), 26, false));
    assert_eq!(step(1), ("28".to_owned(), 29, true));
    assert_eq!(step(1), (String::new(), 29, true));
}

#[test]
fn aborted_transactions_are_hidden_under_read_committed() {
    let check = |isolation, position, aborted: &[(i64, i64)], expected: &[&str]| {
        let transaction = |&(producer_id, first_offset)| AbortedTransaction { producer_id, first_offset };
        let aborted = aborted.iter().map(transaction).collect();
        let bytes = testdata!("transactions.bin");
        let mut reader = PartitionReader::new(partition(), bytes, position, isolation, aborted, BYTES_MAX);
        assert_eq!(values(&read_all(&mut reader)), expected);
        assert_eq!(reader.position(), 12);
    };
    let all = ["a0", "a1", "c2", "c3", "a5", "c6", "c8", "n10"];
    check(IsolationLevel::ReadUncommitted, 0, &[(7, 0)], &all);
    check(IsolationLevel::ReadCommitted, 0, &[(7, 0)], &["c2", "c3", "c6", "c8", "n10"]);
    check(IsolationLevel::ReadCommitted, 3, &[(7, 0)], &["c3", "c6", "c8", "n10"]);
    // In any order; those of other producers or after the records have no effect.
    check(IsolationLevel::ReadCommitted, 0, &[(7, 90), (9, 0), (7, 0)], &["c2", "c3", "c6", "c8", "n10"]);
    // A transaction that begins after the first one has ended.
    check(IsolationLevel::ReadCommitted, 0, &[(7, 8)], &["a0", "a1", "c2", "c3", "a5", "c6", "n10"]);
    check(IsolationLevel::ReadCommitted, 0, &[], &all);
}

#[test]
fn an_incomplete_last_batch_is_not_read() {
    let bytes = testdata!("transactions.bin");
    let full = read_all(&mut reader(bytes.clone(), 0));
    let mut ends = Vec::new();
    for length in 0..bytes.len() {
        let mut reader = reader(bytes.slice(..length), 0);
        let records = read_all(&mut reader);
        assert!(full.starts_with(&records), "cut to {length} bytes");
        let has_batch = reader.end_position() > 0;
        assert_eq!(reader.incomplete_batch_bytes().is_some(), length > 0 && !has_batch, "cut to {length} bytes");
        if length >= 12 && !has_batch {
            assert_eq!(reader.incomplete_batch_bytes(), Some(79), "cut to {length} bytes");
        }
        ends.push(reader.end_position());
    }
    ends.dedup();
    assert_eq!(ends, [0, 2, 4, 5, 6, 7, 8, 9, 10, 11]);
}

#[test]
fn older_formats_are_refused() {
    let (records, end) = drain(&mut reader(testdata!("format-1.bin"), 0), 10);
    let Err(error @ Error::OldFormat { offset: 0, format: 1, .. }) = end else { panic!("{end:?}") };
    assert!(records.is_empty() && !error.is_retriable());
    let text = error.to_string();
    for part in ["offset 0 of topic-0", "message format v1", "KIP-724", "copy them to a new topic"] {
        assert!(text.contains(part), "'{part}' is not in '{text}'");
    }
    // A damaged byte is not an old format, neither in such a message nor in a batch.
    let mut damaged = testdata!("format-1.bin").to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    let (_, end) = drain(&mut reader(damaged, 0), 10);
    assert!(matches!(end, Err(Error::CorruptBatch { offset: 0, .. })), "{end:?}");
    for format in [0, 1] {
        let mut damaged = testdata!("none.bin").to_vec();
        damaged[16] = format;
        let (_, end) = drain(&mut reader(damaged, 0), 10);
        assert!(matches!(end, Err(Error::CorruptBatch { .. })), "{end:?}");
    }
}
