//! The tables that a user writes who needs no history: each field of an event in a column of its own, twelve columns, and the event
//! that arrives last wins. No times of storage, no topic, partition or offset, so such a database cannot say which events it has.

use rusqlite::{Statement, params};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::events::{Event, Text};
use super::tables::{Coordinates, Tables};
use crate::sql::Table;

const SCHEMA: &str = "
    CREATE TABLE opportunities (
        event_id TEXT PRIMARY KEY, name TEXT, stage TEXT, amount REAL, probability INTEGER, expected_close_date TEXT,
        account_id TEXT, owner_id TEXT, source TEXT, last_modified TEXT, tags TEXT, notes TEXT
    );
    CREATE TABLE projects (
        event_id TEXT PRIMARY KEY, name TEXT, status TEXT, start_date TEXT, end_date TEXT, budget REAL,
        account_id TEXT, owner_id TEXT, source TEXT, last_modified TEXT, tags TEXT, notes TEXT
    );";

const UPSERT_OPPORTUNITY: &str = "
    INSERT INTO opportunities VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (event_id) DO UPDATE SET name = excluded.name, stage = excluded.stage, amount = excluded.amount,
        probability = excluded.probability, expected_close_date = excluded.expected_close_date,
        account_id = excluded.account_id, owner_id = excluded.owner_id, source = excluded.source,
        last_modified = excluded.last_modified, tags = excluded.tags, notes = excluded.notes";

const UPSERT_PROJECT: &str = "
    INSERT INTO projects VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (event_id) DO UPDATE SET name = excluded.name, status = excluded.status, start_date = excluded.start_date,
        end_date = excluded.end_date, budget = excluded.budget,
        account_id = excluded.account_id, owner_id = excluded.owner_id, source = excluded.source,
        last_modified = excluded.last_modified, tags = excluded.tags, notes = excluded.notes";

/// The twelve columns.
pub struct Narrow;

impl Tables for Narrow {
    type Event<'a> = Event<'a, MetaData<'a>>;

    fn schema() -> &'static str {
        SCHEMA
    }

    fn upsert(table: Table) -> String {
        match table {
            Table::Opportunities => UPSERT_OPPORTUNITY,
            Table::Projects => UPSERT_PROJECT,
        }
        .to_owned()
    }

    fn table(event: &Self::Event<'_>) -> Table {
        event.table()
    }

    fn store(event: &Self::Event<'_>, statement: &mut Statement<'_>, _: &Coordinates<'_>) -> crate::Result<()> {
        let meta_data = event.meta_data.as_ref();
        let [first, second, third, fourth] = event.own();
        statement.execute(params![
            event.id,
            event.name,
            first,
            second,
            third,
            fourth,
            event.account_id,
            event.owner_id,
            meta_data.and_then(|meta_data| meta_data.source.as_ref()),
            meta_data.and_then(|meta_data| meta_data.last_modified.as_ref()),
            meta_data.and_then(|meta_data| meta_data.tags).map(RawValue::get),
            meta_data.and_then(|meta_data| meta_data.notes.as_ref())
        ])?;
        Ok(())
    }
}

/// Each field of `meta_data`.
#[derive(Deserialize)]
pub struct MetaData<'a> {
    #[serde(borrow)]
    source: Option<Text<'a>>,
    #[serde(borrow)]
    last_modified: Option<Text<'a>>,
    #[serde(borrow)]
    tags: Option<&'a RawValue>,
    #[serde(borrow)]
    notes: Option<Text<'a>>,
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::Narrow;
    use crate::events::{Ids, Shape, Size};
    use crate::peers::tables::{Coordinates, Tables};
    use crate::sql::Table;

    fn database() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(Narrow::schema()).unwrap();
        connection
    }

    fn store(connection: &Connection, json: &str) -> Table {
        let event = serde_json::from_str(json).unwrap();
        let table = Narrow::table(&event);
        let at = Coordinates { topic: "sales_events", partition: 0, offset: 0, timestamp_ms: None, now: "" };
        Narrow::store(&event, &mut connection.prepare(&Narrow::upsert(table)).unwrap(), &at).unwrap();
        table
    }

    /// One row as text, columns separated by bars, NULL as a dash.
    fn row(connection: &Connection, table: &str) -> String {
        let mut statement = connection.prepare(&format!("SELECT * FROM {table}")).unwrap();
        assert_eq!(statement.column_count(), 12);
        let row = statement.query_row([], |row| {
            let cells = (0..12).map(|at| {
                Ok(match row.get(at)? {
                    rusqlite::types::Value::Null => "-".to_owned(),
                    rusqlite::types::Value::Integer(number) => number.to_string(),
                    rusqlite::types::Value::Real(number) => number.to_string(),
                    rusqlite::types::Value::Text(text) => text,
                    rusqlite::types::Value::Blob(_) => "blob".to_owned(),
                })
            });
            cells.collect::<rusqlite::Result<Vec<_>>>()
        });
        row.unwrap().join("|")
    }

    #[test]
    fn each_field_has_a_column() {
        let connection = database();
        let opportunity = r#"{"event_id":"o","name":"n \"x\"","stage":"Proposal","amount":12.5,"probability":50,
            "expected_close_date":"2025-03-01","account_id":"a","owner_id":"u",
            "meta_data":{"source":"crm","last_modified":"2025-01-01T00:00:00Z","tags":["p","q"],"notes":null}}"#;
        assert_eq!(store(&connection, opportunity), Table::Opportunities);
        let expected = r#"o|n "x"|Proposal|12.5|50|2025-03-01|a|u|crm|2025-01-01T00:00:00Z|["p","q"]|-"#;
        assert_eq!(row(&connection, "opportunities"), expected);
        let project = r#"{"event_id":"p","name":"n","status":"Planned","start_date":"2025-02-01","end_date":"2025-03-01",
            "budget":7.25,"meta_data":{"notes":"long"}}"#;
        assert_eq!(store(&connection, project), Table::Projects);
        assert_eq!(row(&connection, "projects"), "p|n|Planned|2025-02-01|2025-03-01|7.25|-|-|-|-|-|long");
    }

    #[test]
    fn the_event_that_arrives_last_wins() {
        let connection = database();
        for (name, time) in [("new", "2025-02-01T00:00:00Z"), ("old", "2025-01-01T00:00:00Z")] {
            let json =
                format!(r#"{{"event_id":"o","name":"{name}","stage":"s","meta_data":{{"last_modified":"{time}"}}}}"#);
            store(&connection, &json);
        }
        assert_eq!(row(&connection, "opportunities"), "o|old|s|-|-|-|-|-|-|2025-01-01T00:00:00Z|-|-");
    }

    #[test]
    fn every_size_of_event_is_stored() {
        for size in [Size::Small, Size::Ordinary, Size::Large] {
            let connection = database();
            for number in 0..40 {
                store(&connection, &Shape { ids: Ids::RandomUpdates, size }.event(number).1);
            }
            let rows = "SELECT (SELECT count(*) FROM opportunities) + (SELECT count(*) FROM projects)";
            assert_eq!(connection.query_row(rows, [], |row| row.get::<_, u64>(0)).unwrap(), 20);
        }
    }
}
