//! Triggers of an operator that keep a row out of its table without an error. The record of an event becomes an unidentified message that
//! names the cause. On the program's own tables nothing takes effect.

use rusqlite::types::Value;

use crate::entity::{Event, Opportunity};
use crate::storage::sqlite::database::Database;
use crate::storage::sqlite::fixtures::{Place, batch, counts, entry, jump, modified, opportunity, project, rejected};
use crate::storage::sqlite::replay::DryRun;
use crate::storage::{
    Attempt, Entry, ErrorKind, OffsetCounts, Recovered, ReplayOutcome, Replayer, StorageError, UnidentifiedMessages,
};

const SKIPPED: &str = "a trigger on opportunities skipped the row with RAISE(IGNORE)";
const DELETED: &str = "a trigger on opportunities deleted the row";

const BAD: &str = "fraud";

fn named<'a>(event_id: &'a str, name: &'a str, last_modified: &str) -> Event<'a> {
    Event::Opportunity(Opportunity {
        name: name.into(),
        meta_data: Some(modified(last_modified)),
        ..opportunity(event_id)
    })
}

const OLD: &str = "2024-01-01T00:00:00.000000000Z";
const NEW: &str = "2024-02-01T00:00:00.000000000Z";

fn counted(applied: u64, stale: u64, unidentified: u64) -> OffsetCounts {
    counts(applied, stale, unidentified, 0)
}

fn ids(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("opp_{number:04}")).collect()
}

/// New events; those with the numbers of `bad` are kept out of the table.
fn events<'a>(ids: &'a [String], bad: &[usize]) -> Vec<Entry<'a>> {
    let event = |(number, id): (usize, &'a String)| {
        let name = if bad.contains(&number) { BAD } else { "fine" };
        entry(i64::try_from(number).unwrap(), Ok(named(id, name, NEW)))
    };
    ids.iter().enumerate().map(event).collect()
}

fn assert_kept(place: &Place, offsets: &[i64], error: &str) {
    let kept = place.query("SELECT kafka_offset, reason, error FROM unidentified_messages ORDER BY kafka_offset");
    let text = |text: &str| Value::Text(text.to_owned());
    let expected: Vec<_> =
        offsets.iter().map(|offset| vec![Value::Integer(*offset), text("rejected"), text(error)]).collect();
    assert_eq!(kept, expected);
    place.assert_counted();
}

/// Each way in which a trigger keeps bad events out of the table when they are inserted.
fn ways() -> [(String, &'static str); 3] {
    let trigger = |when: &str, act: &str| {
        format!("CREATE TRIGGER no_fraud {when} INSERT ON opportunities WHEN new.name = '{BAD}' BEGIN {act}; END")
    };
    [
        (trigger("BEFORE", "SELECT RAISE(IGNORE)"), SKIPPED),
        (trigger("AFTER", "DELETE FROM opportunities WHERE event_id = new.event_id"), DELETED),
        (
            trigger("AFTER", "UPDATE opportunities SET event_id = 'x-' || event_id WHERE event_id = new.event_id"),
            DELETED,
        ),
    ]
}

#[test]
fn an_event_that_a_trigger_keeps_out_is_kept_with_the_cause() {
    for (sql, error) in ways() {
        for (count, bad) in [(1, &[0][..]), (9, &[8]), (80, &[0, 63, 64, 70, 79]), (64, &[5]), (3, &[0, 1, 2])] {
            let place = Place::new();
            let mut database = place.open_at_0(1);
            place.execute(&sql);
            let ids = ids(count);
            let end = i64::try_from(count).unwrap();
            let applied = database.apply(&[batch(0, 0, end, events(&ids, bad))], &mut Attempt::default()).unwrap();
            assert_eq!(applied, counted((count - bad.len()) as u64, 0, bad.len() as u64), "{sql}");
            let bad: Vec<i64> = bad.iter().map(|number| i64::try_from(*number).unwrap()).collect();
            assert_kept(&place, &bad, error);
            let rows = end - i64::try_from(bad.len()).unwrap();
            assert_eq!(place.number("SELECT count(*) FROM opportunities"), rows);
        }
    }
}

#[test]
fn a_trigger_that_skips_updates_keeps_the_stored_row_and_the_record() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    database
        .apply(&[batch(0, 0, 1, vec![entry(0, Ok(named("pinned", "by hand", OLD)))])], &mut Attempt::default())
        .unwrap();
    place.execute(
        "CREATE TRIGGER pinned BEFORE UPDATE ON opportunities WHEN old.event_id = 'pinned' BEGIN SELECT RAISE(IGNORE); END",
    );
    let entries = || {
        vec![
            entry(1, Ok(named("a", "n", NEW))),
            entry(2, Ok(named("pinned", "n", NEW))),
            // Older than the stored event: stale whatever triggers there are.
            entry(3, Ok(named("pinned", "n", "2023-01-01T00:00:00.000000000Z"))),
            entry(4, Ok(Event::Project(project("proj_1")))),
        ]
    };
    assert_eq!(database.apply(&[batch(0, 1, 5, entries())], &mut Attempt::default()).unwrap(), counted(2, 1, 1));
    assert_kept(&place, &[2], SKIPPED);
    assert_eq!(place.number("SELECT count(*) FROM opportunities WHERE name = 'by hand'"), 1);
}

#[test]
fn triggers_that_change_or_log_rows_are_allowed() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    place.execute(
        "CREATE TABLE audit (event_id);
         CREATE TRIGGER noted AFTER INSERT ON opportunities BEGIN INSERT INTO audit VALUES (new.event_id); END;
         CREATE TRIGGER shouted AFTER INSERT ON opportunities BEGIN
             UPDATE opportunities SET name = upper(name) WHERE event_id = new.event_id; END;
         CREATE TRIGGER made_room BEFORE INSERT ON opportunities BEGIN
             DELETE FROM opportunities WHERE event_id = new.event_id AND kafka_offset < new.kafka_offset; END",
    );
    let ids = ids(70);
    assert_eq!(
        database.apply(&[batch(0, 0, 70, events(&ids, &[3]))], &mut Attempt::default()).unwrap(),
        counted(70, 0, 0)
    );
    let again: Vec<_> = ids.iter().zip(70..).map(|(id, offset)| entry(offset, Ok(named(id, "again", NEW)))).collect();
    assert_eq!(database.apply(&[batch(0, 70, 140, again)], &mut Attempt::default()).unwrap(), counted(70, 0, 0));
    assert_eq!(place.number("SELECT count(*) FROM opportunities WHERE name = 'AGAIN'"), 70);
    assert_eq!(place.number("SELECT count(*) FROM audit"), 140);
    assert_eq!(place.number("SELECT count(*) FROM unidentified_messages"), 0);
}

#[test]
fn stale_events_of_a_failing_statement_are_counted_once() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    let ids = ids(8);
    let of =
        |offset: usize, id, name: &'static str, time| entry(i64::try_from(offset).unwrap(), Ok(named(id, name, time)));
    let first: Vec<_> = ids.iter().enumerate().map(|(offset, id)| of(offset, id, "n", NEW)).collect();
    database.apply(&[batch(0, 0, 8, first)], &mut Attempt::default()).unwrap();
    place.execute(&format!(
        "CREATE TRIGGER no_fraud BEFORE UPDATE ON opportunities WHEN new.name = '{BAD}' BEGIN SELECT RAISE(ABORT, 'no'); END"
    ));
    // Seven are stale and the last is rejected, in one statement. Then each is stored alone, which counts the stale ones a second time.
    let second: Vec<_> = ids
        .iter()
        .enumerate()
        .map(|(number, id)| if number == 7 { of(15, id, BAD, NEW) } else { of(8 + number, id, "n", OLD) })
        .collect();
    assert_eq!(database.apply(&[batch(0, 8, 16, second)], &mut Attempt::default()).unwrap(), counted(0, 7, 1));
    let third: Vec<_> = ids.iter().enumerate().map(|(number, id)| of(16 + number, id, "n", OLD)).collect();
    assert_eq!(database.apply(&[batch(0, 16, 24, third)], &mut Attempt::default()).unwrap(), counted(0, 8, 0));
    assert_kept(&place, &[15], "no");
}

#[test]
fn a_message_whose_event_a_trigger_keeps_out_is_not_replayed() {
    for (sql, _) in ways() {
        let place = Place::new();
        let mut database = place.open_at_0(1);
        database.apply(&[batch(0, 0, 2, vec![rejected(0), rejected(1)])], &mut Attempt::default()).unwrap();
        place.execute(&sql);
        let pending = database.pending_after(0, 10, 1 << 20).unwrap();
        let events = [named("a", BAD, NEW), named("b", "fine", NEW)];
        let recovered: Vec<_> =
            pending.iter().zip(events).map(|(message, event)| Recovered { message, event }).collect();
        let mut dry = DryRun::open(&place.settings.path).unwrap();
        assert_eq!(dry.replay(&recovered).unwrap(), [ReplayOutcome::Applied, ReplayOutcome::Applied], "as documented");
        assert_eq!(database.replay(&recovered).unwrap(), [ReplayOutcome::Rejected, ReplayOutcome::Applied]);
        assert_eq!(place.number("SELECT id FROM unidentified_messages WHERE replayed_at IS NULL"), 1);
    }
}

#[test]
fn a_trigger_on_the_programs_own_tables_is_fatal_and_nothing_takes_effect() {
    let check = |when: &str, table: &'static str, act: fn(&mut Database) -> Result<(), StorageError>| {
        let place = Place::new();
        let mut database = place.open_at_0(1);
        database.apply(&[batch(0, 0, 1, vec![rejected(0)])], &mut Attempt::default()).unwrap();
        let snapshot = || {
            [
                "opportunities",
                "unidentified_messages",
                "consumer_offsets",
                "position_changes",
                "unidentified_log_cursor",
            ]
            .map(|table| place.query(&format!("SELECT * FROM {table} ORDER BY rowid")))
        };
        place.execute(&format!("CREATE TRIGGER skips BEFORE {when} ON {table} BEGIN SELECT RAISE(IGNORE); END"));
        let before = snapshot();
        let error = act(&mut database).expect_err("nothing was written");
        assert_eq!(error.kind(), ErrorKind::Fatal);
        assert!(error.to_string().contains(&format!("wrote no row of {table}")), "{error}");
        assert_eq!(snapshot(), before, "{when} {table}");
        place.execute("DROP TRIGGER skips");
        act(&mut database).unwrap();
    };
    let apply = |database: &mut Database| {
        let entries = vec![entry(1, Ok(named("a", "n", NEW))), rejected(2)];
        Ok(database.apply(&[batch(0, 1, 3, entries)], &mut Attempt::default()).map(drop)?)
    };
    check("INSERT", "unidentified_messages", apply);
    check("UPDATE", "consumer_offsets", apply);
    check("UPDATE", "consumer_offsets", |database| {
        Ok(database.store_jumps(&[jump(0, Some(1), 5)], &mut Attempt::default())?)
    });
    check("INSERT", "consumer_offsets", |database| {
        Ok(database.store_jumps(&[jump(1, None, 5)], &mut Attempt::default())?)
    });
    check("INSERT", "position_changes", |database| {
        Ok(database.store_jumps(&[jump(0, Some(1), 5)], &mut Attempt::default())?)
    });
    check("UPDATE", "unidentified_log_cursor", |database| database.set_log_cursor(1));
    check("UPDATE", "unidentified_messages", |database| {
        let pending = database.pending_after(0, 10, 1 << 20)?;
        database.replay(&[Recovered { message: &pending[0], event: named("a", "n", NEW) }]).map(drop)
    });
}
