//! The views over several databases show the rows that one database would hold that had read everything.

use rusqlite::Connection;
use rusqlite::types::Value;
use testkit::Random;

use crate::entity::{Event, Opportunity, Project};
use crate::storage::sqlite::fixtures::{Place, TOPIC_ID, entry, jump, modified, opportunity, project, topic_id};
use crate::storage::sqlite::tables::views;
use crate::storage::{Attempt, Entry, OffsetJump, OffsetRange, PartitionBatch};

const SEEDS: u64 = 15;
const RECORDS: i64 = 12;
const DATABASES: usize = 3;
const PARTITIONS: [(&str, i32); 4] = [("a", 0), ("a", 10), ("b", 0), ("b", 9)];

/// Few different times, so that there are ties. In microseconds a time is past the year 9999.
const TIMESTAMPS: [Option<i64>; 9] = [
    None,
    Some(-1),
    Some(0),
    Some(i64::MIN),
    Some(i64::MAX),
    Some(1_714_979_289_123),
    Some(1_714_979_289_122),
    Some(1_714_979_289_123_456),
    Some(253_402_300_799_999),
];
const LAST_MODIFIED: [Option<&str>; 5] = [
    None,
    None,
    Some("2024-05-06T07:08:09.123000000Z"),
    Some("2024-05-06T07:08:09.123456789Z"),
    Some("9999-12-31T23:59:59.999999999Z"),
];

/// A record, and which of the databases have it.
struct Made {
    offset: i64,
    name: String,
    id: String,
    is_project: bool,
    last_modified: Option<&'static str>,
    timestamp_ms: Option<i64>,
    databases: Vec<usize>,
}

impl Made {
    fn new(random: &mut Random, at: (&str, i32), offset: i64) -> Self {
        let mut databases = vec![random.below(DATABASES)];
        // After a crash a record takes effect in two of them.
        if random.one_in(4) {
            databases.push(random.below(DATABASES));
        }
        Self {
            offset,
            name: format!("{}-{} {offset}", at.0, at.1),
            id: format!("id_{}", random.below(40_u32)),
            is_project: random.one_in(3),
            last_modified: *random.pick(&LAST_MODIFIED).unwrap(),
            timestamp_ms: *random.pick(&TIMESTAMPS).unwrap(),
            databases,
        }
    }

    fn entry(&self) -> Entry<'_> {
        let meta_data = self.last_modified.map(modified);
        let (id, name) = (self.id.as_str(), self.name.as_str().into());
        let event = if self.is_project {
            Event::Project(Project { name, meta_data, ..project(id) })
        } else {
            Event::Opportunity(Opportunity { name, meta_data, ..opportunity(id) })
        };
        Entry { timestamp_ms: self.timestamp_ms, ..entry(self.offset, Ok(event)) }
    }
}

/// Stores records in a database of their own.
fn place<'a>(made: impl Iterator<Item = &'a (usize, Made)>) -> Place {
    let place = Place::new();
    let mut database = place.open();
    let made: Vec<&(usize, Made)> = made.collect();
    for (index, (topic, partition)) in PARTITIONS.into_iter().enumerate() {
        database
            .store_jumps(&[OffsetJump { topic: topic.to_owned(), ..jump(partition, None, 0) }], &mut Attempt::default())
            .unwrap();
        let entries: Vec<Entry<'_>> =
            made.iter().filter(|(at, _)| *at == index).map(|(_, record)| record.entry()).collect();
        let batch = PartitionBatch {
            topic,
            topic_id: Some(topic_id(TOPIC_ID)),
            partition,
            leader_epoch: None,
            offsets: OffsetRange { from: 0, next: RECORDS },
            entries: &entries,
        };
        database.apply(&[batch], &mut Attempt::default()).unwrap();
    }
    drop(database);
    place
}

const COLUMNS: &str = "event_id, name, last_modified, kafka_topic, kafka_partition, kafka_offset, kafka_timestamp";

fn rows(connection: &Connection, table: &str) -> Vec<Vec<Value>> {
    let mut statement = connection.prepare(&format!("SELECT {COLUMNS} FROM {table} ORDER BY event_id")).unwrap();
    let row = |row: &rusqlite::Row<'_>| (0..7).map(|column| row.get(column)).collect();
    statement.query_map([], row).unwrap().collect::<rusqlite::Result<_>>().unwrap()
}

#[test]
fn the_views_show_what_one_database_would_hold() {
    let mut rows_compared = 0;
    for seed in 1..=SEEDS {
        let mut random = Random::new(seed, "views");
        let mut made = Vec::new();
        for (index, at) in PARTITIONS.into_iter().enumerate() {
            made.extend((0..RECORDS).map(|offset| (index, Made::new(&mut random, at, offset))));
        }
        let whole = place(made.iter());
        let parts: Vec<Place> = (0..DATABASES)
            .map(|number| place(made.iter().filter(|(_, record)| record.databases.contains(&number))))
            .collect();
        let paths: Vec<&str> = parts.iter().map(|part| part.settings.path.to_str().unwrap()).collect();
        let reader = Connection::open_in_memory().unwrap();
        reader.execute_batch(&views::sql(&paths)).unwrap();
        for table in ["opportunities", "projects"] {
            let expected = rows(&whole.connect(), table);
            assert_eq!(rows(&reader, &format!("all_{table}")), expected, "{table}, seed {seed}");
            rows_compared += expected.len();
        }
    }
    assert!(rows_compared > 100, "{rows_compared}");
}

#[test]
fn a_view_has_every_column_of_its_table() {
    let place = Place::new();
    drop(place.open());
    let path = place.directory.path().join("it's.db");
    std::fs::copy(&place.settings.path, &path).unwrap();
    let reader = Connection::open_in_memory().unwrap();
    reader.execute_batch(&views::sql(&[path.to_str().unwrap()])).unwrap();
    let columns = |schema: &str, table: &str| {
        let sql = format!("SELECT name FROM pragma_table_info('{table}', '{schema}') ORDER BY name");
        let mut statement = reader.prepare(&sql).unwrap();
        let names = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        names.collect::<rusqlite::Result<Vec<_>>>().unwrap()
    };
    for table in ["opportunities", "projects"] {
        assert_eq!(columns("temp", &format!("all_{table}")), columns("db1", table));
    }
}
