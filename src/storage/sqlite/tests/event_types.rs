//! Every event type of the registry has its table.

use crate::entity::{ColumnType, Kind, decode};
use crate::storage::sqlite::fixtures::Place;
use rusqlite::types::Value;

/// The columns that every table of events has besides those of its type.
const SHARED: [(&str, &str); 6] = [
    ("kafka_topic", "TEXT"),
    ("kafka_partition", "INTEGER"),
    ("kafka_offset", "INTEGER"),
    ("kafka_timestamp", "INTEGER"),
    ("created_at", "TEXT"),
    ("updated_at", "TEXT"),
];

#[test]
fn the_columns_of_each_type_are_those_of_its_table() {
    let place = Place::new();
    drop(place.open());
    for kind in Kind::ALL {
        let columns = kind.columns().iter().map(|column| {
            let declared = match column.column_type {
                ColumnType::Text | ColumnType::Json => "TEXT",
                ColumnType::Real => "REAL",
                ColumnType::Integer => "INTEGER",
            };
            (column.name, declared)
        });
        let mut expected: Vec<_> = columns.chain(SHARED).map(|(name, declared)| [text(name), text(declared)]).collect();
        expected.sort_by_key(|column| format!("{column:?}"));
        let table = kind.table();
        let mut found = place.query(&format!("SELECT name, type FROM pragma_table_info('{table}')"));
        found.sort_by_key(|column| format!("{column:?}"));
        assert_eq!(found, expected, "{table}");
        assert_eq!(kind.columns()[0].name, "event_id");
    }
}

#[test]
fn the_example_of_each_type_is_an_event_of_it() {
    for kind in Kind::ALL {
        let event = decode(Some(kind.example().as_bytes())).unwrap();
        assert_eq!(event.kind(), kind);
        assert!(event.event_id().starts_with(kind.id_prefix()));
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}
