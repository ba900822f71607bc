//! Failures of the environment, and what the next call does after them.

use std::fs;

use rusqlite::ErrorCode;

use super::records::{counts_of_two, next_offset, two, two_with};
use crate::storage::sqlite::database::Database;
use crate::storage::sqlite::error::SqliteError;
use crate::storage::sqlite::file_change::FileChange;
use crate::storage::sqlite::fixtures::{GROUP, Place, batch, rejected};
use crate::storage::{Attempt, Entry, Outcome};

fn code(error: &SqliteError) -> Option<ErrorCode> {
    match error {
        SqliteError::Sqlite { source, .. } => source.sqlite_error_code(),
        _ => None,
    }
}

#[test]
fn a_lock_of_another_process_is_transient() {
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
fn a_full_disk_is_transient() {
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
    assert_eq!(fs::metadata(place.path("-wal")).unwrap().len(), 0, "the WAL is truncated");
    limit(&mut database, 1_000_000);
    assert_eq!(database.apply(&[too_large()], &mut Attempt::default()).unwrap(), counts_of_two());
    place.assert_counted();
}

#[test]
fn an_unusable_connection_is_replaced() {
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
fn a_missing_file_is_transient() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    database.connection = None;
    let aside = place.path(".aside");
    fs::rename(&place.settings.path, &aside).unwrap();
    for _ in 0..2 {
        let error = database.apply(&[two(0)], &mut Attempt::default()).expect_err("no file");
        assert!(error.kind().is_retriable(), "{error:?}");
        assert!(!place.settings.path.exists(), "none is created");
    }
    fs::rename(&aside, &place.settings.path).unwrap();
    assert_eq!(database.apply(&[two(0)], &mut Attempt::default()).unwrap(), counts_of_two());
}

#[test]
fn another_file_at_the_path_is_refused() {
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
fn a_corrupt_database_is_fatal() {
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
fn a_long_running_reader_blocks_the_writer_at_the_limit_only() {
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
        "as long as the reader runs"
    );
    assert_eq!(next_offset(&mut database), from);

    reader.execute_batch("COMMIT").unwrap();
    assert_eq!(database.apply(&[two(from)], &mut Attempt::default()).unwrap().get(Outcome::Unidentified), 1);
    assert!(fs::metadata(place.path("-wal")).unwrap().len() < 300_000, "truncated");
    place.assert_counted();
}

#[test]
fn a_short_wal_is_not_checkpointed() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    let mut after = |from| {
        database.apply(&[two(from)], &mut Attempt::default()).unwrap();
        fs::metadata(place.path("-wal")).unwrap().len()
    };
    assert!(after(0) < after(2), "a checkpoint costs more than the write");
}

#[test]
fn a_sync_works_on_a_truncated_wal() {
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
fn a_missing_wal_does_not_count_as_synced() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    database.sync().unwrap();
    database.wal.close();
    // Closing the last connection checkpoints: everything is in the database.
    database.connection = None;
    fs::remove_file(place.path("-wal")).unwrap();
    let error = database.sync().expect_err("it may have held transactions");
    assert!(error.kind().is_retriable() && matches!(error, SqliteError::Io { action: "sync", .. }), "{error:?}");
    database.sync().unwrap();
    assert_eq!(database.apply(&[two(0)], &mut Attempt::default()).unwrap(), counts_of_two());
    database.sync().unwrap();
}

/// Until the whole WAL has been checkpointed, which a reader blocks.
fn assert_no_sync_is_trusted(place: &Place, database: &mut Database) {
    let reader = place.connect();
    reader.execute_batch("BEGIN; SELECT count(*) FROM opportunities").unwrap();
    let from = next_offset(database);
    database.apply(&[two(from)], &mut Attempt::default()).unwrap();
    for _ in 0..2 {
        let error = database.sync().expect_err("not checkpointed");
        assert!(error.kind().is_retriable() && matches!(error, SqliteError::NotSynced { .. }), "{error:?}");
    }
    reader.execute_batch("COMMIT").unwrap();
    database.sync().unwrap();
    assert_eq!(fs::metadata(place.path("-wal")).unwrap().len(), 0, "checkpointed");
    database.apply(&[two(from + 2)], &mut Attempt::default()).unwrap();
    database.sync().unwrap();
    assert!(fs::metadata(place.path("-wal")).unwrap().len() > 0, "now a sync is enough");
}

#[test]
fn a_sync_does_not_recover_from_a_failed_one() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    // A link to itself cannot be opened.
    fs::rename(place.path("-wal"), place.path("-aside")).unwrap();
    std::os::unix::fs::symlink(place.path("-wal"), place.path("-wal")).unwrap();
    let error = database.sync().expect_err("no file");
    assert!(error.kind().is_retriable() && matches!(error, SqliteError::Io { action: "sync", .. }), "{error:?}");
    fs::rename(place.path("-aside"), place.path("-wal")).unwrap();
    assert_no_sync_is_trusted(&place, &mut database);
}

#[test]
fn a_removed_wal_is_noticed_before_a_sync_succeeds() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    database.apply(&[two(0)], &mut Attempt::default()).unwrap();
    database.sync().unwrap();
    place.execute("PRAGMA wal_checkpoint(TRUNCATE)");
    database.apply(&[two(2)], &mut Attempt::default()).unwrap();
    // While it is open, the check of the files would notice that.
    database.discard_connection();
    fs::remove_file(place.path("-wal")).unwrap();
    let error = database.sync().expect_err("no WAL");
    assert!(error.kind().is_retriable() && matches!(error, SqliteError::Io { action: "sync", .. }), "{error:?}");
    for _ in 0..2 {
        let error = database.sync().expect_err("lost");
        assert!(!error.kind().is_retriable(), "{error:?}");
        let SqliteError::Lost { expected: 4, found: Some(2), .. } = error else { panic!("{error:?}") };
    }
    drop(database);
    // A new process starts from what is stored.
    let mut database = place.open();
    database.apply(&[two(2)], &mut Attempt::default()).unwrap();
    database.sync().unwrap();
    place.assert_counted();
}

#[test]
fn no_sync_is_trusted_after_an_io_error() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    let source = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_WRITE), None);
    let failed: Result<(), _> = Err(SqliteError::Sqlite { action: "write", source });
    database.note_failure(failed).expect_err("passed on");
    assert!(database.connection.is_none(), "discarded");
    assert_no_sync_is_trusted(&place, &mut database);
}

#[test]
fn discarding_a_connection_does_not_checkpoint() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    database.connection.as_ref().unwrap().pragma_update(None, "query_only", true).unwrap();
    database.apply(&[two(0)], &mut Attempt::default()).expect_err("read-only");
    assert!(database.connection.is_none(), "discarded");
    assert!(
        fs::metadata(place.path("-wal")).unwrap().len() > 0,
        "SQLite would not report whether the checkpoint failed"
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
