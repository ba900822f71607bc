//! The SQLite engine: everything that names `rusqlite`. `database.rs` holds the connection and its transactions, `apply.rs` stores batches and
//! isolates rejected records, `sync.rs`, `wal.rs` and `checkpointer.rs` make commits durable, `tables/` has the SQL.

mod apply;
mod checkpointer;
mod committed;
mod conflict;
mod database;
pub(super) mod environment;
mod error;
mod error_text;
mod events;
mod file_change;
mod files;
mod growth;
mod inspector;
mod jumps;
mod lock;
mod open;
mod paths;
mod prune;
mod replay;
mod schema;
mod sync;
mod sync_state;
mod tables;
mod transaction;
mod trial;
mod views;
mod wal;
mod wal_file;
mod writer;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fixtures;
#[cfg(test)]
mod tests;

pub(crate) use database::Database;
pub(super) use inspector::DatabaseReader;
pub use lock::DatabaseLock;
pub(super) use replay::DryRun;
pub use tables::views::DATABASES_MAX as VIEWS_DATABASES_MAX;
pub(super) use trial::try_to_store;
pub(super) use views::views;

/// The version of SQLite.
pub(super) fn version() -> &'static str {
    rusqlite::version()
}
