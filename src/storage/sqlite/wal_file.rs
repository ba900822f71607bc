//! The `-wal` file as the operating system sees it.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::error::SqliteError;

/// Size of a `-wal` file; 0 if there is none.
pub(super) fn wal_bytes(wal: &Path) -> Result<u64, SqliteError> {
    match fs::metadata(wal) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(source) => Err(SqliteError::Io { action: "read the metadata of", path: wal.to_owned(), source }),
    }
}

/// Syncs a `-wal` file. A missing file is an error: SQLite creates it with the first read and keeps it while the database is open, so what
/// was written to it may be lost.
pub(super) fn sync_file(path: &Path) -> Result<(), SqliteError> {
    let synced = File::open(path).and_then(|file| file.sync_data());
    synced.map_err(|source| SqliteError::Io { action: "sync", path: path.to_owned(), source })
}
