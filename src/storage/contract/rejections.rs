//! A record that the database rejects, in whatever way, is kept alone, and the other records are stored.

use super::{Engine, Value};
use crate::entity::{Event, Opportunity};
use crate::storage::attempt::Attempt;
use crate::storage::batch::Entry;
use crate::storage::counts::RejectedRecord;
use crate::storage::fixtures::{TOPIC, batch, counts, entry, opportunity, rejected};

/// Ids whose order as text is that of their numbers: rows are stored in the order of ids.
pub(in crate::storage) fn ids(count: i64) -> Vec<String> {
    (0..count).map(|number| format!("opp_{number:04}")).collect()
}

/// One event per id, from offset 0 on; those at the offsets of `bad` are rejected.
pub(in crate::storage) fn events<'a>(ids: &'a [String], bad: &[i64]) -> Vec<Entry<'a>> {
    let event = |(id, offset): (&'a String, i64)| {
        let name = if bad.contains(&offset) { "fraud" } else { "fine" };
        entry(offset, Ok(Event::Opportunity(Opportunity { name: name.into(), ..opportunity(id) })))
    };
    ids.iter().zip(0..).map(event).collect()
}

pub(in crate::storage) fn assert_isolated(place: &impl Engine, bad: &[i64], error: &str) {
    let kept = place.query("SELECT kafka_offset, reason, error FROM unidentified_messages ORDER BY kafka_offset");
    let text = |text: &str| Value::Text(text.to_owned());
    let expected: Vec<_> = bad.iter().map(|&at| vec![Value::Integer(at), text("rejected"), text(error)]).collect();
    assert_eq!(kept, expected);
    assert_eq!(place.number("SELECT count(*) FROM opportunities WHERE name = 'fraud'"), 0);
    let left = "SELECT count(*) FROM seen WHERE event_id NOT IN (SELECT event_id FROM opportunities)";
    assert_eq!(place.number(left), 0, "the changes by triggers are undone");
    place.assert_counted();
}

pub(in crate::storage) fn one_rejected_record_is_kept_and_all_others_are_stored<E: Engine>() {
    let ids = ids(40);
    for (sql, error) in E::rejections() {
        for bad in [0, 17, 39] {
            let place = E::create();
            let mut database = place.open_at_0(1);
            place.execute(&sql);
            let entries = events(&ids, &[bad]);
            let counted = database.apply(&[batch(0, 0, 50, entries)], &mut Attempt::default()).unwrap();
            assert_eq!(counted, counts(39, 0, 1, 10), "{sql}");
            assert_eq!(place.number("SELECT count(*) FROM opportunities"), 39);
            assert_isolated(&place, &[bad], error);
            assert_eq!(database.position(TOPIC, 0).unwrap().unwrap().next_offset, 50);
        }
    }
}

pub(in crate::storage) fn many_rejected_records_and_nothing_but_rejected_ones_are_kept<E: Engine>() {
    let ids = ids(24);
    for (sql, error) in E::rejections() {
        for bad in [&[0, 1, 2, 11, 12, 23][..], &[22, 23], &(0..24).collect::<Vec<_>>()] {
            let place = E::create();
            let mut database = place.open_at_0(1);
            place.execute(&sql);
            let mut attempt = Attempt::default();
            let counted = database.apply(&[batch(0, 0, 24, events(&ids, bad))], &mut attempt).unwrap();
            let count = bad.len() as u64;
            let last = RejectedRecord {
                topic: TOPIC.to_owned(),
                partition: 0,
                offset: *bad.last().unwrap(),
                error: error.to_owned(),
            };
            assert_eq!(attempt.counts().last_rejected(), Some(&last), "{sql}");
            assert_eq!(counted, counts(24 - count, 0, count, 0), "{sql}");
            assert_isolated(&place, bad, error);
        }
    }
}

pub(in crate::storage) fn several_partitions_in_one_call_keep_their_counts<E: Engine>() {
    let ids = ids(9);
    for (sql, _) in E::rejections() {
        let place = E::create();
        let mut database = place.open_at_0(3);
        place.execute(&sql);
        let mut second = events(&ids[..5], &[]);
        second[2] = rejected(2);
        let third: Vec<_> = events(&ids, &[6]).into_iter().skip(5).collect();
        let batches = [batch(0, 0, 3, vec![rejected(1)]), batch(1, 0, 5, second), batch(2, 0, 9, third)];
        assert_eq!(database.apply(&batches, &mut Attempt::default()).unwrap(), counts(7, 0, 3, 7), "{sql}");
        let counters = place.query("SELECT applied, unidentified, absent FROM consumer_offsets ORDER BY partition");
        assert_eq!(counters, [[0, 1, 2], [4, 1, 0], [3, 1, 5]].map(|row| row.map(Value::Integer).to_vec()));
    }
}

/// The second half of a batch fails after the first half was committed: the attempt knows that.
pub(in crate::storage) fn a_write_that_failed_is_repeated_with_its_attempt<E: Engine>() {
    let ids = ids(8);
    for (sql, error) in E::rejections() {
        let place = E::create();
        let mut database = place.open_at_0(1);
        place.execute(&sql);
        // There is no table for unidentified messages.
        place.execute("ALTER TABLE unidentified_messages RENAME TO renamed");
        let batches = || [batch(0, 0, 8, events(&ids, &[5]))];
        let mut attempt = Attempt::default();
        for _ in 0..2 {
            database.apply(&batches(), &mut attempt).expect_err("the rejected record cannot be kept");
            place.assert_counted();
        }
        place.execute("ALTER TABLE renamed RENAME TO unidentified_messages");
        assert_eq!(database.apply(&batches(), &mut attempt).unwrap(), counts(7, 0, 1, 0), "{sql}");
        assert_isolated(&place, &[5], error);
    }
}
