//! Calls that failed after some of their work had taken effect, and what the next call makes of that, whatever fails in between.

use crate::entity::{Event, Opportunity};
use crate::storage::sqlite::database::Database;
use crate::storage::sqlite::error::SqliteError;
use crate::storage::sqlite::fixtures::{Place, TOPIC, batch, counts, entry, jump, opportunity, rejected};
use crate::storage::{Attempt, OffsetCounts, PartitionBatch};

fn limit_pages(database: &Database, pages: i64) {
    let connection = database.connection.as_ref().expect("still the same connection");
    connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).unwrap();
}

#[test]
fn what_took_effect_in_part_is_not_forgotten_over_a_log_that_is_full() {
    let ids: Vec<String> = (0..32).map(|number| format!("opp_{number:02}")).collect();
    let large = "x".repeat(1 << 20);
    let batches = || -> [PartitionBatch<'_>; 1] {
        let event = |(number, id): (i64, &'_ String)| {
            let (name, account_id) = match number {
                3 => ("fraud", None),
                20 => ("fine", Some(large.as_str().into())),
                _ => ("fine", None),
            };
            let id: &'static str = id.clone().leak();
            (number, Opportunity { name: name.into(), account_id, ..opportunity(id) })
        };
        let entries = (0..).zip(&ids).map(event).map(|(offset, event)| entry(offset, Ok(Event::Opportunity(event))));
        [batch(0, 0, 32, entries.collect())]
    };
    let mut place = Place::new();
    place.settings.wal_bytes_max = 1;
    let mut database = place.open_at_0(1);
    place.execute(
        "CREATE TRIGGER no_fraud AFTER INSERT ON opportunities WHEN new.name = 'fraud'
         BEGIN SELECT RAISE(ROLLBACK, 'we do not want these'); END",
    );
    limit_pages(&database, place.number("PRAGMA page_count") + 50);
    let mut attempt = Attempt::default();
    let error = database.apply(&batches(), &mut attempt).expect_err("full");
    assert!(error.kind().is_retriable(), "{error:?}");
    assert_eq!(database.position(TOPIC, 0).unwrap().unwrap().next_offset, 16, "the first half");

    let reader = place.connect();
    reader.execute_batch("BEGIN; SELECT count(*) FROM opportunities").unwrap();
    for _ in 0..2 {
        let error = database.apply(&batches(), &mut attempt).expect_err("the log is full");
        assert!(matches!(error, SqliteError::WalFull { .. }), "{error:?}");
    }
    reader.execute_batch("COMMIT").unwrap();
    limit_pages(&database, 1_000_000);
    let all = counts(31, 0, 1, 0);
    assert_eq!(database.apply(&batches(), &mut attempt).unwrap(), all);
    place.assert_counted();
    let error = database.apply(&batches(), &mut Attempt::default()).expect_err("all is done");
    assert!(matches!(error, SqliteError::PositionConflict { .. }), "{error:?}");
}

/// What makes the next commit fail that changes a position, once all has been written.
const FAILS_AT_COMMIT: &str = "
    CREATE TABLE nobody (topic PRIMARY KEY);
    CREATE TABLE mourners (topic REFERENCES nobody DEFERRABLE INITIALLY DEFERRED);
    CREATE TRIGGER fails AFTER UPDATE ON consumer_offsets BEGIN INSERT INTO mourners VALUES (new.topic); END";

#[test]
fn a_batch_that_covers_no_offset_does_not_stand_for_the_others() {
    let place = Place::new();
    let mut database = place.open_at_0(2);
    place.execute(FAILS_AT_COMMIT);
    let batches = || [batch(0, 0, 1, vec![rejected(0)]), batch(1, 0, 0, vec![])];
    let mut attempt = Attempt::default();
    database.apply(&batches(), &mut attempt).expect_err("refused");
    place.execute("DROP TRIGGER fails");
    assert_eq!(database.apply(&batches(), &mut attempt).unwrap(), counts(0, 0, 1, 0), "once");
}

#[test]
fn jump_to_where_the_position_is_that_was_not_made_is_made_by_the_next_call() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    database.apply(&[batch(0, 0, 1, vec![rejected(0)])], &mut Attempt::default()).unwrap();
    place.execute(FAILS_AT_COMMIT);
    let moves = [jump(0, Some(1), 1)];
    let mut attempt = Attempt::default();
    database.store_jumps(&moves, &mut attempt).expect_err("refused");
    place.execute("DROP TRIGGER fails");
    database.store_jumps(&moves, &mut attempt).unwrap();
    let stored = database.position(TOPIC, 0).unwrap().unwrap();
    assert_eq!((stored.first_offset, stored.counters), (1, OffsetCounts::default()), "a new reading");
    assert_eq!(place.number("SELECT count(*) FROM position_changes"), 2);
}

#[test]
fn a_commit_that_was_made_is_counted_over_every_failure_that_follows() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    place.execute(FAILS_AT_COMMIT);
    let batches = || [batch(0, 0, 1, vec![rejected(0)])];
    let mut attempt = Attempt::default();
    database.apply(&batches(), &mut attempt).expect_err("refused");
    // And yet it was made, of which the next calls learn only when they can read.
    place.execute("DROP TRIGGER fails; UPDATE consumer_offsets SET next_offset = 1, high_offset = 1, unidentified = 1");
    database.discard_connection();
    let aside = place.path(".aside");
    std::fs::rename(&place.settings.path, &aside).unwrap();
    for _ in 0..2 {
        database.apply(&batches(), &mut attempt).expect_err("no database");
    }
    std::fs::rename(&aside, &place.settings.path).unwrap();
    assert_eq!(database.apply(&batches(), &mut attempt).unwrap(), counts(0, 0, 1, 0));
}
