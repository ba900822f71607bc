//! The thread beside the writer: keeps the log small without the writer waiting for the disk, and says when it is synced.

use std::fs;
use std::sync::mpsc::channel;
use std::time::Duration;

use crate::database::fixtures::{Place, batch, rejected};
use crate::database::{Database, DatabaseError};
use crate::repository::Entry;

const PATIENCE: Duration = Duration::from_secs(30);
const MIB: u64 = 1 << 20;

/// Stores so many MiB, each in a transaction of its own; gives the greatest size that the log had meanwhile.
fn store(database: &mut Database, place: &Place, from: i64, mebibytes: i64) -> u64 {
    let large = vec![b'x'; 1 << 20];
    let mut greatest = 0;
    for offset in from..from + mebibytes {
        let entry = Entry { value: Some(&large), ..rejected(offset) };
        database.apply(&[batch(0, offset, offset + 1, vec![entry])]).unwrap();
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
    assert!(database.sync_ended().is_none(), "none was begun");
    let (ended, end) = channel();
    database.begin_sync(move || ended.send(()).unwrap()).unwrap();
    end.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(database.sync_ended(), Some(Ok(()))));
    assert!(database.sync_ended().is_none(), "said once");
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
        database.sync_ended().unwrap()
    };
    let doubt = |database: &mut Database| database.wal.doubt();
    assert!(matches!(sync(&mut database, doubt), Err(DatabaseError::InDoubt { .. })));
    assert!(sync(&mut database, |_| ()).is_ok(), "made good for by the next one");
    assert_eq!(fs::metadata(place.path("-wal")).unwrap().len(), 0, "all is in the database");
}
