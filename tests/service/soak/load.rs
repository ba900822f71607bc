//! A steady load of records from Kafka's client, until the test ends. Records that the broker did not accept in time are produced
//! later. Keeps the expected tables.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use testkit::{Client, Codec, ProduceOptions, Record};

use crate::support::events::{Sent, Tables};

/// Time between two requests to the client.
const STEP: Duration = Duration::from_millis(50);
/// Records in one request.
const RECORDS_MAX: u64 = 5_000;

/// The expected tables, and the time of production.
pub struct Produced {
    pub tables: Tables,
    pub records: u64,
    pub elapsed: Duration,
}

/// Produces `rate` events a second, until `over`.
pub fn produce(
    client: &Client,
    topic: &str,
    mut events: impl Iterator<Item = Sent>,
    rate: u64,
    over: &AtomicBool,
) -> Produced {
    // The default of the client is to wait a second before it connects to a broker again.
    let options = ProduceOptions::default().codec(Codec::Lz4).config("reconnect.backoff.max.ms", "100");
    let (mut tables, mut records) = (Tables::default(), 0);
    let begun = Instant::now();
    while !over.load(Ordering::Relaxed) {
        let due = u64::try_from(begun.elapsed().as_millis()).unwrap() * rate / 1000;
        let count = usize::try_from((due - records).min(RECORDS_MAX)).unwrap();
        let sent: Vec<Sent> = events.by_ref().take(count).map(of_now).collect();
        let request: Vec<Record> = sent.iter().map(|sent| sent.record.clone()).collect();
        tables.add(topic, &sent, &client.produce(topic, &options, request).unwrap());
        records += sent.len() as u64;
        thread::sleep(STEP);
    }
    Produced { tables, records, elapsed: begun.elapsed() }
}

/// Present timestamps: at its start a broker forgets producers whose last record is older than a day (`producer.id.expiration.ms`), by
/// the records' timestamps, and would append a retried batch again. Few different timestamps, so that there are ties.
fn of_now(mut sent: Sent) -> Sent {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    sent.record.timestamp_ms = Some(i64::try_from(seconds / 10 * 10_000).unwrap());
    sent
}
