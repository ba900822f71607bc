//! SQLite is run through the contract of the seam.

use rusqlite::types;

use super::super::fixtures::Place;
use crate::settings::DatabaseSettings;
use crate::storage::contract::{Engine, Value, suite};

suite!(Place);

impl Engine for Place {
    fn create() -> Self {
        Self::new()
    }

    fn settings(&self) -> &DatabaseSettings {
        &self.settings
    }

    fn execute(&self, sql: &str) {
        self.execute(sql);
    }

    fn execute_unchecked(&self, sql: &str) {
        self.execute(&format!("PRAGMA ignore_check_constraints = ON; {sql}"));
    }

    fn query(&self, sql: &str) -> Vec<Vec<Value>> {
        let value = |value| match value {
            types::Value::Null => Value::Null,
            types::Value::Integer(number) => Value::Integer(number),
            types::Value::Real(number) => Value::Real(number),
            types::Value::Text(text) => Value::Text(text),
            types::Value::Blob(bytes) => Value::Blob(bytes),
        };
        self.query(sql).into_iter().map(|row| row.into_iter().map(value).collect()).collect()
    }

    fn bytes_literal(text: &str) -> String {
        format!("CAST('{text}' AS BLOB)")
    }

    fn rejections() -> Vec<(String, &'static str)> {
        let mut ways = vec![(DEFERRED.to_owned(), "FOREIGN KEY constraint failed")];
        for when in ["BEFORE", "AFTER"] {
            ways.extend(["ABORT", "FAIL", "ROLLBACK"].map(|raise| (trigger(when, raise), "we do not want these")));
        }
        ways
    }
}

/// Keeps the id of every event before it rejects those of the name.
pub(super) fn trigger(when: &str, raise: &str) -> String {
    format!(
        "CREATE TABLE seen (event_id);
         CREATE TRIGGER no_fraud {when} INSERT ON opportunities BEGIN
             INSERT INTO seen VALUES (new.event_id);
             SELECT RAISE({raise}, 'we do not want these') WHERE new.name = 'fraud';
         END"
    )
}

/// Rejects them with the COMMIT.
pub(super) const DEFERRED: &str = "
    CREATE TABLE seen (event_id);
    CREATE TABLE nobody (name PRIMARY KEY);
    CREATE TABLE suspects (name REFERENCES nobody DEFERRABLE INITIALLY DEFERRED);
    CREATE TRIGGER no_fraud AFTER INSERT ON opportunities BEGIN
        INSERT INTO seen VALUES (new.event_id);
        INSERT INTO suspects SELECT new.name WHERE new.name = 'fraud';
    END";
