//! Positions: found, moved, never from where they are not.

use crate::storage::sqlite::fixtures::{GROUP, Place, TOPIC, TOPIC_ID, a_move, batch};
use crate::storage::sqlite::tables::Applied;
use crate::storage::sqlite::tables::position_change::{MoveReason, PositionMove};
use crate::storage::sqlite::{Database, DatabaseError};

#[test]
fn a_position_is_found_as_it_was_put() {
    let place = Place::new();
    let mut database = place.open();
    assert_eq!(database.position(TOPIC, 0).unwrap(), None);
    assert!(!database.knows_topic(TOPIC).unwrap());
    database.move_positions(&[a_move(0, None, 42)]).unwrap();

    let stored = database.position(TOPIC, 0).unwrap().expect("a position");
    assert_eq!((stored.next_offset, stored.first_offset, stored.high_offset), (42, 42, 42));
    assert_eq!((stored.topic_id.as_str(), stored.leader_epoch), (TOPIC_ID, Some(1)));
    assert_eq!((stored.group_id.as_str(), stored.counters), (GROUP, Applied::default()));
    assert_eq!(stored.updated_at.len(), "2024-01-02T03:04:05.678Z".len());
    assert_eq!(database.positions().unwrap(), [stored]);
    assert!(database.knows_topic(TOPIC).unwrap());
    assert_eq!(database.position(TOPIC, 1).unwrap(), None);
}

#[test]
fn positions_belong_to_their_group() {
    let place = Place::new();
    drop(place.open_at_0(1));
    let mut database = Database::open(&place.settings, "group-2").unwrap();
    assert_eq!(database.positions().unwrap(), []);
    assert!(!database.knows_topic(TOPIC).unwrap());
    database.move_positions(&[a_move(0, None, 5)]).unwrap();
    assert_eq!(database.position(TOPIC, 0).unwrap().map(|stored| stored.next_offset), Some(5));
}

#[test]
fn a_move_starts_the_counters_anew_and_leaves_a_trace() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    database.apply(&[batch(0, 0, 100, vec![])]).unwrap();
    let moved = PositionMove {
        topic_id: "another".to_owned(),
        leader_epoch: None,
        reason: MoveReason::TopicRecreated,
        detail: "found id another".to_owned(),
        ..a_move(0, Some(100), 30)
    };
    database.move_positions(&[moved]).unwrap();

    let stored = database.position(TOPIC, 0).unwrap().expect("a position");
    assert_eq!((stored.next_offset, stored.first_offset, stored.high_offset), (30, 30, 100));
    assert_eq!((stored.topic_id.as_str(), stored.leader_epoch), ("another", None));
    assert_eq!(stored.counters, Applied::default());
    assert_eq!(
        place.number(
            "SELECT count(*) FROM position_changes WHERE group_id = 'group-1' AND topic = 'sales_events' AND partition = 0
             AND from_offset = 100 AND to_offset = 30 AND topic_id = 'another' AND reason = 'topic_recreated'
             AND detail = 'found id another' AND at GLOB '????-??-??T??:??:??.???Z'"
        ),
        1
    );
    database.move_positions(&[a_move(0, Some(30), 500)]).unwrap();
    assert_eq!(database.position(TOPIC, 0).unwrap().map(|stored| stored.high_offset), Some(500));
    place.assert_counted();
}

#[test]
fn a_move_from_somewhere_else_moves_nothing() {
    let place = Place::new();
    let mut database = place.open_at_0(2);
    let mut check = |wrong: PositionMove, stored: Option<(i64, String)>| {
        let before = database.positions().unwrap();
        let expected_offset = wrong.from;
        let error = database.move_positions(&[a_move(0, Some(0), 7), wrong]).expect_err("refused");
        assert!(!error.is_retriable());
        let DatabaseError::PositionConflict { expected, stored: found, .. } = error else { panic!("{error:?}") };
        assert_eq!((expected.0, found), (expected_offset, stored));
        assert_eq!(database.positions().unwrap(), before);
    };
    let at_0 = Some((0, TOPIC_ID.to_owned()));
    check(a_move(1, Some(1), 7), at_0.clone());
    check(a_move(1, None, 7), at_0);
    check(a_move(5, Some(0), 7), None);
    assert_eq!(place.number("SELECT count(*) FROM position_changes"), 2);
}

#[test]
fn the_newest_changes_are_shown_first() {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    for offset in 0..20 {
        database.move_positions(&[a_move(0, Some(offset), offset + 1)]).unwrap();
    }
    let summary = crate::storage::sqlite::DatabaseReader::open(&place.settings.path).unwrap().summary(GROUP).unwrap();
    let to: Vec<_> = summary.changes.iter().map(|change| change.to_offset).collect();
    assert_eq!(to, (11..=20).rev().collect::<Vec<_>>());
}
