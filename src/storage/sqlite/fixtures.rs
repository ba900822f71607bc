//! What the tests of everything that stands on the database share: a database in a directory of its own, records, plain SQL.

// Not only tests use it: one target for libFuzzer does, and not all of it.
#![allow(clippy::expect_used)]
#![cfg_attr(feature = "fuzzing", allow(dead_code))]

use std::path::PathBuf;

use rusqlite::Connection;
use rusqlite::types::Value;
use tempfile::TempDir;

use super::{Database, DatabaseSettings, Synchronous};
use crate::entity::{Event, LastModified, MetaData, Opportunity, Project, Reason, Rejection, UtcTime};
use crate::runtime::permissions::FileMode;
use crate::storage::sqlite::tables::position_change::{MoveReason, PositionMove};
use crate::storage::sqlite::tables::{Entry, Header, PartitionBatch};

pub(crate) const GROUP: &str = "group-1";
pub(crate) const TOPIC: &str = "sales_events";
pub(crate) const TOPIC_ID: &str = "AAECAwQFBgcICQoLDA0ODw";

/// A directory that goes away with the test, and a database file in it.
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
        let moves: Vec<_> = (0..partitions).map(|partition| a_move(partition, None, 0)).collect();
        database.move_positions(&moves).expect("positions");
        database
    }

    pub(crate) fn path(&self, suffix: &str) -> PathBuf {
        super::open::beside(&self.settings.path, suffix)
    }

    /// A connection of somebody else.
    pub(crate) fn connect(&self) -> Connection {
        Connection::open(&self.settings.path).expect("a second connection")
    }

    pub(crate) fn execute(&self, sql: &str) {
        self.connect().execute_batch(sql).expect("valid SQL");
    }

    /// All rows that a query gives.
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

    /// The only number that a query gives.
    pub(crate) fn number(&self, sql: &str) -> i64 {
        self.connect().query_row(sql, [], |row| row.get(0)).expect("one number")
    }

    /// The equation of `consumer_offsets`.
    pub(crate) fn assert_counted(&self) {
        let off = self.query(
            "SELECT * FROM consumer_offsets
             WHERE next_offset - first_offset <> applied + stale + unidentified + absent OR high_offset < next_offset",
        );
        assert_eq!(off, Vec::<Vec<Value>>::new());
    }
}

pub(crate) fn a_move(partition: i32, from: Option<i64>, to: i64) -> PositionMove {
    PositionMove {
        topic: TOPIC.to_owned(),
        partition,
        from,
        to,
        topic_id: TOPIC_ID.to_owned(),
        leader_epoch: Some(1),
        reason: MoveReason::GroupReset,
        detail: "a test".to_owned(),
    }
}

pub(crate) fn batch(partition: i32, from_offset: i64, next_offset: i64, entries: Vec<Entry<'_>>) -> PartitionBatch<'_> {
    PartitionBatch {
        topic: TOPIC,
        topic_id: TOPIC_ID,
        partition,
        leader_epoch: Some(7),
        from_offset,
        next_offset,
        // Tests are short.
        entries: entries.leak(),
    }
}

static NO_HEADERS: Vec<Header<'static>> = Vec::new();

pub(crate) fn entry(offset: i64, decoded: Result<Event<'_>, Rejection>) -> Entry<'_> {
    Entry {
        offset,
        timestamp_ms: 1_700_000_000_000_i64.checked_add(offset),
        key: Some(b"key"),
        value: Some(b"value"),
        headers: &NO_HEADERS,
        decoded,
    }
}

pub(crate) fn rejected(offset: i64) -> Entry<'static> {
    entry(offset, Err(Rejection { reason: Reason::NotJson, error: "expected value at line 1 column 1".to_owned() }))
}

pub(crate) fn opportunity(event_id: &str) -> Opportunity<'_> {
    Opportunity {
        event_id: event_id.into(),
        name: "Renewal".into(),
        stage: "won".into(),
        amount: None,
        probability: None,
        expected_close_date: None,
        account_id: None,
        owner_id: None,
        meta_data: None,
        extra: None,
    }
}

pub(crate) fn project(event_id: &str) -> Project<'_> {
    Project {
        event_id: event_id.into(),
        name: "Roll-out".into(),
        status: "running".into(),
        start_date: None,
        end_date: None,
        budget: None,
        account_id: None,
        owner_id: None,
        meta_data: None,
        extra: None,
    }
}

pub(crate) fn modified(last_modified: &str) -> MetaData<'static> {
    let last_modified = UtcTime::read(last_modified).map(LastModified::new);
    MetaData { json: "{}", last_modified: Some(last_modified.expect("a time")) }
}
