//! Which event wins does not depend on the order of arrival.

use super::{Engine, Value};
use crate::entity::{Event, Opportunity, Project};
use crate::storage::fixtures::{TOPIC, batch, counts, entry, jump, modified, opportunity, project};
use crate::storage::{Attempt, Entry, OffsetJump, Outcome, PartitionBatch, Writer};

/// One event of the only id: coordinates and times of its record.
#[derive(Clone, Copy, Debug)]
struct At {
    topic: &'static str,
    partition: i32,
    offset: i64,
    last_modified: Option<&'static str>,
    timestamp_ms: Option<i64>,
}

const fn at(
    last_modified: Option<&'static str>,
    timestamp_ms: Option<i64>,
    partition: i32,
    offset: i64,
    topic: &'static str,
) -> At {
    At { topic, partition, offset, last_modified, timestamp_ms }
}

/// Each list in ascending order, by the rule.
const ASCENDING: [&[At]; 3] = [
    &[
        // Without any time: by partition, then offset.
        at(None, None, 0, 900, "t"),
        at(None, None, 1, 1, "t"),
        // 1 ms before the next one.
        at(None, Some(1_714_979_289_122), 0, 901, "t"),
        at(Some("2024-05-06T07:08:09.123000000Z"), Some(9_000_000_000_000), 0, 902, "t"),
        // Equal times, one from each source: by partition, then offset.
        at(None, Some(1_714_979_289_123), 0, 903, "t"),
        at(Some("2024-05-06T07:08:09.123000001Z"), Some(1), 0, 1, "t"),
    ],
    &[
        at(Some("2024-05-06T07:08:09.000000000Z"), None, 1, 5, "a"),
        at(Some("2024-05-06T07:08:09.000000000Z"), None, 1, 5, "b"),
        at(Some("2024-05-06T07:08:09.000000000Z"), None, 1, 6, "a"),
        at(Some("2024-05-06T07:08:09.000000000Z"), None, 2, 0, "a"),
        // Numbers, not text: 10 is more than 9.
        at(Some("2024-05-06T07:08:09.000000000Z"), None, 10, 0, "a"),
    ],
    &[
        // Times out of range count as the nearest in range, then by offset; negative times are before 1970.
        at(None, Some(i64::MIN), 0, 1, "t"),
        at(None, Some(-62_167_219_200_001), 0, 2, "t"),
        at(Some("0000-01-01T00:00:00.000000000Z"), None, 0, 3, "t"),
        at(None, Some(-1), 0, 0, "t"),
        at(Some("1970-01-01T00:00:00.000000000Z"), None, 0, 4, "t"),
        at(None, Some(i64::MAX), 0, 5, "t"),
    ],
];

pub(in crate::storage) fn the_order_of_arrival_does_not_matter<E: Engine>() {
    let mut tables = Tables::<E>::new();
    for ascending in ASCENDING {
        let expected = tables.after(&[*ascending.last().unwrap()]);
        for permutation in permutations(ascending.len()) {
            let arriving: Vec<At> = permutation.iter().map(|&index| ascending[index]).collect();
            assert_eq!(tables.after(&arriving), expected, "{arriving:?}");
        }
    }
    tables.place.assert_counted();
}

pub(in crate::storage) fn each_event_is_greater_than_the_one_before<E: Engine>() {
    let mut tables = Tables::<E>::new();
    for pair in ASCENDING.iter().flat_map(|ascending| ascending.windows(2)) {
        let greater = tables.after(&pair[1..]);
        assert_eq!(tables.after(pair), greater, "{pair:?}");
        assert_eq!(tables.after(&[pair[1], pair[0]]), greater, "{pair:?}");
    }
}

pub(in crate::storage) fn a_smaller_event_of_either_type_is_counted_as_stale<E: Engine>() {
    let place = E::create();
    let mut database = place.open_at_0(1);
    let at = |time| Some(modified(time));
    let opportunity = |time| Event::Opportunity(Opportunity { meta_data: at(time), ..opportunity("the one") });
    let project = |time| Event::Project(Project { meta_data: at(time), ..project("the one") });
    let (earlier, later) = ("2024-01-01T00:00:00.000000000Z", "2024-01-02T00:00:00.000000000Z");
    let events = [opportunity(later), opportunity(earlier), project(later), project(earlier), project(later)];
    let entries = (0..).zip(events).map(|(offset, event)| entry(offset, Ok(event))).collect();
    let applied = database.apply(&[batch(0, 0, 5, entries)], &mut Attempt::default()).unwrap();
    assert_eq!(applied, counts(3, 2, 0, 0));
    place.assert_counted();
}

/// Partitions and topics of one transaction share ids; each position counts its own stale events.
pub(in crate::storage) fn events_of_several_partitions_meet_each_other<E: Engine>() {
    let place = E::create();
    let mut database = place.open_at_0(3);
    let elsewhere = OffsetJump { topic: "b".to_owned(), ..jump(1, None, 0) };
    database.store_jumps(&[elsewhere], &mut Attempt::default()).unwrap();
    let event = |id: &'static str, day: u32| {
        let time = format!("2024-01-{day:02}T00:00:00.000000000Z");
        Ok(Event::Opportunity(Opportunity { meta_data: Some(modified(&time)), ..opportunity(id) }))
    };
    let entries = |events: Vec<(&'static str, u32)>| {
        (0..).zip(events).map(|(offset, (id, day))| entry(offset, event(id, day))).collect::<Vec<_>>()
    };
    // Of 70 ids each partition has an event, so that statements hold events of several partitions.
    let ids: Vec<&'static str> = (0..70).map(|number| &*format!("opp_{number:02}").leak()).collect();
    let of_all = |day| ids.iter().map(|&id| (id, day)).collect::<Vec<_>>();
    let (first, second, third) = (entries(of_all(2)), entries(of_all(3)), entries([of_all(1), of_all(4)].concat()));
    let other_topic = entries(vec![("opp_00", 2), ("opp_01", 5)]);
    let batches = [
        batch(2, 0, 70, first),
        batch(0, 0, 70, second),
        PartitionBatch { topic: "b", ..batch(1, 0, 2, other_topic) },
        batch(1, 0, 140, third),
    ];
    let mut attempt = Attempt::default();
    let applied = database.apply(&batches, &mut attempt).unwrap();
    // Stale are of partition 1 all events of the first day and the one that the other topic is ahead of, and of topic b the first.
    let mut stale =
        |topic: &str, partition| database.position(topic, partition).unwrap().unwrap().counters.get(Outcome::Stale);
    let found = [stale(TOPIC, 2), stale(TOPIC, 0), stale("b", 1), stale(TOPIC, 1)];
    assert_eq!(found, [0, 0, 1, 71]);
    assert_eq!(applied, counts(282 - 72, 72, 0, 0));
    assert_eq!(attempt.counts().iter().count(), 4);
    for (topic, partition, counts) in attempt.counts().iter() {
        assert_eq!(counts, database.position(topic, partition).unwrap().unwrap().counters, "{topic}-{partition}");
    }
    let newest = "SELECT count(*) FROM opportunities WHERE kafka_partition = 1 AND kafka_topic = 'sales_events'";
    assert_eq!(place.number(newest), 69);
    place.assert_counted();
}

struct Tables<E> {
    place: E,
    database: Box<dyn Writer>,
}

impl<E: Engine> Tables<E> {
    fn new() -> Self {
        let place = E::create();
        Self { database: place.open(), place }
    }

    /// The rows of both tables after the events were applied one by one, without the times of writing.
    fn after(&mut self, events: &[At]) -> Vec<Vec<Value>> {
        self.place.execute("DELETE FROM opportunities; DELETE FROM projects");
        for event in events {
            self.arrive(event);
        }
        let columns = "name, last_modified, kafka_timestamp, kafka_topic, kafka_partition, kafka_offset";
        let sql = format!("SELECT {columns} FROM opportunities UNION ALL SELECT {columns} FROM projects");
        self.place.query(&sql)
    }

    fn arrive(&mut self, event: &At) {
        let from = self.database.position(event.topic, event.partition).unwrap().map(|stored| stored.next_offset);
        let moved = OffsetJump { topic: event.topic.to_owned(), ..jump(event.partition, from, event.offset) };
        self.database.store_jumps(&[moved], &mut Attempt::default()).unwrap();
        let name = format!("{event:?}");
        let name = || name.as_str().into();
        let meta_data = || event.last_modified.map(modified);
        let events = [
            Event::Opportunity(Opportunity { name: name(), meta_data: meta_data(), ..opportunity("the one") }),
            Event::Project(Project { name: name(), meta_data: meta_data(), ..project("the one") }),
        ];
        let entries = events
            .into_iter()
            .zip(event.offset..)
            .map(|(decoded, offset)| Entry { timestamp_ms: event.timestamp_ms, ..entry(offset, Ok(decoded)) })
            .collect();
        let batch = batch(event.partition, event.offset, event.offset + 2, entries);
        self.database.apply(&[PartitionBatch { topic: event.topic, ..batch }], &mut Attempt::default()).unwrap();
    }
}

/// All orders of `0..length`.
fn permutations(length: usize) -> Vec<Vec<usize>> {
    if length == 0 {
        return vec![vec![]];
    }
    let shorter = permutations(length - 1);
    let insert = |order: &Vec<usize>, at: usize| {
        let mut order = order.clone();
        order.insert(at, length - 1);
        order
    };
    shorter.iter().flat_map(|order| (0..length).map(move |at| insert(order, at))).collect()
}

pub(in crate::storage) fn the_same_event_again_is_applied_and_keeps_its_first_time<E: Engine>() {
    let place = E::create();
    let mut database = place.open_at_0(1);
    let event = || {
        Event::Opportunity(Opportunity {
            meta_data: Some(modified("2024-05-06T07:08:09.000000000Z")),
            ..opportunity("a")
        })
    };
    let again = || batch(0, 0, 1, vec![entry(0, Ok(event()))]);
    database.apply(&[again()], &mut Attempt::default()).unwrap();
    place.execute("UPDATE opportunities SET created_at = 'first', updated_at = 'first', name = 'changed by hand'");
    database.store_jumps(&[jump(0, Some(1), 0)], &mut Attempt::default()).unwrap();
    assert_eq!(database.apply(&[again()], &mut Attempt::default()).unwrap().get(Outcome::Applied), 1);
    assert_eq!(
        place.number("SELECT count(*) FROM opportunities WHERE created_at = 'first' AND updated_at <> 'first' AND name = 'Renewal'"),
        1
    );
}
