//! Events in a transaction: each into the table of its type. Must not begin or end the transaction, nor know where records that
//! SQLite refuses go.

use rusqlite::Transaction;

use super::error::is_refusal;
use crate::entity::{Event, Opportunity, Project};
use crate::repository::Coordinates;
use crate::repository::upsert::{self, Origin, Placed};

/// Stores the event unless a greater one of its id is stored; `false` if that is so.
fn store(transaction: &Transaction<'_>, event: &Event<'_>, at: &Coordinates<'_>, now: &str) -> rusqlite::Result<bool> {
    let mut events = Events::default();
    events.add(event, at.offset, at.timestamp_ms);
    let origin = Origin { topic: at.topic, partition: at.partition, now };
    Ok(events.store(transaction, &origin)? > 0)
}

/// The same within a [savepoint](https://www.sqlite.org/lang_savepoint.html): of an event that SQLite refuses nothing is
/// left, whatever triggers did, and the inner result says why. The outer one fails if the transaction has ended with it.
pub(super) fn try_store(
    transaction: &Transaction<'_>,
    event: &Event<'_>,
    at: &Coordinates<'_>,
    now: &str,
) -> rusqlite::Result<Result<bool, rusqlite::Error>> {
    let run = |sql| transaction.prepare_cached(sql)?.execute([]).map(drop);
    run("SAVEPOINT event")?;
    let stored = match store(transaction, event, at, now) {
        Err(error) if is_refusal(&error) && !transaction.is_autocommit() => {
            run("ROLLBACK TO event")?;
            Err(error)
        }
        stored => Ok(stored?),
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

    pub(super) fn len(&self) -> usize {
        self.opportunities.len() + self.projects.len()
    }

    /// Stores them all, each unless a greater one of its id is stored; says how many were.
    ///
    /// Sorted by id, since rows beside each other in the index share its pages; those of one id stay in the order of their offsets, so
    /// that each of them meets what it would have met in the order of the log.
    pub(super) fn store(mut self, transaction: &Transaction<'_>, origin: &Origin<'_>) -> rusqlite::Result<usize> {
        self.opportunities.sort_by(|one, other| one.event.event_id.cmp(&other.event.event_id));
        self.projects.sort_by(|one, other| one.event.event_id.cmp(&other.event.event_id));
        Ok(upsert::store(transaction, origin, &self.opportunities)?
            + upsert::store(transaction, origin, &self.projects)?)
    }
}
