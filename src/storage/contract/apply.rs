//! What a batch stores.

use super::{Engine, Value};
use crate::entity::{Event, MetaData, Number, Opportunity, Project, Reason, Rejection};
use crate::storage::fixtures::{
    TOPIC, TOPIC_ID, batch, counts, entry, jump, modified, opportunity, project, rejected, topic_id,
};
use crate::storage::{
    Attempt, Entry, ErrorKind, Header, OffsetCounts, OffsetJump, PartitionBatch, RowCount, TopicId, Writer,
};

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn counted(applied: u64, stale: u64, unidentified: u64, absent: u64) -> OffsetCounts {
    counts(applied, stale, unidentified, absent)
}

const META: &str = r#"{"source": "crm", "notes": "\u00e9"}"#;
const MODIFIED: &str = "2024-05-06T07:08:09.000000001Z";

/// The rows of a table of events without the times of writing, which must be equal.
fn events(place: &impl Engine, table: &str) -> Vec<Vec<Value>> {
    let mut rows = place.query(&format!("SELECT * FROM {table} ORDER BY event_id"));
    for row in &mut rows {
        let times: Vec<Value> = row.drain(15..17).collect();
        assert!(matches!(&times[..], [Value::Text(made), Value::Text(changed)] if made.len() == 24 && made == changed));
    }
    rows
}

/// `kafka_topic`, `kafka_partition`, `kafka_offset`, `kafka_timestamp`.
fn coordinates(offset: i64, timestamp: Value) -> Vec<Value> {
    vec![text(TOPIC), Value::Integer(0), Value::Integer(offset), timestamp]
}

pub(in crate::storage) fn every_column_of_an_opportunity_is_stored<E: Engine>() {
    let place = E::create();
    let mut database = place.open_at_0(1);
    let full = Opportunity {
        amount: Some(125_000.5.into()),
        probability: Some(75),
        expected_close_date: Some("2024-09-30".into()),
        account_id: Some("acc_1".into()),
        owner_id: Some("user_1".into()),
        meta_data: Some(MetaData { json: META, ..modified(MODIFIED) }),
        extra: Some(r#"{"region":"EU"}"#.to_owned()),
        ..opportunity("opp_1")
    };
    let entries = vec![
        entry(0, Ok(Event::Opportunity(full))),
        Entry { timestamp_ms: None, ..entry(1, Ok(Event::Opportunity(opportunity("opp_2")))) },
    ];
    assert_eq!(database.apply(&[batch(0, 0, 2, entries)], &mut Attempt::default()).unwrap(), counted(2, 0, 0, 0));

    let full =
        ["opp_1", "Renewal", "won", "", "", "2024-09-30", "acc_1", "user_1", META, MODIFIED, r#"{"region":"EU"}"#];
    let mut full = full.map(text).to_vec();
    (full[3], full[4]) = (Value::Real(125_000.5), Value::Integer(75));
    let nothing = vec![Value::Null; 2];
    let mut bare = vec![Value::Null; 11];
    (bare[0], bare[1], bare[2]) = (text("opp_2"), text("Renewal"), text("won"));
    let expected = [
        [full, coordinates(0, Value::Integer(1_700_000_000_000)), nothing.clone()].concat(),
        [bare, coordinates(1, Value::Null), nothing].concat(),
    ];
    assert_eq!(events(&place, "opportunities"), expected);
}

pub(in crate::storage) fn every_column_of_a_project_is_stored<E: Engine>() {
    let place = E::create();
    let mut database = place.open_at_0(1);
    let full = Project {
        start_date: Some("2024-01-01".into()),
        end_date: Some("2024-12-31".into()),
        budget: Some(Number { value: 7.0, text: Some("7.00000000000000000001".into()) }),
        account_id: Some("acc_2".into()),
        owner_id: Some("user_2".into()),
        meta_data: Some(MetaData { json: META, ..modified(MODIFIED) }),
        extra: Some("{\"a\":1}".to_owned()),
        ..project("proj_1")
    };
    let entries = vec![
        entry(0, Ok(Event::Project(full))),
        Entry { timestamp_ms: None, ..entry(1, Ok(Event::Project(project("proj_2")))) },
    ];
    assert_eq!(database.apply(&[batch(0, 0, 2, entries)], &mut Attempt::default()).unwrap(), counted(2, 0, 0, 0));

    let full = [
        "proj_1",
        "Roll-out",
        "running",
        "2024-01-01",
        "2024-12-31",
        "",
        "acc_2",
        "user_2",
        META,
        MODIFIED,
        "{\"a\":1}",
    ];
    let mut full = full.map(text).to_vec();
    full[5] = Value::Real(7.0);
    let mut bare = vec![Value::Null; 11];
    (bare[0], bare[1], bare[2]) = (text("proj_2"), text("Roll-out"), text("running"));
    let expected = [
        [full, coordinates(0, Value::Integer(1_700_000_000_000)), vec![text("7.00000000000000000001"), Value::Null]]
            .concat(),
        [bare, coordinates(1, Value::Null), vec![Value::Null; 2]].concat(),
    ];
    assert_eq!(events(&place, "projects"), expected);
}

pub(in crate::storage) fn the_position_and_its_counters_move_with_the_rows<E: Engine>() {
    let place = E::create();
    let mut database = place.open_at_0(2);
    let newer = || {
        Event::Opportunity(Opportunity {
            meta_data: Some(modified("2024-02-01T00:00:00.000000000Z")),
            ..opportunity("a")
        })
    };
    let older = || {
        Event::Opportunity(Opportunity {
            meta_data: Some(modified("2024-01-01T00:00:00.000000000Z")),
            ..opportunity("a")
        })
    };
    let first =
        [batch(0, 0, 10, vec![entry(0, Ok(newer())), entry(1, Ok(older())), rejected(4)]), batch(1, 0, 3, vec![])];
    assert_eq!(database.apply(&first, &mut Attempt::default()).unwrap(), counted(1, 1, 1, 10));
    let second =
        [PartitionBatch { leader_epoch: None, ..batch(0, 10, 12, vec![entry(10, Ok(older())), rejected(11)]) }];
    assert_eq!(database.apply(&second, &mut Attempt::default()).unwrap(), counted(0, 1, 1, 0));

    let stored = database.position(TOPIC, 0).unwrap().expect("a position");
    assert_eq!((stored.next_offset, stored.first_offset, stored.high_offset), (12, 0, 12));
    assert_eq!(
        (stored.counters, stored.leader_epoch),
        (counted(1, 2, 2, 7), None),
        "the epoch is that of the last batch"
    );
    let stored = database.position(TOPIC, 1).unwrap().expect("a position");
    assert_eq!((stored.next_offset, stored.counters, stored.leader_epoch), (3, counted(0, 0, 0, 3), Some(7)));
    place.assert_counted();

    let summary = place.summary();
    assert_eq!(summary.rows[0], RowCount { table: "opportunities", rows: 1 });
    let by_reason: Vec<_> = summary.unidentified.iter().map(|count| (count.reason.as_str(), count.messages)).collect();
    assert_eq!(by_reason, [("not_json", 2)]);
}

pub(in crate::storage) fn an_unidentified_message_is_kept_byte_for_byte<E: Engine>() {
    let place = E::create();
    let mut database = place.open_at_0(1);
    let all_bytes: Vec<u8> = (0..=255).collect();
    let headers: Vec<Header<'_>> =
        vec![(b"trace", Some(b"\x00\xff")), (b"trace", None), (b"", Some(b"")), (b"\xff", Some(b"a"))];
    let entries = vec![
        Entry { key: Some(&all_bytes), value: Some(&all_bytes), headers: &headers, ..rejected(0) },
        Entry { key: Some(b""), value: Some(b""), timestamp_ms: Some(-1), ..rejected(1) },
        Entry { key: None, value: None, timestamp_ms: None, ..rejected(2) },
    ];
    database.apply(&[batch(0, 0, 3, entries)], &mut Attempt::default()).unwrap();

    let rows = place.query(
        "SELECT kafka_offset, kafka_timestamp, key, value, headers, kafka_topic, topic_id, kafka_partition, reason, error,
                replayed_at
         FROM unidentified_messages WHERE received_at LIKE '____-__-__T__:__:__.___Z' ORDER BY id",
    );
    let tail = [
        text(TOPIC),
        text(TOPIC_ID),
        Value::Integer(0),
        text("not_json"),
        text("expected value at line 1 column 1"),
        Value::Null,
    ];
    let row = |values: [Value; 5]| [&values[..], &tail[..]].concat();
    let bytes = Value::Blob(all_bytes);
    let empty = Value::Blob(vec![]);
    let header_list = r#"[["trace","AP8="],["trace",null],["",""],[{"base64":"/w=="},"YQ=="]]"#;
    let expected = [
        row([Value::Integer(0), Value::Integer(1_700_000_000_000), bytes.clone(), bytes, text(header_list)]),
        row([Value::Integer(1), Value::Integer(-1), empty.clone(), empty, text("[]")]),
        row([Value::Integer(2), Value::Null, Value::Null, Value::Null, text("[]")]),
    ];
    assert_eq!(rows, expected);
}

pub(in crate::storage) fn an_unidentified_message_that_is_read_again_is_counted_and_kept_once<E: Engine>() {
    let place = E::create();
    let mut database = place.open_at_0(1);
    database.apply(&[batch(0, 0, 1, vec![rejected(0)])], &mut Attempt::default()).unwrap();
    database.store_jumps(&[jump(0, Some(1), 0)], &mut Attempt::default()).unwrap();
    assert_eq!(
        database.apply(&[batch(0, 0, 1, vec![rejected(0)])], &mut Attempt::default()).unwrap(),
        counted(0, 0, 1, 0)
    );
    assert_eq!(place.number("SELECT count(*) FROM unidentified_messages"), 1);

    // The same offset of another topic of that name is another message.
    let moved = OffsetJump { topic_id: TopicId::new("other"), ..jump(0, Some(1), 0) };
    database.store_jumps(&[moved], &mut Attempt::default()).unwrap();
    database
        .apply(
            &[PartitionBatch { topic_id: Some(topic_id("other")), ..batch(0, 0, 1, vec![rejected(0)]) }],
            &mut Attempt::default(),
        )
        .unwrap();
    assert_eq!(place.number("SELECT count(*) FROM unidentified_messages"), 2);
    place.assert_counted();
}

fn assert_nothing_applied(place: &impl Engine, database: &mut dyn Writer) {
    assert_eq!(place.number("SELECT count(*) FROM opportunities"), 0);
    assert_eq!(place.number("SELECT count(*) FROM unidentified_messages"), 0);
    let positions = database.positions().unwrap();
    assert!(positions.iter().all(|stored| stored.next_offset == 0), "{positions:?}");
}

pub(in crate::storage) fn a_batch_from_another_position_is_a_conflict<E: Engine>() {
    let place = E::create();
    let mut database = place.open_at_0(2);
    let good = || batch(0, 0, 2, vec![entry(0, Ok(Event::Opportunity(opportunity("a")))), rejected(1)]);
    let at = |offset| format!("stored is offset {offset} of topic id '{TOPIC_ID}'");
    let mut check = |wrong: PartitionBatch<'_>, stored: &str| {
        let error = database.apply(&[good(), wrong], &mut Attempt::default()).expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.to_string().contains(stored), "{error}");
        assert_nothing_applied(&place, &mut *database);
    };
    check(batch(1, 1, 2, vec![]), &at(0));
    check(batch(9, 0, 2, vec![]), "stored is none");
    check(batch(0, 0, 2, vec![]), &at(2)); // the same partition twice
    check(PartitionBatch { topic_id: Some(topic_id("other")), ..batch(1, 0, 2, vec![]) }, &at(0));
    check(PartitionBatch { topic: "other", ..batch(1, 0, 2, vec![]) }, "stored is none");
    assert_eq!(
        database.apply(&[good(), batch(0, 2, 3, vec![])], &mut Attempt::default()).unwrap(),
        counted(1, 0, 1, 1)
    );
}

/// As after a rebalance that one of two instances has not noticed.
pub(in crate::storage) fn a_writer_with_an_outdated_position_gets_a_conflict<E: Engine>() {
    let place = E::create();
    let mut first = place.open_at_0(1);
    let mut second = place.open();
    let records = || [batch(0, 0, 1, vec![rejected(0)])];
    second.apply(&records(), &mut Attempt::default()).unwrap();
    let error = first.apply(&records(), &mut Attempt::default()).expect_err("outdated");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let error = first.store_jumps(&[jump(0, Some(0), 7)], &mut Attempt::default()).expect_err("outdated");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let stored = second.position(TOPIC, 0).unwrap().unwrap();
    assert_eq!((stored.next_offset, stored.counters), (1, counted(0, 0, 1, 0)), "once");
    // A batch from the stored position takes effect.
    first.apply(&[batch(0, 1, 2, vec![rejected(1)])], &mut Attempt::default()).unwrap();
    place.assert_counted();
}

pub(in crate::storage) fn a_missing_topic_id_counts_as_the_same_topic<E: Engine>() {
    let place = E::create();
    let mut database = place.open_at_0(1);
    let stored_id = |database: &mut dyn Writer| database.position(TOPIC, 0).unwrap().map(|stored| stored.topic_id);
    database.apply(&[PartitionBatch { topic_id: None, ..batch(0, 0, 1, vec![]) }], &mut Attempt::default()).unwrap();
    assert_eq!(stored_id(&mut *database), Some(TopicId::new(TOPIC_ID)), "kept");
    place.execute("UPDATE consumer_offsets SET topic_id = ''");
    database.apply(&[batch(0, 1, 2, vec![])], &mut Attempt::default()).unwrap();
    assert_eq!(stored_id(&mut *database), Some(TopicId::new(TOPIC_ID)), "learned");
}

pub(in crate::storage) fn a_batch_that_contradicts_itself_takes_no_effect<E: Engine>() {
    let place = E::create();
    let mut database = place.open_at_0(1);
    let mut check = |from: i64, next: i64, offsets: &[i64], wrong: Option<i64>| {
        let entries = offsets.iter().map(|&offset| rejected(offset)).collect();
        let error = database.apply(&[batch(0, from, next, entries)], &mut Attempt::default()).expect_err("refused");
        assert!(!error.kind().is_retriable());
        let found =
            wrong.map_or("an invalid range".to_owned(), |offset| format!("has a record at offset {offset}, which"));
        assert!(error.to_string().contains(&found), "{error}");
        assert_nothing_applied(&place, &mut *database);
    };
    check(0, 3, &[0, 3], Some(3));
    check(0, 3, &[1, 1], Some(1));
    check(0, 3, &[2, 1], Some(1));
    check(0, 3, &[-1], Some(-1));
    check(0, -1, &[], None);
    check(0, i64::MIN, &[], None);
    check(0, i64::MAX, &[i64::MAX], Some(i64::MAX));
}

pub(in crate::storage) fn an_empty_batch_takes_no_effect<E: Engine>() {
    let place = E::create();
    let mut database = place.open_at_0(1);
    assert_eq!(database.apply(&[], &mut Attempt::default()).unwrap(), OffsetCounts::default());
    assert_eq!(database.apply(&[batch(0, 0, 0, vec![])], &mut Attempt::default()).unwrap(), OffsetCounts::default());
}

pub(in crate::storage) fn an_id_of_an_unidentified_message_is_never_used_twice<E: Engine>() {
    let place = E::create();
    let mut database = place.open_at_0(1);
    database.apply(&[batch(0, 0, 3, vec![rejected(0), rejected(1), rejected(2)])], &mut Attempt::default()).unwrap();
    let last = place.number("SELECT max(id) FROM unidentified_messages");
    place.execute("DELETE FROM unidentified_messages");
    database.apply(&[batch(0, 3, 4, vec![rejected(3)])], &mut Attempt::default()).unwrap();
    assert!(place.number("SELECT id FROM unidentified_messages") > last);
}

pub(in crate::storage) fn the_messages_for_the_log_file_are_bounded_and_ascend<E: Engine>() {
    let place = E::create();
    let mut database = place.open_at_0(1);
    database.apply(&[batch(0, 0, 4, (0..4).map(rejected).collect())], &mut Attempt::default()).unwrap();
    let messages = database.unidentified();
    let all = messages.messages_after(0, 100, 1 << 20).unwrap();
    let mut offsets = |id, messages_max, bytes_max| -> Vec<i64> {
        let found = messages.messages_after(id, messages_max, bytes_max).unwrap();
        found.iter().map(|message| message.offset).collect()
    };
    assert_eq!(offsets(0, 3, 1 << 20), [0, 1, 2]);
    assert_eq!(offsets(all[2].id, 3, 1 << 20), [3]);
    assert!(offsets(all[3].id, 3, 1 << 20).is_empty());
    // Key and value have 8 bytes.
    assert_eq!(offsets(0, 100, 9), [0, 1], "none after 9 bytes are reached");
    assert_eq!(offsets(0, 100, 0), [0], "at least one");
}

pub(in crate::storage) fn a_rejection_says_why<E: Engine>() {
    let place = E::create();
    let mut database = place.open_at_0(1);
    let entries = Reason::ALL
        .into_iter()
        .zip(0..)
        .map(|(reason, offset)| entry(offset, Err(Rejection { reason, error: format!("because of {reason}") })));
    database.apply(&[batch(0, 0, 5, entries.collect())], &mut Attempt::default()).unwrap();
    let stored = place.query("SELECT reason, error FROM unidentified_messages ORDER BY id");
    let expected = ["empty", "not_json", "unknown_type", "invalid_field", "rejected"];
    assert_eq!(stored, expected.map(|reason| vec![text(reason), text(&format!("because of {reason}"))]));
}
