//! The replayer: stores recovered events and marks their messages, or finds out in memory what that would do.
//! Must not know how a message is decoded.

use std::path::Path;

use rusqlite::{Connection, Transaction};

use super::database::Database;
use super::error::{Context, SqliteError, ensure_written};
use super::events::{self, Stored};
use super::open;
use super::paths;
use super::tables::now::now;
use super::tables::{event, tally, unidentified};
use crate::entity::{Event, Kind};
use crate::storage::batch::Coordinates;
use crate::storage::error::StorageError;
use crate::storage::message::PendingMessage;
use crate::storage::replayer::{Recovered, ReplayOutcome, Replayer};

impl Replayer for Database {
    fn pending_after(
        &mut self,
        id: i64,
        messages_max: u32,
        bytes_max: usize,
    ) -> Result<Vec<PendingMessage>, StorageError> {
        Ok(self.read(|transaction, _| unidentified::pending_after(transaction, id, messages_max, bytes_max))?)
    }

    fn replay(&mut self, recovered: &[Recovered<'_>]) -> Result<Vec<ReplayOutcome>, StorageError> {
        self.bound_wal()?;
        let outcomes =
            self.write(|transaction, _, now| recovered.iter().map(|one| replay_one(transaction, one, now)).collect())?;
        self.check_identity()?;
        Ok(outcomes)
    }
}

fn replay_one(
    transaction: &Transaction<'_>,
    Recovered { message, event }: &Recovered<'_>,
    now: &str,
) -> Result<ReplayOutcome, SqliteError> {
    if !unidentified::is_pending(transaction, message.id).context("replay an unidentified message")? {
        return Ok(ReplayOutcome::Gone);
    }
    let outcome = try_store(transaction, message, event, now)?;
    if outcome != ReplayOutcome::Rejected {
        let marked = unidentified::mark_replayed(transaction, message.id, now);
        ensure_written(marked.context("replay an unidentified message")?, "unidentified_messages")?;
    }
    Ok(outcome)
}

fn try_store(
    transaction: &Transaction<'_>,
    message: &PendingMessage,
    event: &Event<'_>,
    now: &str,
) -> Result<ReplayOutcome, SqliteError> {
    Ok(match events::try_store(transaction, event, &coordinates(message), now)? {
        Stored::Applied => ReplayOutcome::Applied,
        Stored::Stale => ReplayOutcome::Stale,
        Stored::Rejected(_) => ReplayOutcome::Rejected,
    })
}

fn coordinates(message: &PendingMessage) -> Coordinates<'_> {
    Coordinates {
        topic: &message.topic,
        topic_id: message.topic_id.as_ref(),
        partition: message.partition,
        offset: message.offset,
        timestamp_ms: message.timestamp_ms,
    }
}

/// A database that is only read: events are stored in temporary tables, in memory, that hide the real ones. They have the same columns and
/// checks, but no triggers, indexes and foreign keys that an operator has added.
#[derive(Debug)]
pub(in crate::storage) struct DryRun(Connection);

impl DryRun {
    /// Opens an existing database; see [`DatabaseReader::open`](super::inspector::DatabaseReader::open).
    pub(in crate::storage) fn open(path: &Path) -> Result<Self, SqliteError> {
        const ACTION: &str = "prepare a dry run";
        let connection = open::open_reader(&paths::resolve(path, None)?)?;
        // SQLite would look for the parent tables of foreign keys among the temporary tables.
        connection.execute_batch("PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = OFF").context(ACTION)?;
        for table in Kind::ALL.map(Kind::table) {
            create_temporary(&connection, table).context(ACTION)?;
        }
        tally::register(&connection).context(ACTION)?;
        Ok(Self(connection))
    }

    fn store(&mut self, recovered: &[Recovered<'_>]) -> Result<Vec<ReplayOutcome>, SqliteError> {
        const ACTION: &str = "do a dry run";
        let transaction = self.0.transaction().context(ACTION)?;
        let now = now(&transaction).context(ACTION)?;
        let mut outcomes = Vec::with_capacity(recovered.len());
        for Recovered { message, event } in recovered {
            event::copy_to_temporary(&transaction, event).context(ACTION)?;
            outcomes.push(try_store(&transaction, message, event, &now)?);
        }
        transaction.commit().context(ACTION)?;
        Ok(outcomes)
    }
}

impl Replayer for DryRun {
    fn pending_after(
        &mut self,
        id: i64,
        messages_max: u32,
        bytes_max: usize,
    ) -> Result<Vec<PendingMessage>, StorageError> {
        let pending =
            |transaction: &Transaction<'_>| unidentified::pending_after(transaction, id, messages_max, bytes_max);
        let found = self.0.transaction().and_then(|transaction| pending(&transaction));
        Ok(found.context("read the database")?)
    }

    fn replay(&mut self, recovered: &[Recovered<'_>]) -> Result<Vec<ReplayOutcome>, StorageError> {
        Ok(self.store(recovered)?)
    }
}

/// Creates an empty temporary table like a real one. Its name then means the temporary one
/// (<https://www.sqlite.org/lang_naming.html>).
fn create_temporary(connection: &Connection, table: &str) -> rusqlite::Result<()> {
    let sql: String = connection.query_row(
        "SELECT sql FROM main.sqlite_schema WHERE type = 'table' AND name = ?1",
        [table],
        |row| row.get(0),
    )?;
    connection.execute_batch(&sql.replacen("CREATE TABLE", "CREATE TEMPORARY TABLE", 1))
}
