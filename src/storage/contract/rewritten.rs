//! Offsets with other records when they are read again, as after an unclean leader election: both records are kept, and a missing message
//! is found.

use super::{Engine, Value};
use crate::entity::{Event, Opportunity};
use crate::storage::fixtures::{TOPIC, batch, counts, entry, jump, modified, opportunity, rejected};
use crate::storage::{Attempt, Entry, Header, Invariant, MessagePlace, OffsetCounts, Outcome, Violation, Writer};

const OTHER: &str = "another record";

fn other<E: Engine>() -> String {
    E::bytes_literal(OTHER)
}

fn unidentified(count: u64) -> OffsetCounts {
    counts(0, 0, count, 0)
}

fn rewritten(offset: i64) -> Entry<'static> {
    Entry { value: Some(OTHER.as_bytes()), ..rejected(offset) }
}

/// Ten bad records were read, then the log was truncated to five, and five others were written and read.
fn truncated<E: Engine>() -> (E, Box<dyn Writer>) {
    let place = E::create();
    let mut database = place.open_at_0(1);
    database.apply(&[batch(0, 0, 10, (0..10).map(rejected).collect())], &mut Attempt::default()).unwrap();
    database.store_jumps(&[jump(0, Some(10), 5)], &mut Attempt::default()).unwrap();
    let entries = (5..10).map(rewritten).collect();
    assert_eq!(database.apply(&[batch(0, 5, 10, entries)], &mut Attempt::default()).unwrap(), unidentified(5));
    (place, database)
}

/// The counted and the kept messages of each position that lacks messages.
fn missing(place: &impl Engine) -> Vec<(i64, u64)> {
    let missing = |(invariant, violation)| match violation {
        Violation::Missing { position, kept } => {
            assert_eq!(invariant, Invariant::Unidentified);
            (position.count(Outcome::Unidentified), kept)
        }
        other => panic!("{invariant:?}: {other:?}"),
    };
    place.violations().into_iter().map(missing).collect()
}

pub(in crate::storage) fn both_records_of_an_offset_are_kept<E: Engine>() {
    let (place, _database) = truncated::<E>();
    assert_eq!(place.number("SELECT count(*) FROM unidentified_messages"), 15);
    let rows = place
        .query(&format!("SELECT kafka_offset FROM unidentified_messages WHERE value = {} ORDER BY id", other::<E>()));
    assert_eq!(rows, [5, 6, 7, 8, 9].map(|offset| [Value::Integer(offset)]));
    assert_eq!(missing(&place), []);
    place.assert_counted();
}

pub(in crate::storage) fn a_record_differs_by_any_of_key_value_headers_and_time<E: Engine>() {
    let place = E::create();
    let mut database = place.open_at_0(1);
    let headers: [Vec<Header<'_>>; 3] = [vec![(b"a", None)], vec![(b"a", Some(b""))], vec![(b"b", None)]];
    let mut records = vec![
        rejected(0),
        Entry { key: None, ..rejected(0) },
        Entry { key: Some(b""), ..rejected(0) },
        Entry { value: None, ..rejected(0) },
        Entry { value: Some(b""), ..rejected(0) },
        Entry { timestamp_ms: None, ..rejected(0) },
        Entry { timestamp_ms: Some(1), ..rejected(0) },
    ];
    records.extend(headers.iter().map(|headers| Entry { headers, ..rejected(0) }));
    let count = records.len();
    let mut from = 0;
    // Each is read twice; the second time it is kept already.
    let again: Vec<Entry<'_>> =
        records.iter().map(|record| Entry { decoded: rejected(0).decoded, ..*record }).collect();
    for record in records.into_iter().chain(again) {
        database.store_jumps(&[jump(0, Some(from), 0)], &mut Attempt::default()).unwrap();
        from = 1;
        assert_eq!(database.apply(&[batch(0, 0, 1, vec![record])], &mut Attempt::default()).unwrap(), unidentified(1));
        assert_eq!(missing(&place), []);
    }
    assert_eq!(place.number("SELECT count(*) FROM unidentified_messages"), i64::try_from(count).unwrap());
}

pub(in crate::storage) fn reading_the_same_records_again_adds_none_and_a_missing_one_is_found<E: Engine>() {
    let (place, mut database) = truncated::<E>();
    let before = place.query("SELECT id, value, received_at FROM unidentified_messages ORDER BY id");
    for _ in 0..2 {
        database.store_jumps(&[jump(0, Some(10), 0)], &mut Attempt::default()).unwrap();
        assert_eq!(missing(&place), [], "nothing is counted yet");
        let entries = (0..5).map(rejected).chain((5..10).map(rewritten)).collect();
        assert_eq!(database.apply(&[batch(0, 0, 10, entries)], &mut Attempt::default()).unwrap(), unidentified(10));
        assert_eq!(place.query("SELECT id, value, received_at FROM unidentified_messages ORDER BY id"), before);
        assert_eq!(missing(&place), []);
    }
    place.execute(&format!("DELETE FROM unidentified_messages WHERE value <> {} AND kafka_offset > 4", other::<E>()));
    assert_eq!(missing(&place), [], "they are records of the truncated log");
    place.execute("DELETE FROM unidentified_messages WHERE kafka_offset = 3");
    assert_eq!(missing(&place), [(10, 9)]);
}

pub(in crate::storage) fn a_record_of_the_truncated_log_does_not_count_for_a_missing_one<E: Engine>() {
    let (place, _database) = truncated::<E>();
    place.execute(&format!("DELETE FROM unidentified_messages WHERE value = {} AND kafka_offset = 7", other::<E>()));
    assert_eq!(missing(&place), [(5, 4)]);
    place.execute(&format!("DELETE FROM unidentified_messages WHERE value = {}", other::<E>()));
    assert_eq!(missing(&place), [(5, 0)]);
}

pub(in crate::storage) fn a_message_that_another_group_finds_later_counts_for_both<E: Engine>() {
    let (place, mut database) = truncated::<E>();
    let mut other = place.open_group("group-2");
    other.store_jumps(&[jump(0, None, 0)], &mut Attempt::default()).unwrap();
    let records = || (0..5).map(rejected).chain((5..10).map(rewritten)).collect();
    other.apply(&[batch(0, 0, 10, records())], &mut Attempt::default()).unwrap();
    assert_eq!(missing(&place), []);
    // The first group continues in its older reading; its messages count for the newer one too.
    database.apply(&[batch(0, 10, 11, vec![rejected(10)])], &mut Attempt::default()).unwrap();
    other.apply(&[batch(0, 10, 11, vec![rejected(10)])], &mut Attempt::default()).unwrap();
    assert_eq!(place.number("SELECT count(*) FROM unidentified_messages"), 16);
    assert_eq!(missing(&place), []);
    place.execute("DELETE FROM unidentified_messages WHERE kafka_offset = 10");
    assert_eq!(missing(&place), [(6, 5), (11, 10)]);
}

pub(in crate::storage) fn each_of_several_messages_at_an_offset_is_found_for_the_log_file<E: Engine>() {
    let (place, mut database) = truncated::<E>();
    place.execute("UPDATE unidentified_messages SET received_at = 'then'");
    let at = MessagePlace { topic: TOPIC, partition: 0, offset: 5, received_at: "then" };
    let mut found = |id| database.unidentified().find_messages_after(id, &at).unwrap();
    assert_eq!(found(0), [6, 11]);
    assert_eq!(found(6), [11]);
    assert!(found(11).is_empty());
}

pub(in crate::storage) fn the_summary_counts_every_row<E: Engine>() {
    let (place, _database) = truncated::<E>();
    let summary = place.summary();
    assert_eq!(summary.unidentified[0].messages, 15);
}

fn event(name: &'static str) -> Event<'static> {
    let meta_data = Some(modified("2024-05-06T07:08:09.000000000Z"));
    Event::Opportunity(Opportunity { name: name.into(), meta_data, ..opportunity("a") })
}

pub(in crate::storage) fn an_event_that_is_read_again_changes_nothing<E: Engine>() {
    let place = E::create();
    let mut database = place.open_at_0(1);
    let records = || {
        let older = Event::Opportunity(opportunity("a"));
        vec![entry(0, Ok(older)), entry(1, Ok(event("new"))), entry(2, Ok(Event::Opportunity(opportunity("b"))))]
    };
    let first = database.apply(&[batch(0, 0, 3, records())], &mut Attempt::default()).unwrap();
    assert_eq!(first, counts(3, 0, 0, 0));
    place.execute("UPDATE opportunities SET updated_at = 'then'");
    let rows = || place.query("SELECT * FROM opportunities ORDER BY event_id");
    let before = rows();
    for _ in 0..2 {
        database.store_jumps(&[jump(0, Some(3), 0)], &mut Attempt::default()).unwrap();
        let again = database.apply(&[batch(0, 0, 3, records())], &mut Attempt::default()).unwrap();
        assert_eq!(again, counts(2, 1, 0, 0));
        assert_eq!(rows(), before);
    }
}

pub(in crate::storage) fn another_record_at_the_offset_of_the_stored_event_replaces_it<E: Engine>() {
    let place = E::create();
    let mut database = place.open_at_0(1);
    let stored = || place.query("SELECT name, CASE updated_at WHEN 'then' THEN 1 ELSE 0 END FROM opportunities");
    let mut from = 0;
    for (name, timestamp_ms, is_new) in
        [("one", 1, true), ("one", 1, false), ("two", 1, true), ("two", 2, true), ("two", 2, false), ("one", 1, true)]
    {
        place.execute("UPDATE opportunities SET updated_at = 'then'");
        database.store_jumps(&[jump(0, Some(from), 0)], &mut Attempt::default()).unwrap();
        from = 1;
        let record = Entry { timestamp_ms: Some(timestamp_ms), ..entry(0, Ok(event(name))) };
        let applied = database.apply(&[batch(0, 0, 1, vec![record])], &mut Attempt::default()).unwrap();
        assert_eq!(applied, counts(1, 0, 0, 0));
        assert_eq!(stored(), [[Value::Text(name.to_owned()), Value::Integer(i64::from(!is_new))]]);
    }
}
