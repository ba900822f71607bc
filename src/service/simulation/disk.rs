//! What an instance of the service stores: a real database, what a kill or a power cut leaves of it, and what the simulation saw
//! take effect.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::rc::Rc;
use std::sync::OnceLock;

use kafka::TopicPartition;
use rusqlite::Connection;

use super::cluster::Cluster;
use super::random::Random;
use crate::settings::{DatabaseSettings, Settings};
use crate::storage::{
    Attempt, ErrorKind, OffsetCounts, OffsetJump, PartitionBatch, StorageError, StoredPosition, TopicId,
    UnidentifiedMessages, Writer,
};

/// Name of an event that SQLite refuses: a trigger ends the statement.
pub(super) const POISON: &str = "poison";
/// The same, but the trigger ends the transaction.
pub(super) const VENOM: &str = "venom";

/// The same, but the trigger skips the row without an error.
pub(super) const GHOST: &str = "ghost";

/// What took effect, as the simulation saw it.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Serial numbers of the records.
    pub(super) stored: BTreeSet<u64>,
    /// Of each partition those since its counters began.
    pub(super) counted: BTreeMap<i32, Vec<u64>>,
    /// The next offset, and the topic id that it belongs to.
    pub(super) positions: BTreeMap<i32, (String, i64)>,
}

/// The files of a database at one moment.
#[derive(Clone, Debug, Default)]
struct Image {
    files: Vec<(&'static str, Vec<u8>)>,
    seen: Seen,
}

/// A sync on its way, and what it makes durable.
#[derive(Debug)]
struct Syncing {
    seen: Seen,
    /// The first of the images that a power cut may leave then.
    image: usize,
    /// How many syncs were before.
    syncs: u64,
}

/// The disk of one instance.
#[derive(Debug)]
pub(super) struct Disk {
    settings: DatabaseSettings,
    pub(super) seen: Seen,
    /// What survives a power cut for certain.
    pub(super) durable: Seen,
    syncs: u64,
    /// What a power cut may leave: as of the last sync, and after each transaction since.
    images: Vec<Image>,
    pub(super) power_cuts: bool,
    /// So many calls into database or cluster are left until the instance is killed.
    pub(super) fuse: Option<i64>,
    /// What the kill left.
    killed: Option<Image>,
    /// Whether calls fail now and then.
    pub(super) faults: bool,
}

impl Disk {
    /// With an empty database.
    pub(super) fn new(settings: &Settings, power_cuts: bool) -> Self {
        let disk = Self {
            settings: settings.database.clone(),
            seen: Seen::default(),
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

    /// Counts a call; false if the instance is dead, and nothing happens any more.
    pub(super) fn alive(&mut self) -> bool {
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

    /// What a dead instance left, as its successor finds it.
    pub(super) fn come_back(&mut self, random: &mut Random) {
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

    fn note_transaction(&mut self) {
        if self.power_cuts {
            self.images.push(self.image());
        }
    }

    /// What is there now will survive a power cut for certain, once [`note_synced`](Self::note_synced) says so.
    fn syncing(&mut self) -> Syncing {
        self.note_transaction();
        Syncing { seen: self.seen.clone(), image: self.images.len().saturating_sub(1), syncs: self.syncs }
    }

    fn note_synced(&mut self, synced: Syncing) {
        // Not if there was another one meanwhile, which has made more durable.
        if synced.syncs == self.syncs {
            self.durable = synced.seen;
            self.images.drain(..synced.image.min(self.images.len()));
            self.syncs += 1;
        }
    }
}

/// The database of a running instance.
pub(super) struct Observed {
    database: Box<dyn Writer>,
    disk: Rc<RefCell<Disk>>,
    cluster: Rc<RefCell<Cluster>>,
    syncing: Option<Syncing>,
}

impl Observed {
    pub(super) fn new(database: Box<dyn Writer>, disk: &Rc<RefCell<Disk>>, cluster: &Rc<RefCell<Cluster>>) -> Self {
        Self { database, disk: Rc::clone(disk), cluster: Rc::clone(cluster), syncing: None }
    }

    /// A call that may fail or never come to its end.
    fn call<T>(&mut self, act: impl FnOnce(&mut dyn Writer) -> Result<T, StorageError>) -> Result<T, StorageError> {
        if !self.disk.borrow_mut().alive() {
            return Err(StorageError::new(ErrorKind::Missing, "killed"));
        }
        if self.disk.borrow().faults && self.cluster.borrow_mut().random.one_in(20) {
            return Err(StorageError::new(ErrorKind::Transient, "a fault of the model"));
        }
        act(&mut *self.database)
    }
}

impl Writer for Observed {
    fn id(&self) -> &str {
        self.database.id()
    }

    fn position(&mut self, topic: &str, partition: i32) -> Result<Option<StoredPosition>, StorageError> {
        self.database.position(topic, partition)
    }

    fn positions(&mut self) -> Result<Vec<StoredPosition>, StorageError> {
        self.database.positions()
    }

    fn knows_topic(&mut self, topic: &str) -> Result<bool, StorageError> {
        self.database.knows_topic(topic)
    }

    fn apply(&mut self, batches: &[PartitionBatch<'_>], attempt: &mut Attempt) -> Result<OffsetCounts, StorageError> {
        let result = self.call(|database| database.apply(batches, attempt));
        let mut disk = self.disk.borrow_mut();
        let cluster = self.cluster.borrow();
        if disk.is_dead() {
            return result;
        }
        for batch in batches {
            let before = disk.seen.positions.get(&batch.partition).unwrap().1;
            let reached = match &result {
                Ok(_) => {
                    assert_eq!(before, batch.offsets.from, "applied elsewhere");
                    batch.offsets.next
                }
                // Where it has to isolate what SQLite refuses, it may have taken effect in part.
                Err(_) => self.database.position(batch.topic, batch.partition)?.unwrap().next_offset,
            };
            let topic_id = spelled(batch.topic_id);
            disk.seen.positions.insert(batch.partition, (topic_id.clone(), reached));
            let records = cluster.records(&topic_id, batch.partition, before, reached);
            disk.seen.stored.extend(records.iter().map(|record| record.serial));
            let counted = disk.seen.counted.entry(batch.partition).or_default();
            counted.extend(records.iter().map(|record| record.serial));
        }
        disk.note_transaction();
        result
    }

    fn store_jumps(&mut self, moves: &[OffsetJump], attempt: &mut Attempt) -> Result<(), StorageError> {
        self.call(|database| database.store_jumps(moves, attempt))?;
        let mut disk = self.disk.borrow_mut();
        for moved in moves {
            let before = disk.seen.positions.insert(moved.partition, (spelled(moved.topic_id.as_ref()), moved.to));
            disk.seen.counted.remove(&moved.partition);
            self.cluster.borrow_mut().justify(moved, before.as_ref());
        }
        disk.note_transaction();
        Ok(())
    }

    fn sync(&mut self) -> Result<(), StorageError> {
        self.call(|database| database.sync())?;
        let mut disk = self.disk.borrow_mut();
        let synced = disk.syncing();
        disk.note_synced(synced);
        Ok(())
    }

    fn begin_sync(&mut self, _: Box<dyn FnOnce() + Send>) -> Result<(), StorageError> {
        self.call(|_| Ok(()))?;
        self.syncing = Some(self.disk.borrow_mut().syncing());
        Ok(())
    }

    fn sync_result(&mut self) -> Option<Result<(), StorageError>> {
        if self.cluster.borrow_mut().random.one_in(2) {
            return None;
        }
        let synced = self.syncing.take()?;
        Some(self.call(|database| database.sync()).map(|()| self.disk.borrow_mut().note_synced(synced)))
    }

    fn check_identity(&mut self) -> Result<(), StorageError> {
        self.database.check_identity()
    }

    fn unidentified(&mut self) -> &mut dyn UnidentifiedMessages {
        self.database.unidentified()
    }
}

/// A topic id as the model spells it.
pub(super) fn spelled(id: Option<&TopicId>) -> String {
    id.map_or_else(String::new, ToString::to_string)
}

impl Disk {
    /// Whether a position is where it is after a power cut too.
    pub(super) fn is_durable(&self, at: &TopicPartition, topic_id: &str, offset: i64) -> bool {
        self.durable.positions.get(&at.partition).is_some_and(|(id, durable)| id == topic_id && *durable >= offset)
    }
}

/// A database of ours with triggers of somebody else, made once.
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
