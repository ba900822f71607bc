//! Why a call to SQLite or to the files of a database failed, and the kind of each error. Must not retry.
//!
//! | SQLite's result code | kind | what happens |
//! |-|-|-|
//! | `SQLITE_BUSY`, `SQLITE_LOCKED` | locked | the caller repeats the call with backoff |
//! | `SQLITE_FULL` | transient | the same; the next transaction truncates the WAL first (`sync_state.rs`) |
//! | `SQLITE_IOERR` | transient | the same, on a new connection; no sync counts until the WAL has been recovered (`sync_state.rs`) |
//! | `SQLITE_READONLY`, `SQLITE_CANTOPEN`, `SQLITE_NOMEM`, … | transient | the same, on a new connection |
//! | `SQLITE_CONSTRAINT`, `SQLITE_TOOBIG`, `SQLITE_MISMATCH` | rejected | the record becomes an unidentified message (`apply.rs`) |
//! | `SQLITE_CORRUPT`, `SQLITE_NOTADB` and all others | fatal | the service stops |

use std::io;
use std::path::PathBuf;

use rusqlite::ErrorCode;

use super::file_change::FileChange;
use crate::storage::error::{ErrorKind, StorageError};
use crate::storage::range::OffsetRange;
use crate::storage::topic_id::TopicId;

/// Why a call failed. Nothing of the call took effect, except as the caller's [`Attempt`](crate::storage::Attempt) says.
#[derive(Debug)]
pub(in crate::storage) enum SqliteError {
    /// SQLite returned an error.
    Sqlite {
        /// What failed.
        action: &'static str,
        /// SQLite's error.
        source: rusqlite::Error,
    },
    /// The operating system returned an error, outside of SQLite.
    Io {
        /// What failed.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// There is no database, and the caller does not create one.
    Missing {
        /// Its path.
        path: PathBuf,
    },
    /// The file is neither empty nor a database of this program.
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        found: &'static str,
    },
    /// A newer version of this program has migrated the database.
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Its schema version.
        found: i64,
        /// The newest version that this program knows.
        supported: i64,
    },
    /// The database is of an older version, and the caller does not migrate it.
    OlderSchema {
        /// The file.
        path: PathBuf,
        /// Its schema version.
        found: i64,
        /// The version that this program works on.
        supported: i64,
    },
    /// The database at the path is not the one that was opened at the start.
    Replaced {
        /// The file.
        path: PathBuf,
        /// The id of the database that was opened at the start.
        expected: String,
        /// The id of the database that is there now.
        found: String,
    },
    /// Transactions that were committed are no longer in the database.
    Lost {
        /// The file.
        path: PathBuf,
        /// The topic's name.
        topic: String,
        /// The partition's number.
        partition: i32,
        /// The position that was committed.
        expected: i64,
        /// The position that is stored, if any.
        found: Option<i64>,
    },
    /// A file of the database was removed or replaced while it was open.
    FileChanged(FileChange),
    /// The file can only be opened for reading.
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// SQLite cannot use WAL mode there.
    NoWal {
        /// The file.
        path: PathBuf,
    },
    /// Another process has the lock of the database.
    LockHeld {
        /// The lock file.
        path: PathBuf,
    },
    /// The WAL holds transactions that are not in the database file, and reading them needs permission to write.
    WalNotReadable {
        /// The `-wal` file.
        path: PathBuf,
        /// SQLite's error.
        source: rusqlite::Error,
    },
    /// A long-running reader blocks checkpoints, and the WAL has reached its limit.
    WalFull {
        /// Its size in bytes.
        bytes: u64,
        /// The limit in bytes.
        limit_bytes: u64,
    },
    /// A sync of the `-wal` file failed, or may have failed.
    SyncUntrusted {
        /// The `-wal` file.
        path: PathBuf,
    },
    /// The same, and another process blocks the checkpoint that would recover from it.
    NotSynced {
        /// The `-wal` file.
        path: PathBuf,
    },
    /// The stored position is not the expected one: another process writes positions of the group.
    PositionConflict {
        /// The topic's name.
        topic: String,
        /// The partition's number.
        partition: i32,
        /// The expected offset and topic id; no offset if no position was expected.
        expected: (Option<i64>, Option<TopicId>),
        /// The stored offset and topic id, if any.
        stored: Option<(i64, Option<TopicId>)>,
    },
    /// SQLite reported success and wrote no row of a table that is not for events.
    NotWritten {
        /// The table.
        table: &'static str,
    },
    /// SQLite reported success, and an event's row is not in its table.
    NotStored {
        /// The table.
        table: &'static str,
        /// What a trigger did.
        by: Trigger,
    },
    /// A path for an SQL statement is not UTF-8, and SQL is text.
    NotUtf8 {
        /// The path.
        path: PathBuf,
    },
    /// A batch contradicts itself: an offset is outside of its range, or not greater than the one before.
    BadBatch {
        /// The topic's name.
        topic: String,
        /// The partition's number.
        partition: i32,
        /// The offsets of the batch.
        offsets: OffsetRange,
        /// The offset that contradicts them; `None` if the range itself is invalid.
        offset: Option<i64>,
    },
}

impl SqliteError {
    /// What the caller can do about the error.
    pub(super) fn kind(&self) -> ErrorKind {
        match self {
            Self::Sqlite { source, .. } => kind_of(source),
            Self::Io { .. }
            | Self::ReadOnly { .. }
            | Self::WalNotReadable { .. }
            | Self::WalFull { .. }
            | Self::NotSynced { .. }
            | Self::SyncUntrusted { .. } => ErrorKind::Transient,
            Self::NotStored { .. } => ErrorKind::Rejected,
            Self::PositionConflict { .. } => ErrorKind::Conflict,
            Self::Missing { .. } => ErrorKind::Missing,
            Self::OlderSchema { .. } => ErrorKind::Outdated,
            Self::Foreign { .. }
            | Self::NewerSchema { .. }
            | Self::Replaced { .. }
            | Self::Lost { .. }
            | Self::FileChanged(_)
            | Self::NoWal { .. }
            | Self::LockHeld { .. }
            | Self::NotWritten { .. }
            | Self::NotUtf8 { .. }
            | Self::BadBatch { .. } => ErrorKind::Fatal,
        }
    }

    /// Whether SQLite or a trigger rejects the content of what was to be written.
    pub(super) fn is_rejection(&self) -> bool {
        self.kind() == ErrorKind::Rejected
    }

    /// The reason, if it is a [rejection](Self::is_rejection).
    pub(super) fn rejection(&self) -> Option<String> {
        self.is_rejection().then(|| match self {
            Self::Sqlite { source, .. } => source.to_string(),
            _ => self.to_string(),
        })
    }

    /// Whether the disk was full (`SQLITE_FULL`).
    pub(super) fn is_disk_full(&self) -> bool {
        matches!(self, Self::Sqlite { source, .. } if source.sqlite_error_code() == Some(ErrorCode::DiskFull))
    }

    /// Whether it may have been a sync that failed.
    pub(super) fn is_io_failure(&self) -> bool {
        matches!(self, Self::Sqlite { source, .. } if source.sqlite_error_code() == Some(ErrorCode::SystemIoFailure))
    }

    /// Whether the connection may be unusable after this error, so that the next call opens a new one. It is not after errors that SQLite is
    /// known to recover from: a new connection needs space and locks too.
    pub(super) fn spoils_connection(&self) -> bool {
        let Self::Sqlite { source, .. } = self else { return false };
        !matches!(
            source.sqlite_error_code(),
            Some(
                ErrorCode::DatabaseBusy
                    | ErrorCode::DatabaseLocked
                    | ErrorCode::DiskFull
                    | ErrorCode::OperationInterrupted
                    | ErrorCode::ConstraintViolation
                    | ErrorCode::TooBig
                    | ErrorCode::TypeMismatch
            )
        )
    }
}

/// See the [result codes](https://www.sqlite.org/rescode.html).
fn kind_of(error: &rusqlite::Error) -> ErrorKind {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => ErrorKind::Locked,
        Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch) => ErrorKind::Rejected,
        Some(
            ErrorCode::PermissionDenied
            | ErrorCode::OperationAborted
            | ErrorCode::OutOfMemory
            | ErrorCode::ReadOnly
            | ErrorCode::OperationInterrupted
            | ErrorCode::SystemIoFailure
            | ErrorCode::DiskFull
            | ErrorCode::CannotOpen
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::SchemaChanged,
        ) => ErrorKind::Transient,
        // DatabaseCorrupt, NotADatabase, …; a code of a later SQLite too (the enum is open).
        _ => ErrorKind::Fatal,
    }
}

impl std::error::Error for SqliteError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Sqlite { source, .. } | Self::WalNotReadable { source, .. } => Some(source),
            Self::Io { source, .. } => Some(source),
            Self::Missing { .. }
            | Self::Foreign { .. }
            | Self::NewerSchema { .. }
            | Self::OlderSchema { .. }
            | Self::Replaced { .. }
            | Self::Lost { .. }
            | Self::FileChanged(_)
            | Self::ReadOnly { .. }
            | Self::NoWal { .. }
            | Self::LockHeld { .. }
            | Self::WalFull { .. }
            | Self::NotSynced { .. }
            | Self::SyncUntrusted { .. }
            | Self::PositionConflict { .. }
            | Self::NotWritten { .. }
            | Self::NotStored { .. }
            | Self::NotUtf8 { .. }
            | Self::BadBatch { .. } => None,
        }
    }
}

impl From<SqliteError> for StorageError {
    fn from(error: SqliteError) -> Self {
        Self::new(error.kind(), error)
    }
}

/// What a trigger does so that an event's row is not stored, though SQLite reports no error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::storage) enum Trigger {
    /// It [skips the row](https://www.sqlite.org/lang_createtrigger.html#raise).
    Skips,
    /// It deletes the row, or changes its id.
    Deletes,
}

/// Fails unless a statement has written its row.
pub(super) fn ensure_written(written: bool, table: &'static str) -> Result<(), SqliteError> {
    if written { Ok(()) } else { Err(SqliteError::NotWritten { table }) }
}

/// Adds to an error of SQLite what was being done.
pub(super) trait Context<T> {
    fn context(self, action: &'static str) -> Result<T, SqliteError>;
}

impl<T> Context<T> for rusqlite::Result<T> {
    fn context(self, action: &'static str) -> Result<T, SqliteError> {
        self.map_err(|source| SqliteError::Sqlite { action, source })
    }
}
