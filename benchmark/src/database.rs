//! Databases of the peers: the service's own tables; and looks into any of them.

use std::path::Path;

use rusqlite::{Connection, ErrorCode, OpenFlags};
use serde::{Deserialize, Serialize};

use crate::Result;

/// The service's tables.
pub const SCHEMA: &str = include_str!("../../schema.sql");

/// What the service sets for its writer (`src/storage/sqlite`), but for the checkpoints.
pub const AS_THE_SERVICE: &str =
    "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8192; PRAGMA journal_size_limit = 67108864;";

/// What must be equal for every peer: the rows, and which event of each id won.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    pub opportunities: u64,
    pub projects: u64,
    /// Of all rows, `kafka_offset` added up.
    pub offsets: u64,
}

/// Creates a database, in WAL mode with `synchronous=NORMAL`.
pub fn create(path: &Path) -> Result<Connection> {
    let connection = Connection::open(path)?;
    connection.execute_batch(SCHEMA)?;
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    connection.execute_batch("PRAGMA synchronous = NORMAL;")?;
    Ok(connection)
}

/// Opens one read-only.
pub fn open_to_read(path: &Path) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
}

/// Counts.
pub fn stored(path: &Path) -> Result<Stored> {
    let connection = open_to_read(path)?;
    let count = |table: &str| {
        connection.query_row(&format!("SELECT count(*), coalesce(sum(kafka_offset), 0) FROM {table}"), [], |row| {
            Ok((row.get::<_, u64>(0)?, row.get::<_, u64>(1)?))
        })
    };
    let ((opportunities, first), (projects, second)) = (count("opportunities")?, count("projects")?);
    Ok(Stored { opportunities, projects, offsets: first + second })
}

/// `None` if the database was locked, as while the last connection of the service closes.
pub fn unless_busy<T>(result: rusqlite::Result<T>) -> rusqlite::Result<Option<T>> {
    match result {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(None),
        result => result.map(Some),
    }
}
