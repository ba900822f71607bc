//! Counts the events that an upsert does not write, by reason, so that a row that is neither written nor counted is noticed. Must not know
//! any table.
//!
//! SQLite reports how many rows a statement has changed, not which, nor why the others were not changed. The `WHERE` of an upsert is
//! evaluated once for each row that conflicts with a stored one. It calls an
//! [application-defined function](https://www.sqlite.org/appfunc.html) before it is false; for an event that is written it calls none.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, Transaction};

/// SQL that is false, and counts a stale event.
pub(crate) const COUNT_STALE: &str = "count_stale()";

/// SQL that is false, and counts an event that is stored already.
pub(crate) const COUNT_SAME: &str = "count_same()";

/// Events that were not written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unchanged {
    /// A greater event of the id is stored.
    pub(crate) stale: u64,
    /// The event itself is stored.
    pub(crate) same: u64,
}

/// Registers the functions with a connection that writes events.
pub(crate) fn register(connection: &Connection) -> rusqlite::Result<()> {
    for (count, take) in [("count_stale", "take_stale"), ("count_same", "take_same")] {
        let counted = Arc::new(AtomicU64::new(0));
        let taken = Arc::clone(&counted);
        // Not for triggers and views that an operator has added.
        let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DIRECTONLY;
        connection.create_scalar_function(count, 0, flags, move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok(false)
        })?;
        connection.create_scalar_function(take, 0, flags, move |_| Ok(taken.swap(0, Ordering::Relaxed)))?;
    }
    Ok(())
}

/// The counts since the last call.
pub(crate) fn take(transaction: &Transaction<'_>) -> rusqlite::Result<Unchanged> {
    transaction
        .prepare_cached("SELECT take_stale(), take_same()")?
        .query_row([], |row| Ok(Unchanged { stale: row.get(0)?, same: row.get(1)? }))
}
