//! The logs of the model's partitions: what was produced, and what each record means. Shares nothing with the service but the
//! contract of messages.

use std::sync::Arc;

use kafka::{Headers, Record, TopicId};

use super::random::Random;

/// Noon of 2026-01-01, in milliseconds since 1970.
const NOON_MS: i64 = 1_767_268_800_000;

/// What a record means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// An event of this id; the time that orders it, as text that sorts.
    Event { id: String, name: String, time: String },
    /// Why it is kept as an unidentified message.
    Unidentified(&'static str),
}

/// A record that consumers see.
#[derive(Clone, Debug)]
pub(super) struct Produced {
    /// Unlike any other in the simulation.
    pub(super) serial: u64,
    pub(super) at: Place,
    pub(super) meaning: Meaning,
    pub(super) value: Option<Vec<u8>>,
    pub(super) timestamp_ms: i64,
}

/// Where a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) topic_id: TopicId,
    pub(super) partition: i32,
    pub(super) offset: i64,
}

impl Produced {
    pub(super) fn record(&self) -> Record {
        Record {
            offset: self.at.offset,
            timestamp_ms: Some(self.timestamp_ms),
            key: None,
            value: self.value.clone().map(Into::into),
            headers: Headers::default(),
        }
    }
}

/// One partition. An offset without a record is a hole: compacted, a control record, an aborted transaction.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// What is before it is gone by retention.
    pub(super) start: i64,
    slots: Vec<Option<Arc<Produced>>>,
}

impl Log {
    /// One past the last offset.
    pub(super) fn end(&self) -> i64 {
        i64::try_from(self.slots.len()).unwrap()
    }

    pub(super) fn push(&mut self, record: Option<Produced>) {
        self.slots.push(record.map(Arc::new));
    }

    /// The records of a stretch, those too that are gone by now.
    pub(super) fn between(&self, from: i64, to: i64) -> impl Iterator<Item = &Arc<Produced>> {
        let index = |offset: i64| usize::try_from(offset.clamp(0, self.end())).unwrap();
        self.slots[index(from)..index(to).max(index(from))].iter().flatten()
    }
}

/// A record of one of many kinds; few ids and few times, so that events meet.
pub(super) fn produce(random: &mut Random, serial: u64, at: Place) -> Produced {
    let name = format!("n{serial}");
    // Topics of one name differ in their times, as they do in life: the order of events knows no topic id.
    let since = 100 * i64::from(at.topic_id.0[0]);
    let produced_ms = since + random.within(0..50);
    let (modified, time) = if random.one_in(3) {
        (String::new(), time_of(produced_ms))
    } else {
        let time = time_of(since + random.within(0..60));
        (format!(r#","meta_data":{{"last_modified":"{time}"}}"#), time)
    };
    let (id, mark) = if random.one_in(3) { ("proj", "status") } else { ("opp", "stage") };
    let id = format!("{id}_{}", random.within(0..8));
    let event = |name: &str| format!(r#"{{"event_id":"{id}","name":"{name}","{mark}":"s"{modified}}}"#).into_bytes();
    let (value, meaning) = match random.within(0..24) {
        0 => (None, Meaning::Unidentified("empty")),
        1 => (Some(b"{".to_vec()), Meaning::Unidentified("not_json")),
        2 => (Some(b"[]".to_vec()), Meaning::Unidentified("unknown_type")),
        3 => (Some(event("")), Meaning::Unidentified("invalid_field")),
        4 => (Some(event(super::disk::POISON)), Meaning::Unidentified("rejected")),
        5 if random.one_in(4) => (Some(event(super::disk::VENOM)), Meaning::Unidentified("rejected")),
        _ => (Some(event(&name)), Meaning::Event { id, name, time }),
    };
    Produced { serial, at, meaning, value, timestamp_ms: NOON_MS + produced_ms }
}

/// Less than a second after noon, as `last_modified` is stored.
fn time_of(ms: i64) -> String {
    format!("2026-01-01T12:00:{:02}.{:03}000000Z", ms / 1000, ms % 1000)
}
