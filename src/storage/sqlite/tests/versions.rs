//! Files of every released version: each is migrated when it is opened, holds what it held before, and takes new records.
//! `testdata/version-N.db` was written by the program of that version and is never changed. When the present version is released,
//! `WRITE_TESTDATA=1 cargo test --lib the_present_version` writes its file.

use std::fs;
use std::path::PathBuf;

use rusqlite::types::Value;

use crate::entity::{Event, MetaData, Opportunity, Project};
use crate::storage::sqlite::database::Database;
use crate::storage::sqlite::fixtures::{
    GROUP, Place, TOPIC, batch, counts, entry, jump, modified, opportunity, project, rejected,
};
use crate::storage::sqlite::inspector::DatabaseReader;
use crate::storage::sqlite::schema::SCHEMA_VERSION;
use crate::storage::{Attempt, Entry, Header, Recovered, Replayer, UnidentifiedMessages};

#[test]
fn a_file_of_every_version_is_opened_read_and_written() {
    for version in released() {
        let place = copy(version);
        let mut database = place.open();
        assert_eq!(place.number("PRAGMA user_version"), SCHEMA_VERSION);
        holds_what_was_stored(&place, &mut database);
        takes_new_records(&place, database);
    }
}

/// Writes to a file of any version.
fn takes_new_records(place: &Place, mut database: Database) {
    let newer = vec![entry(6, Ok(Event::Project(project("proj_3")))), rejected(7)];
    let applied = counts(1, 0, 1, 0);
    assert_eq!(database.apply(&[batch(0, 6, 8, newer)], &mut Attempt::default()).unwrap(), applied);
    database.store_jumps(&[jump(1, Some(1), 3)], &mut Attempt::default()).unwrap();
    assert_eq!(place.number("SELECT max(id) FROM unidentified_messages"), 3);
    drop(database);
    let mut reader = DatabaseReader::open(&place.settings.path).unwrap();
    reader.verify(|_, off| assert_eq!(off, [])).unwrap();
    let summary = reader.summary(GROUP).unwrap();
    assert_eq!((summary.rows[0].rows, summary.rows[1].rows, summary.jumps.len()), (2, 3, 4));
}

#[test]
fn the_present_version_is_written_with_the_same_content() {
    let place = Place::new();
    let mut database = place.open();
    database.store_jumps(&[jump(0, None, 0), jump(1, None, 5)], &mut Attempt::default()).unwrap();
    database.store_jumps(&[jump(1, Some(5), 0)], &mut Attempt::default()).unwrap();
    let meta_data = |json, last_modified| Some(MetaData { json, ..modified(last_modified) });
    let first = Opportunity {
        name: "Grün".into(),
        amount: Some(1.5.into()),
        meta_data: meta_data(r#"{"last_modified":"2026-01-15T09:30:00Z"}"#, "2026-01-15T09:30:00.000000000Z"),
        extra: Some(r#"{"region":"north"}"#.to_owned()),
        ..opportunity("opp_1")
    };
    let second = Project {
        meta_data: meta_data(r#"{"last_modified":"2026-01-15T09:35:00+01:00"}"#, "2026-01-15T08:35:00.000000000Z"),
        ..project("proj_1")
    };
    let headers: Vec<Header<'_>> = vec![(b"trace", Some(b"\x00\xff")), (b"\xff", None)];
    let entries = vec![
        entry(0, Ok(Event::Opportunity(first))),
        entry(1, Ok(Event::Project(second))),
        Entry { headers: &headers, ..rejected(3) },
        Entry { key: None, value: None, ..rejected(4) },
    ];
    database.apply(&[batch(0, 0, 6, entries)], &mut Attempt::default()).unwrap();
    database
        .apply(&[batch(1, 0, 1, vec![entry(0, Ok(Event::Opportunity(opportunity("opp_2"))))])], &mut Attempt::default())
        .unwrap();
    let pending = database.pending_after(1, 10, 1 << 20).unwrap();
    let event = Event::Project(project("proj_2"));
    database.replay(&[Recovered { message: &pending[0], event }]).unwrap();
    database.set_log_cursor(1).unwrap();
    holds_what_was_stored(&place, &mut database);
    if std::env::var("WRITE_TESTDATA").is_ok() {
        place.connect().execute("VACUUM INTO ?1", [fixture(SCHEMA_VERSION).to_str()]).unwrap();
    }
    takes_new_records(&place, database);
}

/// Each version of which there is a file: all of the older ones, and the present one if it has been released.
fn released() -> Vec<i64> {
    let released: Vec<i64> = (1..=SCHEMA_VERSION).filter(|version| fixture(*version).exists()).collect();
    let older: Vec<i64> = (1..SCHEMA_VERSION).collect();
    assert!(released.starts_with(&older), "{released:?}");
    released
}

fn fixture(version: i64) -> PathBuf {
    format!("{}/src/storage/sqlite/testdata/version-{version}.db", env!("CARGO_MANIFEST_DIR")).into()
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
    assert_eq!(database.log_cursor().unwrap(), 1);
    let stored = database.position(TOPIC, 0).unwrap().unwrap();
    assert_eq!((stored.next_offset, stored.first_offset, stored.high_offset), (6, 0, 6));
    assert_eq!(stored.counters, counts(2, 0, 2, 2));
    let moved = database.position(TOPIC, 1).unwrap().unwrap();
    assert_eq!((moved.next_offset, moved.first_offset, moved.high_offset), (1, 0, 5));
    assert_eq!(place.number("SELECT count(*) FROM position_changes"), 3);
}

#[test]
fn a_migrated_file_keeps_its_ids_and_what_an_operator_has_added() {
    let place = copy(1);
    // An id was used that is no longer there, and the log file is up to it.
    place.execute(
        "INSERT INTO unidentified_messages
             (id, kafka_topic, topic_id, kafka_partition, kafka_offset, headers, reason, error, received_at)
         VALUES (70, 't', '', 0, 0, '[]', 'empty', '', '');
         DELETE FROM unidentified_messages WHERE id = 70;
         UPDATE unidentified_log_cursor SET last_id = 70;
         CREATE TABLE notes (message INTEGER REFERENCES unidentified_messages (id) ON DELETE CASCADE);
         INSERT INTO notes VALUES (1);
         CREATE INDEX by_reason ON unidentified_messages (reason);
         CREATE VIEW reasons AS SELECT reason, count(*) AS messages FROM unidentified_messages GROUP BY reason;
         CREATE TABLE alarms (id);
         CREATE TRIGGER alarm AFTER INSERT ON unidentified_messages BEGIN INSERT INTO alarms VALUES (new.id); END",
    );
    let mut database = place.open();
    assert_eq!(place.number("SELECT count(*) FROM alarms"), 0, "no row is new");
    assert_eq!(place.number("SELECT count(*) FROM sqlite_schema WHERE name IN ('by_reason', 'reasons', 'alarm')"), 3);
    assert_eq!(place.number("SELECT sum(messages) FROM reasons"), 2);
    assert_eq!(place.number("SELECT count(*) FROM notes"), 1);
    assert_eq!(place.number("PRAGMA foreign_keys"), 1, "on in a connection of another program");
    assert_eq!(place.query("PRAGMA foreign_key_check"), Vec::<Vec<Value>>::new());
    database.apply(&[batch(0, 6, 7, vec![rejected(6)])], &mut Attempt::default()).unwrap();
    assert_eq!(place.query("SELECT id FROM alarms"), [[Value::Integer(71)]]);
    assert_eq!(database.messages_after(70, 10, 1000).unwrap().len(), 1);
}

#[test]
fn a_file_without_messages_keeps_the_ids_that_were_used() {
    let place = copy(1);
    place.execute("DELETE FROM unidentified_messages");
    place.open().apply(&[batch(0, 6, 7, vec![rejected(6)])], &mut Attempt::default()).unwrap();
    assert_eq!(place.number("SELECT id FROM unidentified_messages"), 3);
}
