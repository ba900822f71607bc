//! Batches within a memory budget: how much they take, and when they wait.

use fuzzkit::within;

use super::damage::{INDEPENDENT, gzip, lz4, plain, snappy, xerial, zstd};
use super::forge::{put, seal, with_payload, with_records};
use super::*;
use crate::types::{Header, Headers};

/// Memory that is not counted: growing lists, small allocations.
const SLACK_BYTES: usize = 64 * 1024;

fn reader_within(bytes: impl Into<Bytes>, budget: &Budget) -> PartitionReader {
    reader(bytes, 0).within(budget.clone())
}

/// A record without key and with a value of zeros, as the payload of a batch.
fn large_record(value_bytes: usize) -> Vec<u8> {
    let varint = |number: usize| {
        let mut left = number * 2;
        let mut bytes = Vec::new();
        while left > 0x7f {
            bytes.push(u8::try_from(left & 0x7f).unwrap() | 0x80);
            left >>= 7;
        }
        bytes.push(u8::try_from(left).unwrap());
        bytes
    };
    let body = [&[0, 0, 0, 1][..], &varint(value_bytes), &vec![0; value_bytes], &[0]].concat();
    [varint(body.len()), body].concat()
}

/// Batches of one such record each, at consecutive offsets.
fn large_batches(codec: u8, payload: &[u8], count: u8) -> Vec<u8> {
    let batch = |number: u8| {
        let mut bytes = with_payload(codec, payload);
        put(&mut bytes, 0, &[0, 0, 0, 0, 0, 0, 0, number]);
        put(&mut bytes, 23, &[0; 4]);
        put(&mut bytes, 57, &[0, 0, 0, 1]);
        seal(bytes)
    };
    (0..count).flat_map(batch).collect()
}

#[test]
fn headers_take_no_more_than_their_bytes() {
    const COUNT: u8 = 60;
    // 800 headers without name or value, two bytes each.
    let mut record = vec![0, 0, 0, 1, 1, 0xc0, 0x0c];
    record.extend([0, 1].repeat(800));
    let length = u32::try_from(record.len()).unwrap() * 2;
    let length = [u8::try_from(length & 0x7f).unwrap() | 0x80, u8::try_from(length >> 7).unwrap()];
    let records: Vec<Vec<u8>> = (0..COUNT)
        .map(|number| {
            let mut record = record.clone();
            record[2] = number * 2;
            [&length[..], &record].concat()
        })
        .collect();
    let records: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
    let mut bytes = with_records(COUNT, &records);
    put(&mut bytes, 23, &[0, 0, 0, COUNT]);
    let bytes = Bytes::from(seal(bytes));
    let list = usize::from(COUNT) * size_of::<Record>() * 3;
    let read = within(list + SLACK_BYTES, || read_all(&mut reader(bytes, 0)));
    assert_eq!(read.len(), usize::from(COUNT));
    for record in read {
        assert_eq!((record.headers.len(), record.headers.encoded_bytes()), (800, 1600));
        assert_eq!(
            record.headers.iter().filter(|header| header.name.is_empty() && header.value.is_none()).count(),
            800
        );
    }
}

#[test]
fn headers_are_those_that_were_sent() {
    let sent = [Header { name: b"a", value: Some(b"1") }, Header { name: &[0xff; 200], value: None }];
    let headers: Headers = sent.into_iter().chain(sent).collect();
    assert_eq!(headers.iter().collect::<Vec<_>>(), [sent, sent].concat());
    assert_eq!((headers.len(), headers.encoded_bytes()), (4, 2 * (2 + 2 + 202 + 1)));
    assert_ne!(headers, sent.into_iter().collect());
    assert!(Headers::default().is_empty() && headers == headers.clone());
}

#[test]
fn a_batch_waits_until_the_records_of_others_are_dropped() {
    let payload = gzip(&plain());
    let (first, mut second) = (with_payload(1, &payload), with_payload(1, &payload));
    put(&mut second, 0, &120i64.to_be_bytes());
    let budget = Budget::new(1, || ());
    let mut reader = reader_within([first, seal(second)].concat(), &budget);
    let mut records = Vec::new();
    assert_eq!(reader.read(ReadBudget::of(1000), &mut records).unwrap(), Progress::NoMemory);
    assert_eq!((records.len(), reader.position()), (20, 120));
    assert_eq!(reader.read(ReadBudget::of(1000), &mut records).unwrap(), Progress::NoMemory);
    assert_eq!((records.len(), reader.position(), reader.is_empty()), (20, 120, false));
    records.truncate(1);
    assert_eq!(
        reader.read(ReadBudget::of(1000), &mut Vec::new()).unwrap(),
        Progress::NoMemory,
        "one record is left of it"
    );
    records.clear();
    let stays = ReadBudget { may_decompress: false, ..ReadBudget::of(1000) };
    assert_eq!(reader.read(stays, &mut records).unwrap(), Progress::NoMemory, "another holder has the memory");
    assert_eq!(reader.read(ReadBudget::of(1000), &mut records).unwrap(), Progress::Done);
    assert_eq!((records.len(), reader.position(), reader.is_empty()), (20, 140, true));
    drop(records);
    assert_eq!(budget.held(), (0, 0));
}

#[test]
fn uncompressed_records_need_no_memory_of_their_own() {
    let budget = Budget::new(1, || ());
    let other = budget.batch(1).unwrap();
    let mut reader = reader_within(testdata!("none.bin"), &budget);
    let mut records = Vec::new();
    let stays = ReadBudget { may_decompress: false, ..ReadBudget::of(1000) };
    assert_eq!(reader.read(stays, &mut records).unwrap(), Progress::Done);
    assert_eq!(records.len(), 20);
    drop(other);
}

/// Memory is counted before it is allocated: a batch that is larger than the guess gets exactly the memory that it
/// needs.
#[test]
fn a_large_batch_takes_exactly_its_size() {
    const VALUE_BYTES: usize = 6 << 20;
    const BUDGET_BYTES: usize = 4 << 20;
    let payload = large_record(VALUE_BYTES);
    for (codec, packed, working_bytes) in [
        (1, gzip(&payload), 64 << 10),
        (2, snappy(&payload), 0),
        (2, xerial(&payload), 0),
        (3, lz4(&payload, INDEPENDENT), 9 << 20),
        (4, zstd(&payload), 9 << 20),
    ] {
        let bytes = Bytes::from(large_batches(codec, &packed, 3));
        let budget = Budget::new(BUDGET_BYTES, || ());
        let most = VALUE_BYTES + working_bytes + BUDGET_BYTES / 4 + SLACK_BYTES;
        within(most, || {
            let mut reader = reader_within(bytes, &budget);
            for number in 0..3 {
                let mut records = Vec::new();
                let progress = reader.read(ReadBudget::of(1000), &mut records).unwrap();
                assert_eq!(progress, if number < 2 { Progress::NoMemory } else { Progress::Done });
                let sizes: Vec<_> = records.iter().map(|record| record.value.as_ref().map(Bytes::len)).collect();
                assert_eq!((sizes, records[0].offset), (vec![Some(VALUE_BYTES)], number), "codec {codec}");
            }
            assert!(reader.is_empty());
        });
    }
}

#[test]
fn small_batches_are_read_together() {
    let payload = zstd(&large_record(1000));
    let budget = Budget::new(32 << 20, || ());
    let mut reader = reader_within(large_batches(4, &payload, 100), &budget);
    let records = read_all(&mut reader);
    assert_eq!(records.len(), 100);
    assert!(budget.held().1 < 100 * 5000, "{:?}", budget.held());
    drop(records);
    assert_eq!(budget.held(), (0, 0));
}
