//! What matches is pruned in bounded steps, and every position that has counted it counts that: nothing else may be missing.

use super::kept::{listed, stored};
use super::{Engine, Value};
use crate::entity::Reason;
use crate::storage::fixtures::{batch, jump, rejected};
use crate::storage::{
    Attempt, Entry, Invariant, MessageFilter, OffsetJump, PartitionBatch, PruneCounts, PruneCursor, PruneRequest,
    Pruner, TopicId, UnloggedMessages, Violation, Writer, open_pruner,
};

fn pruner(place: &impl Engine) -> Box<dyn Pruner> {
    open_pruner(place.settings(), "any group").unwrap()
}

fn request(filter: MessageFilter) -> PruneRequest {
    PruneRequest { filter, unlogged: UnloggedMessages::Prune }
}

/// Prunes to the end; gives what was pruned, and in how many steps.
fn prune(database: &mut dyn Pruner, request: &PruneRequest) -> (PruneCounts, usize) {
    let (mut pruned, mut steps, mut next) = (PruneCounts::default(), 0, Some(PruneCursor::default()));
    while let Some(after) = next {
        let step = database.prune(request, &after).unwrap();
        pruned.extend(step.pruned);
        steps += 1;
        next = step.next;
    }
    (pruned, steps)
}

fn prune_all(place: &impl Engine) -> u64 {
    prune(&mut *pruner(place), &request(MessageFilter::default())).0.total().messages
}

/// `unidentified` and `pruned` of each position, by group and partition.
fn counted(place: &impl Engine) -> Vec<(i64, i64)> {
    let rows = place.query("SELECT unidentified, pruned FROM consumer_offsets ORDER BY group_id, partition");
    let number = |value: &Value| if let Value::Integer(number) = value { *number } else { panic!("{value:?}") };
    rows.iter().map(|row| (number(&row[0]), number(&row[1]))).collect()
}

pub(in crate::storage) fn what_matches_is_deleted_and_counted<E: Engine>() {
    let check = |filter: MessageFilter, pruned_offsets: &[i64]| {
        let (place, _database) = stored::<E>();
        let before = listed(&place, &MessageFilter::default(), u64::MAX);
        let request = request(filter);
        let counts = place.inspector().count_prunable(&request).unwrap();
        assert_eq!(listed(&place, &MessageFilter::default(), u64::MAX), before, "a count deletes nothing");
        let (pruned, _) = prune(&mut *pruner(&place), &request);
        assert_eq!(pruned, counts, "{request:?}");
        // Key and value have 8 bytes, the headers 2.
        let expected = u64::try_from(pruned_offsets.len()).unwrap();
        assert_eq!((pruned.total().messages, pruned.total().bytes), (expected, 10 * expected), "{request:?}");
        let left = before.into_iter().filter(|(partition, offset)| *partition != 0 || !pruned_offsets.contains(offset));
        assert_eq!(listed(&place, &MessageFilter::default(), u64::MAX), left.collect::<Vec<_>>(), "{request:?}");
        assert_eq!(counted(&place), [(10, expected.cast_signed()), (1, 0)]);
        assert_eq!(place.violations(), []);
    };
    let filter = || MessageFilter { partition: Some(0), ..MessageFilter::default() };
    let time = |hour: i64| Some(format!("2026-01-15T{hour:02}:30:00.000Z"));
    check(filter(), &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    check(MessageFilter { topic: Some("another".to_owned()), ..filter() }, &[]);
    check(MessageFilter { reason: Some(Reason::InvalidField), ..filter() }, &[3, 8]);
    check(MessageFilter { replayed: Some(true), ..filter() }, &[0, 5]);
    check(MessageFilter { before: time(2), ..filter() }, &[0, 1, 9]);
    check(MessageFilter { since: time(2), before: time(5), ..filter() }, &[2, 3, 4]);
    check(MessageFilter { before: time(6), replayed: Some(true), reason: Some(Reason::Empty), ..filter() }, &[0, 5]);
}

pub(in crate::storage) fn a_message_that_is_not_in_the_log_file_stays<E: Engine>() {
    let (place, mut database) = stored::<E>();
    let logged = database.unidentified().messages_after(0, 4, usize::MAX).unwrap().pop().unwrap();
    database.unidentified().set_log_cursor(logged.id).unwrap();
    let keep = PruneRequest { filter: MessageFilter::default(), unlogged: UnloggedMessages::Keep };
    assert_eq!(place.inspector().count_prunable(&keep).unwrap().total().messages, 4);
    assert_eq!(prune(&mut *pruner(&place), &keep).0.total().messages, 4);
    let left = place.number("SELECT min(id) FROM unidentified_messages");
    assert_eq!((left, counted(&place)), (logged.id + 1, vec![(10, 4), (1, 0)]));
    assert_eq!(prune_all(&place), 7);
    assert_eq!((counted(&place), place.violations()), (vec![(10, 10), (1, 1)], vec![]));
}

pub(in crate::storage) fn a_prune_is_bounded_and_resumes_anywhere<E: Engine>() {
    let place = E::create();
    let mut database = place.open_at_0(1);
    database.apply(&[batch(0, 0, 2500, (0..2500).map(rejected).collect())], &mut Attempt::default()).unwrap();
    // All were stored at the same time.
    let mut first = pruner(&place);
    let request = request(MessageFilter::default());
    let step = first.prune(&request, &PruneCursor::default()).unwrap();
    assert_eq!(step.pruned.total().messages, 1000);
    assert_eq!((counted(&place), place.violations()), (vec![(2500, 1000)], vec![]));
    // Another process takes over, and the same step is repeated: its messages are no longer there.
    drop(first);
    let (pruned, steps) = prune(&mut *pruner(&place), &request);
    assert_eq!((pruned.total().messages, steps), (1500, 2));
    assert_eq!((counted(&place), place.violations()), (vec![(2500, 2500)], vec![]));
    assert_eq!(prune(&mut *pruner(&place), &request), (PruneCounts::default(), 1));
    // Large ones: no more after 8 MiB.
    let large = vec![b'x'; 3 << 20];
    let entries = (2500..2508).map(|offset| Entry { value: Some(&large), ..rejected(offset) }).collect();
    database.apply(&[batch(0, 2500, 2508, entries)], &mut Attempt::default()).unwrap();
    let step = pruner(&place).prune(&request, &PruneCursor::default()).unwrap();
    assert_eq!(step.pruned.total().messages, 3);
}

pub(in crate::storage) fn a_position_counts_an_offset_once<E: Engine>() {
    let place = E::create();
    let mut database = place.open_at_0(1);
    let other = |offset| Entry { value: Some(b"another record"), ..rejected(offset) };
    database.apply(&[batch(0, 0, 4, (0..4).map(rejected).collect())], &mut Attempt::default()).unwrap();
    // Read again from 2 on, where other records are now; what was there before counts for nobody.
    database.store_jumps(&[jump(0, Some(4), 2)], &mut Attempt::default()).unwrap();
    database.apply(&[batch(0, 2, 4, vec![other(2), other(3)])], &mut Attempt::default()).unwrap();
    // Another group finds the first records again, so they count for both groups.
    let mut another = place.open_group("group-2");
    another.store_jumps(&[jump(0, None, 0)], &mut Attempt::default()).unwrap();
    another.apply(&[batch(0, 0, 4, (0..4).map(rejected).collect())], &mut Attempt::default()).unwrap();
    assert_eq!(place.violations(), []);
    let value = E::bytes_literal("value");
    place.execute(&format!("UPDATE unidentified_messages SET reason = 'empty' WHERE value = {value}"));
    let of_reason = |reason| request(MessageFilter { reason: Some(reason), ..MessageFilter::default() });
    assert_eq!(prune(&mut *pruner(&place), &of_reason(Reason::Empty)).0.total().messages, 4);
    // For the first group another record is still kept at both of its offsets.
    assert_eq!((counted(&place), place.violations()), (vec![(2, 0), (4, 4)], vec![]));
    assert_eq!(prune_all(&place), 2);
    assert_eq!((counted(&place), place.violations()), (vec![(2, 2), (4, 4)], vec![]));
}

pub(in crate::storage) fn what_was_pruned_is_kept_again_when_it_is_read_again<E: Engine>() {
    let place = E::create();
    let mut database = place.open_at_0(1);
    let read = |database: &mut dyn Writer| {
        database.apply(&[batch(0, 0, 3, (0..3).map(rejected).collect())], &mut Attempt::default()).unwrap();
    };
    read(&mut *database);
    assert_eq!((prune_all(&place), counted(&place)), (3, vec![(3, 3)]));
    database.store_jumps(&[jump(0, Some(3), 0)], &mut Attempt::default()).unwrap();
    assert_eq!(counted(&place), [(0, 0)]);
    read(&mut *database);
    assert_eq!((counted(&place), place.violations()), (vec![(3, 0)], vec![]));
    assert_eq!(place.number("SELECT min(id) FROM unidentified_messages"), 4);
    assert_eq!(place.summary().positions[0].pruned, 0);
    assert_eq!((prune_all(&place), place.summary().positions[0].pruned), (3, 3));
    // Of a topic that was recreated, nothing is counted.
    let recreated = OffsetJump { topic_id: TopicId::new("recreated"), ..jump(0, Some(3), 3) };
    database.store_jumps(&[recreated], &mut Attempt::default()).unwrap();
    assert_eq!((counted(&place), place.violations()), (vec![(0, 0)], vec![]));
}

pub(in crate::storage) fn a_message_without_a_topic_id_counts_for_the_topic<E: Engine>() {
    let place = E::create();
    let mut database = place.open();
    database.store_jumps(&[OffsetJump { topic_id: None, ..jump(0, None, 0) }], &mut Attempt::default()).unwrap();
    let batch_of = |offset| PartitionBatch { topic_id: None, ..batch(0, offset, offset + 1, vec![rejected(offset)]) };
    database.apply(&[batch_of(0)], &mut Attempt::default()).unwrap();
    // The id becomes known.
    database.apply(&[batch(0, 1, 2, vec![rejected(1)])], &mut Attempt::default()).unwrap();
    assert_eq!(prune_all(&place), 2);
    assert_eq!((counted(&place), place.violations()), (vec![(2, 2)], vec![]));
}

pub(in crate::storage) fn a_message_that_is_missing_is_found_after_a_prune<E: Engine>() {
    let (place, _database) = stored::<E>();
    let filter = MessageFilter { reason: Some(Reason::Empty), ..MessageFilter::default() };
    prune(&mut *pruner(&place), &request(filter));
    place.execute("DELETE FROM unidentified_messages WHERE kafka_offset = 1");
    let violations = place.violations();
    let [(Invariant::Unidentified, Violation::Missing { position, kept: 7 })] = &violations[..] else {
        panic!("{violations:?}")
    };
    assert_eq!(position.pruned, 2);
    assert_eq!((prune_all(&place), counted(&place)), (8, vec![(10, 9), (1, 1)]));
    place.execute_unchecked("UPDATE consumer_offsets SET pruned = 11 WHERE partition = 0");
    let violations = place.violations();
    let is_miscounted = |(invariant, violation): &(Invariant, Violation)| {
        *invariant == Invariant::Counters
            && matches!(violation, Violation::Miscounted(position) if position.pruned == 11)
    };
    assert!(violations.iter().any(is_miscounted), "{violations:?}");
}
