//! Unidentified messages are listed, read and found as of one moment, and each part of a filter narrows them.

use std::ops::ControlFlow;

use super::Engine;
use crate::entity::{Reason, Rejection};
use crate::storage::fixtures::{TOPIC, TOPIC_ID, batch, entry, jump, rejected, topic_id};
use crate::storage::{
    Attempt, Entry, Header, KeptMessage, ListedMessage, MessageFilter, OffsetJump, PartitionBatch, TopicId, Writer,
};

/// When the message at an offset of [`stored`] was stored: an hour later for each, but for the last one, when the clock was wrong.
fn received_at(offset: i64) -> String {
    let hour = if offset == 9 { 0 } else { offset };
    format!("2026-01-15T{hour:02}:30:00.000Z")
}

fn of_reason(offset: i64, reason: Reason) -> Entry<'static> {
    entry(offset, Err(Rejection { reason, error: format!("because of {reason}") }))
}

/// Ten messages at the offsets 0 to 9 of partition 0, two of each reason, and one of partition 1. Those at 0 and 5 have been replayed.
pub(in crate::storage) fn stored<E: Engine>() -> (E, Box<dyn Writer>) {
    let place = E::create();
    let mut database = place.open_at_0(2);
    let reasons = Reason::ALL.into_iter().cycle();
    let entries = (0..10).zip(reasons).map(|(offset, reason)| of_reason(offset, reason)).collect();
    let batches = [batch(0, 0, 10, entries), batch(1, 0, 1, vec![rejected(0)])];
    database.apply(&batches, &mut Attempt::default()).unwrap();
    for offset in 0..10 {
        let at = received_at(offset);
        place.execute(&format!(
            "UPDATE unidentified_messages SET received_at = '{at}' WHERE kafka_partition = 0 AND kafka_offset = {offset}"
        ));
    }
    let at = received_at(23);
    place.execute(&format!("UPDATE unidentified_messages SET received_at = '{at}' WHERE kafka_partition = 1"));
    place.execute("UPDATE unidentified_messages SET replayed_at = received_at WHERE kafka_offset IN (0, 5) AND kafka_partition = 0");
    (place, database)
}

fn place_of(message: &ListedMessage) -> (i32, i64) {
    (message.partition, message.offset)
}

pub(in crate::storage) fn listed(place: &impl Engine, filter: &MessageFilter, messages_max: u64) -> Vec<(i32, i64)> {
    let mut found = Vec::new();
    let mut each = |message: ListedMessage| {
        found.push(place_of(&message));
        ControlFlow::Continue(())
    };
    place.inspector().list_messages(filter, messages_max, &mut each).unwrap();
    found
}

fn read(place: &impl Engine, filter: &MessageFilter, messages_max: u64) -> Vec<KeptMessage> {
    let mut found = Vec::new();
    let mut each = |message| {
        found.push(message);
        ControlFlow::Continue(())
    };
    place.inspector().read_messages(filter, messages_max, &mut each).unwrap();
    found
}

pub(in crate::storage) fn the_newest_messages_are_listed_first<E: Engine>() {
    let (place, _database) = stored::<E>();
    let all = MessageFilter::default();
    assert_eq!(listed(&place, &all, 3), [(1, 0), (0, 9), (0, 8)]);
    assert_eq!(listed(&place, &all, u64::MAX).len(), 11);
    assert_eq!(listed(&place, &all, 0), []);
    let mut first = None;
    let mut each = |message| {
        assert!(first.replace(message).is_none(), "called after it has broken");
        ControlFlow::Break(())
    };
    place.inspector().list_messages(&all, 9, &mut each).unwrap();
    let message = first.unwrap();
    assert_eq!((message.key_bytes, message.value_bytes, message.replayed_at), (Some(3), Some(5), None));
    assert_eq!((&*message.topic, &*message.reason, message.received_at), (TOPIC, "not_json", received_at(23)));
}

pub(in crate::storage) fn each_part_of_a_filter_narrows<E: Engine>() {
    let (place, _database) = stored::<E>();
    let check = |change: fn(&mut MessageFilter), expected: &[i64]| {
        let mut filter = MessageFilter { partition: Some(0), ..MessageFilter::default() };
        change(&mut filter);
        let expected: Vec<_> = expected.iter().map(|&offset| (0, offset)).collect();
        let mut found = listed(&place, &filter, u64::MAX);
        found.reverse();
        assert_eq!(found, expected, "{filter:?}");
        let read: Vec<_> = read(&place, &filter, u64::MAX).iter().map(|message| place_of(&message.listed)).collect();
        assert_eq!(read, expected, "{filter:?}");
    };
    check(|_| {}, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    check(|filter| filter.topic = Some(TOPIC.to_owned()), &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    check(|filter| filter.topic = Some("another".to_owned()), &[]);
    check(|filter| filter.partition = Some(7), &[]);
    check(|filter| filter.reason = Some(Reason::NotJson), &[1, 6]);
    check(|filter| filter.replayed = Some(true), &[0, 5]);
    check(|filter| filter.replayed = Some(false), &[1, 2, 3, 4, 6, 7, 8, 9]);
    check(|filter| filter.since = Some(received_at(7)), &[7, 8]);
    check(|filter| filter.before = Some(received_at(3)), &[0, 1, 2, 9]);
    check(|filter| (filter.since, filter.before) = (Some(received_at(2)), Some(received_at(4))), &[2, 3]);
    check(|filter| (filter.since, filter.reason) = (Some(received_at(1)), Some(Reason::NotJson)), &[1, 6]);
    check(|filter| filter.since = Some(received_at(24)), &[]);
}

pub(in crate::storage) fn a_message_is_read_byte_for_byte<E: Engine>() {
    let place = E::create();
    let mut database = place.open_at_0(1);
    let headers: Vec<Header<'_>> = vec![(b"trace", Some(b"\0\xff"))];
    let entries = vec![
        Entry { key: Some(b""), value: Some(b"\xff\n"), headers: &headers, ..rejected(0) },
        Entry { key: None, value: None, timestamp_ms: None, ..rejected(1) },
    ];
    database.apply(&[batch(0, 0, 2, entries)], &mut Attempt::default()).unwrap();
    let found = read(&place, &MessageFilter::default(), 9);
    let [first, second] = &found[..] else { panic!("{found:?}") };
    assert_eq!((first.key.as_deref(), first.value.as_deref()), (Some(&b""[..]), Some(&b"\xff\n"[..])));
    assert_eq!((&*first.headers, first.topic_id.clone()), (r#"[["trace","AP8="]]"#, TopicId::new(TOPIC_ID)));
    assert_eq!((first.listed.key_bytes, first.listed.value_bytes), (Some(0), Some(2)));
    assert_eq!((&second.key, &second.value, second.listed.timestamp_ms), (&None, &None, None));
    assert_eq!((second.listed.key_bytes, second.listed.value_bytes), (None, None));
    assert_eq!(read(&place, &MessageFilter::default(), 1).len(), 1);
}

pub(in crate::storage) fn every_message_at_an_offset_is_found<E: Engine>() {
    let place = E::create();
    let mut database = place.open_at_0(2);
    let apply = |database: &mut dyn Writer, batch| database.apply(&[batch], &mut Attempt::default()).unwrap();
    apply(&mut *database, batch(0, 0, 2, vec![rejected(0), rejected(1)]));
    apply(&mut *database, batch(1, 0, 1, vec![rejected(0)]));
    // Another record there, and topics of the same name.
    database.store_jumps(&[jump(0, Some(2), 0)], &mut Attempt::default()).unwrap();
    apply(&mut *database, batch(0, 0, 1, vec![Entry { value: Some(b"later"), ..rejected(0) }]));
    for (from, id) in [(1, "0-recreated"), (1, "z-recreated")] {
        let jump = OffsetJump { topic_id: TopicId::new(id), ..jump(0, Some(from), 0) };
        database.store_jumps(&[jump], &mut Attempt::default()).unwrap();
        let batch = batch(0, 0, 1, vec![rejected(0)]);
        apply(&mut *database, PartitionBatch { topic_id: Some(topic_id(id)), ..batch });
    }
    let at = |topic: &str, partition, offset| {
        let mut found = Vec::new();
        let mut each = |message: KeptMessage| {
            found.push((message.topic_id.unwrap().to_string(), message.value.unwrap()));
            ControlFlow::Continue(())
        };
        place.inspector().read_messages_at((topic, partition, offset), &mut each).unwrap();
        found
    };
    let message = |id: &str, value: &str| (id.to_owned(), value.as_bytes().to_vec());
    let expected = [
        message(TOPIC_ID, "value"),
        message(TOPIC_ID, "later"),
        message("0-recreated", "value"),
        message("z-recreated", "value"),
    ];
    assert_eq!(at(TOPIC, 0, 0), expected);
    assert_eq!(at(TOPIC, 0, 1), [message(TOPIC_ID, "value")]);
    assert_eq!(at(TOPIC, 1, 0), [message(TOPIC_ID, "value")]);
    for (topic, partition, offset) in [(TOPIC, 0, 2), (TOPIC, 2, 0), ("another", 0, 0)] {
        assert_eq!(at(topic, partition, offset), []);
    }
}
