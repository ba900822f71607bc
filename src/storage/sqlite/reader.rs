//! The reading side for the commands that only look: beside the service, after it, and without permission to write.

use std::path::Path;

use rusqlite::{Connection, ErrorCode};

use super::error::{DatabaseError, Doing};
use super::open;
use super::schema::SCHEMA_VERSION;
use crate::storage::sqlite::tables::invariants::{Invariant, Violation};
use crate::storage::sqlite::tables::offset::{self, StoredPosition};
use crate::storage::sqlite::tables::position_change::{self, PositionChange};
use crate::storage::sqlite::tables::unidentified::{self, UnidentifiedCount};
use crate::storage::sqlite::tables::{identity, opportunity, project};

/// How many changes of position [`Summary`] shows.
const CHANGES_MAX: u32 = 10;

/// A database that is only read.
#[derive(Debug)]
pub struct DatabaseReader {
    connection: Connection,
}

/// What is in the database, all as of one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The database's id.
    pub database_id: String,
    /// Version of its tables.
    pub schema_version: i64,
    /// Rows of `opportunities`.
    pub opportunities: u64,
    /// Rows of `projects`.
    pub projects: u64,
    /// Rows of both whose `last_modified` was sent too far after the record's time.
    pub ahead: u64,
    /// Unidentified messages, by reason.
    pub unidentified: Vec<UnidentifiedCount>,
    /// The group's positions, by topic and partition.
    pub positions: Vec<StoredPosition>,
    /// The group's latest changes of position other than by reading, the newest first.
    pub changes: Vec<PositionChange>,
}

impl DatabaseReader {
    /// Opens an existing database.
    ///
    /// # Errors
    /// [`DatabaseError::Missing`] if there is none; [`DatabaseError::WalNotReadable`] if its last state cannot be read without
    /// permission to write, which is so after a crash of the service.
    pub fn open(path: &Path) -> Result<Self, DatabaseError> {
        open::open_reader(&open::resolve(path, None)?).map(|connection| Self { connection })
    }

    /// The database's id.
    pub fn id(&mut self) -> Result<String, DatabaseError> {
        self.connection
            .transaction()
            .and_then(|transaction| identity::find(&transaction))
            .doing("read the database's id")
    }

    /// The group's positions, by topic and partition.
    pub fn positions(&mut self, group_id: &str) -> Result<Vec<StoredPosition>, DatabaseError> {
        self.connection
            .transaction()
            .and_then(|transaction| offset::all(&transaction, group_id))
            .doing("read the positions")
    }

    /// Counts and positions. Takes the longer the more rows there are.
    pub fn summary(&mut self, group_id: &str) -> Result<Summary, DatabaseError> {
        self.read(group_id).doing("read the database")
    }

    /// Tells of each rule what breaks it, all as of one moment. Takes the longer the more there is; until then SQLite cannot
    /// reuse the `-wal` file of a service beside.
    pub fn verify(&mut self, mut tell: impl FnMut(Invariant, &[Violation])) -> Result<(), DatabaseError> {
        // Sorting must not need a place for temporary files.
        self.connection.pragma_update(None, "temp_store", "MEMORY").doing("verify the database")?;
        let transaction = self.connection.transaction().doing("verify the database")?;
        for invariant in Invariant::ALL {
            let violations = invariant.violations(&transaction).or_else(damage).doing("verify the database")?;
            tell(invariant, &violations);
        }
        Ok(())
    }

    fn read(&mut self, group_id: &str) -> rusqlite::Result<Summary> {
        let transaction = self.connection.transaction()?;
        Ok(Summary {
            database_id: identity::find(&transaction)?,
            schema_version: SCHEMA_VERSION,
            opportunities: opportunity::count(&transaction)?,
            projects: project::count(&transaction)?,
            ahead: opportunity::count_ahead(&transaction)? + project::count_ahead(&transaction)?,
            unidentified: unidentified::count_by_reason(&transaction)?,
            positions: offset::all(&transaction, group_id)?,
            changes: position_change::latest(&transaction, group_id, CHANGES_MAX)?,
        })
    }
}

/// What cannot be read because the file is damaged, or because a value is of a kind that nobody writes, is found to be off; any
/// other error stays one.
fn damage(error: rusqlite::Error) -> rusqlite::Result<Vec<Violation>> {
    match error.sqlite_error_code() {
        None | Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            Ok(vec![Violation::Damage(error.to_string())])
        }
        Some(_) => Err(error),
    }
}
