//! What is stored after a cursor is found, once.

use super::Engine;
use crate::entity::Event;
use crate::storage::fixtures::{batch, entry, opportunity, project, rejected};
use crate::storage::{Attempt, Inspector, TailCursor, TailItem};

/// The offsets of what was found, with whether it is an event, and whether that is the first of its id.
fn found(inspector: &mut dyn Inspector, cursor: &mut TailCursor, rows_max: u32) -> Vec<(i64, Option<bool>)> {
    let step = inspector.tail(cursor, rows_max).unwrap();
    assert_eq!(step.only_new_rows, Vec::<&str>::new());
    let mut found: Vec<_> = step
        .items
        .iter()
        .map(|item| match item {
            TailItem::Event(event) => (event.offset, Some(event.is_first)),
            TailItem::Message(message) => (message.offset, None),
        })
        .collect();
    found.sort_unstable();
    found
}

pub(in crate::storage) fn what_is_stored_is_found_once<E: Engine>() {
    let place = E::create();
    let mut database = place.open_at_0(1);
    let event = |offset, id: &'static str| entry(offset, Ok(Event::Opportunity(opportunity(id))));
    database.apply(&[batch(0, 0, 2, vec![event(0, "opp_1"), rejected(1)])], &mut Attempt::default()).unwrap();
    let mut inspector = place.inspector();
    let mut cursor = inspector.tail_cursor().unwrap();
    assert_eq!(found(&mut *inspector, &mut cursor, 100), [], "what was stored before");
    // Times have milliseconds.
    std::thread::sleep(std::time::Duration::from_millis(3));
    let entries = vec![
        event(2, "opp_2"),
        event(3, "opp_1"),
        entry(4, Ok(Event::Project(project("proj_1")))),
        rejected(5),
        event(6, "opp_3"),
    ];
    database.apply(&[batch(0, 2, 7, entries)], &mut Attempt::default()).unwrap();
    let expected = [(2, Some(true)), (3, Some(false)), (4, Some(true)), (5, None), (6, Some(true))];
    let mut one_by_one = cursor.clone();
    assert_eq!(found(&mut *inspector, &mut cursor, 100), expected);
    assert_eq!(found(&mut *inspector, &mut cursor, 100), []);
    let mut all = Vec::new();
    for _ in 0..4 {
        all.extend(found(&mut *inspector, &mut one_by_one, 1));
    }
    all.sort_unstable();
    assert_eq!(all, expected, "one row of each table at a time");
    assert_eq!(found(&mut *inspector, &mut one_by_one, 1), []);
    database.apply(&[batch(0, 7, 8, vec![event(7, "opp_1")])], &mut Attempt::default()).unwrap();
    assert_eq!(found(&mut *inspector, &mut cursor, 100), [(7, Some(false))]);
}
