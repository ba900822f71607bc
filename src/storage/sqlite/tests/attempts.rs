//! Writes that failed and are repeated with their attempt.

use std::fs;

use crate::entity::{Event, Opportunity};

use super::records::{counts_of_two, next_offset, two};
use crate::storage::attempt::UncertainCommit;
use crate::storage::sqlite::database::Database;
use crate::storage::sqlite::error::SqliteError;
use crate::storage::sqlite::fixtures::{Place, TOPIC, batch, counts, entry, jump, opportunity, rejected};
use crate::storage::{Attempt, OffsetCounts, Outcome, PartitionBatch, PartitionCounts};

#[test]
fn a_commit_that_failed_and_took_effect_is_not_repeated() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    assert_eq!(database.apply(&[two(0)], &mut Attempt::default()).unwrap(), counts_of_two());
    // As after an I/O error after the last write of a commit.
    let mut attempt = uncertain(2);
    database.connection = None;
    assert_eq!(database.apply(&[two(0)], &mut attempt).unwrap(), counts_of_two());
    assert_eq!(next_offset(&mut database), 2);
    let error = database.apply(&[two(0)], &mut Attempt::default()).expect_err("no longer uncertain");
    assert!(matches!(error, SqliteError::PositionConflict { .. }), "{error:?}");

    assert_eq!(
        database.apply(&[two(2)], &mut uncertain(4)).unwrap().get(Outcome::Unidentified),
        1,
        "it did not take effect"
    );
    assert_eq!(next_offset(&mut database), 4);
    place.assert_counted();
}

/// A COMMIT failed that would have advanced the position to there.
fn uncertain(next_offset: i64) -> Attempt {
    let mut counts = PartitionCounts::default();
    counts.add(TOPIC, 0, counts_of_two());
    let uncertain = UncertainCommit { counts, topic: TOPIC.to_owned(), partition: 0, next_offset, reading: None };
    Attempt { done: PartitionCounts::default(), uncertain: Some(uncertain) }
}

/// Makes every COMMIT fail that changes a position, after everything was written.
const FAILS_AT_COMMIT: &str = "
    CREATE TABLE parents (topic PRIMARY KEY);
    CREATE TABLE children (topic REFERENCES parents DEFERRABLE INITIALLY DEFERRED);
    CREATE TRIGGER fails AFTER UPDATE ON consumer_offsets BEGIN INSERT INTO children VALUES (new.topic); END";

#[test]
fn the_stored_position_settles_a_failed_commit() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    place.execute(FAILS_AT_COMMIT);
    let one = || [batch(0, 0, 1, vec![rejected(0)])];
    let is_a_commit = |error: &SqliteError| matches!(error, SqliteError::Sqlite { action: "commit", .. });
    let mut attempt = Attempt::default();
    assert!(is_a_commit(&database.apply(&one(), &mut attempt).expect_err("refused")));
    // It took effect.
    place.execute("DROP TRIGGER fails; UPDATE consumer_offsets SET next_offset = 1, high_offset = 1, unidentified = 1");
    assert_eq!(database.apply(&one(), &mut attempt).unwrap(), counts(0, 0, 1, 0));
    assert_eq!(next_offset(&mut database), 1);
}

#[test]
fn the_stored_reading_settles_a_failed_commit_of_a_jump() {
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
        // A jump that failed before its COMMIT did not take effect, wherever the position is.
        let mut attempt = Attempt::default();
        for _ in 0..2 {
            let error = database.store_jumps(&[jump(0, Some(3), 5)], &mut attempt).expect_err("from somewhere else");
            assert!(matches!(error, SqliteError::PositionConflict { .. }), "{error:?}");
        }
    }
}

#[test]
fn an_uncertain_jump_is_settled_after_another_failure() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    let mut attempt = uncertain_jump();
    database.discard_connection();
    fs::rename(&place.settings.path, place.path("-aside")).unwrap();
    database.store_jumps(&[jump(0, None, 0)], &mut attempt).expect_err("no database");
    fs::rename(place.path("-aside"), &place.settings.path).unwrap();
    database.store_jumps(&[jump(0, None, 0)], &mut attempt).unwrap();
}

/// The COMMIT of the first jump of `open_at_0` failed.
fn uncertain_jump() -> Attempt {
    let counts = PartitionCounts::default();
    let uncertain = UncertainCommit { counts, topic: TOPIC.to_owned(), partition: 0, next_offset: 0, reading: Some(1) };
    Attempt { done: PartitionCounts::default(), uncertain: Some(uncertain) }
}

fn limit_pages(database: &Database, pages: i64) {
    let connection = database.connection.as_ref().expect("still the same connection");
    connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).unwrap();
}

#[test]
fn what_was_committed_is_not_repeated_after_a_full_wal() {
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
        let error = database.apply(&batches(), &mut attempt).expect_err("the WAL is full");
        assert!(matches!(error, SqliteError::WalFull { .. }), "{error:?}");
    }
    reader.execute_batch("COMMIT").unwrap();
    limit_pages(&database, 1_000_000);
    let all = counts(31, 0, 1, 0);
    assert_eq!(database.apply(&batches(), &mut attempt).unwrap(), all);
    place.assert_counted();
    let error = database.apply(&batches(), &mut Attempt::default()).expect_err("everything is stored");
    assert!(matches!(error, SqliteError::PositionConflict { .. }), "{error:?}");
}

#[test]
fn a_batch_without_offsets_does_not_settle_a_failed_commit() {
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
fn a_jump_to_the_stored_position_is_repeated_if_it_did_not_take_effect() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    database.apply(&[batch(0, 0, 1, vec![rejected(0)])], &mut Attempt::default()).unwrap();
    place.execute(FAILS_AT_COMMIT);
    let jumps = [jump(0, Some(1), 1)];
    let mut attempt = Attempt::default();
    database.store_jumps(&jumps, &mut attempt).expect_err("refused");
    place.execute("DROP TRIGGER fails");
    database.store_jumps(&jumps, &mut attempt).unwrap();
    let stored = database.position(TOPIC, 0).unwrap().unwrap();
    assert_eq!((stored.first_offset, stored.counters), (1, OffsetCounts::default()), "a new reading");
    assert_eq!(place.number("SELECT count(*) FROM position_changes"), 2);
}

#[test]
fn a_commit_that_took_effect_is_counted_after_further_failures() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    place.execute(FAILS_AT_COMMIT);
    let batches = || [batch(0, 0, 1, vec![rejected(0)])];
    let mut attempt = Attempt::default();
    database.apply(&batches(), &mut attempt).expect_err("refused");
    // It took effect, which the next calls find out when they can read.
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
