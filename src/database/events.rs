//! Events in a transaction: each into the table of its type. Must not begin or end the transaction, nor know where records that
//! SQLite refuses go.

use rusqlite::Transaction;

use super::error::is_refusal;
use crate::entity::Event;
use crate::repository::{Coordinates, opportunity, project};

/// The statements that store events, prepared once for a transaction.
pub(super) struct Events<'t> {
    transaction: &'t Transaction<'t>,
    opportunities: opportunity::Upsert<'t>,
    projects: project::Upsert<'t>,
}

impl<'t> Events<'t> {
    pub(super) fn prepare(transaction: &'t Transaction<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            transaction,
            opportunities: opportunity::Upsert::prepare(transaction)?,
            projects: project::Upsert::prepare(transaction)?,
        })
    }

    /// Stores the event unless a greater one of its id is stored; `false` if that is so.
    pub(super) fn store(&mut self, event: &Event<'_>, at: &Coordinates<'_>, now: &str) -> rusqlite::Result<bool> {
        match event {
            Event::Opportunity(opportunity) => self.opportunities.store(opportunity, at, now),
            Event::Project(project) => self.projects.store(project, at, now),
        }
    }

    /// The same within a [savepoint](https://www.sqlite.org/lang_savepoint.html): of an event that SQLite refuses nothing is
    /// left, whatever triggers did, and the inner result says why. The outer one fails if the transaction has ended with it.
    pub(super) fn try_store(
        &mut self,
        event: &Event<'_>,
        at: &Coordinates<'_>,
        now: &str,
    ) -> rusqlite::Result<Result<bool, rusqlite::Error>> {
        self.run("SAVEPOINT event")?;
        let stored = match self.store(event, at, now) {
            Err(error) if is_refusal(&error) && !self.transaction.is_autocommit() => {
                self.run("ROLLBACK TO event")?;
                Err(error)
            }
            stored => Ok(stored?),
        };
        self.run("RELEASE event")?;
        Ok(stored)
    }

    fn run(&self, sql: &str) -> rusqlite::Result<()> {
        self.transaction.prepare_cached(sql)?.execute([]).map(drop)
    }
}
