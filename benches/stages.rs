//! Benchmarks of the stages of the service; only the last one does I/O: `cargo bench`.
//!
//! `./bench --instructions` counts their instructions, and `./bench` measures the service as a whole.

// A benchmark panics on errors, as a test does.
#![allow(clippy::expect_used)]

use std::borrow::Cow;

use bytes::Bytes;
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use enterprise_consumer::entity::{self, Event, LastModified, MetaData, Opportunity, UtcTime};
use enterprise_consumer::runtime::permissions::FileMode;
use enterprise_consumer::settings::{DatabaseSettings, Synchronous};
use enterprise_consumer::storage::{self, Attempt, Entry, Header, OffsetJump, Outcome, PartitionBatch, Writer};
use tempfile::TempDir;

fn main() {
    divan::main();
}

macro_rules! batch {
    ($codec:literal) => {
        ($codec, include_bytes!(concat!("../kafka/src/record_batch/testdata/events-", $codec, ".bin")))
    };
}

/// The same 200 events in a batch of each codec, as Kafka's own client writes it.
const BATCHES: [(&str, &[u8]); 5] = [batch!("none"), batch!("gzip"), batch!("snappy"), batch!("lz4"), batch!("zstd")];
const BATCH_EVENTS: usize = 200;

/// From a batch to its records: checksum, decompression, parsing.
#[divan::bench(args = BATCHES.map(|(codec, _)| codec))]
fn records(bencher: Bencher<'_, '_>, codec: &str) {
    let bytes = BATCHES.iter().find(|(name, _)| *name == codec).map(|(_, bytes)| *bytes).unwrap_or_default();
    bencher.counter(ItemsCount::new(BATCH_EVENTS)).bench(|| {
        let mut records = Vec::new();
        kafka::bench::Reader::new(Bytes::from_static(bytes)).read(usize::MAX, &mut records).expect("sound batches");
        assert_eq!(records.len(), BATCH_EVENTS);
        records
    });
}

/// Kinds of events, with the size of their notes in bytes; `None`: an event with few fields.
const SIZES: [(&str, Option<usize>); 3] = [("small", None), ("ordinary", Some(0)), ("4 KB", Some(3_700))];

/// From a record's value to an event.
#[divan::bench(args = SIZES.map(|(size, _)| size))]
fn decode(bencher: Bencher<'_, '_>, size: &str) {
    let notes = SIZES.iter().find(|(name, _)| *name == size).and_then(|(_, notes)| *notes);
    let value = match notes {
        None => SMALL.to_owned(),
        Some(bytes) => ORDINARY.replace("NOTES", &"called back, wants a revised offer. ".repeat(bytes / 36)),
    };
    bencher
        .counter(ItemsCount::new(1_usize))
        .counter(BytesCount::of_str(&value))
        .bench(|| entity::decode(Some(divan::black_box(value.as_bytes()))).map(drop).expect("a sound event"));
}

const SMALL: &str = r#"{"event_id":"opp_000000000042","name":"Acme Steel 42","stage":"Proposal","meta_data":{"last_modified":"2025-01-01T10:11:12Z"}}"#;
const ORDINARY: &str = r#"{"event_id":"opp_000000000042","name":"Northwind Traders: renewal 42","stage":"Proposal","amount":12345.67,"probability":50,"expected_close_date":"2025-03-04","account_id":"acc_0042","owner_id":"usr_017","meta_data":{"source":"crm","last_modified":"2025-01-01T10:11:12Z","tags":["priority","emea"],"notes":"NOTES"}}"#;

const TOPIC: &str = "sales_events";
const GROUP: &str = "bench";
const TRANSACTION_EVENTS: usize = 5_000;

/// One transaction of new events. Some of them also checkpoint the WAL.
#[divan::bench(sample_size = 1)]
fn transaction(bencher: Bencher<'_, '_>) {
    let directory = TempDir::new().expect("a temporary directory");
    let mut database = database(&directory);
    let mut next = 0;
    bencher
        .counter(ItemsCount::new(TRANSACTION_EVENTS))
        .with_inputs(move || {
            let from = next;
            next += i64::try_from(TRANSACTION_EVENTS).expect("a small number");
            (from, (from..next).map(entry).collect::<Vec<_>>())
        })
        .bench_local_refs(|(from, entries)| {
            let done = database
                .apply(&[PartitionBatch::of_records(TOPIC, 0, *from, entries)], &mut Attempt::default())
                .expect("a transaction");
            assert_eq!(done.get(Outcome::Applied), TRANSACTION_EVENTS as u64);
        });
}

fn database(directory: &TempDir) -> Box<dyn Writer> {
    let path = directory.path().join("events.db");
    let settings = DatabaseSettings {
        path,
        synchronous: Synchronous::Normal,
        wal_bytes_max: 1 << 30,
        cache_bytes_max: 32 << 20,
        file_mode: FileMode::Owner,
    };
    let mut database = storage::open(&settings, GROUP).expect("a database");
    let start = OffsetJump::first_start(TOPIC, 0, 0);
    database.store_jumps(&[start], &mut Attempt::default()).expect("a position");
    database
}

fn entry(offset: i64) -> Entry<'static> {
    static NO_HEADERS: Vec<Header<'static>> = Vec::new();
    Entry {
        offset,
        timestamp_ms: Some(1_735_689_600_000 + offset),
        key: None,
        value: Some(ORDINARY.as_bytes()),
        headers: &NO_HEADERS,
        decoded: Ok(Event::Opportunity(opportunity(offset))),
    }
}

fn opportunity(number: i64) -> Opportunity<'static> {
    Opportunity {
        event_id: Cow::Owned(format!("opp_{number:012}")),
        name: Cow::Owned(format!("Northwind Traders: renewal {number}")),
        stage: Cow::Borrowed("Proposal"),
        amount: Some(12_345.67.into()),
        probability: Some(50),
        expected_close_date: Some(Cow::Borrowed("2025-03-04")),
        account_id: Some(Cow::Borrowed("acc_0042")),
        owner_id: Some(Cow::Borrowed("usr_017")),
        meta_data: Some(MetaData {
            json: r#"{"source":"crm","last_modified":"2025-01-01T10:11:12Z","tags":["priority","emea"],"notes":null}"#,
            last_modified: UtcTime::read("2025-01-01T10:11:12Z").map(LastModified::new),
        }),
        extra: None,
    }
}
