//! Keeps an eye on the `-wal` file, which a reader that never ends makes grow, and syncs it. Must not know what is in it.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::error::{DatabaseError, Doing};
use super::open::{beside, wal_bytes};

/// Size from which on growth is worth a warning, in bytes: four times the size at which the log is carried over if nobody holds
/// on to it, which leaves room for a large transaction.
const WARN_FROM_BYTES: u64 = 256 << 20;

/// The `-wal` file of one database.
#[derive(Debug)]
pub(super) struct Wal {
    path: PathBuf,
    /// From [`wal_bytes_max`](crate::settings::DatabaseSettings::wal_bytes_max).
    limit_bytes: u64,
    /// Size at which the next warning is due.
    warn_at_bytes: u64,
    /// Whether a sync has failed, or may have, and not been made good for.
    sync_failed: bool,
    /// Whether the disk was full at the last attempt to write. The log may be what fills it.
    disk_was_full: bool,
}

impl Wal {
    pub(super) fn new(database: &Path, limit_bytes: u64) -> Self {
        Self {
            path: beside(database, "-wal"),
            limit_bytes,
            warn_at_bytes: WARN_FROM_BYTES,
            disk_was_full: false,
            sync_failed: false,
        }
    }

    /// Remembers that there was no space left to write.
    pub(super) fn note_disk_full(&mut self) {
        self.disk_was_full = true;
    }

    /// A connection was given up: SQLite syncs the log while it closes one, and does not tell whether that has failed.
    pub(super) fn note_closed(&mut self) {
        self.sync_failed = true;
    }

    /// Warns each time that the file has doubled. At the limit, or after the disk was full, tries to empty it; fails if a reader
    /// keeps it at the limit.
    pub(super) fn keep_bounded(&mut self, connection: &Connection) -> Result<(), DatabaseError> {
        let bytes = wal_bytes(&self.path)?;
        if bytes < WARN_FROM_BYTES {
            self.warn_at_bytes = WARN_FROM_BYTES;
        } else if bytes >= self.warn_at_bytes {
            self.warn_at_bytes = bytes.saturating_mul(2);
            log::warn!(
                wal_bytes = bytes, limit_bytes = self.limit_bytes;
                "the write-ahead log grows: another process holds a read transaction of the database open"
            );
        }
        if bytes < self.limit_bytes && !self.disk_was_full {
            return Ok(());
        }
        let busy = empty(connection)?;
        self.disk_was_full = false;
        if busy && bytes >= self.limit_bytes {
            return Err(DatabaseError::WalFull { bytes, limit_bytes: self.limit_bytes });
        }
        Ok(())
    }

    /// Makes every transaction committed so far survive a power cut. Nothing is to be done for what is no longer in the file:
    /// a checkpoint syncs the log before, and the database after it writes there.
    pub(super) fn sync(&mut self) -> Result<(), DatabaseError> {
        match File::open(&self.path).and_then(|file| file.sync_data()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => {
                self.sync_failed = true;
                Err(DatabaseError::Io { action: "sync", path: self.path.clone(), source })
            }
            Ok(()) => Ok(()),
        }
    }

    /// Whether a sync has failed or may have: the next one would succeed without what that one has lost
    /// (<https://wiki.postgresql.org/wiki/Fsync_Errors>).
    pub(super) fn sync_has_failed(&self) -> bool {
        self.sync_failed
    }

    /// Makes good for a failed sync: carries everything over into the database file, which is synced with that, and empties the log.
    pub(super) fn carry_over(&mut self, connection: &Connection) -> Result<(), DatabaseError> {
        if empty(connection)? {
            return Err(DatabaseError::NotSynced { path: self.path.clone() });
        }
        // What the disk has of the log must be gone too: after a power cut SQLite would write those older pages over the database.
        self.sync()?;
        self.sync_failed = false;
        Ok(())
    }
}

/// Carries the whole log over into the database and truncates it. Waits for readers as long as the busy timeout; true if they
/// prevent it even so.
fn empty(connection: &Connection) -> Result<bool, DatabaseError> {
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).doing("empty the write-ahead log")
}
