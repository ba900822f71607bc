//! The checkpoint thread keeps the WAL small without blocking the writer.

use crate::storage::sqlite::database::Database;
use crate::storage::sqlite::error::SqliteError;
use crate::storage::sqlite::fixtures::{Place, batch, rejected};
use crate::storage::{Attempt, Entry};
use std::fs;
use std::sync::mpsc::channel;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(30);
const MIB: u64 = 1 << 20;

/// Stores this many MiB, each in its own transaction; gives the greatest size of the WAL.
fn store(database: &mut Database, place: &Place, from: i64, mebibytes: i64) -> u64 {
    let large = vec![b'x'; 1 << 20];
    let mut greatest = 0;
    for offset in from..from + mebibytes {
        let entry = Entry { value: Some(&large), ..rejected(offset) };
        database.apply(&[batch(0, offset, offset + 1, vec![entry])], &mut Attempt::default()).unwrap();
        greatest = greatest.max(fs::metadata(place.path("-wal")).unwrap().len());
    }
    greatest
}

#[test]
fn the_wal_is_restarted_while_more_is_written() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    let greatest = store(&mut database, &place, 0, 150);
    assert!(greatest < 80 * MIB, "{greatest}");
    assert!(fs::metadata(&place.settings.path).unwrap().len() > 80 * MIB, "checkpointed");
    place.assert_counted();
}

#[test]
fn a_wal_that_a_reader_has_kept_is_restarted_after_the_reader_has_ended() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    let reader = place.connect();
    reader.execute_batch("BEGIN; SELECT count(*) FROM opportunities").unwrap();
    assert!(store(&mut database, &place, 0, 100) > 100 * MIB);
    reader.execute_batch("COMMIT").unwrap();
    store(&mut database, &place, 100, 20);
    let length = fs::metadata(place.path("-wal")).unwrap().len();
    assert!(length < 80 * MIB, "{length}");
}

#[test]
fn a_sync_is_not_trusted_if_an_earlier_one_may_have_failed() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    let sync = |database: &mut Database, meanwhile: fn(&mut Database)| {
        let (ended, end) = channel();
        database.begin_sync(move || ended.send(()).unwrap()).unwrap();
        meanwhile(database);
        end.recv_timeout(DEADLINE).unwrap();
        database.sync_result().unwrap()
    };
    let fail = |database: &mut Database| database.wal.note_io_failure();
    assert!(matches!(sync(&mut database, fail), Err(SqliteError::SyncUntrusted { .. })));
    assert!(sync(&mut database, |_| ()).is_ok(), "the next one recovers");
    assert_eq!(fs::metadata(place.path("-wal")).unwrap().len(), 0, "everything is in the database");
}

/// How many frames of the WAL are in the database.
fn frames_checkpointed(place: &Place) -> i64 {
    place.connect().query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get(2)).unwrap()
}

#[test]
fn a_checkpoint_that_was_requested_before_a_sync_failed_does_nothing() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    database.sync().unwrap();
    database.wal.note_io_failure();
    let checkpoint = |database: &mut Database| database.wal.checkpointer().unwrap().checkpoint().unwrap();
    checkpoint(&mut database);
    assert_eq!(frames_checkpointed(&place), 0);
    database.sync().unwrap();
    store(&mut database, &place, 0, 1);
    checkpoint(&mut database);
    assert!(frames_checkpointed(&place) > 0);
}

#[test]
fn an_untrusted_wal_is_not_truncated_at_its_limit_or_after_a_full_disk() {
    for (wal_bytes_max, disk_was_full) in [(1, false), (1 << 30, true)] {
        let mut place = Place::new();
        place.settings.wal_bytes_max = wal_bytes_max;
        let mut database = place.open_at_0(1);
        let other = place.connect();
        other.execute_batch("SELECT * FROM opportunities; PRAGMA wal_checkpoint(PASSIVE)").unwrap();
        assert!(frames_checkpointed(&place) > 0);
        let bytes = || fs::metadata(place.path("-wal")).unwrap().len();
        let before = bytes();
        database.wal.note_io_failure();
        if disk_was_full {
            database.wal.note_disk_full();
        }
        // As long as another process has the database open, SQLite would skip the frames that it has checkpointed.
        for _ in 0..2 {
            let result = database.apply(&[], &mut Attempt::default());
            let is_full = matches!(result, Err(SqliteError::NotSynced { .. }));
            assert_eq!(is_full, !disk_was_full, "{result:?}");
            assert!(bytes() >= before && frames_checkpointed(&place) > 0, "unchanged");
            assert!(matches!(database.sync(), Err(SqliteError::NotSynced { .. })));
        }
        drop(other);
        database.apply(&[], &mut Attempt::default()).unwrap();
        database.sync().unwrap();
        store(&mut database, &place, 0, 2);
        assert!(database.wal.is_trusted());
    }
}

#[test]
fn an_untrusted_wal_is_not_checkpointed_at_the_end() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    store(&mut database, &place, 0, 1);
    database.wal.note_io_failure();
    drop(database);
    assert!(fs::metadata(place.path("-wal")).unwrap().len() > MIB);
    let mut database = place.open();
    database.sync().unwrap();
    drop(database);
    assert_eq!(fs::metadata(place.path("-wal")).unwrap().len(), 0, "checkpointed at the end");
}
