//! What the loop changes on the disk. Must not know why.

use super::source::Waker;
use crate::storage::sqlite::tables::position_change::PositionMove;
use crate::storage::sqlite::tables::{Applied, PartitionBatch};
use crate::storage::sqlite::{Database, DatabaseError};

/// The database, as it is: tests look on, and stand in for what a power cut takes.
pub(super) trait Store {
    /// The database itself, for everything that is only read, and for the log of unidentified messages.
    fn database(&mut self) -> &mut Database;

    /// See [`Database::apply`].
    fn apply(&mut self, batches: &[PartitionBatch<'_>]) -> Result<Applied, DatabaseError> {
        self.database().apply(batches)
    }

    /// See [`Database::move_positions`].
    fn move_positions(&mut self, moves: &[PositionMove]) -> Result<(), DatabaseError> {
        self.database().move_positions(moves)
    }

    /// See [`Database::sync_wal`].
    fn sync(&mut self) -> Result<(), DatabaseError> {
        self.database().sync_wal()
    }

    /// See [`Database::verify_files`].
    fn verify(&mut self) -> Result<(), DatabaseError> {
        self.database().verify_files()
    }

    /// See [`Database::begin_sync`].
    fn begin_sync(&mut self, notify: Waker) -> Result<(), DatabaseError> {
        self.database().begin_sync(notify)
    }

    /// See [`Database::sync_ended`].
    fn sync_ended(&mut self) -> Option<Result<(), DatabaseError>> {
        self.database().sync_ended()
    }
}

impl Store for Database {
    fn database(&mut self) -> &mut Database {
        self
    }
}
