//! Transactions and page cache grow by what transactions write to the WAL.

use std::borrow::Cow;

use crate::entity::{Event, Opportunity};
use crate::storage::sqlite::database::Database;
use crate::storage::sqlite::fixtures::{Place, batch, entry, opportunity};
use crate::storage::{Attempt, Writer};

/// Enough for a transaction that is not small.
const RECORDS: i64 = 2_500;

/// Stores new events in one transaction, whose names have so many bytes; gives the growth after it, and the page cache in KiB.
fn store(database: &mut Database, from: i64, name_bytes: usize) -> (u32, i64) {
    let next = from + RECORDS;
    let name = "n".repeat(name_bytes);
    let entries = (from..next).map(|offset| {
        let event_id = Cow::Owned(format!("opp_{offset:08}"));
        let event = Opportunity { event_id, name: Cow::Borrowed(name.as_str()), ..opportunity("") };
        entry(offset, Ok(Event::Opportunity(event)))
    });
    let batches = [batch(0, from, next, entries.collect())];
    database.apply(&batches, &mut Attempt::default()).unwrap();
    // The next call counts what this transaction has written.
    database.bound_wal().unwrap();
    let connection = database.connection.as_ref().unwrap();
    let cache: i64 = connection.query_row("PRAGMA cache_size", [], |row| row.get(0)).unwrap();
    (database.growth(), -cache)
}

#[test]
fn transactions_that_write_many_pages_make_both_grow_and_others_make_them_shrink() {
    let mut place = Place::new();
    place.settings.cache_bytes_max = 24 << 20;
    let mut database = place.open_at_0(1);
    let mut offsets = (0..).step_by(usize::try_from(RECORDS).unwrap());
    let mut store = |name_bytes| store(&mut database, offsets.next().unwrap(), name_bytes);
    assert_eq!(store(10), (1, 8 << 10));
    assert_eq!([store(2_000), store(2_000), store(2_000)], [(2, 16 << 10), (4, 24 << 10), (8, 24 << 10)]);
    assert_eq!([store(10), store(10), store(10)], [(4, 24 << 10), (2, 16 << 10), (1, 8 << 10)]);
    // A new connection has the cache of the present growth.
    store(2_000);
    let before = store(2_000);
    assert_eq!(before, (4, 24 << 10));
    database.discard_connection();
    let (connection, _) = database.connect().unwrap();
    let cache: i64 = connection.query_row("PRAGMA cache_size", [], |row| row.get(0)).unwrap();
    assert_eq!(-cache, 24 << 10);
}
