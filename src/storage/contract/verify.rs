//! Each invariant is violated alone, and found.

use super::Engine;
use crate::entity::Event;
use crate::storage::fixtures::{GROUP, TOPIC, TOPIC_ID, batch, entry, jump, opportunity, project, rejected, topic_id};
use crate::storage::{Attempt, CountedPosition, Invariant, OffsetJump, PartitionBatch, TopicId, Violation, Writer};

/// One event of each type in partition 0 (10 offsets, two of them unidentified), no record in partition 1.
pub(in crate::storage) fn a_sound_database<E: Engine>() -> (E, Box<dyn Writer>) {
    let place = E::create();
    let mut database = place.open_at_0(2);
    let entries = vec![
        entry(0, Ok(Event::Opportunity(opportunity("opp_1")))),
        entry(3, Ok(Event::Project(project("proj_1")))),
        rejected(5),
        rejected(6),
    ];
    database.apply(&[batch(0, 0, 10, entries)], &mut Attempt::default()).unwrap();
    (place, database)
}

fn position(change: impl FnOnce(&mut CountedPosition)) -> CountedPosition {
    let mut position = CountedPosition {
        group_id: GROUP.to_owned(),
        topic: TOPIC.to_owned(),
        partition: 0,
        first_offset: 0,
        next_offset: 10,
        high_offset: 10,
        counters: [2, 0, 2, 6],
        pruned: 0,
    };
    change(&mut position);
    position
}

fn beyond(
    table: &'static str,
    partition: i64,
    high_offset: Option<i64>,
    rows: u64,
    (first_offset, last_offset): (i64, i64),
) -> Violation {
    Violation::Beyond { table, topic: TOPIC.to_owned(), partition, high_offset, rows, first_offset, last_offset }
}

pub(in crate::storage) fn a_sound_database_violates_nothing<E: Engine>() {
    let (place, mut database) = a_sound_database::<E>();
    assert_eq!(place.violations(), []);
    // Read again from the middle: rows lie beyond the position, and not beyond the highest one.
    database.store_jumps(&[jump(0, Some(10), 4)], &mut Attempt::default()).unwrap();
    assert_eq!(place.violations(), []);
    database.apply(&[batch(0, 4, 7, vec![rejected(5), rejected(6)])], &mut Attempt::default()).unwrap();
    assert_eq!(place.violations(), []);
    // Recovered this time, as after an upgrade: the message is still there.
    database.store_jumps(&[jump(0, Some(7), 5)], &mut Attempt::default()).unwrap();
    database
        .apply(&[batch(0, 5, 6, vec![entry(5, Ok(Event::Project(project("proj_2"))))])], &mut Attempt::default())
        .unwrap();
    place.execute("UPDATE unidentified_messages SET replayed_at = received_at");
    assert_eq!(place.violations(), []);
}

pub(in crate::storage) fn each_violation_is_found_alone<E: Engine>() {
    let check = |sql: &str, expected: &[(Invariant, Violation)]| {
        let (place, _database) = a_sound_database::<E>();
        place.execute_unchecked(sql);
        let mut found = place.violations();
        // The tables have the equation as a CHECK, which an engine may verify too.
        found.retain(|(_, violation)| !matches!(violation, Violation::Damage(text) if text.starts_with("CHECK")));
        assert_eq!(found, expected, "{sql}");
    };
    let miscounted = |change: fn(&mut CountedPosition)| (Invariant::Counters, Violation::Miscounted(position(change)));
    check(
        "UPDATE consumer_offsets SET applied = 3 WHERE partition = 0",
        &[miscounted(|at| at.counters = [3, 0, 2, 6])],
    );
    check("UPDATE consumer_offsets SET stale = 1 WHERE partition = 0", &[miscounted(|at| at.counters = [2, 1, 2, 6])]);
    check("UPDATE consumer_offsets SET absent = 5 WHERE partition = 0", &[miscounted(|at| at.counters = [2, 0, 2, 5])]);
    check(
        "UPDATE consumer_offsets SET unidentified = 1 WHERE partition = 0",
        &[miscounted(|at| at.counters = [2, 0, 1, 6])],
    );
    check(
        "UPDATE consumer_offsets SET applied = 9, stale = -7 WHERE partition = 0",
        &[miscounted(|at| at.counters = [9, -7, 2, 6])],
    );
    check("UPDATE consumer_offsets SET high_offset = 9 WHERE partition = 0", &[miscounted(|at| at.high_offset = 9)]);
    check(
        "UPDATE opportunities SET kafka_offset = 10",
        &[(Invariant::Rows, beyond("opportunities", 0, Some(10), 1, (10, 10)))],
    );
    check("UPDATE projects SET kafka_partition = 1", &[(Invariant::Rows, beyond("projects", 1, Some(0), 1, (3, 3)))]);
    check("UPDATE projects SET kafka_partition = 7", &[(Invariant::Rows, beyond("projects", 7, None, 1, (3, 3)))]);
    check(
        "INSERT INTO unidentified_messages
             (kafka_topic, topic_id, kafka_partition, kafka_offset, headers, reason, error, received_at)
         VALUES ('sales_events', '', 0, 11, '[]', 'empty', '', ''), ('sales_events', '', 0, 20, '[]', 'empty', '', '')",
        &[(Invariant::Rows, beyond("unidentified_messages", 0, Some(10), 2, (11, 20)))],
    );
    let missing = |kept| (Invariant::Unidentified, Violation::Missing { position: position(|_| {}), kept });
    check("DELETE FROM unidentified_messages WHERE kafka_offset = 5", &[missing(1)]);
    check("DELETE FROM unidentified_messages", &[missing(0)]);
    check(
        "UPDATE unidentified_messages SET kafka_partition = 1, kafka_offset = -1 WHERE kafka_offset = 5",
        &[missing(1)],
    );
    check("UPDATE unidentified_messages SET topic_id = 'of another topic' WHERE kafka_offset = 5", &[missing(1)]);
}

pub(in crate::storage) fn every_group_counts<E: Engine>() {
    let (place, _database) = a_sound_database::<E>();
    // Another group is at a greater position: its rows are before that.
    let mut other = place.open_group("group-2");
    other.store_jumps(&[jump(0, None, 10)], &mut Attempt::default()).unwrap();
    other
        .apply(
            &[batch(0, 10, 12, vec![rejected(10), entry(11, Ok(Event::Project(project("proj_9"))))])],
            &mut Attempt::default(),
        )
        .unwrap();
    assert_eq!(place.violations(), []);
    place.execute("DELETE FROM consumer_offsets WHERE group_id = 'group-2'");
    let expected = [
        (Invariant::Rows, beyond("projects", 0, Some(10), 1, (11, 11))),
        (Invariant::Rows, beyond("unidentified_messages", 0, Some(10), 1, (10, 10))),
    ];
    assert_eq!(place.violations(), expected);
}

pub(in crate::storage) fn messages_of_an_earlier_topic_do_not_count_for_others<E: Engine>() {
    let (place, mut database) = a_sound_database::<E>();
    let recreated = OffsetJump { topic_id: TopicId::new("recreated"), ..jump(0, Some(10), 0) };
    database.store_jumps(&[recreated], &mut Attempt::default()).unwrap();
    assert_eq!(place.violations(), [], "rows of the earlier topic are below its highest position");
    let again = PartitionBatch { topic_id: Some(topic_id("recreated")), ..batch(0, 0, 10, vec![rejected(5)]) };
    database.apply(&[again], &mut Attempt::default()).unwrap();
    assert_eq!(place.violations(), []);
    place.execute("DELETE FROM unidentified_messages WHERE topic_id = 'recreated'");
    let counted = position(|at| at.counters = [0, 0, 1, 9]);
    assert_eq!(place.violations(), [(Invariant::Unidentified, Violation::Missing { position: counted, kept: 0 })]);
}

pub(in crate::storage) fn a_message_from_before_the_topic_id_was_known_counts_once<E: Engine>() {
    let place = E::create();
    let mut database = place.open();
    database.store_jumps(&[OffsetJump { topic_id: None, ..jump(0, None, 0) }], &mut Attempt::default()).unwrap();
    database
        .apply(&[PartitionBatch { topic_id: None, ..batch(0, 0, 1, vec![rejected(0)]) }], &mut Attempt::default())
        .unwrap();
    database.apply(&[batch(0, 1, 2, vec![rejected(1)])], &mut Attempt::default()).unwrap();
    assert_eq!(place.violations(), []);
    // The first record is read again and kept a second time, with the topic id: it does not count for the missing one.
    place.execute(&format!(
        "DELETE FROM unidentified_messages WHERE kafka_offset = 1;
         INSERT INTO unidentified_messages
             (kafka_topic, topic_id, kafka_partition, kafka_offset, headers, reason, error, received_at)
         VALUES ('sales_events', '{TOPIC_ID}', 0, 0, '[]', 'empty', '', '')"
    ));
    assert!(matches!(&place.violations()[..], [(Invariant::Unidentified, Violation::Missing { kept: 1, .. })]));
}
