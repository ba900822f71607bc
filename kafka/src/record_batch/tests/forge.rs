//! Invalid batches with valid checksums: each one is an error that says what is wrong.

use super::*;

/// Offsets of the fields of a batch's header.
const LENGTH: usize = 8;
const CRC: usize = 17;
const ATTRIBUTES: usize = 21;
const LAST_OFFSET_DELTA: usize = 23;
const BASE_TIMESTAMP: usize = 27;
const RECORD_COUNT: usize = 57;
pub(super) const HEADER_BYTES: usize = 61;

pub(super) fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

/// Sets length and checksum to those of the bytes.
pub(super) fn seal(mut bytes: Vec<u8>) -> Vec<u8> {
    let length = u32::try_from(bytes.len() - 12).unwrap();
    put(&mut bytes, LENGTH, &length.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[ATTRIBUTES..]);
    put(&mut bytes, CRC, &crc.to_be_bytes());
    bytes
}

/// A batch like `none.bin` with another codec and other bytes as records.
pub(super) fn with_payload(codec: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = testdata!("none.bin")[..HEADER_BYTES].to_vec();
    put(&mut bytes, ATTRIBUTES, &[0, codec]);
    bytes.extend_from_slice(payload);
    seal(bytes)
}

/// A batch that announces `count` records, with these bytes as records.
pub(super) fn with_records(count: u8, records: &[&[u8]]) -> Vec<u8> {
    let mut bytes = with_payload(0, &records.concat());
    put(&mut bytes, LAST_OFFSET_DELTA, &[0, 0, 0, 9]);
    put(&mut bytes, RECORD_COUNT, &[0, 0, 0, count]);
    seal(bytes)
}

fn changed(at: usize, value: &[u8]) -> Vec<u8> {
    let mut bytes = testdata!("none.bin").to_vec();
    put(&mut bytes, at, value);
    seal(bytes)
}

/// Reading returns this many records, then the error.
fn check(bytes: Vec<u8>, records_before: usize, fragment: &str) {
    let mut reader = reader(bytes, 0);
    let (records, end) = drain(&mut reader, 1000);
    let Err(Error::CorruptBatch { offset, detail, .. }) = end else { panic!("{end:?} instead of '{fragment}'") };
    assert_eq!((records.len(), offset), (records_before, 100), "{detail}");
    assert!(detail.contains(fragment), "{detail}");
    // The error is returned again, and nothing is skipped.
    assert!(reader.read(ReadBudget::of(1000), &mut Vec::new()).is_err() && !reader.is_empty());
    assert!(reader.position() <= 100 + 20);
}

#[test]
fn headers_of_batches() {
    check(changed(16, &[3]), 0, "message format v3");
    check(changed(LAST_OFFSET_DELTA, &(-1i32).to_be_bytes()), 0, "its last offset delta is -1");
    check(changed(RECORD_COUNT, &i32::MAX.to_be_bytes()), 0, "2147483647 records in 20 offsets");
    check(changed(RECORD_COUNT, &(-1i32).to_be_bytes()), 0, "-1 records");
    check(changed(ATTRIBUTES, &[0, 5]), 0, "codec 5");
    check(changed(BASE_TIMESTAMP, &i64::MAX.to_be_bytes()), 1, "timestamp is out of range");
    let mut short = testdata!("none.bin").to_vec();
    put(&mut short, LENGTH, &[0, 0, 0, 20]);
    check(short.clone(), 0, "less than its header has");
    put(&mut short, LENGTH, &(-5i32).to_be_bytes());
    check(short, 0, "a length of -5 bytes");
}

#[test]
fn offsets_after_the_greatest_one() {
    let mut bytes = changed(0, &i64::MAX.to_be_bytes());
    let (_, end) = drain(&mut reader(bytes.clone(), 0), 1000);
    assert!(matches!(end, Err(Error::CorruptBatch { offset: i64::MAX, .. })));
    put(&mut bytes, 0, &(-1i64).to_be_bytes());
    let (_, end) = drain(&mut reader(bytes, 30), 1000);
    assert!(matches!(end, Err(Error::CorruptBatch { offset: 30, .. })));
    // The greatest possible offset: the position after it does not overflow.
    let bytes = changed(0, &(i64::MAX - 20).to_be_bytes());
    let mut reader = reader(bytes, 0);
    assert_eq!((read_all(&mut reader).len(), reader.position()), (20, i64::MAX));
}

#[test]
fn counts() {
    check(changed(RECORD_COUNT, &[0, 0, 0, 19]), 19, "follow the end");
    // Compaction may remove the last records.
    let mut reader = reader(changed(LAST_OFFSET_DELTA, &[0, 0, 1, 0]), 0);
    assert_eq!((read_all(&mut reader).len(), reader.position()), (20, 100 + 257));
}

#[test]
fn records() {
    // Length, attributes, timestamp delta, offset delta, key, value, header count; numbers are doubled (zigzag).
    let fine = |offset_delta: u8| [12, 0, 0, offset_delta * 2, 1, 1, 0];
    assert_eq!(read_all(&mut reader(with_records(2, &[&fine(0), &fine(9)]), 0)).len(), 2);
    check(with_records(2, &[&fine(0), &fine(0)]), 1, "a record has offset delta 0, not 1 to 9");
    check(with_records(2, &[&fine(1), &fine(0)]), 1, "a record has offset delta 0");
    check(with_records(2, &[&fine(0), &fine(10)]), 1, "a record has offset delta 10");
    check(with_records(1, &[&[12, 0, 0, 1, 1, 1, 0]]), 0, "a record has offset delta -1");
    check(with_records(2, &[&fine(0)]), 1, "1 bytes needed, 0 left");
    check(with_records(1, &[&fine(0), &[0]]), 1, "1 bytes follow the end");
    check(with_records(1, &[&[14, 0, 0, 0, 1, 1, 0]]), 0, "7 bytes announced, 6 left");
    check(with_records(1, &[&[14, 0, 0, 0, 1, 1, 0, 0]]), 0, "1 bytes follow the end");
    check(with_records(1, &[&[1]]), 0, "a record without a length");
    check(with_records(1, &[&[3]]), 0, "a length of -2");
    check(with_records(1, &[&[12, 0, 0, 0, 3, 1, 0]]), 0, "a length of -2");
    check(with_records(1, &[&[12, 0, 0, 0, 1, 1, 1]]), 0, "-1 headers");
    check(with_records(1, &[&[20, 0, 0, 0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f]]), 0, "2147483647 headers announced");
    check(with_records(1, &[&[16, 0, 0, 0, 1, 1, 2, 1, 0]]), 0, "a header without a name");
}

#[test]
fn batches_with_descending_offsets() {
    let (first, second) = (changed(0, &200i64.to_be_bytes()), changed(0, &219i64.to_be_bytes()));
    let mut reader = reader([first, second].concat(), 0);
    let (records, end) = drain(&mut reader, 1000);
    assert_eq!((records.len(), reader.position(), reader.end_position()), (20, 220, 220));
    let Err(Error::CorruptBatch { offset: 219, detail, .. }) = end else { panic!("{end:?}") };
    assert!(detail.contains("ends before offset 220"), "{detail}");
}

#[test]
fn a_batch_that_ends_before_the_position_is_skipped() {
    let (first, second) = (changed(0, &200i64.to_be_bytes()), changed(0, &220i64.to_be_bytes()));
    let mut reader = reader([first, second].concat(), 230);
    assert_eq!((read_all(&mut reader).len(), reader.position()), (10, 240));
}

#[test]
fn the_leader_epoch_is_that_of_the_batch_before_the_position() {
    let mut next = testdata!("none.bin").to_vec();
    put(&mut next, 0, &120i64.to_be_bytes());
    put(&mut next, 12, &6i32.to_be_bytes());
    put(&mut next, ATTRIBUTES, &[0, 1]); // codec gzip
    let mut reader = reader([testdata!("none.bin").to_vec(), seal(next)].concat(), 0);
    let mut records = Vec::new();
    reader.read(ReadBudget::of(1000), &mut records).unwrap();
    assert_eq!((records.len(), reader.position(), reader.leader_epoch()), (20, 120, Some(5)));
    assert!(reader.read(ReadBudget::of(1000), &mut records).is_err());
    assert_eq!((reader.position(), reader.leader_epoch()), (120, Some(5)), "the damaged batch has no effect");
}
