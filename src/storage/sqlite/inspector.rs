//! The inspector: reads the database for commands, also while a service runs, and without permission to write.

use std::ops::ControlFlow;
use std::path::Path;

use rusqlite::{Connection, ErrorCode, Transaction};

use super::error::{Context, SqliteError};
use super::open;
use super::paths;
use super::schema::SCHEMA_VERSION;
use super::tables::{browse, event, identity, invariants, jump, offset, prune, tail, unidentified};
use crate::entity::Kind;
use crate::storage::error::StorageError;
use crate::storage::findings::{Invariant, Violation};
use crate::storage::inspector::{Inspector, RowCount, Summary};
use crate::storage::kept::{KeptMessage, ListedMessage, MessageFilter, PruneCounts, PruneRequest};
use crate::storage::position::StoredPosition;
use crate::storage::tail::{TailCursor, TailStep};

/// How many offset jumps a [`Summary`] has.
const JUMPS_MAX: u32 = 10;

/// A database that is only read.
#[derive(Debug)]
pub(in crate::storage) struct DatabaseReader {
    connection: Connection,
}

impl DatabaseReader {
    /// Opens an existing database.
    ///
    /// # Errors
    /// [`SqliteError::Missing`] if there is none; [`SqliteError::WalNotReadable`] if its last state cannot be read without permission to
    /// write, which is so after a crash of the service.
    pub(in crate::storage) fn open(path: &Path) -> Result<Self, SqliteError> {
        open::open_reader(&paths::resolve(path, None)?).map(|connection| Self { connection })
    }

    /// The database's id.
    pub(super) fn id(&mut self) -> Result<String, SqliteError> {
        self.connection
            .transaction()
            .and_then(|transaction| identity::find(&transaction))
            .context("read the database's id")
    }

    /// The group's positions, by topic and partition.
    pub(super) fn positions(&mut self, group_id: &str) -> Result<Vec<StoredPosition>, SqliteError> {
        self.connection
            .transaction()
            .and_then(|transaction| offset::all(&transaction, group_id))
            .context("read the positions")
    }

    /// Counts and positions.
    pub(super) fn summary(&mut self, group_id: &str) -> Result<Summary, SqliteError> {
        self.read(group_id).context("read the database")
    }

    /// Calls `report` with each invariant and what violates it. Until it has ended, SQLite cannot reuse the `-wal` file of a running service.
    pub(super) fn verify(&mut self, mut report: impl FnMut(Invariant, &[Violation])) -> Result<(), SqliteError> {
        // Sorting must not need a directory for temporary files.
        self.connection.pragma_update(None, "temp_store", "MEMORY").context("verify the database")?;
        let transaction = self.connection.transaction().context("verify the database")?;
        for invariant in Invariant::ALL {
            let violations = invariants::violations(invariant, &transaction).or_else(as_damage);
            report(invariant, &violations.context("verify the database")?);
        }
        Ok(())
    }

    /// Runs a read transaction, which sees the database as of one moment.
    fn in_snapshot<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StorageError> {
        let result = self.connection.transaction().and_then(|transaction| work(&transaction));
        Ok(result.context("read the unidentified messages")?)
    }

    fn read(&mut self, group_id: &str) -> rusqlite::Result<Summary> {
        let transaction = self.connection.transaction()?;
        let (mut rows, mut ahead) = (Vec::new(), 0);
        for kind in Kind::ALL {
            rows.push(RowCount { table: kind.table(), rows: event::count(&transaction, kind)? });
            ahead += event::count_ahead(&transaction, kind)?;
        }
        Ok(Summary {
            database_id: identity::find(&transaction)?,
            schema_version: SCHEMA_VERSION,
            rows,
            ahead,
            unidentified: unidentified::count_by_reason(&transaction)?,
            positions: offset::all(&transaction, group_id)?,
            jumps: jump::latest(&transaction, group_id, JUMPS_MAX)?,
        })
    }
}

impl Inspector for DatabaseReader {
    fn id(&mut self) -> Result<String, StorageError> {
        Ok(self.id()?)
    }

    fn positions(&mut self, group_id: &str) -> Result<Vec<StoredPosition>, StorageError> {
        Ok(self.positions(group_id)?)
    }

    fn summary(&mut self, group_id: &str) -> Result<Summary, StorageError> {
        Ok(self.summary(group_id)?)
    }

    fn verify(&mut self, report: &mut dyn FnMut(Invariant, &[Violation])) -> Result<(), StorageError> {
        Ok(self.verify(report)?)
    }

    fn list_messages(
        &mut self,
        filter: &MessageFilter,
        messages_max: u64,
        each: &mut dyn FnMut(ListedMessage) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        self.in_snapshot(|transaction| browse::list(transaction, filter, messages_max, each))
    }

    fn read_messages(
        &mut self,
        filter: &MessageFilter,
        messages_max: u64,
        each: &mut dyn FnMut(KeptMessage) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        self.in_snapshot(|transaction| browse::read(transaction, filter, messages_max, each))
    }

    fn read_messages_at(
        &mut self,
        at: (&str, i32, i64),
        each: &mut dyn FnMut(KeptMessage) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        self.in_snapshot(|transaction| browse::at(transaction, at, each))
    }

    fn tail_cursor(&mut self) -> Result<TailCursor, StorageError> {
        self.in_snapshot(tail::begin)
    }

    fn tail(&mut self, cursor: &mut TailCursor, rows_max: u32) -> Result<TailStep, StorageError> {
        let version = self.connection.pragma_query_value(None, "data_version", |row| row.get(0));
        let version = Some(version.context("read the database")?);
        if cursor.data_version == version {
            return Ok(TailStep::default());
        }
        let (step, is_complete) = self.in_snapshot(|transaction| tail::after(transaction, cursor, rows_max))?;
        // A commit between the two is read now, and found to be read the next time.
        cursor.data_version = version.filter(|_| is_complete);
        Ok(step)
    }

    fn count_prunable(&mut self, request: &PruneRequest) -> Result<PruneCounts, StorageError> {
        self.in_snapshot(|transaction| prune::count(transaction, request))
    }
}

/// Makes damage of an error that comes from a damaged file, or from a value of a type that no service writes. Any other error stays one.
fn as_damage(error: rusqlite::Error) -> rusqlite::Result<Vec<Violation>> {
    match error.sqlite_error_code() {
        None | Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            Ok(vec![Violation::Damage(error.to_string())])
        }
        Some(_) => Err(error),
    }
}
