//! `database_identity`: which database this is.

use rusqlite::Transaction;

/// The database's id.
pub(crate) fn find(transaction: &Transaction<'_>) -> rusqlite::Result<String> {
    transaction.query_row("SELECT id FROM database_identity", [], |row| row.get(0))
}
