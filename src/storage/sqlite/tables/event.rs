//! The tables of events, counted and copied. Must not know their columns but those that all have.

use rusqlite::Transaction;

use crate::entity::{Event, Kind};

/// How many rows there are.
pub(crate) fn count(transaction: &Transaction<'_>, kind: Kind) -> rusqlite::Result<u64> {
    transaction.query_row(&format!("SELECT count(*) FROM {}", kind.table()), [], |row| row.get(0))
}

/// The greatest row id; 0 if there is no row.
pub(crate) fn last_row(transaction: &Transaction<'_>, kind: Kind) -> rusqlite::Result<i64> {
    let sql = format!("SELECT ifnull(max(rowid), 0) FROM {}", kind.table());
    transaction.prepare_cached(&sql)?.query_row([], |row| row.get(0))
}

/// How many rows have a `last_modified` that was sent too far after the record's timestamp.
pub(crate) fn count_ahead(transaction: &Transaction<'_>, kind: Kind) -> rusqlite::Result<u64> {
    let sql = format!("SELECT count(*) FROM {} WHERE last_modified_sent IS NOT NULL", kind.table());
    transaction.query_row(&sql, [], |row| row.get(0))
}

/// Copies the stored event of an event's id into the temporary table of the same name, unless that has one.
pub(crate) fn copy_to_temporary(transaction: &Transaction<'_>, event: &Event<'_>) -> rusqlite::Result<()> {
    let table = event.kind().table();
    transaction
        .prepare_cached(&format!(
            "INSERT INTO temp.{table} SELECT * FROM main.{table} WHERE event_id = ?1
                 AND NOT EXISTS (SELECT 1 FROM temp.{table} WHERE event_id = ?1)"
        ))?
        .execute([event.event_id()])
        .map(drop)
}
