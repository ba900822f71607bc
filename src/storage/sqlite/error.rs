//! Everything that can go wrong with the database, as values. Must not know what the caller does about it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use rusqlite::ErrorCode;

use super::file_change::FileChange;
use crate::storage::error::{ErrorKind, StorageError};
use crate::storage::range::OffsetRange;
use crate::storage::topic_id::TopicId;

/// Why a call into the database failed. Nothing of the call took effect; of [`apply`](super::Database::apply) what it says.
#[derive(Debug)]
pub(in crate::storage) enum SqliteError {
    /// SQLite refused.
    Sqlite {
        /// What was being done.
        action: &'static str,
        /// SQLite's answer.
        source: rusqlite::Error,
    },
    /// The operating system refused, outside of SQLite.
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file or directory.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Only the reading side asks for a file that must exist.
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file is not empty, and not a database that this program made.
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        found: &'static str,
    },
    /// A newer version of this program has been here.
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Its schema version.
        found: i64,
        /// The newest version that this program knows.
        supported: i64,
    },
    /// An older version of this program has been here, and the tables are not to be changed now.
    OlderSchema {
        /// The file.
        path: PathBuf,
        /// Its schema version.
        found: i64,
        /// The version that this program works on.
        supported: i64,
    },
    /// The file at the path is another one than at the start.
    Replaced {
        /// The file.
        path: PathBuf,
        /// The id of the database that was opened at the start.
        expected: String,
        /// The id of the one that is there now.
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
        /// The position that is there, if any.
        found: Option<i64>,
    },
    /// A file of the database was removed or replaced while it was open.
    FileChanged(FileChange),
    /// The file can only be opened for reading.
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// SQLite cannot keep a write-ahead log there.
    NoWal {
        /// The file.
        path: PathBuf,
    },
    /// Another process has the lock of the database.
    LockHeld {
        /// The lock file.
        path: PathBuf,
    },
    /// What the last process has not yet written from the `-wal` file into the database cannot be read without permission to
    /// write.
    WalNotReadable {
        /// The `-wal` file.
        path: PathBuf,
        /// SQLite's answer.
        source: rusqlite::Error,
    },
    /// A reader keeps SQLite from reusing the `-wal` file, and that has reached its limit.
    WalFull {
        /// Its size in bytes.
        bytes: u64,
        /// The limit in bytes.
        limit_bytes: u64,
    },
    /// A sync of the `-wal` file failed, or may have.
    InDoubt {
        /// The `-wal` file.
        path: PathBuf,
    },
    /// The same, and another process keeps SQLite from carrying its content over.
    NotSynced {
        /// The `-wal` file.
        path: PathBuf,
    },
    /// The stored position is not the one that the caller started from: somebody else writes to this database.
    PositionConflict {
        /// The topic's name.
        topic: String,
        /// The partition's number.
        partition: i32,
        /// Offset and topic id that the caller believed to be stored; no offset if it believed that there is no position.
        expected: (Option<i64>, Option<TopicId>),
        /// Offset and topic id that are stored, if any.
        stored: Option<(i64, Option<TopicId>)>,
    },
    /// SQLite reported success and wrote nothing into a table of this program's own records.
    NotWritten {
        /// The table.
        table: &'static str,
    },
    /// The same of an event's row, which is not there when its statement has ended.
    NotStored {
        /// The table.
        table: &'static str,
        /// What a trigger did instead.
        by: Trigger,
    },
    /// SQL is text, and a path that it is to name is not UTF-8.
    NotUtf8 {
        /// The path.
        path: PathBuf,
    },
    /// A batch contradicts itself: an offset outside of its range, or not greater than the one before.
    BadBatch {
        /// The topic's name.
        topic: String,
        /// The partition's number.
        partition: i32,
        /// The offsets that the batch is said to cover.
        offsets: OffsetRange,
        /// The offset that does not fit in; `None` if the range itself makes no sense.
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
            | Self::InDoubt { .. } => ErrorKind::Transient,
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

    /// Whether there was no space left to write.
    pub(super) fn is_disk_full(&self) -> bool {
        matches!(self, Self::Sqlite { source, .. } if source.sqlite_error_code() == Some(ErrorCode::DiskFull))
    }

    /// Whether a sync may be what failed.
    pub(super) fn is_io_failure(&self) -> bool {
        matches!(self, Self::Sqlite { source, .. } if source.sqlite_error_code() == Some(ErrorCode::SystemIoFailure))
    }

    /// Whether the connection may be of no use any more after this error, so that the next call needs a new one. What SQLite is
    /// known to get over by itself does not: a new connection needs space and locks too.
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

impl fmt::Display for SqliteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite { action, .. } => write!(f, "SQLite failed to {action}"),
            Self::Io { action, path, .. } => write!(f, "cannot {action} '{}'", path.display()),
            Self::Missing { path } => write!(f, "there is no database at '{}'", path.display()),
            Self::Foreign { path, found } => {
                write!(f, "'{}' is not a database of this program but {found}; it was left as it is", path.display())
            }
            Self::NewerSchema { path, found, supported } => write!(
                f,
                "'{}' has schema version {found}, this program knows versions up to {supported}: use the newer program",
                path.display()
            ),
            Self::OlderSchema { path, found, supported } => write!(
                f,
                "'{}' has schema version {found}, this program works on version {supported}: its next run brings it up to date",
                path.display()
            ),
            Self::Replaced { path, expected, found } => write!(
                f,
                "the database at '{}' was replaced while in use: its id was {expected} and is {found}",
                path.display()
            ),
            Self::Lost { path, topic, partition, expected, found } => {
                write!(
                    f,
                    "'{}' has lost committed transactions: the position of {topic}-{partition} was ",
                    path.display()
                )?;
                match found {
                    Some(found) => write!(f, "{expected} and is {found}")?,
                    None => write!(f, "{expected} and is gone")?,
                }
                f.write_str(
                    "; its -wal file was removed, or the disk did not keep it. Check the disk, then start again: what is missing is \
                     read again from the stored position",
                )
            }
            Self::FileChanged(change) => change.fmt(f),
            Self::ReadOnly { path } => write!(f, "no permission to write to '{}'", path.display()),
            Self::NoWal { path } => write!(
                f,
                "SQLite cannot keep a write-ahead log beside '{}': a network file system is no place for the database",
                path.display()
            ),
            Self::LockHeld { path } => {
                write!(f, "another process of this program uses the database: it holds the lock '{}'", path.display())
            }
            Self::WalNotReadable { path, .. } => write!(
                f,
                "'{}' holds changes that can only be read with permission to write to it and its directory",
                path.display()
            ),
            Self::WalFull { bytes, limit_bytes } => write!(
                f,
                "the write-ahead log has {bytes} bytes, its limit is {limit_bytes}: another process holds a read \
                 transaction open, which keeps SQLite from reusing the log"
            ),
            Self::NotSynced { path } => write!(
                f,
                "a sync of '{}' failed, or may have, and it cannot be carried over into the database as long as another process \
                 has that open: its content may not survive a power cut",
                path.display()
            ),
            Self::InDoubt { path } => {
                write!(f, "a sync of '{}' failed, or may have: its content may not survive a power cut", path.display())
            }
            Self::PositionConflict { topic, partition, expected, stored } => {
                write!(f, "the position of {topic}-{partition} was changed by somebody else: expected ")?;
                match expected {
                    (None, _) => f.write_str("none")?,
                    (Some(offset), topic_id) => write_position(f, *offset, topic_id.as_ref())?,
                }
                f.write_str(", stored is ")?;
                match stored {
                    None => f.write_str("none")?,
                    Some((offset, topic_id)) => write_position(f, *offset, topic_id.as_ref())?,
                }
                f.write_str("; see who else writes to the database, then start again")
            }
            Self::NotUtf8 { path } => {
                write!(f, "the path '{}' is not UTF-8, and cannot be written in SQL", path.display())
            }
            Self::NotWritten { table } => write!(
                f,
                "SQLite reported success but wrote no row of {table}: a trigger that is not this program's skips it with \
                 RAISE(IGNORE); drop that trigger, then start again"
            ),
            Self::NotStored { table, by: Trigger::Skips } => {
                write!(f, "a trigger on {table} skipped the row with RAISE(IGNORE)")
            }
            Self::NotStored { table, by: Trigger::Deletes } => write!(f, "a trigger on {table} deleted the row"),
            Self::BadBatch { topic, partition, offsets, offset } => {
                write!(f, "a batch of {topic}-{partition} said to cover the offsets {offsets}")?;
                match offset {
                    Some(offset) => write!(f, " holds offset {offset} out of place"),
                    None => f.write_str(", which makes no range or is less than its records"),
                }
            }
        }
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
            | Self::InDoubt { .. }
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

fn write_position(f: &mut fmt::Formatter<'_>, offset: i64, topic_id: Option<&TopicId>) -> fmt::Result {
    write!(f, "offset {offset} of topic id '{}'", TopicId::column(topic_id))
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
