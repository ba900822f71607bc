//! The present time as every table spells it.

use rusqlite::Transaction;

/// The present time: RFC 3339, UTC, milliseconds.
pub(crate) fn now(transaction: &Transaction<'_>) -> rusqlite::Result<String> {
    transaction.prepare_cached("SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now')")?.query_row([], |row| row.get(0))
}
