//! What `replay` does with messages that are understood after all: stores them and notes that, or plays that in memory.
//! Must not know how a message is understood.

use std::path::Path;

use rusqlite::{Connection, Transaction};

use super::error::{DatabaseError, Doing, ensure_written};
use super::events::{self, Stored};
use super::{Database, now, open};
use crate::entity::Event;
use crate::storage::sqlite::tables::unidentified::{self, PendingMessage};
use crate::storage::sqlite::tables::{Coordinates, opportunity, project, tally};

/// An unidentified message that is an event.
#[derive(Debug)]
pub struct Understood<'a> {
    /// As it was kept.
    pub message: &'a PendingMessage,
    /// What it says.
    pub event: Event<'a>,
}

/// What became of a message that is understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// The event is stored.
    Applied,
    /// A greater event of its id is stored; the message counts as replayed.
    Stale,
    /// SQLite refuses the event; the message stays as it is.
    Refused,
    /// Somebody else has replayed or deleted it meanwhile.
    Gone,
}

/// Where messages are replayed.
pub trait Replay {
    /// The messages after `id` that have not been replayed; see `unidentified::pending_after` for the bounds.
    fn pending_after(
        &mut self,
        id: i64,
        messages_max: u32,
        bytes_max: usize,
    ) -> Result<Vec<PendingMessage>, DatabaseError>;

    /// Stores all of the events in one transaction, or none; says what became of each. The counters of positions stay: they tell
    /// what became of offsets when they were read.
    ///
    /// # Errors
    /// One that [is a refusal](DatabaseError::is_refusal) if SQLite refuses the transaction as a whole for one of the events.
    fn replay(&mut self, understood: &[Understood<'_>]) -> Result<Vec<Replayed>, DatabaseError>;
}

impl Replay for Database {
    fn pending_after(
        &mut self,
        id: i64,
        messages_max: u32,
        bytes_max: usize,
    ) -> Result<Vec<PendingMessage>, DatabaseError> {
        self.read(|transaction, _| unidentified::pending_after(transaction, id, messages_max, bytes_max))
    }

    fn replay(&mut self, understood: &[Understood<'_>]) -> Result<Vec<Replayed>, DatabaseError> {
        self.bound_wal()?;
        self.write(|transaction, _, now| understood.iter().map(|one| replay_one(transaction, one, now)).collect())
            .and_then(|replayed| self.verify_files().map(|()| replayed))
    }
}

fn replay_one(
    transaction: &Transaction<'_>,
    Understood { message, event }: &Understood<'_>,
    now: &str,
) -> Result<Replayed, DatabaseError> {
    if !unidentified::is_pending(transaction, message.id).doing("replay an unidentified message")? {
        return Ok(Replayed::Gone);
    }
    let replayed = match events::try_store(transaction, event, &coordinates(message), now)? {
        Stored::Applied => Replayed::Applied,
        Stored::Stale => Replayed::Stale,
        Stored::Refused(_) => return Ok(Replayed::Refused),
    };
    let marked = unidentified::mark_replayed(transaction, message.id, now);
    ensure_written(marked.doing("replay an unidentified message")?, "unidentified_messages")?;
    Ok(replayed)
}

fn coordinates(message: &PendingMessage) -> Coordinates<'_> {
    Coordinates {
        topic: &message.topic,
        topic_id: &message.topic_id,
        partition: message.partition,
        offset: message.offset,
        timestamp_ms: message.timestamp_ms,
    }
}

/// A database that is only read: what would be stored is stored in temporary tables, in memory, over the real ones. They have
/// the same columns and checks, but no triggers, indexes and foreign keys of somebody else.
#[derive(Debug)]
pub struct Rehearsal(Connection);

impl Rehearsal {
    /// Opens an existing database; see [`DatabaseReader::open`](super::DatabaseReader::open).
    pub fn open(path: &Path) -> Result<Self, DatabaseError> {
        let connection = open::open_reader(&open::resolve(path, None)?)?;
        // Foreign keys of somebody else would be looked for among the temporary tables.
        connection.execute_batch("PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = OFF").doing("prepare a dry run")?;
        for table in [opportunity::TABLE, project::TABLE] {
            shadow(&connection, table).doing("prepare a dry run")?;
        }
        tally::register(&connection).doing("prepare a dry run")?;
        Ok(Self(connection))
    }
}

/// Makes an empty temporary table like a real one. Its name then means the temporary one
/// (<https://www.sqlite.org/lang_naming.html>).
fn shadow(connection: &Connection, table: &str) -> rusqlite::Result<()> {
    let sql: String = connection.query_row(
        "SELECT sql FROM main.sqlite_schema WHERE type = 'table' AND name = ?1",
        [table],
        |row| row.get(0),
    )?;
    connection.execute_batch(&sql.replacen("CREATE TABLE", "CREATE TEMPORARY TABLE", 1))
}

impl Replay for Rehearsal {
    fn pending_after(
        &mut self,
        id: i64,
        messages_max: u32,
        bytes_max: usize,
    ) -> Result<Vec<PendingMessage>, DatabaseError> {
        let pending =
            |transaction: &Transaction<'_>| unidentified::pending_after(transaction, id, messages_max, bytes_max);
        self.0.transaction().and_then(|transaction| pending(&transaction)).doing("read the database")
    }

    fn replay(&mut self, understood: &[Understood<'_>]) -> Result<Vec<Replayed>, DatabaseError> {
        const DOING: &str = "rehearse a replay";
        let transaction = self.0.transaction().doing(DOING)?;
        let now = now(&transaction).doing(DOING)?;
        let mut replayed = Vec::with_capacity(understood.len());
        for Understood { message, event } in understood {
            carry_over(&transaction, event).doing(DOING)?;
            replayed.push(match events::try_store(&transaction, event, &coordinates(message), &now)? {
                Stored::Applied => Replayed::Applied,
                Stored::Stale => Replayed::Stale,
                Stored::Refused(_) => Replayed::Refused,
            });
        }
        transaction.commit().doing(DOING)?;
        Ok(replayed)
    }
}

/// Takes the stored event of that id over into the temporary table, unless it is there already.
fn carry_over(transaction: &Transaction<'_>, event: &Event<'_>) -> rusqlite::Result<()> {
    let (table, event_id) = match event {
        Event::Opportunity(event) => (opportunity::TABLE, &event.event_id),
        Event::Project(event) => (project::TABLE, &event.event_id),
    };
    transaction
        .prepare_cached(&format!(
            "INSERT INTO temp.{table} SELECT * FROM main.{table} WHERE event_id = ?1
                 AND NOT EXISTS (SELECT 1 FROM temp.{table} WHERE event_id = ?1)"
        ))?
        .execute([event_id])
        .map(drop)
}
