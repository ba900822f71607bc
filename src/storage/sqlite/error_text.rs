//! What an operator reads of an error: what failed, on what, why, and what to do.

use std::fmt;
use std::path::Path;

use super::error::{SqliteError, Trigger};
use crate::storage::range::OffsetRange;
use crate::storage::topic_id::TopicId;

const LOCAL_FILES: &str = "move the database to a local file system, a network file system does not support it";
const NEEDS_PERMISSION: &str = "holds changes that can only be read with permission to write to it and its directory";
const CHECKPOINT_BLOCKED: &str = "another process that has the database open blocks the checkpoint of the whole WAL: its content may not \
                                  survive a power cut";

impl fmt::Display for SqliteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite { action, .. } => write!(f, "SQLite failed to {action}"),
            Self::Io { action, path, .. } => write!(f, "cannot {action} '{}'", path.display()),
            Self::Missing { path } => write!(f, "there is no database at '{}'", path.display()),
            Self::Foreign { path, found } => {
                write!(f, "'{}' is not a database of this program: it is {found}; it was not changed", path.display())
            }
            Self::NewerSchema { path, found, supported } => write!(
                f,
                "'{}' has schema version {found}, this program knows versions up to {supported}: use the newer program",
                path.display()
            ),
            Self::OlderSchema { path, found, supported } => write!(
                f,
                "'{}' has schema version {found}, this program needs version {supported}: the next 'run' migrates it",
                path.display()
            ),
            Self::Replaced { path, expected, found } => write!(
                f,
                "the database at '{}' was replaced while in use: its id was {expected} and is {found}",
                path.display()
            ),
            Self::Lost { path, topic, partition, expected, found } => {
                write_lost(f, path, (topic, *partition), *expected, *found)
            }
            Self::FileChanged(change) => change.fmt(f),
            Self::ReadOnly { path } => write!(f, "no permission to write to '{}'", path.display()),
            Self::LockHeld { path } => {
                write!(f, "another process of this program uses the database: it holds the lock '{}'", path.display())
            }
            Self::NoWal { path } => write!(f, "SQLite cannot use WAL mode for '{}': {LOCAL_FILES}", path.display()),
            Self::WalNotReadable { path, .. } => write!(f, "'{}' {NEEDS_PERMISSION}", path.display()),
            Self::WalFull { bytes, limit_bytes } => write!(
                f,
                "the WAL has {bytes} bytes, its limit is {limit_bytes}: a long-running reader blocks checkpoints; end it"
            ),
            Self::NotSynced { path } => {
                write!(f, "a sync of '{}' failed or may have failed, and {CHECKPOINT_BLOCKED}", path.display())
            }
            Self::SyncUntrusted { path } => {
                write!(
                    f,
                    "a sync of '{}' failed or may have failed: its content may not survive a power cut",
                    path.display()
                )
            }
            Self::PositionConflict { topic, partition, expected, stored } => {
                write_conflict(f, (topic, *partition), (expected.0, expected.1.as_ref()), stored.as_ref())
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
                write_bad_batch(f, (topic, *partition), *offsets, *offset)
            }
        }
    }
}

fn write_lost(
    f: &mut fmt::Formatter<'_>,
    path: &Path,
    (topic, partition): (&str, i32),
    expected: i64,
    found: Option<i64>,
) -> fmt::Result {
    write!(f, "'{}' has lost committed transactions: the position of {topic}-{partition} was ", path.display())?;
    match found {
        Some(found) => write!(f, "{expected} and is {found}")?,
        None => write!(f, "{expected} and is gone")?,
    }
    f.write_str(
        "; its -wal file was removed, or the disk did not keep it. Check the disk, then start again: what is missing is read again \
         from the stored position",
    )
}

fn write_conflict(
    f: &mut fmt::Formatter<'_>,
    (topic, partition): (&str, i32),
    expected: (Option<i64>, Option<&TopicId>),
    stored: Option<&(i64, Option<TopicId>)>,
) -> fmt::Result {
    write!(f, "the position of {topic}-{partition} was changed by another process: expected ")?;
    match expected {
        (None, _) => f.write_str("none")?,
        (Some(offset), topic_id) => write_position(f, offset, topic_id)?,
    }
    f.write_str(", stored is ")?;
    match stored {
        None => f.write_str("none")?,
        Some((offset, topic_id)) => write_position(f, *offset, topic_id.as_ref())?,
    }
    f.write_str("; find the process that writes to the database, then start again")
}

fn write_position(f: &mut fmt::Formatter<'_>, offset: i64, topic_id: Option<&TopicId>) -> fmt::Result {
    write!(f, "offset {offset} of topic id '{}'", TopicId::column(topic_id))
}

fn write_bad_batch(
    f: &mut fmt::Formatter<'_>,
    (topic, partition): (&str, i32),
    offsets: OffsetRange,
    offset: Option<i64>,
) -> fmt::Result {
    write!(f, "a batch of {topic}-{partition} with the offsets {offsets} ")?;
    match offset {
        Some(offset) => write!(f, "has a record at offset {offset}, which is out of order or out of range"),
        None => f.write_str("has an invalid range of offsets"),
    }
}
