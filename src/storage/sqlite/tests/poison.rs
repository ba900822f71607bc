//! A record that SQLite refuses, in whatever way, is kept alone, and the rest of the batch goes in.

use rusqlite::types::Value;

use crate::entity::{Event, Opportunity};
use crate::storage::sqlite::database::Database;
use crate::storage::sqlite::fixtures::{Place, TOPIC, batch, counts, entry, opportunity, rejected};
use crate::storage::{Attempt, Entry, OffsetCounts, PartitionBatch};

/// Names that the triggers of these tests look for.
const BAD: &str = "fraud";

/// Notes every event before it refuses the bad ones, so that something is there to be left behind.
fn trigger(when: &str, raise: &str) -> String {
    format!(
        "CREATE TABLE seen (event_id);
         CREATE TRIGGER no_fraud {when} INSERT ON opportunities BEGIN
             INSERT INTO seen VALUES (new.event_id);
             SELECT RAISE({raise}, 'we do not want these') WHERE new.name = '{BAD}';
         END"
    )
}

/// Refuses the bad ones at the commit.
const DEFERRED: &str = "
    CREATE TABLE seen (event_id);
    CREATE TABLE nobody (name PRIMARY KEY);
    CREATE TABLE suspects (name REFERENCES nobody DEFERRABLE INITIALLY DEFERRED);
    CREATE TRIGGER no_fraud AFTER INSERT ON opportunities BEGIN
        INSERT INTO seen VALUES (new.event_id);
        INSERT INTO suspects SELECT new.name WHERE new.name = 'fraud';
    END";

/// Every way to refuse, with what is told of it.
fn ways() -> Vec<(String, &'static str)> {
    let mut ways = vec![(DEFERRED.to_owned(), "FOREIGN KEY constraint failed")];
    for when in ["BEFORE", "AFTER"] {
        ways.extend(["ABORT", "FAIL", "ROLLBACK"].map(|raise| (trigger(when, raise), "we do not want these")));
    }
    ways
}

/// In the order of the text too, as their rows are stored.
fn ids(count: i64) -> Vec<String> {
    (0..count).map(|number| format!("opp_{number:04}")).collect()
}

/// One event per id, from offset 0 on; those are bad.
fn events<'a>(ids: &'a [String], bad: &[i64]) -> Vec<Entry<'a>> {
    let event = |(id, offset): (&'a String, i64)| {
        let name = if bad.contains(&offset) { BAD } else { "fine" };
        entry(offset, Ok(Event::Opportunity(Opportunity { name: name.into(), ..opportunity(id) })))
    };
    ids.iter().zip(0..).map(event).collect()
}

fn assert_isolated(place: &Place, bad: &[i64], error: &str) {
    let kept = place.query("SELECT kafka_offset, reason, error FROM unidentified_messages ORDER BY kafka_offset");
    let text = |text: &str| Value::Text(text.to_owned());
    let expected: Vec<_> = bad.iter().map(|&at| vec![Value::Integer(at), text("rejected"), text(error)]).collect();
    assert_eq!(kept, expected);
    assert_eq!(place.number("SELECT count(*) FROM opportunities WHERE name = 'fraud'"), 0);
    let left = "SELECT count(*) FROM seen WHERE event_id NOT IN (SELECT event_id FROM opportunities)";
    assert_eq!(place.number(left), 0, "nothing is left of what triggers did");
    place.assert_counted();
}

fn counted(applied: u64, unidentified: u64, absent: u64) -> OffsetCounts {
    counts(applied, 0, unidentified, absent)
}

#[test]
fn one_bad_record_is_kept_and_all_others_go_in() {
    let ids = ids(40);
    for (sql, error) in ways() {
        for bad in [0, 17, 39] {
            let place = Place::new();
            let mut database = place.open_at_0(1);
            place.execute(&sql);
            assert_eq!(
                database.apply(&[batch(0, 0, 50, events(&ids, &[bad]))], &mut Attempt::default()).unwrap(),
                counted(39, 1, 10),
                "{sql}"
            );
            assert_eq!(place.number("SELECT count(*) FROM opportunities"), 39);
            assert_isolated(&place, &[bad], error);
            assert_eq!(database.position(TOPIC, 0).unwrap().unwrap().next_offset, 50);
        }
    }
}

#[test]
fn many_bad_records_and_nothing_but_bad_ones_are_kept_too() {
    let ids = ids(24);
    for (sql, error) in ways() {
        for bad in [&[0, 1, 2, 11, 12, 23][..], &[22, 23], &(0..24).collect::<Vec<_>>()] {
            let place = Place::new();
            let mut database = place.open_at_0(1);
            place.execute(&sql);
            let applied = database.apply(&[batch(0, 0, 24, events(&ids, bad))], &mut Attempt::default()).unwrap();
            let count = bad.len() as u64;
            assert_eq!(applied, counted(24 - count, count, 0), "{sql}");
            assert_isolated(&place, bad, error);
        }
    }
}

#[test]
fn several_partitions_in_one_call_and_other_outcomes_stay_what_they_are() {
    let ids = ids(9);
    for (sql, _) in ways() {
        let place = Place::new();
        let mut database = place.open_at_0(3);
        place.execute(&sql);
        let mut second = events(&ids[..5], &[]);
        second[2] = rejected(2);
        let third: Vec<_> = events(&ids, &[6]).into_iter().skip(5).collect();
        let batches = [batch(0, 0, 3, vec![rejected(1)]), batch(1, 0, 5, second), batch(2, 0, 9, third)];
        assert_eq!(database.apply(&batches, &mut Attempt::default()).unwrap(), counted(7, 3, 7), "{sql}");
        let counters = place.query("SELECT applied, unidentified, absent FROM consumer_offsets ORDER BY partition");
        assert_eq!(counters, [[0, 1, 2], [4, 1, 0], [3, 1, 5]].map(|row| row.map(Value::Integer).to_vec()));
    }
}

#[test]
fn records_that_are_refused_together_only_lose_the_later_one() {
    // Each alone is fine: what comes first, by offset, is stored.
    let place = Place::new();
    let mut database = place.open_at_0(1);
    place.execute("CREATE UNIQUE INDEX one_of_each ON opportunities (account_id)");
    let ids = ids(8);
    let mut entries = events(&ids, &[]);
    for at in [2, 7] {
        let twin = Opportunity { account_id: Some("acc_1".into()), ..opportunity(&ids[at]) };
        entries[at].decoded = Ok(Event::Opportunity(twin));
    }
    assert_eq!(database.apply(&[batch(0, 0, 8, entries)], &mut Attempt::default()).unwrap(), counted(7, 1, 0));
    assert_eq!(place.number("SELECT kafka_offset FROM unidentified_messages"), 7);
}

/// Counts the transactions that are made, each by the position that it ends at.
const TRANSACTIONS: &str = "
    CREATE TABLE transactions (next_offset);
    CREATE TRIGGER transactions AFTER UPDATE ON consumer_offsets BEGIN
        INSERT INTO transactions VALUES (new.next_offset);
    END";

#[test]
fn a_bad_record_costs_no_more_transactions_than_halving_takes() {
    let ids = ids(1024);
    for (sql, most) in [(trigger("AFTER", "FAIL"), 1), (trigger("AFTER", "ROLLBACK"), 11), (DEFERRED.to_owned(), 11)] {
        let place = Place::new();
        let mut database = place.open_at_0(1);
        place.execute(TRANSACTIONS);
        place.execute(&sql);
        database.apply(&[batch(0, 0, 1024, events(&ids, &[700]))], &mut Attempt::default()).unwrap();
        assert_isolated(
            &place,
            &[700],
            if most == 1 || sql != DEFERRED { "we do not want these" } else { "FOREIGN KEY constraint failed" },
        );
        assert_eq!(place.number("SELECT count(*) FROM transactions"), most, "{sql}");
    }
}

#[test]
fn without_a_bad_record_there_is_one_transaction() {
    let ids = ids(100);
    let place = Place::new();
    let mut database = place.open_at_0(1);
    place.execute(TRANSACTIONS);
    database.apply(&[batch(0, 0, 100, events(&ids, &[]))], &mut Attempt::default()).unwrap();
    assert_eq!(place.number("SELECT count(*) FROM transactions"), 1);
}

#[test]
fn what_is_not_refused_for_a_record_is_an_error_and_no_message() {
    let ids = ids(8);
    for table in ["consumer_offsets", "unidentified_messages"] {
        let when = if table == "consumer_offsets" { "UPDATE" } else { "INSERT" };
        let place = Place::new();
        let mut database = place.open_at_0(1);
        place.execute(&trigger("BEFORE", "ABORT"));
        place.execute(&format!(
            "CREATE TRIGGER none BEFORE {when} ON {table} BEGIN SELECT RAISE(ABORT, 'not here'); END"
        ));
        let batches = || [batch(0, 0, 8, events(&ids, &[5]))];
        let mut attempt = Attempt::default();
        for _ in 0..2 {
            let error = database.apply(&batches(), &mut attempt).expect_err("refused");
            assert!(!error.kind().is_retriable() && error.is_rejection(), "{error:?}");
            assert_eq!(place.number("SELECT count(*) FROM unidentified_messages"), 0);
            place.assert_counted();
        }
        place.execute("DROP TRIGGER none");
        assert_eq!(
            database.apply(&batches(), &mut attempt).unwrap(),
            counted(7, 1, 0),
            "all of it is told, also what was done before"
        );
        assert_isolated(&place, &[5], "we do not want these");
    }
}

#[test]
fn a_full_disk_on_the_way_makes_no_message_and_the_next_call_goes_on() {
    let ids = ids(32);
    let large = "x".repeat(1 << 20);
    let batches = || -> [PartitionBatch<'_>; 1] {
        let mut entries = events(&ids, &[3]);
        let long = Opportunity { account_id: Some(large.as_str().into()), ..opportunity(&ids[20]) };
        entries[20].decoded = Ok(Event::Opportunity(long));
        [batch(0, 0, 32, entries)]
    };
    let place = Place::new();
    let mut database = place.open_at_0(1);
    place.execute(&trigger("AFTER", "ROLLBACK"));
    let limit = |database: &mut Database, pages: i64| {
        let connection = database.connection.as_ref().expect("still the same connection");
        connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).unwrap();
    };
    limit(&mut database, place.number("PRAGMA page_count") + 50);
    let mut attempt = Attempt::default();
    for _ in 0..2 {
        let error = database.apply(&batches(), &mut attempt).expect_err("full");
        assert!(error.kind().is_retriable(), "{error:?}");
        assert_isolated(&place, &[3], "we do not want these");
        assert_eq!(database.position(TOPIC, 0).unwrap().unwrap().next_offset, 16, "the first half");
    }
    limit(&mut database, 1_000_000);
    assert_eq!(database.apply(&batches(), &mut attempt).unwrap(), counted(31, 1, 0));
    assert_isolated(&place, &[3], "we do not want these");
}
