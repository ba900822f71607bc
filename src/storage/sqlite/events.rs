//! Events in a transaction: each into the table of its type. Must not begin or end the transaction, nor know where records that
//! SQLite refuses go.

use rusqlite::Transaction;

use super::error::{Context, SqliteError};
use super::tables::upsert::{self, Origin, Placed, Row, StoredEvents};
use crate::entity::{Event, Opportunity, Project};
use crate::storage::batch::Coordinates;

/// What became of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// It is stored: now, or since it was read before.
    Applied,
    /// A greater one of its id is stored.
    Stale,
    /// SQLite, or a trigger, refuses it: this is said of it.
    Rejected(String),
}

/// Stores an event within a [savepoint](https://www.sqlite.org/lang_savepoint.html): of one that is refused nothing is left, whatever
/// triggers did. Fails if the transaction has ended with it.
pub(super) fn try_store(
    transaction: &Transaction<'_>,
    event: &Event<'_>,
    at: &Coordinates<'_>,
    now: &str,
) -> Result<Stored, SqliteError> {
    let run =
        |sql| transaction.prepare_cached(sql).and_then(|mut sql| sql.execute([])).map(drop).context("isolate an event");
    let mut events = Events::default();
    events.add(event, at.offset, at.timestamp_ms);
    run("SAVEPOINT event")?;
    let stored = match events.store(transaction, &Origin { topic: at.topic, partition: at.partition, now }) {
        Ok(StoredEvents { applied: 0, .. }) => Stored::Stale,
        Ok(_) => Stored::Applied,
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

/// The events of some records, by table.
#[derive(Debug, Default)]
pub(super) struct Events<'e> {
    opportunities: Vec<Placed<'e, Opportunity<'e>>>,
    projects: Vec<Placed<'e, Project<'e>>>,
}

impl<'e> Events<'e> {
    /// Adds the event of the record at an offset.
    pub(super) fn add(&mut self, event: &'e Event<'e>, offset: i64, timestamp_ms: Option<i64>) {
        match event {
            Event::Opportunity(event) => self.opportunities.push(Placed { event, offset, timestamp_ms }),
            Event::Project(event) => self.projects.push(Placed { event, offset, timestamp_ms }),
        }
    }

    /// Stores them all, each unless it or a greater one of its id is stored; says how many of which.
    ///
    /// Sorted by id, since rows beside each other in the index share its pages; those of one id stay in the order of their offsets, so
    /// that each of them meets what it would have met in the order of the log.
    ///
    /// # Errors
    /// [`SqliteError::NotStored`] if a trigger keeps one of them out of its table.
    pub(super) fn store(
        mut self,
        transaction: &Transaction<'_>,
        origin: &Origin<'_>,
    ) -> Result<StoredEvents, SqliteError> {
        self.opportunities.sort_by(|one, other| one.event.event_id.cmp(&other.event.event_id));
        self.projects.sort_by(|one, other| one.event.event_id.cmp(&other.event.event_id));
        let mut outcome = store(transaction, origin, &self.opportunities)?;
        outcome += store(transaction, origin, &self.projects)?;
        Ok(outcome)
    }
}

fn store<E: Row>(
    transaction: &Transaction<'_>,
    origin: &Origin<'_>,
    events: &[Placed<'_, E>],
) -> Result<StoredEvents, SqliteError> {
    let table = E::statements().table;
    let stored = upsert::store(transaction, origin, events).context("store an event")?;
    stored.map_err(|by| SqliteError::NotStored { table, by })
}
