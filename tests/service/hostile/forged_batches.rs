//! Forged record batches: the service logs each with its coordinates, and stores nothing of it.

use super::{event, good_batch, in_parallel, log_of, random_bytes, survives};
use crate::support::batches::{Batch, Record, varint};
use crate::support::fake_broker::FakeBroker;

/// Damage of a batch of three records at offset 0, and parts of the WARN besides the coordinates.
fn forged_batches() -> Vec<(&'static str, &'static str, Batch)> {
    let good = good_batch;
    let two = || Batch::of(0, &[&event(0), &event(1)]);
    let mut cases = vec![
        ("checksum", "checksum", Batch { crc_error: 1, ..good() }),
        ("format 0", "format v0", Batch { magic: 0, ..good() }),
        ("format 1", "format v1", Batch { magic: 1, ..good() }),
        ("format 3", "format v3", Batch { magic: 3, ..good() }),
        ("negative format", "format v-1", Batch { magic: -1, ..good() }),
        ("negative length", "length of -1", Batch { length: Some(-1), ..good() }),
        ("no length", "length of 0", Batch { length: Some(0), ..good() }),
        ("shorter than its head", "length of 48", Batch { length: Some(48), ..good() }),
        ("longer than there is", "only a part", Batch { length: Some(i32::MAX), ..good() }),
        ("negative offset", "base offset is -1", Batch { base_offset: -1, ..good() }),
        ("offsets beyond all", "last offset", Batch { base_offset: i64::MAX - 1, ..good() }),
        ("negative span", "last offset", Batch { last_offset_delta: Some(-1), ..good() }),
        ("negative count", "-1 records", Batch { record_count: Some(-1), ..good() }),
        ("huge count", "2147483647 records", Batch { record_count: Some(i32::MAX), ..good() }),
        (
            "huge count in huge span",
            "",
            Batch { record_count: Some(i32::MAX), last_offset_delta: Some(i32::MAX), ..two() },
        ),
        ("fewer than announced", "", Batch { record_count: Some(3), last_offset_delta: Some(2), ..two() }),
        ("more than announced", "", Batch { record_count: Some(2), ..good() }),
        ("nothing but a head", "", good().with_payload(0, Vec::new())),
        ("time beyond all", "timestamp", {
            let late = Record { timestamp_delta: i64::MAX, ..Record::of(0, "{}") };
            Batch { base_timestamp: i64::MAX, ..Batch::of_records(0, &[late]) }
        }),
    ];
    for codec in 5..8 {
        cases.push(("unknown codec", "unknown", Batch { attributes: codec, ..good() }));
    }
    for codec in 1..5 {
        cases.push(("not compressed at all", "decompressed", Batch { attributes: codec, ..good() }));
        cases.push(("compressed noise", "decompressed", good().with_payload(codec, random_bytes(3000))));
    }
    let endless = [0xff; 12].to_vec();
    let record = |change: fn(&mut Record)| {
        let mut records = [0, 1, 2].map(|number| Record::of(number, &event(usize::try_from(number).unwrap())));
        change(&mut records[2]);
        Batch { last_offset_delta: Some(2), ..Batch::of_records(0, &records) }
    };
    cases.extend([
        ("endless number", "", good().with_payload(0, endless)),
        ("negative record", "", record(|record| record.length = Some(-1))),
        ("no record", "", record(|record| record.length = Some(0))),
        ("record beyond the batch", "", record(|record| record.length = Some(1 << 30))),
        ("record beyond all", "", record(|record| record.length = Some(i64::MAX))),
        ("offset before the batch", "offset", record(|record| record.offset_delta = -1)),
        ("offset of another record", "offset", record(|record| record.offset_delta = 1)),
        ("offset after the batch", "offset", record(|record| record.offset_delta = 3)),
        ("offset beyond all", "", record(|record| record.offset_delta = i64::MAX)),
        ("key beyond the record", "", record(|record| record.key_length = Some(1 << 30))),
        ("negative key", "", record(|record| record.key_length = Some(-2))),
        ("value beyond the record", "", record(|record| record.value_length = Some(1 << 30))),
        ("negative value", "", record(|record| record.value_length = Some(-2))),
        ("negative headers", "headers", record(|record| record.header_count = -1)),
        ("headers beyond the record", "headers", record(|record| record.header_count = (1 << 31) - 1)),
        ("header without a name", "", record(|record| (record.header_count, record.rest) = (1, vec![1, 1]))),
        ("more than the record says", "", record(|record| record.rest = varint(1))),
    ]);
    cases
}

#[test]
fn forged_batches_are_logged_and_never_stored() {
    in_parallel(forged_batches(), |(case, part, batch)| {
        let broker = |broker: &FakeBroker| broker.replace_log(log_of(&batch));
        // Records before the damage may be stored.
        survives(case, &["hostile-0", part], broker);
    });
}
