//! Positions and their jumps.

use super::Engine;
use crate::storage::fixtures::{GROUP, TOPIC, TOPIC_ID, batch, jump};
use crate::storage::{Attempt, ErrorKind, JumpReason, OffsetCounts, OffsetJump, TopicId};

pub(in crate::storage) fn a_stored_position_is_found<E: Engine>() {
    let place = E::create();
    let mut database = place.open();
    assert_eq!(database.position(TOPIC, 0).unwrap(), None);
    assert!(!database.knows_topic(TOPIC).unwrap());
    database.store_jumps(&[jump(0, None, 42)], &mut Attempt::default()).unwrap();

    let stored = database.position(TOPIC, 0).unwrap().expect("a position");
    assert_eq!((stored.next_offset, stored.first_offset, stored.high_offset), (42, 42, 42));
    assert_eq!((stored.topic_id.clone(), stored.leader_epoch), (TopicId::new(TOPIC_ID), Some(1)));
    assert_eq!((stored.group_id.as_str(), stored.counters), (GROUP, OffsetCounts::default()));
    assert_eq!(stored.updated_at.len(), "2024-01-02T03:04:05.678Z".len());
    assert_eq!(database.positions().unwrap(), [stored]);
    assert!(database.knows_topic(TOPIC).unwrap());
    assert_eq!(database.position(TOPIC, 1).unwrap(), None);
}

pub(in crate::storage) fn positions_belong_to_their_group<E: Engine>() {
    let place = E::create();
    drop(place.open_at_0(1));
    let mut database = place.open_group("group-2");
    assert_eq!(database.positions().unwrap(), []);
    assert!(!database.knows_topic(TOPIC).unwrap());
    database.store_jumps(&[jump(0, None, 5)], &mut Attempt::default()).unwrap();
    assert_eq!(database.position(TOPIC, 0).unwrap().map(|stored| stored.next_offset), Some(5));
}

pub(in crate::storage) fn a_jump_resets_the_counters_and_is_kept<E: Engine>() {
    let place = E::create();
    let mut database = place.open_at_0(1);
    database.apply(&[batch(0, 0, 100, vec![])], &mut Attempt::default()).unwrap();
    let moved = OffsetJump {
        topic_id: TopicId::new("another"),
        leader_epoch: None,
        reason: JumpReason::TopicRecreated,
        detail: "found id another".to_owned(),
        ..jump(0, Some(100), 30)
    };
    database.store_jumps(&[moved], &mut Attempt::default()).unwrap();

    let stored = database.position(TOPIC, 0).unwrap().expect("a position");
    assert_eq!((stored.next_offset, stored.first_offset, stored.high_offset), (30, 30, 100));
    assert_eq!((stored.topic_id, stored.leader_epoch), (TopicId::new("another"), None));
    assert_eq!(stored.counters, OffsetCounts::default());
    assert_eq!(
        place.number(
            "SELECT count(*) FROM position_changes WHERE group_id = 'group-1' AND topic = 'sales_events' AND partition = 0
             AND from_offset = 100 AND to_offset = 30 AND topic_id = 'another' AND reason = 'topic_recreated'
             AND detail = 'found id another' AND at LIKE '____-__-__T__:__:__.___Z'"
        ),
        1
    );
    database.store_jumps(&[jump(0, Some(30), 500)], &mut Attempt::default()).unwrap();
    assert_eq!(database.position(TOPIC, 0).unwrap().map(|stored| stored.high_offset), Some(500));
    place.assert_counted();
}

pub(in crate::storage) fn a_jump_from_another_position_is_a_conflict<E: Engine>() {
    let place = E::create();
    let mut database = place.open_at_0(2);
    let mut check = |wrong: OffsetJump, stored: &str| {
        let before = database.positions().unwrap();
        let error = database.store_jumps(&[jump(0, Some(0), 7), wrong], &mut Attempt::default()).expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.to_string().contains(stored), "{error}");
        assert_eq!(database.positions().unwrap(), before);
    };
    let at_0 = format!("stored is offset 0 of topic id '{TOPIC_ID}'");
    check(jump(1, Some(1), 7), &at_0);
    check(jump(1, None, 7), &at_0);
    check(jump(5, Some(0), 7), "stored is none");
    assert_eq!(place.number("SELECT count(*) FROM position_changes"), 2);
}

pub(in crate::storage) fn the_newest_jumps_are_listed_first<E: Engine>() {
    let place = E::create();
    let mut database = place.open_at_0(1);
    for offset in 0..20 {
        database.store_jumps(&[jump(0, Some(offset), offset + 1)], &mut Attempt::default()).unwrap();
    }
    let summary = place.summary();
    let to: Vec<_> = summary.jumps.iter().map(|change| change.to_offset).collect();
    assert_eq!(to, (11..=20).rev().collect::<Vec<_>>());
}
