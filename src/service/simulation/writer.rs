//! The database of a running instance: the real one, whose calls may fail, and after which the instance may be killed. Must not decide what
//! is durable: the disk does.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use super::cluster::Cluster;
use super::disk::{Disk, RunningSync};
use crate::service::store::Writer;
use crate::storage::sqlite::tables::offset::StoredPosition;
use crate::storage::sqlite::tables::position_change::PositionMove;
use crate::storage::sqlite::tables::{Applied, PartitionBatch};
use crate::storage::sqlite::{Database, DatabaseError};

/// The database of a running instance.
pub(super) struct ObservedWriter {
    database: Database,
    disk: Rc<RefCell<Disk>>,
    cluster: Rc<RefCell<Cluster>>,
    sync: Option<(RunningSync, Box<dyn FnOnce() + Send>)>,
}

impl ObservedWriter {
    pub(super) fn new(database: Database, disk: &Rc<RefCell<Disk>>, cluster: &Rc<RefCell<Cluster>>) -> Self {
        Self { database, disk: Rc::clone(disk), cluster: Rc::clone(cluster), sync: None }
    }

    /// A call that may fail, or be the last one of the instance.
    fn call<T>(&mut self, call: impl FnOnce(&mut Database) -> Result<T, DatabaseError>) -> Result<T, DatabaseError> {
        if !self.disk.borrow_mut().count_call() {
            return Err(DatabaseError::Missing { path: "killed".into() });
        }
        let mut cluster = self.cluster.borrow_mut();
        if self.disk.borrow().faults && cluster.random.one_in(20) {
            cluster.faults += 1;
            let source = io::Error::from(io::ErrorKind::StorageFull);
            return Err(DatabaseError::Io { action: "simulate", path: "disk".into(), source });
        }
        call(&mut self.database)
    }
}

impl Writer for ObservedWriter {
    fn database(&mut self) -> &mut Database {
        &mut self.database
    }

    fn id(&self) -> &str {
        self.database.id()
    }

    fn position(&mut self, topic: &str, partition: i32) -> Result<Option<StoredPosition>, DatabaseError> {
        self.database.position(topic, partition)
    }

    fn positions(&mut self) -> Result<Vec<StoredPosition>, DatabaseError> {
        self.database.positions()
    }

    fn knows_topic(&mut self, topic: &str) -> Result<bool, DatabaseError> {
        self.database.knows_topic(topic)
    }

    fn apply(&mut self, batches: &[PartitionBatch<'_>]) -> Result<Applied, DatabaseError> {
        let result = self.call(|database| database.apply(batches));
        let mut disk = self.disk.borrow_mut();
        if disk.is_dead() {
            return result;
        }
        for batch in batches {
            let before = disk.seen.positions.get(&batch.partition).unwrap().1;
            let reached = match &result {
                Ok(_) => {
                    assert_eq!(before, batch.from_offset, "applied at another position");
                    batch.next_offset
                }
                // If SQLite rejects a record, a part of the batch may have taken effect.
                Err(_) => self.database.position(batch.topic, batch.partition)?.unwrap().next_offset,
            };
            disk.seen.positions.insert(batch.partition, (batch.topic_id.to_owned(), reached));
            let records = disk.fetched(batch.topic_id, batch.partition, before..reached);
            disk.seen.stored.extend(&records);
            disk.seen.counted.entry(batch.partition).or_default().extend(records);
        }
        disk.note_transaction();
        result
    }

    fn store_jumps(&mut self, jumps: &[PositionMove]) -> Result<(), DatabaseError> {
        self.call(|database| database.move_positions(jumps))?;
        let mut disk = self.disk.borrow_mut();
        for jump in jumps {
            let before = disk.seen.positions.insert(jump.partition, (jump.topic_id.clone(), jump.to));
            disk.seen.counted.remove(&jump.partition);
            self.cluster.borrow_mut().justify(jump, before.as_ref());
        }
        disk.note_transaction();
        Ok(())
    }

    fn sync(&mut self) -> Result<(), DatabaseError> {
        self.call(Database::sync_wal)?;
        let mut disk = self.disk.borrow_mut();
        let synced = disk.begin_sync();
        disk.end_sync(synced);
        Ok(())
    }

    fn check_identity(&mut self) -> Result<(), DatabaseError> {
        self.database.verify_files()
    }

    /// The sync runs until [`sync_result`](Self::sync_result) lets it end.
    fn begin_sync(&mut self, notify: Box<dyn FnOnce() + Send>) -> Result<(), DatabaseError> {
        assert!(self.sync.is_none(), "a sync is running");
        self.call(|_| Ok(()))?;
        self.sync = Some((self.disk.borrow_mut().begin_sync(), notify));
        Ok(())
    }

    fn sync_result(&mut self) -> Option<Result<(), DatabaseError>> {
        if self.cluster.borrow_mut().random.one_in(2) {
            return None;
        }
        let (sync, notify) = self.sync.take()?;
        let result = self.call(Database::sync_wal);
        notify();
        Some(result.map(|()| self.disk.borrow_mut().end_sync(sync)))
    }
}
