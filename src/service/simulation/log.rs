//! The logs of the model's partitions: what was produced, and what each record means. Must not use the service's code:
//! both follow the documented contract of messages.

use std::collections::BTreeSet;
use std::sync::Arc;

use fuzzkit::Random;
use kafka::{Headers, Record, TopicId};

/// Name of an event that SQLite rejects: a trigger aborts the statement.
pub(super) const POISON: &str = "poison";
/// Name of an event whose trigger rolls the transaction back.
pub(super) const VENOM: &str = "venom";
/// Name of an event whose trigger skips the row without an error.
pub(super) const GHOST: &str = "ghost";

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
    /// Unique in the simulation.
    pub(super) serial: u64,
    pub(super) at: Coordinates,
    pub(super) meaning: Meaning,
    pub(super) value: Option<Vec<u8>>,
    pub(super) timestamp_ms: i64,
}

/// The coordinates of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Coordinates {
    pub(super) topic_id: TopicId,
    pub(super) partition: i32,
    pub(super) offset: i64,
}

/// An unidentified message as its table has it: topic id, partition, offset, timestamp, reason and value.
pub(super) type Message = (String, i32, i64, i64, String, Option<Vec<u8>>);

impl Produced {
    /// The unidentified message that the record becomes; `None` of an event.
    pub(super) fn message(&self) -> Option<Message> {
        let Meaning::Unidentified(reason) = self.meaning else { return None };
        let Coordinates { topic_id, partition, offset } = self.at;
        Some((topic_id.to_string(), partition, offset, self.timestamp_ms, reason.to_owned(), self.value.clone()))
    }

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

/// One partition. An offset may have no record: compaction, a control record, an aborted transaction.
#[derive(Debug)]
pub(super) struct Log {
    /// The log start offset: retention has deleted what is before it.
    pub(super) start: i64,
    /// Every log start offset so far.
    pub(super) starts: BTreeSet<i64>,
    slots: Vec<Option<Arc<Produced>>>,
    /// Leader epochs, and the offset where each begins.
    epochs: Vec<(i32, i64)>,
    /// The latest epoch.
    epoch: i32,
    /// Records that were truncated.
    pub(super) truncated: Vec<Arc<Produced>>,
    /// Where it was truncated.
    pub(super) cuts: BTreeSet<i64>,
    /// A consumer may have started here without a leader epoch: a truncation before this offset is not noticed.
    pub(super) without_epoch: i64,
}

impl Default for Log {
    fn default() -> Self {
        let epochs = vec![(0, 0)];
        let (truncated, cuts) = (Vec::new(), BTreeSet::new());
        Self {
            start: 0,
            starts: BTreeSet::from([0]),
            slots: Vec::new(),
            epochs,
            epoch: 0,
            truncated,
            cuts,
            without_epoch: 0,
        }
    }
}

impl Log {
    /// One past the last offset.
    pub(super) fn end(&self) -> i64 {
        i64::try_from(self.slots.len()).unwrap()
    }

    pub(super) fn push(&mut self, record: Option<Produced>) {
        self.slots.push(record.map(Arc::new));
    }

    /// Retention deletes everything before an offset.
    pub(super) fn expire(&mut self, start: i64) {
        self.start = start;
        self.starts.insert(start);
    }

    /// An unclean election: the new leader lacks everything from an offset on.
    pub(super) fn truncate(&mut self, to: i64) {
        self.truncated.extend(self.slots.split_off(usize::try_from(to).unwrap()).into_iter().flatten());
        self.epochs.retain(|(_, from)| *from < to);
        self.epoch += 1;
        self.epochs.push((self.epoch, to));
        self.cuts.insert(to);
    }

    pub(super) fn first_epoch_start(&self) -> i64 {
        self.epochs.first().unwrap().1
    }

    /// Epoch of the record before an offset.
    pub(super) fn epoch_before(&self, offset: i64) -> i32 {
        let before = self.epochs.iter().rfind(|(_, from)| *from < offset);
        before.or(self.epochs.first()).unwrap().0
    }

    /// The greatest epoch up to that one, and where it ends.
    pub(super) fn epoch_end(&self, epoch: i32) -> Option<(i32, i64)> {
        let index = self.epochs.iter().rposition(|(known, _)| *known <= epoch)?;
        let end = self.epochs.get(index + 1).map_or(self.end(), |(_, from)| *from);
        Some((self.epochs[index].0, end))
    }

    /// The records of a range of offsets, including those that retention has deleted.
    pub(super) fn between(&self, from: i64, to: i64) -> impl Iterator<Item = &Arc<Produced>> {
        let index = |offset: i64| usize::try_from(offset.clamp(0, self.end())).unwrap();
        self.slots[index(from)..index(to).max(index(from))].iter().flatten()
    }
}

/// A random record. Ids and times are few, so that events compete.
pub(super) fn produce(random: &mut Random, serial: u64, at: Coordinates) -> Produced {
    let name = format!("n{serial}");
    // Times of a recreated topic are later, as in production: the order of events does not depend on the topic id.
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
        4 => (Some(event(POISON)), Meaning::Unidentified("rejected")),
        5 if random.one_in(4) => (Some(event(VENOM)), Meaning::Unidentified("rejected")),
        6 => (Some(event(GHOST)), Meaning::Unidentified("rejected")),
        _ => (Some(event(&name)), Meaning::Event { id, name, time }),
    };
    Produced { serial, at, meaning, value, timestamp_ms: NOON_MS + produced_ms }
}

/// Less than a second after noon, as `last_modified` is stored.
fn time_of(ms: i64) -> String {
    format!("2026-01-01T12:00:{:02}.{:03}000000Z", ms / 1000, ms % 1000)
}
