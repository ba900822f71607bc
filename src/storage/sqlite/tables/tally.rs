//! Counts, within an upsert, the events that change nothing, by the reason, so that a row that is neither written nor counted is
//! noticed. Must not know any table.
//!
//! SQLite says how many rows a statement has changed, and not which, nor why the others were not. The `WHERE` of an upsert runs once
//! for each row that meets a stored one, so it calls a [function of ours](https://www.sqlite.org/appfunc.html) where it says no:
//! nothing is called for an event that is written.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, Transaction};

/// SQL that is false, and counts a stale event.
pub(crate) const COUNT_STALE: &str = "count_stale()";

/// SQL that is false, and counts an event that is stored already.
pub(crate) const COUNT_SAME: &str = "count_same()";

/// Events that changed nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unchanged {
    /// A greater event of the id is stored.
    pub(crate) stale: u64,
    /// The event itself is stored.
    pub(crate) same: u64,
}

/// Makes the functions known to a connection that writes events.
pub(crate) fn register(connection: &Connection) -> rusqlite::Result<()> {
    for (count, take) in [("count_stale", "take_stale"), ("count_same", "take_same")] {
        let counted = Arc::new(AtomicU64::new(0));
        let taken = Arc::clone(&counted);
        // Not for triggers and views of somebody else.
        let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DIRECTONLY;
        connection.create_scalar_function(count, 0, flags, move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok(false)
        })?;
        connection.create_scalar_function(take, 0, flags, move |_| Ok(taken.swap(0, Ordering::Relaxed)))?;
    }
    Ok(())
}

/// What was counted since the last time.
pub(crate) fn take(transaction: &Transaction<'_>) -> rusqlite::Result<Unchanged> {
    transaction
        .prepare_cached("SELECT take_stale(), take_same()")?
        .query_row([], |row| Ok(Unchanged { stale: row.get(0)?, same: row.get(1)? }))
}
