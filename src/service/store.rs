//! What the loop changes on the disk. Must not know why.

use crate::storage::sqlite::tables::offset::StoredPosition;
use crate::storage::sqlite::tables::position_change::PositionMove;
use crate::storage::sqlite::tables::{Applied, PartitionBatch};
use crate::storage::sqlite::{Database, DatabaseError};

/// The database, open for writing.
pub(super) trait Writer {
    fn database(&mut self) -> &mut Database;
    fn id(&self) -> &str;
    fn position(&mut self, topic: &str, partition: i32) -> Result<Option<StoredPosition>, DatabaseError>;
    fn positions(&mut self) -> Result<Vec<StoredPosition>, DatabaseError>;
    fn knows_topic(&mut self, topic: &str) -> Result<bool, DatabaseError>;
    fn apply(&mut self, batches: &[PartitionBatch<'_>]) -> Result<Applied, DatabaseError>;
    fn store_jumps(&mut self, jumps: &[PositionMove]) -> Result<(), DatabaseError>;
    fn sync(&mut self) -> Result<(), DatabaseError>;
    fn check_identity(&mut self) -> Result<(), DatabaseError>;
    fn begin_sync(&mut self, notify: Box<dyn FnOnce() + Send>) -> Result<(), DatabaseError>;
    fn sync_result(&mut self) -> Option<Result<(), DatabaseError>>;
}

impl Writer for Database {
    fn database(&mut self) -> &mut Database {
        self
    }

    fn id(&self) -> &str {
        Self::id(self)
    }

    fn position(&mut self, topic: &str, partition: i32) -> Result<Option<StoredPosition>, DatabaseError> {
        Self::position(self, topic, partition)
    }

    fn positions(&mut self) -> Result<Vec<StoredPosition>, DatabaseError> {
        Self::positions(self)
    }

    fn knows_topic(&mut self, topic: &str) -> Result<bool, DatabaseError> {
        Self::knows_topic(self, topic)
    }

    fn apply(&mut self, batches: &[PartitionBatch<'_>]) -> Result<Applied, DatabaseError> {
        Self::apply(self, batches)
    }

    fn store_jumps(&mut self, jumps: &[PositionMove]) -> Result<(), DatabaseError> {
        Self::move_positions(self, jumps)
    }

    fn sync(&mut self) -> Result<(), DatabaseError> {
        Self::sync_wal(self)
    }

    fn check_identity(&mut self) -> Result<(), DatabaseError> {
        Self::verify_files(self)
    }

    fn begin_sync(&mut self, notify: Box<dyn FnOnce() + Send>) -> Result<(), DatabaseError> {
        Self::begin_sync(self, notify)
    }

    fn sync_result(&mut self) -> Option<Result<(), DatabaseError>> {
        Self::sync_ended(self)
    }
}
