//! Which files are opened, created, refused.

use std::fs;

use rusqlite::Connection;

use crate::runtime::permissions::FileMode;
use crate::storage::Attempt;
use crate::storage::sqlite::database::Database;
use crate::storage::sqlite::error::SqliteError;
use crate::storage::sqlite::fixtures::{GROUP, Place, batch, rejected};
use crate::storage::sqlite::inspector::DatabaseReader;
use crate::storage::sqlite::lock::DatabaseLock;
use crate::storage::sqlite::schema::SCHEMA_VERSION;
use crate::storage::sqlite::wal_file;

#[test]
fn a_new_database_is_created_with_its_directory() {
    let mut place = Place::new();
    place.settings.path = place.directory.path().join("deep/er/events.db");
    let id = place.open().id().to_owned();
    assert_eq!(id.len(), 32);
    assert_eq!(place.number("PRAGMA user_version"), SCHEMA_VERSION);
    assert_eq!(place.number("PRAGMA application_id"), 0x454e_434e);
    assert_eq!(place.open().id(), id, "the same when opened again");
    assert_ne!(Place::new().open().id(), id, "another in another file");
}

#[test]
fn the_tables_are_those_of_the_contract() {
    let place = Place::new();
    drop(place.open());
    let columns = |table: &str| {
        let names = place.query(&format!("SELECT name FROM pragma_table_info('{table}')"));
        names.into_iter().flatten().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(" ").replace("Text(\"", "")
    };
    let check = |table: &str, expected: &str| assert_eq!(columns(table).replace("\")", ""), expected, "{table}");
    check(
        "opportunities",
        "event_id name stage amount probability expected_close_date account_id owner_id meta_data last_modified extra \
         kafka_topic kafka_partition kafka_offset kafka_timestamp created_at updated_at amount_text last_modified_sent",
    );
    check(
        "projects",
        "event_id name status start_date end_date budget account_id owner_id meta_data last_modified extra \
         kafka_topic kafka_partition kafka_offset kafka_timestamp created_at updated_at budget_text last_modified_sent",
    );
    check(
        "unidentified_messages",
        "id kafka_topic topic_id kafka_partition kafka_offset kafka_timestamp reading key value headers reason error received_at \
         replayed_at",
    );
    check(
        "consumer_offsets",
        "group_id topic partition next_offset first_offset high_offset topic_id leader_epoch applied stale unidentified \
         absent updated_at reading pruned",
    );
    check("database_identity", "id");
    check("position_changes", "at group_id topic partition from_offset to_offset topic_id reason detail");
}

#[test]
fn an_empty_file_becomes_a_database() {
    let place = Place::new();
    fs::write(&place.settings.path, "").unwrap();
    drop(place.open());
    assert_eq!(place.number("PRAGMA user_version"), SCHEMA_VERSION);
}

#[test]
fn a_foreign_file_is_refused_and_not_changed() {
    let check = |make: &dyn Fn(&Place), expected: &str| {
        let place = Place::new();
        make(&place);
        let before = snapshot(&place);
        for error in [
            Database::open(&place.settings, GROUP).expect_err("refused for writing"),
            DatabaseReader::open(&place.settings.path).expect_err("refused for reading"),
        ] {
            assert!(matches!(&error, SqliteError::Foreign { found, .. } if *found == expected), "{error:?}");
            assert!(!error.kind().is_retriable());
        }
        assert_eq!(snapshot(&place), before);
    };
    check(&|place| fs::write(&place.settings.path, "name,stage\n").unwrap(), "not an SQLite database");
    check(&|place| fs::write(&place.settings.path, vec![7; 10_000]).unwrap(), "not an SQLite database");
    check(&|place| place.execute("CREATE TABLE theirs (a)"), "the database of another program");
    check(
        &|place| {
            // In WAL mode, and not checkpointed yet: refusing the file must not checkpoint it.
            let connection = place.connect();
            connection.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE theirs (a)").unwrap();
            connection.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
        },
        "the database of another program",
    );
}

#[test]
fn a_header_that_counts_more_pages_than_there_are_is_not_foreign() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    let copy = Place::new();
    let entries = (0..200).map(rejected).collect();
    database.apply(&[batch(0, 0, 200, entries)], &mut Attempt::default()).unwrap();
    // As after a crash of a checkpoint that has written the first page.
    let before = fs::read(&place.settings.path).unwrap();
    fs::copy(place.path("-wal"), copy.path("-wal")).unwrap();
    drop(database);
    let after = fs::read(&place.settings.path).unwrap();
    assert!(before.len() < after.len());
    fs::write(&copy.settings.path, [&after[..4096], &before[4096..]].concat()).unwrap();
    assert_eq!(
        DatabaseReader::open(&copy.settings.path).unwrap().summary(GROUP).unwrap().positions[0].next_offset,
        200
    );
    copy.open();
    copy.assert_counted();
}

#[test]
fn a_file_whose_creation_was_interrupted_is_created_again() {
    let place = Place::new();
    let connection = place.connect();
    connection.execute_batch("PRAGMA synchronous = OFF; BEGIN; CREATE TABLE theirs (a)").unwrap();
    connection.cache_flush().unwrap();
    // As the disk may have it, none of the pages written.
    let journal = fs::read(place.path("-journal")).unwrap();
    drop(connection);
    fs::write(&place.settings.path, vec![0; 8192]).unwrap();
    let error = Database::open(&place.settings, GROUP).expect_err("without a journal it may be anything");
    assert!(matches!(error, SqliteError::Foreign { .. }), "{error:?}");
    fs::write(place.path("-journal"), journal).unwrap();
    place.open();
    assert_eq!(place.number("PRAGMA user_version"), SCHEMA_VERSION);
}

/// Names and contents of all files in the place.
fn snapshot(place: &Place) -> Vec<(String, Vec<u8>)> {
    let files = fs::read_dir(place.directory.path()).unwrap().map(|file| file.unwrap().path());
    let mut all: Vec<_> = files.map(|path| (path.display().to_string(), fs::read(&path).unwrap())).collect();
    all.sort();
    all
}

#[test]
fn a_directory_is_refused() {
    let place = Place::new();
    fs::create_dir(&place.settings.path).unwrap();
    let error = Database::open(&place.settings, GROUP).expect_err("refused");
    assert!(matches!(error, SqliteError::Foreign { found: "not a regular file", .. }), "{error:?}");
}

#[test]
fn a_newer_database_is_refused() {
    let place = Place::new();
    drop(place.open());
    place.execute(&format!("PRAGMA user_version = {}", SCHEMA_VERSION + 1));
    for error in [
        Database::open(&place.settings, GROUP).expect_err("refused for writing"),
        DatabaseReader::open(&place.settings.path).expect_err("refused for reading"),
    ] {
        let newer = |found| found == SCHEMA_VERSION + 1;
        assert!(
            matches!(error, SqliteError::NewerSchema { found, supported: SCHEMA_VERSION, .. } if newer(found)),
            "{error:?}"
        );
        assert!(!error.kind().is_retriable());
    }
}

#[test]
fn a_reader_does_not_create_a_database() {
    let place = Place::new();
    let error = DatabaseReader::open(&place.settings.path).expect_err("nothing there");
    assert!(matches!(error, SqliteError::Missing { .. }), "{error:?}");
    assert!(!place.settings.path.exists());
}

#[test]
fn a_name_with_uri_characters_is_only_a_name() {
    let mut place = Place::new();
    place.settings.path = place.directory.path().join("50%25 of #1? really.db");
    let id = place.open().id().to_owned();
    assert_eq!(place.open().id(), id);
    let check =
        || assert_eq!(DatabaseReader::open(&place.settings.path).unwrap().summary(GROUP).unwrap().database_id, id);
    check();
    forbid_shm(&place);
    check();
}

#[test]
fn an_unreadable_wal_does_not_count_as_absent() {
    let mut place = Place::new();
    assert_eq!(wal_file::wal_bytes(&place.path("-wal")).unwrap(), 0, "absent");
    std::os::unix::fs::symlink("endless", place.directory.path().join("endless")).unwrap();
    place.settings.path = place.directory.path().join("endless");
    let error = wal_file::wal_bytes(&place.settings.path).expect_err("a link to itself");
    assert!(matches!(error, SqliteError::Io { action: "read the metadata of", .. }), "{error:?}");
    let error = Database::open(&place.settings, GROUP).expect_err("a link to itself");
    assert!(matches!(error, SqliteError::Io { action: "find", .. }), "{error:?}");
    let error = DatabaseReader::open(&place.directory.path().join("no/such.db")).expect_err("nothing there");
    assert!(matches!(error, SqliteError::Missing { .. }), "{error:?}");
}

#[test]
fn a_database_behind_a_link_has_its_files_next_to_the_target() {
    let mut place = Place::new();
    drop(place.open());
    let target = place.settings.path.clone();
    place.settings.path = place.directory.path().join("link.db");
    std::os::unix::fs::symlink(&target, &place.settings.path).unwrap();
    let _lock = DatabaseLock::acquire(&place.settings.path, FileMode::Owner).expect("free");
    assert!(matches!(DatabaseLock::acquire(&target, FileMode::Owner), Err(SqliteError::LockHeld { .. })));
    drop(place.open());
    assert!(place.path("-wal").symlink_metadata().is_err() && target.with_file_name("events.db-wal").exists());
}

#[test]
fn a_second_lock_is_refused() {
    let place = Place::new();
    let lock = DatabaseLock::acquire(&place.settings.path, FileMode::Owner).expect("free");
    let error = DatabaseLock::acquire(&place.settings.path, FileMode::Owner).expect_err("held");
    assert!(matches!(&error, SqliteError::LockHeld { path } if *path == place.path(".lock")), "{error:?}");
    assert!(!error.kind().is_retriable());
    drop(lock);
    DatabaseLock::acquire(&place.settings.path, FileMode::Owner).expect("free again");
}

#[test]
fn a_reader_sees_what_the_running_service_wrote() {
    let place = Place::new();
    let database = place.open_at_0(2);
    let mut reader = DatabaseReader::open(&place.settings.path).unwrap();
    let summary = reader.summary(GROUP).unwrap();
    assert_eq!(summary.database_id, database.id());
    assert_eq!(reader.id().unwrap(), database.id());
    assert_eq!(summary.positions.len(), 2);
    assert_eq!(summary.jumps.len(), 2);
}

#[test]
fn after_a_clean_stop_a_reader_needs_the_database_file_only() {
    let place = Place::new();
    drop(place.open_at_0(2));
    assert_eq!(fs::metadata(place.path("-wal")).unwrap().len(), 0, "a clean stop truncates the WAL");
    assert!(place.path("-shm").exists(), "kept for readers without permission to create it");
    forbid_shm(&place);
    let summary = DatabaseReader::open(&place.settings.path).unwrap().summary(GROUP).unwrap();
    assert_eq!(summary.positions.len(), 2);
}

/// Prevents a `-shm` file, whatever user the test runs as: SQLite follows no link for it.
fn forbid_shm(place: &Place) {
    // There may be none.
    let _ = fs::remove_file(place.path("-shm"));
    std::os::unix::fs::symlink("nowhere", place.path("-shm")).unwrap();
}

#[test]
fn a_reader_does_not_ignore_the_content_of_the_wal() {
    let place = Place::new();
    let database = place.open_at_0(2);
    let copy = Place::new();
    fs::copy(&place.settings.path, &copy.settings.path).unwrap();
    fs::copy(place.path("-wal"), copy.path("-wal")).unwrap();
    drop(database);
    forbid_shm(&copy);
    let error = DatabaseReader::open(&copy.settings.path).expect_err("not readable");
    assert!(matches!(&error, SqliteError::WalNotReadable { path, .. } if *path == copy.path("-wal")), "{error:?}");
    fs::remove_file(copy.path("-shm")).unwrap();
    assert_eq!(DatabaseReader::open(&copy.settings.path).unwrap().summary(GROUP).unwrap().positions.len(), 2);
}

#[test]
fn the_connection_uses_wal_mode_and_no_temporary_files() {
    let place = Place::new();
    let mut database = place.open();
    let connection: &Connection = database.connection.as_mut().unwrap();
    let check = |pragma: &str, expected: &str| {
        let value: rusqlite::types::Value = connection.pragma_query_value(None, pragma, |row| row.get(0)).unwrap();
        assert_eq!(format!("{value:?}"), expected, "{pragma}");
    };
    check("journal_mode", "Text(\"wal\")");
    check("synchronous", "Integer(1)");
    check("temp_store", "Integer(2)");
    check("mmap_size", "Integer(0)");
    check("wal_autocheckpoint", "Integer(0)");
    check("journal_size_limit", "Integer(67108864)");
}
