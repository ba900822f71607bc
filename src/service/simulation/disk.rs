//! The disk of an instance: a real database, what a kill or a power cut leaves of it, and what the simulation saw take
//! effect.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use fuzzkit::Random;
use kafka::TopicPartition;
use rusqlite::Connection;

use super::cluster::text;
use super::log::{GHOST, Message, POISON, Produced, VENOM};
use crate::settings::{DatabaseSettings, Settings};
use crate::storage::Writer;

/// What took effect, as the simulation saw it.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Serial numbers of the records.
    pub(super) stored: BTreeSet<u64>,
    /// Of each partition those since its counters began.
    pub(super) counted: BTreeMap<i32, Vec<u64>>,
    /// The next offset, and the topic id that it belongs to.
    pub(super) positions: BTreeMap<i32, (String, i64)>,
    /// Messages that were pruned, and have not been read again since.
    pub(super) pruned: BTreeSet<Message>,
    /// How many pruned messages were read again, and so kept again.
    pub(super) kept_again: usize,
}

impl Seen {
    /// Records took effect: those of them that were pruned are kept again.
    pub(super) fn note_stored(&mut self, records: &[Arc<Produced>]) {
        self.stored.extend(records.iter().map(|record| record.serial));
        for message in records.iter().filter_map(|record| record.message()) {
            self.kept_again += usize::from(self.pruned.remove(&message));
        }
    }
}

/// The files of a database at one moment.
#[derive(Clone, Debug, Default)]
struct Image {
    files: Vec<(&'static str, Vec<u8>)>,
    seen: Seen,
}

/// A sync that has begun, and what it makes durable.
#[derive(Debug)]
pub(super) struct RunningSync {
    seen: Seen,
    /// The first of the images that a power cut may leave then.
    image: usize,
    /// How many syncs had ended before.
    syncs: u64,
}

/// The disk of one instance.
#[derive(Debug)]
pub(super) struct Disk {
    settings: DatabaseSettings,
    pub(super) seen: Seen,
    /// The records that the instance has fetched last, by topic id, partition and offset. The log may hold others by
    /// now.
    fetched: BTreeMap<(String, i32, i64), Arc<Produced>>,
    /// What survives a power cut for certain.
    pub(super) durable: Seen,
    syncs: u64,
    /// What a power cut may leave: the files as of the last sync, and after each transaction since.
    images: Vec<Image>,
    pub(super) power_cuts: bool,
    /// The instance is killed after this many calls into the database or the consumer.
    pub(super) fuse: Option<i64>,
    /// What the kill left.
    killed: Option<Image>,
    /// Whether failures are injected.
    pub(super) faults: bool,
}

impl Disk {
    /// With an empty database.
    pub(super) fn new(settings: &Settings, power_cuts: bool) -> Self {
        let disk = Self {
            settings: settings.database.clone(),
            seen: Seen::default(),
            fetched: BTreeMap::new(),
            durable: Seen::default(),
            syncs: 0,
            images: Vec::new(),
            power_cuts,
            fuse: None,
            killed: None,
            faults: true,
        };
        disk.write(&[("", empty_database().clone())]);
        Connection::open(&disk.settings.path)
            .unwrap()
            .execute("UPDATE database_identity SET id = ?1", [format!("{:?}", disk.settings.path)])
            .unwrap();
        disk
    }

    /// Counts a call. False if the instance is killed: then the call must have no effect.
    pub(super) fn count_call(&mut self) -> bool {
        if let Some(left) = &mut self.fuse {
            *left -= 1;
            if *left == 0 {
                self.killed = Some(self.image());
            }
        }
        self.killed.is_none()
    }

    pub(super) fn is_dead(&self) -> bool {
        self.killed.is_some()
    }

    /// Restores what a killed instance left, for the next one.
    pub(super) fn restore(&mut self, random: &mut Random) {
        self.fuse = None;
        let Some(killed) = self.killed.take() else { return };
        let left = if self.power_cuts && !self.images.is_empty() && random.one_in(2) {
            let which = random.within(0..i64::try_from(self.images.len()).unwrap());
            self.images.swap_remove(usize::try_from(which).unwrap())
        } else {
            killed
        };
        self.write(&left.files);
        self.seen = left.seen;
    }

    fn image(&self) -> Image {
        let read = |suffix| fs::read(self.path(suffix)).ok().map(|bytes| (suffix, bytes));
        Image { files: ["", "-wal"].into_iter().filter_map(read).collect(), seen: self.seen.clone() }
    }

    fn write(&self, files: &[(&str, Vec<u8>)]) {
        for suffix in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(self.path(suffix)); // There may be none.
        }
        for (suffix, bytes) in files {
            fs::write(self.path(suffix), bytes).unwrap();
        }
    }

    fn path(&self, suffix: &str) -> String {
        format!("{}{suffix}", self.settings.path.display())
    }

    pub(super) fn note_transaction(&mut self) {
        if self.power_cuts {
            self.images.push(self.image());
        }
    }

    /// A sync of what is stored now begins. It is durable after [`end_sync`](Self::end_sync).
    pub(super) fn begin_sync(&mut self) -> RunningSync {
        self.note_transaction();
        RunningSync { seen: self.seen.clone(), image: self.images.len().saturating_sub(1), syncs: self.syncs }
    }

    pub(super) fn end_sync(&mut self, synced: RunningSync) {
        // A sync that has ended since has made more durable.
        if synced.syncs == self.syncs {
            self.durable = synced.seen;
            self.images.drain(..synced.image.min(self.images.len()));
            self.syncs += 1;
        }
    }

    /// Records were fetched: all that the log has of a range of offsets.
    pub(super) fn note_fetched(
        &mut self,
        topic_id: &str,
        partition: i32,
        offsets: Range<i64>,
        records: impl Iterator<Item = Arc<Produced>>,
    ) {
        let key = |offset: i64| (topic_id.to_owned(), partition, offset);
        let before: Vec<_> =
            self.fetched.range(key(offsets.start)..key(offsets.end)).map(|(at, _)| at.clone()).collect();
        for at in before {
            self.fetched.remove(&at);
        }
        self.fetched.extend(records.map(|record| (key(record.at.offset), record)));
    }

    /// The records that were fetched of a range of offsets.
    pub(super) fn fetched(&self, topic_id: &str, partition: i32, offsets: Range<i64>) -> Vec<Arc<Produced>> {
        let key = |offset: i64| (topic_id.to_owned(), partition, offset);
        self.fetched.range(key(offsets.start)..key(offsets.end)).map(|(_, record)| Arc::clone(record)).collect()
    }

    /// Whether a position survives a power cut.
    pub(super) fn is_durable(&self, at: &TopicPartition, topic_id: &str, offset: i64) -> bool {
        self.durable.positions.get(&at.partition).is_some_and(|(id, durable)| id == topic_id && *durable >= offset)
    }

    /// Checks that the positions are those of the last transaction that survived.
    pub(super) fn check_positions(&self, database: &mut dyn Writer) {
        let stored = database.positions().unwrap().into_iter();
        let stored: BTreeMap<_, _> = stored
            .map(|position| (position.partition, (text(position.topic_id.as_ref()), position.next_offset)))
            .collect();
        assert_eq!(stored, self.seen.positions, "stored positions");
    }
}

/// The unidentified messages of a database, with their ids.
pub(super) fn messages(connection: &Connection) -> BTreeMap<Message, i64> {
    let query =
        "SELECT topic_id, kafka_partition, kafka_offset, kafka_timestamp, reason, value, id FROM unidentified_messages";
    let mut statement = connection.prepare(query).unwrap();
    let mut rows = statement.query([]).unwrap();
    let mut messages = BTreeMap::new();
    while let Some(row) = rows.next().unwrap() {
        let message = (
            row.get(0).unwrap(),
            row.get(1).unwrap(),
            row.get(2).unwrap(),
            row.get(3).unwrap(),
            row.get(4).unwrap(),
            row.get(5).unwrap(),
        );
        assert!(messages.insert(message, row.get(6).unwrap()).is_none(), "a message is kept twice");
    }
    messages
}

/// An empty database with triggers of an operator, created once.
fn empty_database() -> &'static Vec<u8> {
    static EMPTY: OnceLock<Vec<u8>> = OnceLock::new();
    EMPTY.get_or_init(|| {
        let place = crate::storage::sqlite::fixtures::Place::new();
        drop(place.open());
        for table in ["opportunities", "projects"] {
            for (name, how) in [(POISON, "ABORT, 'no'"), (VENOM, "ROLLBACK, 'no'"), (GHOST, "IGNORE")] {
                place.execute(&format!(
                    "CREATE TRIGGER {name}_{table} BEFORE INSERT ON {table} WHEN NEW.name = '{name}'
                     BEGIN SELECT RAISE({how}); END"
                ));
            }
        }
        fs::read(&place.settings.path).unwrap()
    })
}
