//! The inspector: what commands read. Changes nothing, and works while a service runs.

use std::ops::ControlFlow;

use super::error::StorageError;
use super::findings::{Invariant, Violation};
use super::kept::{KeptMessage, ListedMessage, MessageFilter, PruneCounts, PruneRequest};
use super::message::UnidentifiedCount;
use super::position::{StoredJump, StoredPosition};
use super::tail::{TailCursor, TailStep};

/// A database that is only read.
pub trait Inspector {
    /// The database's id.
    fn id(&mut self) -> Result<String, StorageError>;

    /// The group's positions, by topic and partition.
    fn positions(&mut self, group_id: &str) -> Result<Vec<StoredPosition>, StorageError>;

    /// Counts and positions, all as of one moment. Takes longer the more rows there are.
    fn summary(&mut self, group_id: &str) -> Result<Summary, StorageError>;

    /// Checks every invariant, all as of one moment, and calls `report` with each one and what violates it. Takes longer the more rows there
    /// are.
    fn verify(&mut self, report: &mut dyn FnMut(Invariant, &[Violation])) -> Result<(), StorageError>;

    /// Calls `each` with the newest unidentified messages that match, newest first, until it breaks; all as of one moment.
    fn list_messages(
        &mut self,
        filter: &MessageFilter,
        messages_max: u64,
        each: &mut dyn FnMut(ListedMessage) -> ControlFlow<()>,
    ) -> Result<(), StorageError>;

    /// Calls `each` with the unidentified messages that match, in the order of storing, until it breaks; all as of one moment. One of them
    /// is in memory at a time.
    fn read_messages(
        &mut self,
        filter: &MessageFilter,
        messages_max: u64,
        each: &mut dyn FnMut(KeptMessage) -> ControlFlow<()>,
    ) -> Result<(), StorageError>;

    /// Calls `each` with the unidentified messages at an offset, in the order of storing, until it breaks: more than one if different
    /// records were read there.
    fn read_messages_at(
        &mut self,
        at: (&str, i32, i64),
        each: &mut dyn FnMut(KeptMessage) -> ControlFlow<()>,
    ) -> Result<(), StorageError>;

    /// A cursor after everything that is stored now.
    fn tail_cursor(&mut self) -> Result<TailCursor, StorageError>;

    /// What was stored after a cursor, which is advanced: of each table no more than `rows_max` rows. Costs next to nothing if nothing was
    /// committed since.
    fn tail(&mut self, cursor: &mut TailCursor, rows_max: u32) -> Result<TailStep, StorageError>;

    /// What a request would prune now.
    fn count_prunable(&mut self, request: &PruneRequest) -> Result<PruneCounts, StorageError>;
}

/// What is in the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The database's id.
    pub database_id: String,
    /// The version of its tables.
    pub schema_version: i64,
    /// The rows of each table of events.
    pub rows: Vec<RowCount>,
    /// Rows of all of them whose `last_modified` was sent too far after the record's timestamp.
    pub ahead: u64,
    /// Unidentified messages, by reason.
    pub unidentified: Vec<UnidentifiedCount>,
    /// The group's positions, by topic and partition.
    pub positions: Vec<StoredPosition>,
    /// The group's latest offset jumps, newest first.
    pub jumps: Vec<StoredJump>,
}

/// The rows of one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowCount {
    /// The table.
    pub table: &'static str,
    /// How many rows it has.
    pub rows: u64,
}
