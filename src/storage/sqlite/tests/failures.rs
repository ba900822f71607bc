//! What the environment does to the database, and how it goes on afterwards.

use std::fs;

use rusqlite::ErrorCode;

use crate::entity::Event;
use crate::storage::attempt::UncertainCommit;
use crate::storage::sqlite::database::Database;
use crate::storage::sqlite::error::SqliteError;
use crate::storage::sqlite::file_change::{DatabaseFile, FileChange};
use crate::storage::sqlite::fixtures::{GROUP, Place, TOPIC, batch, counts, entry, jump, opportunity, rejected};
use crate::storage::{Attempt, Entry, OffsetCounts, Outcome, PartitionBatch};

/// Two records from the position on.
fn two(from: i64) -> PartitionBatch<'static> {
    two_with(from, rejected(from + 1))
}

fn two_with(from: i64, second: Entry<'_>) -> PartitionBatch<'_> {
    batch(0, from, from + 2, vec![entry(from, Ok(Event::Opportunity(opportunity("a")))), second])
}

fn counts_of_two() -> OffsetCounts {
    counts(1, 0, 1, 0)
}

fn next_offset(database: &mut Database) -> i64 {
    database.position(TOPIC, 0).unwrap().expect("a position").next_offset
}

fn code(error: &SqliteError) -> Option<ErrorCode> {
    match error {
        SqliteError::Sqlite { source, .. } => source.sqlite_error_code(),
        _ => None,
    }
}

#[test]
fn a_lock_of_somebody_else_is_waited_for() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    let other = place.connect();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    for _ in 0..2 {
        let error = database.apply(&[two(0)], &mut Attempt::default()).expect_err("locked");
        assert!(error.kind().is_retriable());
        assert_eq!(code(&error), Some(ErrorCode::DatabaseBusy));
        assert_eq!(next_offset(&mut database), 0);
    }
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(database.apply(&[two(0)], &mut Attempt::default()).unwrap(), counts_of_two());
    place.assert_counted();
}

#[test]
fn a_full_disk_is_waited_for() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    let limit = |database: &mut Database, pages: u32| {
        let connection = database.connection.as_ref().expect("still the same connection");
        connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).unwrap();
    };
    let large = vec![b'x'; 1 << 20];
    let too_large = || two_with(0, Entry { value: Some(&large), ..rejected(1) });
    limit(&mut database, 1);
    for _ in 0..2 {
        let error = database.apply(&[too_large()], &mut Attempt::default()).expect_err("full");
        assert!(error.kind().is_retriable());
        assert_eq!(code(&error), Some(ErrorCode::DiskFull));
        assert_eq!(next_offset(&mut database), 0);
        assert_eq!(place.number("SELECT count(*) FROM opportunities"), 0);
    }
    assert_eq!(fs::metadata(place.path("-wal")).unwrap().len(), 0, "what the log took is free");
    limit(&mut database, 1_000_000);
    assert_eq!(database.apply(&[too_large()], &mut Attempt::default()).unwrap(), counts_of_two());
    place.assert_counted();
}

#[test]
fn a_spoiled_connection_is_replaced() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    // As on a file system that went read-only.
    database.connection.as_ref().unwrap().pragma_update(None, "query_only", true).unwrap();
    let error = database.apply(&[two(0)], &mut Attempt::default()).expect_err("read-only");
    assert!(error.kind().is_retriable());
    assert_eq!(code(&error), Some(ErrorCode::ReadOnly));
    assert_eq!(database.apply(&[two(0)], &mut Attempt::default()).unwrap(), counts_of_two());
}

#[test]
fn a_file_that_is_away_for_a_while_is_waited_for() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    database.connection = None;
    let aside = place.path(".aside");
    fs::rename(&place.settings.path, &aside).unwrap();
    for _ in 0..2 {
        let error = database.apply(&[two(0)], &mut Attempt::default()).expect_err("away");
        assert!(error.kind().is_retriable(), "{error:?}");
        assert!(!place.settings.path.exists(), "none is made instead");
    }
    fs::rename(&aside, &place.settings.path).unwrap();
    assert_eq!(database.apply(&[two(0)], &mut Attempt::default()).unwrap(), counts_of_two());
}

#[test]
fn another_file_in_its_place_is_refused() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    let other = Place::new();
    drop(other.open_at_0(1));
    database.discard_connection();
    fs::rename(&other.settings.path, &place.settings.path).unwrap();
    let error = database.apply(&[two(0)], &mut Attempt::default()).expect_err("another database");
    assert!(!error.kind().is_retriable());
    assert!(matches!(&error, SqliteError::FileChanged(FileChange { replaced: true, .. })), "{error:?}");
    assert_eq!(place.number("SELECT count(*) FROM opportunities"), 0);
}

#[test]
fn a_commit_that_failed_and_yet_was_made_is_found_done() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    assert_eq!(database.apply(&[two(0)], &mut Attempt::default()).unwrap(), counts_of_two());
    // As after an I/O error after the last write of a commit.
    let mut attempt = uncertain(2);
    database.connection = None;
    assert_eq!(database.apply(&[two(0)], &mut attempt).unwrap(), counts_of_two());
    assert_eq!(next_offset(&mut database), 2);
    let error = database.apply(&[two(0)], &mut Attempt::default()).expect_err("no longer in doubt");
    assert!(matches!(error, SqliteError::PositionConflict { .. }), "{error:?}");

    assert_eq!(database.apply(&[two(2)], &mut uncertain(4)).unwrap().get(Outcome::Unidentified), 1, "was not made");
    assert_eq!(next_offset(&mut database), 4);
    place.assert_counted();
}

/// A commit failed that would have moved the position there.
fn uncertain(next_offset: i64) -> Attempt {
    let counts = counts_of_two();
    let uncertain = UncertainCommit { counts, topic: TOPIC.to_owned(), partition: 0, next_offset, reading: None };
    Attempt { done: OffsetCounts::default(), uncertain: Some(uncertain) }
}

/// What makes every commit fail that moves a position, once all has been written.
const FAILS_AT_COMMIT: &str = "
    CREATE TABLE nobody (topic PRIMARY KEY);
    CREATE TABLE mourners (topic REFERENCES nobody DEFERRABLE INITIALLY DEFERRED);
    CREATE TRIGGER fails AFTER UPDATE ON consumer_offsets BEGIN INSERT INTO mourners VALUES (new.topic); END";

#[test]
fn after_a_commit_that_failed_it_is_looked_whether_it_was_made() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    place.execute(FAILS_AT_COMMIT);
    let one = || [batch(0, 0, 1, vec![rejected(0)])];
    let is_a_commit = |error: &SqliteError| matches!(error, SqliteError::Sqlite { action: "commit", .. });
    let mut attempt = Attempt::default();
    assert!(is_a_commit(&database.apply(&one(), &mut attempt).expect_err("refused")));
    // And yet it was made.
    place.execute("DROP TRIGGER fails; UPDATE consumer_offsets SET next_offset = 1, high_offset = 1, unidentified = 1");
    assert_eq!(database.apply(&one(), &mut attempt).unwrap(), counts(0, 0, 1, 0));
    assert_eq!(next_offset(&mut database), 1);
}

#[test]
fn after_jump_that_failed_at_its_commit_it_is_looked_whether_it_was_made() {
    let made = "UPDATE consumer_offsets SET next_offset = 5, first_offset = 5, high_offset = 5, reading = 2";
    for afterwards in [made, ""] {
        let place = Place::new();
        let mut database = place.open_at_0(2);
        place.execute(FAILS_AT_COMMIT);
        let moves = [jump(0, Some(0), 5), jump(1, Some(0), 5)];
        let mut attempt = Attempt::default();
        database.store_jumps(&moves, &mut attempt).expect_err("refused");
        place.execute(&format!("DROP TRIGGER fails; {afterwards}"));
        database.store_jumps(&moves, &mut attempt).unwrap();
        assert!(database.positions().unwrap().iter().all(|stored| stored.next_offset == 5));
        // A move that never came to its commit was not made, wherever the position is.
        let mut attempt = Attempt::default();
        for _ in 0..2 {
            let error = database.store_jumps(&[jump(0, Some(3), 5)], &mut attempt).expect_err("from somewhere else");
            assert!(matches!(error, SqliteError::PositionConflict { .. }), "{error:?}");
        }
    }
}

#[test]
fn a_corrupt_database_is_for_a_person() {
    let place = Place::new();
    drop(place.open_at_0(1));
    let mut bytes = fs::read(&place.settings.path).unwrap();
    bytes[4096..].fill(0xff);
    fs::write(&place.settings.path, bytes).unwrap();
    let error = Database::open(&place.settings, GROUP).expect_err("corrupt");
    assert!(!error.kind().is_retriable());
    assert_eq!(code(&error), Some(ErrorCode::DatabaseCorrupt));
}

#[test]
fn a_reader_that_holds_on_stops_the_writer_at_the_limit_only() {
    let mut place = Place::new();
    place.settings.wal_bytes_max = 300_000;
    let mut database = place.open_at_0(1);
    let reader = place.connect();
    reader.execute_batch("BEGIN; SELECT count(*) FROM opportunities").unwrap();
    let mut from = 0;
    let error = loop {
        match database.apply(&[two(from)], &mut Attempt::default()) {
            Ok(_) => from += 2,
            Err(error) => break error,
        }
        assert!(from < 1000, "the limit is never reached");
    };
    assert!(error.kind().is_retriable());
    let SqliteError::WalFull { bytes, limit_bytes: 300_000 } = error else { panic!("{error:?}") };
    assert!((300_000..400_000).contains(&bytes), "{bytes}");
    assert!(
        matches!(database.apply(&[two(from)], &mut Attempt::default()), Err(SqliteError::WalFull { .. })),
        "as long as it holds on"
    );
    assert_eq!(next_offset(&mut database), from);

    reader.execute_batch("COMMIT").unwrap();
    assert_eq!(database.apply(&[two(from)], &mut Attempt::default()).unwrap().get(Outcome::Unidentified), 1);
    assert!(fs::metadata(place.path("-wal")).unwrap().len() < 300_000, "started anew");
    place.assert_counted();
}

#[test]
fn the_log_grows_while_nothing_speaks_against_it() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    let mut after = |from| {
        database.apply(&[two(from)], &mut Attempt::default()).unwrap();
        fs::metadata(place.path("-wal")).unwrap().len()
    };
    assert!(after(0) < after(2), "carrying it over costs more than to write it");
}

#[test]
fn syncing_takes_the_log_as_it_is() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    assert!(fs::metadata(place.path("-wal")).unwrap().len() > 0);
    database.sync().unwrap();
    place.execute("PRAGMA wal_checkpoint(TRUNCATE)");
    assert_eq!(fs::metadata(place.path("-wal")).unwrap().len(), 0);
    database.sync().unwrap();
    assert_eq!(database.apply(&[two(0)], &mut Attempt::default()).unwrap(), counts_of_two());
    database.sync().unwrap();
}

#[test]
fn a_log_that_is_missing_does_not_count_as_synced() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    database.sync().unwrap();
    database.wal.close();
    // The last connection of all is closed: everything is in the database.
    database.connection = None;
    fs::remove_file(place.path("-wal")).unwrap();
    let error = database.sync().expect_err("nobody knows what became of it");
    assert!(error.kind().is_retriable() && matches!(error, SqliteError::Io { action: "sync", .. }), "{error:?}");
    database.sync().unwrap();
    assert_eq!(database.apply(&[two(0)], &mut Attempt::default()).unwrap(), counts_of_two());
    database.sync().unwrap();
}

/// Until everything has been carried over into the database, which a reader prevents.
fn assert_no_sync_is_believed(place: &Place, database: &mut Database) {
    let reader = place.connect();
    reader.execute_batch("BEGIN; SELECT count(*) FROM opportunities").unwrap();
    let from = next_offset(database);
    database.apply(&[two(from)], &mut Attempt::default()).unwrap();
    for _ in 0..2 {
        let error = database.sync().expect_err("not carried over");
        assert!(error.kind().is_retriable() && matches!(error, SqliteError::NotSynced { .. }), "{error:?}");
    }
    reader.execute_batch("COMMIT").unwrap();
    database.sync().unwrap();
    assert_eq!(fs::metadata(place.path("-wal")).unwrap().len(), 0, "carried over");
    database.apply(&[two(from + 2)], &mut Attempt::default()).unwrap();
    database.sync().unwrap();
    assert!(fs::metadata(place.path("-wal")).unwrap().len() > 0, "now a sync is enough");
}

#[test]
fn a_sync_that_failed_is_not_made_good_by_the_next() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    // A link to itself cannot be opened.
    fs::rename(place.path("-wal"), place.path("-aside")).unwrap();
    std::os::unix::fs::symlink(place.path("-wal"), place.path("-wal")).unwrap();
    let error = database.sync().expect_err("no file");
    assert!(error.kind().is_retriable() && matches!(error, SqliteError::Io { action: "sync", .. }), "{error:?}");
    fs::rename(place.path("-aside"), place.path("-wal")).unwrap();
    assert_no_sync_is_believed(&place, &mut database);
}

#[test]
fn a_log_that_was_removed_with_what_it_held_is_noticed_before_a_sync_is_believed() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    database.apply(&[two(0)], &mut Attempt::default()).unwrap();
    database.sync().unwrap();
    place.execute("PRAGMA wal_checkpoint(TRUNCATE)");
    database.apply(&[two(2)], &mut Attempt::default()).unwrap();
    // While it is open, the file would be missed by its name.
    database.discard_connection();
    fs::remove_file(place.path("-wal")).unwrap();
    let error = database.sync().expect_err("no log");
    assert!(error.kind().is_retriable() && matches!(error, SqliteError::Io { action: "sync", .. }), "{error:?}");
    for _ in 0..2 {
        let error = database.sync().expect_err("lost");
        assert!(!error.kind().is_retriable(), "{error:?}");
        let SqliteError::Lost { expected: 4, found: Some(2), .. } = error else { panic!("{error:?}") };
    }
    drop(database);
    // What a new process finds is the truth.
    let mut database = place.open();
    database.apply(&[two(2)], &mut Attempt::default()).unwrap();
    database.sync().unwrap();
    place.assert_counted();
}

#[test]
fn jump_that_was_made_is_not_forgotten_over_another_failure() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    let mut attempt = uncertain_jump();
    database.discard_connection();
    fs::rename(&place.settings.path, place.path("-aside")).unwrap();
    database.store_jumps(&[jump(0, None, 0)], &mut attempt).expect_err("no database");
    fs::rename(place.path("-aside"), &place.settings.path).unwrap();
    database.store_jumps(&[jump(0, None, 0)], &mut attempt).unwrap();
}

/// The commit of the first jump of `open_at_0` failed.
fn uncertain_jump() -> Attempt {
    let counts = OffsetCounts::default();
    let uncertain = UncertainCommit { counts, topic: TOPIC.to_owned(), partition: 0, next_offset: 0, reading: Some(1) };
    Attempt { done: OffsetCounts::default(), uncertain: Some(uncertain) }
}

#[test]
fn no_sync_is_believed_after_an_io_error() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    let source = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_WRITE), None);
    let failed: Result<(), _> = Err(SqliteError::Sqlite { action: "write", source });
    database.note_failure(failed).expect_err("passed on");
    assert!(database.connection.is_none(), "given up");
    assert_no_sync_is_believed(&place, &mut database);
}

#[test]
fn a_connection_that_is_given_up_leaves_the_log_as_it_is() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    database.connection.as_ref().unwrap().pragma_update(None, "query_only", true).unwrap();
    database.apply(&[two(0)], &mut Attempt::default()).expect_err("read-only");
    assert!(database.connection.is_none(), "given up");
    assert!(
        fs::metadata(place.path("-wal")).unwrap().len() > 0,
        "nobody would tell whether carrying it over has failed"
    );
    database.sync().unwrap();
    assert_eq!(database.apply(&[two(0)], &mut Attempt::default()).unwrap(), counts_of_two());
}

#[test]
fn each_error_is_one_line_that_says_what_and_where() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    let check = |error: &SqliteError, expected: &str| assert_eq!(error.to_string(), expected);
    check(
        &database.apply(&[two(7)], &mut Attempt::default()).unwrap_err(),
        &format!(
            "the position of sales_events-0 was changed by another process: expected offset 7 of topic id '{id}', stored is \
             offset 0 of topic id '{id}'; find the process that writes to the database, then start again",
            id = crate::storage::sqlite::fixtures::TOPIC_ID
        ),
    );
    check(
        &database.apply(&[batch(0, 0, 1, vec![rejected(1)])], &mut Attempt::default()).unwrap_err(),
        "a batch of sales_events-0 with the offsets 0 to before 1 has a record at offset 1, which is out of order or out of range",
    );
    check(
        &SqliteError::WalFull { bytes: 2, limit_bytes: 1 },
        "the WAL has 2 bytes, its limit is 1: a long-running reader blocks checkpoints; end it",
    );
}

/// Opens a database and stores something that is only in the `-wal` file; changes its files; says what the next sync finds, and
/// that nothing is done after that.
fn changed(change: impl Fn(&Place)) -> (Place, FileChange) {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    database.apply(&[two(0)], &mut Attempt::default()).unwrap();
    database.sync().unwrap();
    change(&place);
    let error = database.sync().expect_err("a file has changed");
    assert!(!error.kind().is_retriable(), "{error:?}");
    let SqliteError::FileChanged(change) = error else { panic!("{error:?}") };
    for error in
        [database.sync().expect_err("lost"), database.apply(&[two(2)], &mut Attempt::default()).expect_err("lost")]
    {
        assert!(matches!(&error, SqliteError::FileChanged(again) if *again == change), "{error:?}");
    }
    assert!(database.begin_sync(|| {}).is_err());
    drop(database);
    (place, change)
}

#[test]
fn files_that_were_removed_or_replaced_are_noticed_with_the_next_sync() {
    let remove = |place: &Place, suffixes: &[&str]| {
        for suffix in suffixes {
            fs::remove_file(place.path(suffix)).unwrap();
        }
    };
    let (_, change) = changed(|place| remove(place, &["", "-wal", "-shm"]));
    assert_eq!((change.file, change.replaced), (DatabaseFile::Database, false));

    let (place, change) = changed(|place| remove(place, &["-wal"]));
    assert_eq!((change.file, change.replaced), (DatabaseFile::Wal, false));
    assert_eq!(next_offset(&mut place.open()), 2, "nothing is lost of what was in the log");

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
fn the_log_of_a_replaced_database_is_not_applied_to_the_other_one() {
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
    assert_eq!(stored, 2, "the one that was moved away has it all");
}

#[test]
fn a_log_that_a_reader_keeps_from_being_emptied_is_set_aside() {
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
fn the_log_stays_beside_a_database_that_only_a_link_no_longer_leads_to() {
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
fn a_directory_that_was_moved_and_a_link_that_leads_elsewhere_are_noticed() {
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
fn what_sqlite_does_with_its_files_is_no_change() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    database.apply(&[two(0)], &mut Attempt::default()).unwrap();
    place.execute("PRAGMA wal_checkpoint(TRUNCATE); VACUUM");
    database.sync().unwrap();
    // Without a connection of ours, another process may recreate both files.
    database.discard_connection();
    place.execute("PRAGMA journal_mode = DELETE; PRAGMA journal_mode = WAL");
    assert_eq!(database.apply(&[two(2)], &mut Attempt::default()).unwrap(), counts_of_two());
    database.sync().unwrap();
    place.execute("CREATE TEMP TABLE x (a)");
    database.sync().unwrap();
}
