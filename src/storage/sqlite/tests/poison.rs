//! Records that SQLite rejects: the number of transactions, full disks, and other cases that the contract does not have.

use rusqlite::types::Value;

use super::contract::{DEFERRED, trigger};
use crate::entity::{Event, Opportunity};
use crate::storage::contract::rejections::{assert_isolated, events, ids};
use crate::storage::sqlite::database::Database;
use crate::storage::sqlite::fixtures::{Place, TOPIC, batch, counts, entry, opportunity, project};
use crate::storage::{Attempt, OffsetCounts, PartitionBatch};

fn counted(applied: u64, unidentified: u64, absent: u64) -> OffsetCounts {
    counts(applied, 0, unidentified, absent)
}

#[test]
fn of_records_that_are_rejected_together_the_later_one_is_kept_as_a_message() {
    // Each alone is valid: the one with the smaller offset is stored.
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

/// Lists the transactions, each by the position that it has stored.
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
fn a_rejection_of_the_programs_own_tables_is_an_error() {
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
            "all offsets are counted, also those that were committed before"
        );
        assert_isolated(&place, &[5], "we do not want these");
    }
}

#[test]
fn a_full_disk_while_isolating_makes_no_message_and_the_attempt_continues() {
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

#[test]
fn every_rejection_of_sqlite_makes_an_unidentified_message() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    place.execute(
        "CREATE TRIGGER no_fraud BEFORE INSERT ON opportunities WHEN new.name = 'fraud'
         BEGIN SELECT RAISE(ABORT, 'we do not want these'); END",
    );
    let event = |opportunity| Ok(Event::Opportunity(opportunity));
    let entries = vec![
        entry(0, event(opportunity("good_1"))),
        entry(1, event(Opportunity { name: "fraud".into(), ..opportunity("bad_1") })),
        entry(2, event(Opportunity { probability: Some(101), ..opportunity("bad_2") })),
        entry(3, Ok(Event::Project(project("")))),
        entry(4, event(opportunity("good_2"))),
    ];
    assert_eq!(database.apply(&[batch(0, 0, 5, entries)], &mut Attempt::default()).unwrap(), counted(2, 3, 0));
    assert_eq!(place.number("SELECT count(*) FROM opportunities WHERE event_id IN ('good_1', 'good_2')"), 2);
    let text = |text: &str| Value::Text(text.to_owned());
    assert_eq!(
        place.query("SELECT kafka_offset, reason, error FROM unidentified_messages ORDER BY id"),
        [
            [Value::Integer(1), text("rejected"), text("we do not want these")],
            [Value::Integer(2), text("rejected"), text("CHECK constraint failed: probability BETWEEN 0 AND 100")],
            [Value::Integer(3), text("rejected"), text("CHECK constraint failed: event_id <> ''")],
        ]
    );
    place.assert_counted();
}
