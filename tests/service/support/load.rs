//! Events and their expected tables: every event has a different time, so the latest event of an id is its row, whatever the order of
//! arrival.

use std::collections::BTreeMap;

use rusqlite::Connection;
use testkit::{Random, Record};

/// The columns of a row: name, stage or status, amount or budget, `last_modified`.
type Row = (String, String, f64, String);

/// Events and their expected tables.
#[derive(Default)]
pub struct Load {
    pub records: Vec<Record>,
    opportunities: BTreeMap<String, Row>,
    projects: BTreeMap<String, Row>,
    /// Values of the unidentified messages.
    unidentified: Vec<Vec<u8>>,
}

impl Load {
    /// `count` records of about `bytes` bytes, with some thousand ids, in an order that is independent of their times; one in a hundred is
    /// no event.
    pub fn of(count: u32, partitions: i32, bytes: usize) -> Self {
        let mut load = Self::default();
        let mut random = Random::from_seed(0x2545_f491_4f6c_dd1d);
        for number in 0..count {
            let partition = i32::try_from(number).unwrap() % partitions;
            if number % 100 == 99 {
                let value = format!("no event {number} {}", "-".repeat(bytes / 2)).into_bytes();
                load.unidentified.push(value.clone());
                load.records.push(Record::value(value).partition(partition));
                continue;
            }
            // Coprime, so no two of a million events have the same time.
            let seconds = u64::from(number) * 7919 % 1_000_003;
            let time = format!(
                "20{:02}-01-01T{:02}:{:02}:{:02}Z",
                seconds / 86400,
                seconds / 3600 % 24,
                seconds / 60 % 60,
                seconds % 60
            );
            let sortable = time.replace('Z', ".000000000Z");
            let id = random.below(u64::from(count / 4 + 1));
            let (name, mark) = (format!("name {number}"), format!("step {}", number % 7));
            let amount = f64::from(number) + 0.25;
            let (id, mark_name, number_name, table) = if id.is_multiple_of(3) {
                (format!("proj_{id}"), "status", "budget", &mut load.projects)
            } else {
                (format!("opp_{id}"), "stage", "amount", &mut load.opportunities)
            };
            let notes = "-".repeat(bytes.saturating_sub(180));
            let value = format!(
                r#"{{"event_id":"{id}","name":"{name}","{mark_name}":"{mark}","{number_name}":{amount},"meta_data":{{"last_modified":"{time}","notes":"{notes}"}}}}"#
            );
            load.records.push(Record::value(value).key(id.clone()).partition(partition));
            let row = (name, mark, amount, sortable);
            match table.get(&id) {
                Some(stored) if stored.3 > row.3 => {}
                _ => drop(table.insert(id, row)),
            }
        }
        load.unidentified.sort();
        load
    }

    /// Checks the tables.
    pub fn assert_stored(&self, database: &Connection) {
        let rows = |query: &str| -> BTreeMap<String, Row> {
            let mut statement = database.prepare(query).unwrap();
            let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, (row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)));
            statement.query_map([], row).unwrap().map(Result::unwrap).collect()
        };
        let stored = rows("SELECT event_id, name, stage, amount, last_modified FROM opportunities");
        assert!(stored == self.opportunities, "{} opportunities, {} expected", stored.len(), self.opportunities.len());
        let stored = rows("SELECT event_id, name, status, budget, last_modified FROM projects");
        assert!(stored == self.projects, "{} projects, {} expected", stored.len(), self.projects.len());
        let mut statement = database.prepare("SELECT value, reason FROM unidentified_messages").unwrap();
        let messages = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        let mut stored: Vec<Vec<u8>> = messages
            .map(|message: rusqlite::Result<(Vec<u8>, String)>| {
                let (value, reason) = message.unwrap();
                assert_eq!(reason, "not_json", "{}", String::from_utf8_lossy(&value));
                value
            })
            .collect();
        stored.sort();
        assert!(stored == self.unidentified, "{} messages, {} expected", stored.len(), self.unidentified.len());
        let counted = "SELECT sum(applied + stale + unidentified) FROM consumer_offsets";
        let counted: u64 = database.query_row(counted, [], |row| row.get(0)).unwrap();
        assert_eq!(counted, self.records.len() as u64, "records that took effect");
    }
}
