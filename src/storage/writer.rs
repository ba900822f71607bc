//! The writer: the only part that stores what comes from Kafka.

use std::sync::Arc;

use super::attempt::Attempt;
use super::batch::PartitionBatch;
use super::counts::OffsetCounts;
use super::error::StorageError;
use super::kept::Pruner;
use super::message::UnidentifiedMessages;
use super::position::{OffsetJump, StoredPosition};
use super::statistics::{DatabaseSizes, DatabaseStatistics};

/// A database that is open for writing, for one consumer group. After an error the next call opens a new connection if it needs one.
pub trait Writer {
    /// The database's id. It is random and created with the database.
    fn id(&self) -> &str;

    /// The stored position of one partition.
    fn position(&mut self, topic: &str, partition: i32) -> Result<Option<StoredPosition>, StorageError>;

    /// The group's positions, by topic and partition.
    fn positions(&mut self) -> Result<Vec<StoredPosition>, StorageError>;

    /// Whether any partition of the topic has a position.
    fn knows_topic(&mut self, topic: &str) -> Result<bool, StorageError>;

    /// Applies batches: stores events and unidentified messages and advances the positions. Gives what became of the offsets.
    ///
    /// All batches take effect in one transaction. Only if the database rejects a record, several transactions are committed one after the
    /// other: each holds consecutive offsets with their rows and positions, and the rejected record becomes an unidentified message.
    ///
    /// # Errors
    /// [`Conflict`](super::ErrorKind::Conflict) if a batch does not begin at the stored position, or is of another topic of the same name.
    /// [`Rejected`](super::ErrorKind::Rejected) if the database rejects a row that is not an event's.
    fn apply(&mut self, batches: &[PartitionBatch<'_>], attempt: &mut Attempt) -> Result<OffsetCounts, StorageError>;

    /// By how much a batch may exceed [`ORDINARY_RECORDS`](super::ORDINARY_RECORDS) now: more than 1 where a larger transaction costs less
    /// for each record.
    fn growth(&self) -> u32;

    /// Stores offset jumps and their reasons, all in one transaction.
    ///
    /// # Errors
    /// [`Conflict`](super::ErrorKind::Conflict) if a stored position is not the one that its jump begins at.
    fn store_jumps(&mut self, jumps: &[OffsetJump], attempt: &mut Attempt) -> Result<(), StorageError>;

    /// Makes everything that was stored durable. Must succeed before an offset is committed to Kafka.
    fn sync(&mut self) -> Result<(), StorageError>;

    /// Begins a [`sync`](Self::sync) of everything that was stored so far, and does not wait for it. `notify` is called, on another thread,
    /// when [`sync_result`](Self::sync_result) has the result.
    fn begin_sync(&mut self, notify: Box<dyn FnOnce() + Send>) -> Result<(), StorageError>;

    /// The result of the sync that was begun last, once; `None` while it is under way.
    fn sync_result(&mut self) -> Option<Result<(), StorageError>>;

    /// Checks that the database is still the one that was opened. After the check has failed once, every call fails.
    fn check_identity(&mut self) -> Result<(), StorageError>;

    /// What the database's own threads count; it may be read at any time.
    fn statistics(&self) -> Arc<DatabaseStatistics>;

    /// The sizes of its files, and the free space. Reads metadata of files only.
    fn sizes(&self) -> Result<DatabaseSizes, StorageError>;

    /// The unidentified messages.
    fn unidentified(&mut self) -> &mut dyn UnidentifiedMessages;

    /// The same, to prune them.
    fn pruner(&mut self) -> &mut dyn Pruner;
}
