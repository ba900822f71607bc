//! The database, whatever its engine: the seam between the service and commands on one side and SQL on the other. Must not know Kafka.
//!
//! # The parts
//! | part | who uses it |
//! |-|-|
//! | [`Writer`] | the service loop; the only part that stores what comes from Kafka |
//! | [`UnidentifiedMessages`] | the log of unidentified messages |
//! | [`Inspector`] | `status`, `check`, `verify`, `unidentified`, `prune --dry-run`, `tail` |
//! | [`Replayer`] | `replay`, `replay --dry-run` |
//! | [`Pruner`] | `prune`, and the service with `UNIDENTIFIED_KEEP_DAYS` |
//! | [`try_to_store`], [`check_access`], [`warnings`], [`files`] | `check` |
//! | [`acquire_lock`], [`lock_path`] | the service, and `status` to find out whether one runs |
//!
//! # The contract
//! It holds for every engine, and `contract/` tests every engine for it.
//!
//! - **Atomic**: [`Writer::apply`] commits the rows, the unidentified messages, the counters and the next offsets of all its batches in one
//!   transaction. If the database rejects a record, it commits several transactions, each of which holds all of that for consecutive
//!   offsets. [`Writer::store_jumps`] stores all of its jumps with their reasons, or none.
//! - **Exactly once**: a batch takes effect only if it begins at the stored position, and moves that position in the same transaction.
//!   Whoever writes from an outdated position gets [`Conflict`](ErrorKind::Conflict).
//! - **Repeatable**: a write that fails is repeated with its [`Attempt`], which knows what has been committed. A COMMIT whose result is
//!   unknown is settled by the stored position.
//! - **Which event wins** does not depend on the order of arrival: of each id the greatest event by time, partition, offset and topic is
//!   stored (`schema.sql`). Each offset is counted with exactly one [`Outcome`].
//! - **Durable**: what was stored before [`Writer::sync`], or before [`Writer::begin_sync`], survives a power cut once that call, or
//!   [`Writer::sync_result`], has succeeded. Nothing else promises that. An engine may make every commit durable.
//! - **Pruned is counted**: an unidentified message is only deleted by [`Pruner::prune`], in the transaction that counts it as pruned for
//!   each position that has counted it.
//! - **One database**: every call checks, as far as it is cheap, that it works on the database that was opened, and
//!   [`Writer::check_identity`] checks it all. A database that was replaced or has lost transactions is [`Fatal`](ErrorKind::Fatal).
//! - **Errors**: [`ErrorKind`] says what the caller can do. An error text names what failed, on what, why, and what to do.

mod attempt;
mod batch;
#[cfg(test)]
mod contract;
mod counts;
mod error;
mod findings;
#[cfg(any(test, feature = "fuzzing"))]
mod fixtures;
mod headers;
mod inspector;
mod kept;
mod message;
mod part;
mod position;
mod range;
mod replayer;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod sqlite;
#[cfg(not(any(test, feature = "fuzzing")))]
mod sqlite;
mod statistics;
mod tail;
mod topic_id;
mod writer;

use std::path::PathBuf;

pub use attempt::Attempt;
pub use batch::{Entry, ORDINARY_RECORDS, PartitionBatch};
pub use counts::{OffsetCounts, Outcome, PartitionCounts, RejectedRecord};
pub use error::{ErrorKind, StorageError};
pub use findings::{CountedPosition, Invariant, Violation};
pub use headers::{Header, Headers};
pub use inspector::{Inspector, RowCount, Summary};
pub use kept::{
    KeptMessage, ListedMessage, MessageFilter, PruneCount, PruneCounts, PruneCursor, PruneGroup, PruneRequest,
    PruneStep, Pruner, UnloggedMessages,
};
pub use message::{MessagePlace, PendingMessage, StoredMessage, UnidentifiedCount, UnidentifiedMessages};
pub use position::{JumpReason, OffsetJump, StoredJump, StoredPosition};
pub use range::OffsetRange;
pub use replayer::{Recovered, ReplayOutcome, Replayer};
pub use sqlite::DatabaseLock;
/// The most databases that [`views`] takes.
pub use sqlite::VIEWS_DATABASES_MAX;
pub use statistics::{DatabaseSizes, DatabaseStatistics};
pub use tail::{StoredEvent, TailCursor, TailItem, TailStep};
pub use topic_id::TopicId;
pub use writer::Writer;

use crate::runtime::permissions::FileMode;
use crate::settings::DatabaseSettings;

/// Opens the database of a service. Creates it if there is none, and migrates an older one.
pub fn open(settings: &DatabaseSettings, group_id: &str) -> Result<Box<dyn Writer>, StorageError> {
    Ok(Box::new(sqlite::Database::open(settings, group_id)?))
}

/// Opens an existing database to read it.
///
/// # Errors
/// [`Missing`](ErrorKind::Missing) if there is none, [`Outdated`](ErrorKind::Outdated) if it is to be migrated first.
pub fn inspect(settings: &DatabaseSettings) -> Result<Box<dyn Inspector>, StorageError> {
    Ok(Box::new(sqlite::DatabaseReader::open(&settings.path)?))
}

/// Opens an existing database to replay messages, also while a service runs.
pub fn open_replayer(settings: &DatabaseSettings, group_id: &str) -> Result<Box<dyn Replayer>, StorageError> {
    Ok(Box::new(sqlite::Database::open_existing(settings, group_id)?))
}

/// Opens an existing database to prune messages, also while a service runs.
pub fn open_pruner(settings: &DatabaseSettings, group_id: &str) -> Result<Box<dyn Pruner>, StorageError> {
    Ok(Box::new(sqlite::Database::open_existing(settings, group_id)?))
}

/// Opens an existing database to find out what a replay would store. Nothing is written, and no permission to write is needed.
pub fn open_dry_run(settings: &DatabaseSettings) -> Result<Box<dyn Replayer>, StorageError> {
    Ok(Box::new(sqlite::DryRun::open(&settings.path)?))
}

/// Stores an event of each type and an unidentified message in an existing database, and rolls that back.
///
/// # Errors
/// Those of [`Writer::apply`]. A row that the database rejects is [`Rejected`](ErrorKind::Rejected) here.
pub fn try_to_store(settings: &DatabaseSettings, group_id: &str) -> Result<(), StorageError> {
    Ok(sqlite::try_to_store(settings, group_id)?)
}

/// Checks that the machine lets a service write the database, or create it. Opens no database, and leaves no change.
pub fn check_access(settings: &DatabaseSettings) -> Result<(), StorageError> {
    Ok(sqlite::environment::check_access(settings)?)
}

/// The version of the database engine.
pub fn engine_version() -> &'static str {
    sqlite::version()
}

/// Warnings about the machine: what may damage a database there, one line each.
pub fn warnings(settings: &DatabaseSettings) -> Vec<String> {
    sqlite::environment::warnings(settings)
}

/// The files of the database, which need not exist, each with the mode that it should have.
pub fn files(settings: &DatabaseSettings) -> Vec<(PathBuf, FileMode)> {
    sqlite::environment::files(settings)
}

/// Takes the lock that lets only one service use a database. Creates the database's directory and lock file if there are none.
pub fn acquire_lock(settings: &DatabaseSettings) -> Result<DatabaseLock, StorageError> {
    Ok(DatabaseLock::acquire(&settings.path, settings.file_mode)?)
}

/// The lock file of a database, which need not exist.
pub fn lock_path(settings: &DatabaseSettings) -> Result<PathBuf, StorageError> {
    Ok(DatabaseLock::path_of(&settings.path)?)
}

/// SQL statements by which a reader sees several database files as one.
pub fn views(databases: &[PathBuf]) -> Result<String, StorageError> {
    Ok(sqlite::views(databases)?)
}
