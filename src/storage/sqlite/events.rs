//! Events in a transaction: each into the table of its type. Must not begin or end the transaction, nor know what becomes of records that
//! SQLite rejects.

use rusqlite::Transaction;

use super::error::{Context, SqliteError};
use super::tables::tally;
use super::tables::upsert::{self, Origin, Placed};
use crate::entity::{ByKind, Event, Kind};
use crate::storage::batch::Coordinates;

/// What became of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// It is stored: now, or since it was read before.
    Applied,
    /// A greater event of its id is stored.
    Stale,
    /// SQLite or a trigger rejects it, for this reason.
    Rejected(String),
}

/// Stores an event within a [savepoint](https://www.sqlite.org/lang_savepoint.html), which undoes everything of a rejected event, also what
/// triggers did. Fails if the rejection has ended the transaction.
pub(super) fn try_store(
    transaction: &Transaction<'_>,
    event: &Event<'_>,
    at: &Coordinates<'_>,
    now: &str,
) -> Result<Stored, SqliteError> {
    let run = |sql| {
        let result = transaction.prepare_cached(sql).and_then(|mut sql| sql.execute([]));
        result.map(drop).context("isolate an event")
    };
    let mut events = Events::default();
    events.add(event, at.partition, at.offset, at.timestamp_ms);
    run("SAVEPOINT event")?;
    let stored = match events.store(transaction, &Origin { topic: at.topic, now }) {
        Ok(()) if take_stale(transaction, at.partition)? > 0 => Stored::Stale,
        Ok(()) => Stored::Applied,
        Err(error) => match error.rejection() {
            Some(rejection) if !transaction.is_autocommit() => {
                run("ROLLBACK TO event")?;
                Stored::Rejected(rejection)
            }
            _ => return Err(error),
        },
    };
    run("RELEASE event")?;
    Ok(stored)
}

/// How many of a partition's events were stale when events were last [stored](Events::store).
pub(super) fn take_stale(transaction: &Transaction<'_>, partition: i32) -> Result<u64, SqliteError> {
    tally::take_stale(transaction, partition).context("count stale events")
}

/// The events of some records of one topic, by type.
#[derive(Debug, Default)]
pub(super) struct Events<'e>(ByKind<Vec<Placed<'e>>>);

impl<'e> Events<'e> {
    /// Adds the event of the record at an offset.
    pub(super) fn add(&mut self, event: &'e Event<'e>, partition: i32, offset: i64, timestamp_ms: Option<i64>) {
        let placed = Placed { event_id: event.event_id(), event, partition, offset, timestamp_ms };
        self.0.get_mut(event.kind()).push(placed);
    }

    /// Stores all events, each unless it or a greater event of its id is stored; [`take_stale`] says how many were not.
    ///
    /// They are sorted by id, over all partitions, since rows that are neighbours in the index share its pages. Events of one id stay in
    /// the order in which they were added, so that each of them meets the row that it would have met without the sort.
    ///
    /// # Errors
    /// [`SqliteError::NotStored`] if a trigger keeps an event out of its table.
    pub(super) fn store(mut self, transaction: &Transaction<'_>, origin: &Origin<'_>) -> Result<(), SqliteError> {
        tally::clear(transaction).context("count stale events")?;
        for kind in Kind::ALL {
            let events = self.0.get_mut(kind);
            events.sort_by(|one, other| one.event_id.cmp(other.event_id));
            let stored = upsert::store(transaction, kind, origin, events).context("store an event")?;
            stored.map_err(|by| SqliteError::NotStored { table: kind.table(), by })?;
        }
        Ok(())
    }
}
