//! The database of a running instance: the real one, whose calls may fail, and after which the instance may be killed.
//! Must not decide what is durable: the disk does.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::cluster::{Cluster, text};
use super::disk::{Disk, RunningSync};
use crate::storage::{
    Attempt, DatabaseSizes, DatabaseStatistics, ErrorKind, OffsetCounts, OffsetJump, PartitionBatch, Pruner,
    StorageError, StoredPosition, UnidentifiedMessages, Writer,
};

/// The database of a running instance.
pub(super) struct ObservedWriter {
    database: Box<dyn Writer>,
    disk: Rc<RefCell<Disk>>,
    cluster: Rc<RefCell<Cluster>>,
    sync: Option<Sync>,
}

/// A sync that the checkpoint thread runs.
struct Sync {
    makes_durable: RunningSync,
    /// How many rounds of the loop it still takes.
    rounds: i64,
    notify: Box<dyn FnOnce() + Send>,
}

impl ObservedWriter {
    pub(super) fn new(database: Box<dyn Writer>, disk: &Rc<RefCell<Disk>>, cluster: &Rc<RefCell<Cluster>>) -> Self {
        Self { database, disk: Rc::clone(disk), cluster: Rc::clone(cluster), sync: None }
    }

    /// A call that may fail, or be the last one of the instance.
    fn call<T>(&mut self, call: impl FnOnce(&mut dyn Writer) -> Result<T, StorageError>) -> Result<T, StorageError> {
        if !self.disk.borrow_mut().count_call() {
            return Err(StorageError::new(ErrorKind::Missing, "killed"));
        }
        let mut cluster = self.cluster.borrow_mut();
        if self.disk.borrow().faults && cluster.random.one_in(20) {
            cluster.faults += 1;
            return Err(StorageError::new(ErrorKind::Transient, "a failure that was injected"));
        }
        call(&mut *self.database)
    }
}

impl Writer for ObservedWriter {
    fn statistics(&self) -> Arc<DatabaseStatistics> {
        self.database.statistics()
    }

    fn sizes(&self) -> Result<DatabaseSizes, StorageError> {
        self.database.sizes()
    }

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

    fn growth(&self) -> u32 {
        self.database.growth()
    }

    fn apply(&mut self, batches: &[PartitionBatch<'_>], attempt: &mut Attempt) -> Result<OffsetCounts, StorageError> {
        let result = self.call(|database| database.apply(batches, attempt));
        let mut disk = self.disk.borrow_mut();
        if disk.is_dead() {
            return result;
        }
        for batch in batches {
            let before = disk.seen.positions.get(&batch.partition).unwrap().1;
            let reached = match &result {
                Ok(_) => {
                    assert_eq!(before, batch.offsets.from, "applied at another position");
                    batch.offsets.next
                }
                // If SQLite rejects a record, a part of the batch may have taken effect.
                Err(_) => self.database.position(batch.topic, batch.partition)?.unwrap().next_offset,
            };
            let topic_id = text(batch.topic_id);
            disk.seen.positions.insert(batch.partition, (topic_id.clone(), reached));
            let records = disk.fetched(&topic_id, batch.partition, before..reached);
            disk.seen.note_stored(&records);
            let serials = records.iter().map(|record| record.serial);
            disk.seen.counted.entry(batch.partition).or_default().extend(serials);
        }
        disk.note_transaction();
        result
    }

    fn store_jumps(&mut self, jumps: &[OffsetJump], attempt: &mut Attempt) -> Result<(), StorageError> {
        self.call(|database| database.store_jumps(jumps, attempt))?;
        let mut disk = self.disk.borrow_mut();
        for jump in jumps {
            let before = disk.seen.positions.insert(jump.partition, (text(jump.topic_id.as_ref()), jump.to));
            disk.seen.counted.remove(&jump.partition);
            self.cluster.borrow_mut().justify(jump, before.as_ref());
        }
        disk.note_transaction();
        Ok(())
    }

    fn sync(&mut self) -> Result<(), StorageError> {
        self.call(|database| database.sync())?;
        let mut disk = self.disk.borrow_mut();
        let synced = disk.begin_sync();
        disk.end_sync(synced);
        Ok(())
    }

    fn check_identity(&mut self) -> Result<(), StorageError> {
        self.database.check_identity()
    }

    fn unidentified(&mut self) -> &mut dyn UnidentifiedMessages {
        self.database.unidentified()
    }

    fn pruner(&mut self) -> &mut dyn Pruner {
        self.database.pruner()
    }

    /// The sync ends some rounds of the loop later.
    fn begin_sync(&mut self, notify: Box<dyn FnOnce() + Send>) -> Result<(), StorageError> {
        assert!(self.sync.is_none(), "a sync is running");
        self.call(|_| Ok(()))?;
        let rounds = self.cluster.borrow_mut().random.within(0..10);
        self.sync = Some(Sync { makes_durable: self.disk.borrow_mut().begin_sync(), rounds, notify });
        Ok(())
    }

    fn sync_result(&mut self) -> Option<Result<(), StorageError>> {
        let running = self.sync.as_mut()?;
        if running.rounds > 0 {
            running.rounds -= 1;
            return None;
        }
        let Sync { makes_durable, notify, .. } = self.sync.take()?;
        let result = self.call(|database| database.sync());
        notify();
        Some(result.map(|()| self.disk.borrow_mut().end_sync(makes_durable)))
    }
}
