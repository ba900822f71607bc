//! Files of the database that were removed or replaced while it was open.

use super::records::{counts_of_two, next_offset, two};
use crate::storage::Attempt;
use crate::storage::sqlite::error::SqliteError;
use crate::storage::sqlite::file_change::{DatabaseFile, FileChange};
use crate::storage::sqlite::fixtures::Place;
use std::fs;

/// Opens a database, stores rows that are only in the `-wal` file, changes files, and gives the change that the next sync finds. Every call
/// after that fails.
fn changed(change: impl Fn(&Place)) -> (Place, FileChange) {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    database.apply(&[two(0)], &mut Attempt::default()).unwrap();
    database.sync().unwrap();
    change(&place);
    let error = database.sync().expect_err("a file has changed");
    assert!(!error.kind().is_retriable(), "{error:?}");
    let SqliteError::FileChanged(change) = error else { panic!("{error:?}") };
    for error in [
        database.sync().expect_err("refused"),
        database.apply(&[two(2)], &mut Attempt::default()).expect_err("refused"),
    ] {
        assert!(matches!(&error, SqliteError::FileChanged(again) if *again == change), "{error:?}");
    }
    assert!(database.begin_sync(|| {}).is_err());
    drop(database);
    (place, change)
}

#[test]
fn removed_and_replaced_files_are_noticed_with_the_next_sync() {
    let remove = |place: &Place, suffixes: &[&str]| {
        for suffix in suffixes {
            fs::remove_file(place.path(suffix)).unwrap();
        }
    };
    let (_, change) = changed(|place| remove(place, &["", "-wal", "-shm"]));
    assert_eq!((change.file, change.replaced), (DatabaseFile::Database, false));

    let (place, change) = changed(|place| remove(place, &["-wal"]));
    assert_eq!((change.file, change.replaced), (DatabaseFile::Wal, false));
    assert_eq!(next_offset(&mut place.open()), 2, "the content of the WAL was checkpointed");

    let (place, change) = changed(|place| {
        fs::write(place.path(".x"), "").unwrap();
        fs::rename(place.path(".x"), place.path("-wal")).unwrap();
    });
    assert_eq!((change.file, change.replaced), (DatabaseFile::Wal, true));
    place.assert_counted();

    let (place, change) = changed(|place| remove(place, &["-shm"]));
    assert_eq!((change.file, change.replaced), (DatabaseFile::Shm, false));
    assert_eq!(next_offset(&mut place.open()), 2);
}

#[test]
fn the_wal_of_a_replaced_database_is_not_applied_to_the_other_one() {
    let other = Place::new();
    other.open_at_0(2);
    let bytes = fs::read(&other.settings.path).unwrap();
    let (place, change) = changed(|place| {
        fs::write(place.path(".b"), &bytes).unwrap();
        fs::rename(&place.settings.path, place.path(".a")).unwrap();
        fs::rename(place.path(".b"), &place.settings.path).unwrap();
    });
    assert_eq!((change.file, change.replaced), (DatabaseFile::Database, true));
    assert_eq!(fs::metadata(place.path("-wal")).unwrap().len(), 0);
    assert_eq!(place.number("SELECT count(*) FROM consumer_offsets WHERE next_offset = 0"), 2);
    let old = rusqlite::Connection::open(place.path(".a")).unwrap();
    let stored: i64 = old.query_row("SELECT next_offset FROM consumer_offsets", [], |row| row.get(0)).unwrap();
    assert_eq!(stored, 2, "the moved database has the content of the WAL");
}

#[test]
fn a_wal_that_a_reader_keeps_is_renamed() {
    let other = Place::new();
    other.open_at_0(2);
    let bytes = fs::read(&other.settings.path).unwrap();
    let place = Place::new();
    let mut database = place.open_at_0(1);
    let reader = place.connect();
    reader.execute_batch("BEGIN; SELECT count(*) FROM opportunities").unwrap();
    database.apply(&[two(0)], &mut Attempt::default()).unwrap();
    fs::write(place.path(".b"), &bytes).unwrap();
    fs::rename(place.path(".b"), &place.settings.path).unwrap();
    database.sync().expect_err("replaced");
    assert!(!place.path("-wal").exists() && place.path("-wal.orphaned").exists());
    drop((database, reader));
    assert_eq!(place.number("SELECT count(*) FROM consumer_offsets WHERE next_offset = 0"), 2);
}

#[test]
fn the_wal_is_not_renamed_if_only_a_link_has_changed() {
    let mut place = Place::new();
    let target = place.settings.path.clone();
    place.settings.path = place.path(".link");
    std::os::unix::fs::symlink(&target, &place.settings.path).unwrap();
    let mut database = place.open_at_0(1);
    let reader = place.connect();
    reader.execute_batch("BEGIN; SELECT count(*) FROM opportunities").unwrap();
    database.apply(&[two(0)], &mut Attempt::default()).unwrap();
    fs::remove_file(&place.settings.path).unwrap();
    database.sync().expect_err("the link is gone");
    place.settings.path = target;
    assert!(fs::metadata(place.path("-wal")).unwrap().len() > 0 && !place.path("-wal.orphaned").exists());
    drop((database, reader));
    assert_eq!(next_offset(&mut place.open()), 2);
}

#[test]
fn a_moved_directory_and_a_changed_link_are_noticed() {
    let noticed = |change: &dyn Fn(&Place)| {
        let mut place = Place::new();
        fs::create_dir(place.path(".d")).unwrap();
        std::os::unix::fs::symlink(place.path(".d"), place.path(".l")).unwrap();
        place.settings.path = place.path(".l").join("events.db");
        let mut database = place.open_at_0(1);
        database.sync().unwrap();
        change(&place);
        database.apply(&[two(0)], &mut Attempt::default()).unwrap();
        match database.sync() {
            Err(SqliteError::FileChanged(change)) => (change.file, change.replaced),
            other => panic!("{other:?}"),
        }
    };
    let directory = |place: &Place| place.directory.path().join("events.db.d");
    let moved = |place: &Place| fs::rename(directory(place), directory(place).with_extension("e")).unwrap();
    assert_eq!(noticed(&moved), (DatabaseFile::Database, false));
    let retargeted = |place: &Place| {
        let link = place.directory.path().join("events.db.l");
        fs::remove_file(&link).unwrap();
        fs::create_dir(directory(place).with_extension("e")).unwrap();
        fs::write(directory(place).with_extension("e").join("events.db"), "").unwrap();
        std::os::unix::fs::symlink(directory(place).with_extension("e"), link).unwrap();
    };
    assert_eq!(noticed(&retargeted), (DatabaseFile::Database, true));
}

#[test]
fn changes_by_sqlite_are_not_reported() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    database.apply(&[two(0)], &mut Attempt::default()).unwrap();
    place.execute("PRAGMA wal_checkpoint(TRUNCATE); VACUUM");
    database.sync().unwrap();
    // While this process has no connection, another process may recreate both files.
    database.discard_connection();
    place.execute("PRAGMA journal_mode = DELETE; PRAGMA journal_mode = WAL");
    assert_eq!(database.apply(&[two(2)], &mut Attempt::default()).unwrap(), counts_of_two());
    database.sync().unwrap();
    place.execute("CREATE TEMP TABLE x (a)");
    database.sync().unwrap();
}
