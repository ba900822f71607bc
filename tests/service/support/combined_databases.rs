//! The combined contents of several databases: of each id the row that wins, and every unidentified message. Computed from the rows;
//! shares no code with the service.

use std::collections::BTreeMap;

use rusqlite::Connection;
use rusqlite::types::Value;

use super::events::{Coordinates, Order, TABLES, Tables, as_time, stored_events, stored_messages};

impl Tables {
    /// Checks that the databases together have exactly these rows. Several may have the same row or message, which must be equal.
    pub fn assert_combined(&self, databases: &[Connection]) {
        for table in TABLES {
            let union = combined_events(databases, table);
            let expected = self.events.iter().filter(|((of, _), _)| *of == table);
            let mut count = 0;
            for ((_, id), greatest) in expected {
                count += 1;
                assert_eq!(union.get(id), Some(greatest), "{table}: {id}");
            }
            assert_eq!(union.len(), count, "ids of {table}");
        }
        let mut union: BTreeMap<Coordinates, Vec<Value>> = BTreeMap::new();
        for (at, message) in databases.iter().flat_map(stored_messages) {
            let first = union.entry(at.clone()).or_insert_with(|| message.clone());
            assert_eq!(*first, message, "two databases differ in a message at {at:?}");
        }
        assert_eq!(union.len(), self.unidentified.len(), "unidentified messages");
        assert_eq!(union, self.unidentified);
    }
}

fn combined_events(databases: &[Connection], table: &str) -> BTreeMap<String, (Order, Vec<Value>)> {
    let mut union: BTreeMap<String, (Order, Vec<Value>)> = BTreeMap::new();
    for (id, row) in databases.iter().flat_map(|database| stored_events(database, table)) {
        let order = order(&row);
        let Some((greatest, known)) = union.get(&id) else {
            union.insert(id, (order, row));
            continue;
        };
        assert!(*greatest != order || *known == row, "two databases differ in {table}: {id} at {order:?}");
        if *greatest < order {
            union.insert(id, (order, row));
        }
    }
    union
}

/// The order of a row: time, partition, offset; its columns end with `last_modified, extra, topic, partition, offset, timestamp`.
fn order(row: &[Value]) -> Order {
    let [.., last_modified, _, _, Value::Integer(partition), Value::Integer(offset), Value::Integer(timestamp)] = row
    else {
        panic!("a row is {row:?}")
    };
    let time = match last_modified {
        Value::Text(time) => time.clone(),
        _ => as_time(*timestamp),
    };
    (time, i32::try_from(*partition).unwrap(), *offset)
}
