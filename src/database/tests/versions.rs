//! Files of every released version: each is migrated when it is opened, holds what it held before, and takes new records.
//! `testdata/version-N.db` was written by the program of that version and is never changed. The present version's file is added
//! when that version is released.

use std::fs;
use std::path::PathBuf;

use rusqlite::types::Value;

use crate::database::fixtures::{GROUP, Place, TOPIC, a_move, batch, entry, project, rejected};
use crate::database::schema::SCHEMA_VERSION;
use crate::database::{Database, DatabaseReader};
use crate::entity::Event;
use crate::repository::Applied;

#[test]
fn a_file_of_every_version_is_opened_read_and_gone_on_with() {
    for version in released() {
        let place = copy(version);
        let mut database = place.open();
        assert_eq!(place.number("PRAGMA user_version"), SCHEMA_VERSION);
        holds_what_was_stored(&place, &mut database);

        let newer = vec![entry(6, Ok(Event::Project(project("proj_3")))), rejected(7)];
        let applied = Applied { applied: 1, stale: 0, unidentified: 1, absent: 0 };
        assert_eq!(database.apply(&[batch(0, 6, 8, newer)]).unwrap(), applied);
        database.move_positions(&[a_move(1, Some(1), 3)]).unwrap();
        assert_eq!(place.number("SELECT max(id) FROM unidentified_messages"), 3);
        drop(database);
        let mut reader = DatabaseReader::open(&place.settings.path).unwrap();
        reader.verify(|_, off| assert_eq!(off, [])).unwrap();
        let summary = reader.summary(GROUP).unwrap();
        assert_eq!((summary.opportunities, summary.projects, summary.changes.len()), (2, 3, 4));
    }
}

/// Each version of which there is a file: all of the older ones, and the present one if it has been released.
fn released() -> Vec<i64> {
    let released: Vec<i64> = (1..=SCHEMA_VERSION).filter(|version| fixture(*version).exists()).collect();
    let older: Vec<i64> = (1..SCHEMA_VERSION).collect();
    assert!(released.starts_with(&older), "{released:?}");
    released
}

fn fixture(version: i64) -> PathBuf {
    format!("{}/src/database/testdata/version-{version}.db", env!("CARGO_MANIFEST_DIR")).into()
}

fn copy(version: i64) -> Place {
    let place = Place::new();
    fs::copy(fixture(version), &place.settings.path).unwrap();
    place
}

#[test]
fn a_migrated_file_has_the_tables_of_a_new_one() {
    let new = Place::new();
    drop(new.open());
    for version in released() {
        let migrated = copy(version);
        drop(migrated.open());
        assert_eq!(schema(&migrated), schema(&new), "version {version}");
    }
}

/// Every object in the schema with its columns, constraints and indexes.
fn schema(place: &Place) -> Vec<String> {
    let text = |rows: Vec<Vec<Value>>| rows.iter().map(|row| format!("{row:?}")).collect::<Vec<_>>();
    let mut all = text(place.query(
        "SELECT object.name, tables.* FROM sqlite_schema AS object, pragma_table_xinfo(object.name) AS tables
         WHERE object.type IN ('table', 'view') ORDER BY object.name, cid",
    ));
    all.extend(text(place.query(
        "SELECT object.name, list.*, columns.* FROM sqlite_schema AS object, pragma_index_list(object.name) AS list,
             pragma_index_xinfo(list.name) AS columns ORDER BY object.name, seq, seqno",
    )));
    let objects = place.query("SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema ORDER BY type, name");
    for object in objects {
        let [kind, name, table, Value::Text(sql)] = object.as_slice() else { panic!("{object:?}") };
        all.push(format!("{kind:?} {name:?} {table:?} {}", normalised(sql)));
    }
    all
}

/// SQL without comments, blanks, and the quotes that SQLite puts around a renamed table.
fn normalised(sql: &str) -> String {
    let without_comments = sql.lines().map(|line| line.split("--").next().unwrap_or_default());
    without_comments.flat_map(str::chars).filter(|char| !char.is_whitespace() && *char != '"').collect()
}

fn holds_what_was_stored(place: &Place, database: &mut Database) {
    assert_eq!(database.id().len(), 32);
    let text = |text: &str| Value::Text(text.to_owned());
    assert_eq!(
        place.query("SELECT name, amount, last_modified, meta_data, extra, kafka_offset FROM opportunities WHERE event_id = 'opp_1'"),
        [[
            text("Grün"),
            Value::Real(1.5),
            text("2026-01-15T09:30:00.000000000Z"),
            text(r#"{"last_modified":"2026-01-15T09:30:00Z"}"#),
            text(r#"{"region":"north"}"#),
            Value::Integer(0)
        ]]
    );
    assert_eq!(
        place.query("SELECT event_id, last_modified FROM projects ORDER BY event_id"),
        [[text("proj_1"), text("2026-01-15T08:35:00.000000000Z")], [text("proj_2"), Value::Null]]
    );
    assert_eq!(
        place.query(
            "SELECT id, kafka_offset, key, value, headers, replayed_at IS NULL FROM unidentified_messages ORDER BY id"
        ),
        [
            [
                Value::Integer(1),
                Value::Integer(3),
                Value::Blob(b"key".into()),
                Value::Blob(b"value".into()),
                text(r#"[["trace","AP8="],[{"base64":"/w=="},null]]"#),
                Value::Integer(1)
            ],
            [Value::Integer(2), Value::Integer(4), Value::Null, Value::Null, text("[]"), Value::Integer(0)],
        ]
    );
    assert_eq!(database.unidentified_log_cursor().unwrap(), 1);
    let stored = database.position(TOPIC, 0).unwrap().unwrap();
    assert_eq!((stored.next_offset, stored.first_offset, stored.high_offset), (6, 0, 6));
    assert_eq!(stored.counters, Applied { applied: 2, stale: 0, unidentified: 2, absent: 2 });
    let moved = database.position(TOPIC, 1).unwrap().unwrap();
    assert_eq!((moved.next_offset, moved.first_offset, moved.high_offset), (1, 0, 5));
    assert_eq!(place.number("SELECT count(*) FROM position_changes"), 3);
}
