//! Counts the events that an upsert does not write, by reason, so that a row that is neither written nor counted is noticed. Must not know
//! any table.
//!
//! SQLite reports how many rows a statement has changed, not which, nor why the others were not changed. The `WHERE` of an upsert is
//! evaluated once for each row that conflicts with a stored one. It calls an
//! [application-defined function](https://www.sqlite.org/appfunc.html) before it is false; for an event that is written it calls none.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, Transaction};

/// SQL that is false, and counts a stale event of the partition that an expression gives.
pub(crate) fn count_stale(partition: &str) -> String {
    format!("count_stale({partition})")
}

/// SQL that is false, and counts an event that is stored already.
pub(crate) const COUNT_SAME: &str = "count_same()";

/// Events that were not written.
#[derive(Debug, Default)]
struct Unchanged {
    /// Those of which a greater event of the id is stored, by partition.
    stale: BTreeMap<i32, u64>,
    /// Those and the ones that are stored themselves, since they were last taken.
    all: u64,
}

/// Registers the functions with a connection that writes events.
pub(crate) fn register(connection: &Connection) -> rusqlite::Result<()> {
    // Not for triggers and views that an operator has added.
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DIRECTONLY;
    let unchanged = Arc::new(Mutex::new(Unchanged::default()));
    let shared = Arc::clone(&unchanged);
    connection.create_scalar_function("count_stale", 1, flags, move |context| {
        let partition = context.get(0)?;
        let mut unchanged = lock(&shared);
        unchanged.all += 1;
        *unchanged.stale.entry(partition).or_default() += 1;
        Ok(false)
    })?;
    let shared = Arc::clone(&unchanged);
    connection.create_scalar_function("count_same", 0, flags, move |_| {
        lock(&shared).all += 1;
        Ok(false)
    })?;
    let shared = Arc::clone(&unchanged);
    connection
        .create_scalar_function("take_unchanged", 0, flags, move |_| Ok(std::mem::take(&mut lock(&shared).all)))?;
    let shared = Arc::clone(&unchanged);
    connection.create_scalar_function("take_stale", 1, flags, move |context| {
        Ok(lock(&shared).stale.remove(&context.get(0)?).unwrap_or_default())
    })?;
    connection.create_scalar_function("clear_tally", 0, flags, move |_| {
        *lock(&unchanged) = Unchanged::default();
        Ok(true)
    })
}

fn lock(unchanged: &Mutex<Unchanged>) -> MutexGuard<'_, Unchanged> {
    unchanged.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many events were not written since the last call.
pub(crate) fn take_unchanged(transaction: &Transaction<'_>) -> rusqlite::Result<u64> {
    transaction.prepare_cached("SELECT take_unchanged()")?.query_row([], |row| row.get(0))
}

/// How many of a partition's events were stale since the last call for it, or since all counts were cleared.
pub(crate) fn take_stale(transaction: &Transaction<'_>, partition: i32) -> rusqlite::Result<u64> {
    transaction.prepare_cached("SELECT take_stale(?1)")?.query_row([partition], |row| row.get(0))
}

/// Forgets all counts: those of statements before, which may have failed.
pub(crate) fn clear(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.prepare_cached("SELECT clear_tally()")?.query_row([], |_| Ok(()))
}
