//! The thread beside the writer: keeps the log small without the writer waiting for the disk, and says when it is synced.

use crate::storage::sqlite::database::Database;
use crate::storage::sqlite::error::SqliteError;
use crate::storage::sqlite::fixtures::{Place, batch, rejected};
use crate::storage::{Attempt, Entry};
use std::fs;
use std::sync::mpsc::channel;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);
const MIB: u64 = 1 << 20;

/// Stores so many MiB, each in a transaction of its own; gives the greatest size that the log had meanwhile.
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
fn the_log_begins_anew_while_more_is_written() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    let greatest = store(&mut database, &place, 0, 150);
    assert!(greatest < 80 * MIB, "{greatest}");
    assert!(fs::metadata(&place.settings.path).unwrap().len() > 80 * MIB, "carried over");
    place.assert_counted();
}

#[test]
fn a_log_that_a_reader_held_on_to_begins_anew_when_it_lets_go() {
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
fn a_sync_that_is_not_waited_for_says_when_it_has_ended() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    assert!(database.sync_result().is_none(), "none was begun");
    let (ended, end) = channel();
    database.begin_sync(move || ended.send(()).unwrap()).unwrap();
    end.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(database.sync_result(), Some(Ok(()))));
    assert!(database.sync_result().is_none(), "said once");
}

#[test]
fn a_sync_is_not_believed_if_something_may_have_been_lost_before_it() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    let sync = |database: &mut Database, meanwhile: fn(&mut Database)| {
        let (ended, end) = channel();
        database.begin_sync(move || ended.send(()).unwrap()).unwrap();
        meanwhile(database);
        end.recv_timeout(PATIENCE).unwrap();
        database.sync_result().unwrap()
    };
    let doubt = |database: &mut Database| database.wal.note_io_failure();
    assert!(matches!(sync(&mut database, doubt), Err(SqliteError::InDoubt { .. })));
    assert!(sync(&mut database, |_| ()).is_ok(), "made good for by the next one");
    assert_eq!(fs::metadata(place.path("-wal")).unwrap().len(), 0, "all is in the database");
}

/// So much of the log is in the database.
fn frames_checkpointed(place: &Place) -> i64 {
    place.connect().query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get(2)).unwrap()
}

#[test]
fn a_checkpoint_that_was_asked_for_before_a_sync_failed_is_not_made() {
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
fn a_log_in_doubt_is_not_truncated_at_its_limit_or_after_a_full_disk() {
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
        // As long as another process has the database open, SQLite would pass over the frames that it has checkpointed.
        for _ in 0..2 {
            let result = database.apply(&[], &mut Attempt::default());
            let is_full = matches!(result, Err(SqliteError::NotSynced { .. }));
            assert_eq!(is_full, !disk_was_full, "{result:?}");
            assert!(bytes() >= before && frames_checkpointed(&place) > 0, "as it was");
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
fn a_log_in_doubt_is_left_as_it_is_at_the_end() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    store(&mut database, &place, 0, 1);
    database.wal.note_io_failure();
    drop(database);
    assert!(fs::metadata(place.path("-wal")).unwrap().len() > MIB);
    let mut database = place.open();
    database.sync().unwrap();
    drop(database);
    assert_eq!(fs::metadata(place.path("-wal")).unwrap().len(), 0, "checkpointed at the end, as ever");
}
