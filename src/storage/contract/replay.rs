//! Recovered messages are stored once, by the rule which event wins, and marked; a dry run gives the same outcomes.

use super::{Engine, Value};
use crate::entity::{Event, Opportunity};
use crate::storage::fixtures::{batch, entry, modified, opportunity, project, rejected};
use crate::storage::{Attempt, PendingMessage, Recovered, ReplayOutcome, Replayer};

/// Four pending messages, and a stored event of `opp_1` of 2024-02.
pub(in crate::storage) fn kept<E: Engine>() -> (E, Box<dyn Replayer>) {
    let place = E::create();
    let mut database = place.open_at_0(1);
    let stored = of_month("opp_1", "2024-02-01T00:00:00.000000000Z");
    let entries = vec![entry(0, Ok(stored)), rejected(1), rejected(2), rejected(3), rejected(4)];
    database.apply(&[batch(0, 0, 5, entries)], &mut Attempt::default()).unwrap();
    let replayer = place.replayer();
    (place, replayer)
}

fn of_month(event_id: &'static str, last_modified: &'static str) -> Event<'static> {
    Event::Opportunity(Opportunity { meta_data: Some(modified(last_modified)), ..opportunity(event_id) })
}

pub(in crate::storage) fn pending(from: &mut dyn Replayer) -> Vec<PendingMessage> {
    from.pending_after(0, 100, 1 << 20).unwrap()
}

/// The first messages, recovered as these events.
pub(in crate::storage) fn recover<'a>(pending: &'a [PendingMessage], events: Vec<Event<'a>>) -> Vec<Recovered<'a>> {
    pending.iter().zip(events).map(|(message, event)| Recovered { message, event }).collect()
}

/// An event that is older than the stored one, a newer one, one between them, and one that the database rejects.
pub(in crate::storage) fn events() -> Vec<Event<'static>> {
    vec![
        of_month("opp_1", "2024-01-01T00:00:00.000000000Z"),
        of_month("opp_1", "2024-04-01T00:00:00.000000000Z"),
        of_month("opp_1", "2024-03-01T00:00:00.000000000Z"),
        Event::Project(project("")),
    ]
}

pub(in crate::storage) const OUTCOMES: [ReplayOutcome; 4] =
    [ReplayOutcome::Stale, ReplayOutcome::Applied, ReplayOutcome::Stale, ReplayOutcome::Rejected];

pub(in crate::storage) fn everything(place: &impl Engine) -> Vec<Vec<Vec<Value>>> {
    let tables = ["opportunities", "projects", "unidentified_messages", "consumer_offsets", "unidentified_log_cursor"];
    tables.map(|table| place.query(&format!("SELECT * FROM {table} ORDER BY 1"))).into()
}

pub(in crate::storage) fn what_is_recovered_is_stored_by_the_rule_and_marked<E: Engine>() {
    let (place, mut database) = kept::<E>();
    let offsets = place.query("SELECT * FROM consumer_offsets");
    let pending_before = pending(&mut *database);
    assert_eq!(pending_before.iter().map(|message| message.offset).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(pending_before[0].value.as_deref(), Some(&b"value"[..]));
    let recovered = recover(&pending_before, events());
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
    let marked = "SELECT count(*) FROM unidentified_messages WHERE replayed_at LIKE '____-__-__T__:__:__.___Z'";
    assert_eq!(place.number(&format!("{marked} AND kafka_offset < 4")), 3);
    assert_eq!(place.number(marked), 3);
    assert_eq!(
        place.query("SELECT * FROM consumer_offsets"),
        offsets,
        "what became of an offset was counted when it was read"
    );
    let left = pending(&mut *database);
    assert_eq!(left.iter().map(|message| message.offset).collect::<Vec<_>>(), [4]);
    assert_eq!(place.violations(), []);
}

pub(in crate::storage) fn a_second_replay_changes_nothing<E: Engine>() {
    let (place, mut database) = kept::<E>();
    let pending = pending(&mut *database);
    let recovered = recover(&pending, events());
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

pub(in crate::storage) fn a_dry_run_says_the_same_and_writes_nothing<E: Engine>() {
    let (place, mut database) = kept::<E>();
    let before = everything(&place);
    let mut dry_run = place.dry_run();
    let pending = pending(&mut *dry_run);
    let recovered = recover(&pending, events());
    // In two steps: the second sees the rows of the first.
    let mut replayed = dry_run.replay(&recovered[..2]).unwrap();
    replayed.extend(dry_run.replay(&recovered[2..]).unwrap());
    assert_eq!(replayed, OUTCOMES);
    assert_eq!(everything(&place), before);
    assert_eq!(database.replay(&recovered).unwrap(), OUTCOMES);
}

pub(in crate::storage) fn the_pending_messages_are_bounded_and_ascend<E: Engine>() {
    let (_place, mut database) = kept::<E>();
    let offsets = |found: Vec<PendingMessage>| found.into_iter().map(|message| message.offset).collect::<Vec<_>>();
    let all = pending(&mut *database);
    assert_eq!(offsets(database.pending_after(0, 3, 1 << 20).unwrap()), [1, 2, 3]);
    assert_eq!(offsets(database.pending_after(all[2].id, 3, 1 << 20).unwrap()), [4]);
    assert!(offsets(database.pending_after(all[3].id, 3, 1 << 20).unwrap()).is_empty());
    assert_eq!(offsets(database.pending_after(0, 100, 6).unwrap()), [1, 2], "none after 6 bytes are reached");
    assert_eq!(offsets(database.pending_after(0, 100, 0).unwrap()), [1], "at least one");
}
