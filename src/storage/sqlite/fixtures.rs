//! What the tests of the SQLite engine share: a database in a directory of its own, and plain SQL.

// A target for libFuzzer uses some of this too.
#![allow(clippy::expect_used)]
#![cfg_attr(feature = "fuzzing", allow(dead_code))]

use std::path::PathBuf;

use rusqlite::Connection;
use rusqlite::types::Value;
use tempfile::TempDir;

use super::database::Database;
use crate::runtime::permissions::FileMode;
use crate::settings::{DatabaseSettings, Synchronous};
use crate::storage::attempt::Attempt;
pub(crate) use crate::storage::fixtures::*;

/// A directory that is removed with the test, and a database file in it.
pub(crate) struct Place {
    pub(crate) directory: TempDir,
    pub(crate) settings: DatabaseSettings,
}

impl Place {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let settings = DatabaseSettings {
            path: directory.path().canonicalize().expect("a path").join("events.db"),
            synchronous: Synchronous::Normal,
            wal_bytes_max: 1 << 30,
            cache_bytes_max: 32 << 20,
            file_mode: FileMode::Owner,
        };
        Self { directory, settings }
    }

    pub(crate) fn open(&self) -> Database {
        Database::open(&self.settings, GROUP).expect("the database opens")
    }

    /// Opened, with a position at 0 in each of a number of partitions.
    pub(crate) fn open_at_0(&self, partitions: i32) -> Database {
        let mut database = self.open();
        let jumps: Vec<_> = (0..partitions).map(|partition| jump(partition, None, 0)).collect();
        database.store_jumps(&jumps, &mut Attempt::default()).expect("positions");
        database
    }

    pub(crate) fn path(&self, suffix: &str) -> PathBuf {
        super::paths::side_file(&self.settings.path, suffix)
    }

    /// A connection of another program.
    pub(crate) fn connect(&self) -> Connection {
        Connection::open(&self.settings.path).expect("a second connection")
    }

    pub(crate) fn execute(&self, sql: &str) {
        self.connect().execute_batch(sql).expect("valid SQL");
    }

    /// The rows of a query.
    pub(crate) fn query(&self, sql: &str) -> Vec<Vec<Value>> {
        let connection = self.connect();
        let mut statement = connection.prepare(sql).expect("valid SQL");
        let columns = statement.column_count();
        let rows = statement
            .query_map([], |row| (0..columns).map(|column| row.get(column)).collect())
            .expect("a query")
            .collect::<rusqlite::Result<Vec<_>>>();
        rows.expect("rows")
    }

    /// The number that a query gives.
    pub(crate) fn number(&self, sql: &str) -> i64 {
        self.connect().query_row(sql, [], |row| row.get(0)).expect("one number")
    }

    /// How SQLite executes a statement, whatever its parameters are.
    pub(crate) fn query_plan(&self, sql: &str) -> Vec<String> {
        let connection = self.connect();
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("valid SQL");
        let (mut rows, mut plan) = (statement.raw_query(), Vec::new());
        while let Some(row) = rows.next().expect("a plan") {
            plan.push(row.get(3).expect("a step of the plan"));
        }
        plan
    }

    /// The counters of each position add up to its offsets.
    pub(crate) fn assert_counted(&self) {
        let off = self.query(
            "SELECT * FROM consumer_offsets
             WHERE next_offset - first_offset <> applied + stale + unidentified + absent OR high_offset < next_offset",
        );
        assert_eq!(off, Vec::<Vec<Value>>::new());
    }
}
