//! Messages that are recovered after all: stored once, by the rule which event wins, and marked; and the same in memory.

use rusqlite::types::Value;

use crate::entity::{Event, Opportunity};
use crate::storage::sqlite::database::Database;
use crate::storage::sqlite::error::SqliteError;
use crate::storage::sqlite::fixtures::{GROUP, Place, batch, entry, jump, modified, opportunity, project, rejected};
use crate::storage::sqlite::inspector::DatabaseReader;
use crate::storage::sqlite::replay::DryRun;
use crate::storage::{Attempt, ErrorKind, PendingMessage, Recovered, ReplayOutcome, Replayer};

/// Four messages that were not recovered, and a stored event of `opp_1` of 2024-02.
fn kept() -> (Place, Database) {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    let stored = of_month("opp_1", "2024-02-01T00:00:00.000000000Z");
    let entries = vec![entry(0, Ok(stored)), rejected(1), rejected(2), rejected(3), rejected(4)];
    database.apply(&[batch(0, 0, 5, entries)], &mut Attempt::default()).unwrap();
    (place, database)
}

fn of_month(event_id: &'static str, last_modified: &'static str) -> Event<'static> {
    Event::Opportunity(Opportunity { meta_data: Some(modified(last_modified)), ..opportunity(event_id) })
}

fn pending(from: &mut impl Replayer) -> Vec<PendingMessage> {
    from.pending_after(0, 100, 1 << 20).unwrap()
}

/// The first messages, recovered as these events.
fn understand<'a>(pending: &'a [PendingMessage], events: Vec<Event<'a>>) -> Vec<Recovered<'a>> {
    pending.iter().zip(events).map(|(message, event)| Recovered { message, event }).collect()
}

/// An older one than the stored one, a newer, one older than that, and one that SQLite refuses.
fn events() -> Vec<Event<'static>> {
    vec![
        of_month("opp_1", "2024-01-01T00:00:00.000000000Z"),
        of_month("opp_1", "2024-04-01T00:00:00.000000000Z"),
        of_month("opp_1", "2024-03-01T00:00:00.000000000Z"),
        Event::Project(project("")),
    ]
}

const OUTCOMES: [ReplayOutcome; 4] =
    [ReplayOutcome::Stale, ReplayOutcome::Applied, ReplayOutcome::Stale, ReplayOutcome::Rejected];

fn everything(place: &Place) -> Vec<Vec<Vec<Value>>> {
    let tables = ["opportunities", "projects", "unidentified_messages", "consumer_offsets", "unidentified_log_cursor"];
    tables.map(|table| place.query(&format!("SELECT * FROM {table} ORDER BY rowid"))).into()
}

#[test]
fn what_is_understood_is_stored_by_the_rule_and_marked() {
    let (place, mut database) = kept();
    let offsets = place.query("SELECT * FROM consumer_offsets");
    let pending_before = pending(&mut database);
    assert_eq!(pending_before.iter().map(|message| message.offset).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(pending_before[0].value.as_deref(), Some(&b"value"[..]));
    let recovered = understand(&pending_before, events());
    assert_eq!(database.replay(&recovered).unwrap(), OUTCOMES);

    assert_eq!(
        place.query("SELECT last_modified, kafka_offset, kafka_timestamp, kafka_partition FROM opportunities"),
        [[
            Value::Text("2024-04-01T00:00:00.000000000Z".to_owned()),
            Value::Integer(2),
            Value::Integer(1_700_000_000_002),
            Value::Integer(0)
        ]]
    );
    let marked = "SELECT count(*) FROM unidentified_messages WHERE replayed_at GLOB '????-??-??T??:??:??.???Z'";
    assert_eq!(place.number(&format!("{marked} AND kafka_offset < 4")), 3);
    assert_eq!(place.number(marked), 3);
    assert_eq!(
        place.query("SELECT * FROM consumer_offsets"),
        offsets,
        "what became of an offset was counted when it was read"
    );
    let left = pending(&mut database);
    assert_eq!(left.iter().map(|message| message.offset).collect::<Vec<_>>(), [4]);
    DatabaseReader::open(&place.settings.path).unwrap().verify(|_, off| assert_eq!(off, [])).unwrap();
}

#[test]
fn a_second_time_changes_nothing() {
    let (place, mut database) = kept();
    let pending = pending(&mut database);
    let recovered = understand(&pending, events());
    database.replay(&recovered).unwrap();
    let before = everything(&place);
    assert_eq!(
        database.replay(&recovered).unwrap(),
        [ReplayOutcome::Gone, ReplayOutcome::Gone, ReplayOutcome::Gone, ReplayOutcome::Rejected]
    );
    place.execute("DELETE FROM unidentified_messages WHERE kafka_offset = 4");
    assert!(database.replay(&recovered).unwrap().iter().all(|replayed| *replayed == ReplayOutcome::Gone));
    let mut after = everything(&place);
    after[2].push(before[2][3].clone());
    assert_eq!(after, before);
}

#[test]
fn a_dry_run_says_the_same_and_writes_nothing() {
    let (place, mut database) = kept();
    let before = everything(&place);
    let mut rehearsal = DryRun::open(&place.settings.path).unwrap();
    let pending = pending(&mut rehearsal);
    let recovered = understand(&pending, events());
    // In two steps: the second knows what would have come of the first.
    let mut replayed = rehearsal.replay(&recovered[..2]).unwrap();
    replayed.extend(rehearsal.replay(&recovered[2..]).unwrap());
    assert_eq!(replayed, OUTCOMES);
    assert_eq!(everything(&place), before);
    assert_eq!(database.replay(&recovered).unwrap(), OUTCOMES);
}

#[test]
fn a_dry_run_does_without_what_somebody_else_has_added() {
    let (place, _database) = kept();
    place.execute(
        "CREATE TABLE regions (id TEXT PRIMARY KEY);
         ALTER TABLE opportunities ADD COLUMN region TEXT REFERENCES regions;
         CREATE TRIGGER none BEFORE INSERT ON opportunities BEGIN SELECT RAISE(ROLLBACK, 'none'); END",
    );
    let mut rehearsal = DryRun::open(&place.settings.path).unwrap();
    let pending = pending(&mut rehearsal);
    assert_eq!(rehearsal.replay(&understand(&pending, events())).unwrap(), OUTCOMES);
}

#[test]
fn steps_are_bounded_and_ascend() {
    let (_place, mut database) = kept();
    let offsets = |found: Vec<PendingMessage>| found.into_iter().map(|message| message.offset).collect::<Vec<_>>();
    let all = pending(&mut database);
    assert_eq!(offsets(database.pending_after(0, 3, 1 << 20).unwrap()), [1, 2, 3]);
    assert_eq!(offsets(database.pending_after(all[2].id, 3, 1 << 20).unwrap()), [4]);
    assert!(offsets(database.pending_after(all[3].id, 3, 1 << 20).unwrap()).is_empty());
    assert_eq!(offsets(database.pending_after(0, 100, 6).unwrap()), [1, 2], "no further one after so many bytes");
    assert_eq!(offsets(database.pending_after(0, 100, 0).unwrap()), [1], "but always one");
}

#[test]
fn a_refusal_of_the_whole_transaction_is_told_and_nothing_is_left() {
    let (place, mut database) = kept();
    place.execute(
        "CREATE TRIGGER all_or_nothing BEFORE INSERT ON projects BEGIN SELECT RAISE(ROLLBACK, 'the whole lot'); END",
    );
    let before = everything(&place);
    let pending = pending(&mut database);
    let error = database.replay(&understand(&pending, events())).expect_err("refused");
    assert!(error.kind() == ErrorKind::Rejected, "{error:?}");
    assert_eq!(everything(&place), before);
    assert_eq!(database.replay(&understand(&pending[..3], events())).unwrap(), OUTCOMES[..3]);
}

#[test]
fn a_database_is_neither_made_nor_moved_by_replaying() {
    let place = Place::new();
    let missing = |error: SqliteError| assert!(matches!(error, SqliteError::Missing { .. }), "{error:?}");
    missing(Database::open_existing(&place.settings, GROUP).unwrap_err());
    missing(DryRun::open(&place.settings.path).unwrap_err());
    assert!(!place.settings.path.exists());
    let mut database = place.open();
    database.store_jumps(&[jump(0, None, 0)], &mut Attempt::default()).unwrap();
    let beside = Database::open_existing(&place.settings, GROUP).unwrap();
    assert_eq!(beside.id(), database.id());
}
