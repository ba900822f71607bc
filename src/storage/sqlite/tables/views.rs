//! Views over several databases of one group, as SQL for their readers: of each event the row that one database would hold. Must not know
//! which event wins (`order.rs`), nor open a file.

use std::fmt::Write;

use super::order;
use super::upsert::column_names;
use crate::entity::Kind;

/// How many databases SQLite can attach at once ([`SQLITE_MAX_ATTACHED`](https://www.sqlite.org/limits.html#max_attached)).
pub const DATABASES_MAX: usize = 10;

/// The columns that every table of events has: the coordinates of the event's record, and when the row was written.
const SHARED_COLUMNS: &str = "kafka_topic, kafka_partition, kafka_offset, kafka_timestamp, created_at, updated_at";

/// Statements that attach the database files and create the temporary views `all_opportunities` and `all_projects`.
pub fn sql(databases: &[&str]) -> String {
    let mut sql =
        String::from("-- Views over several databases: of each event_id the row that one database would hold.\n");
    for (number, path) in (1..).zip(databases) {
        // Writing to a string cannot fail.
        let _ = writeln!(sql, "ATTACH '{}' AS db{number};", path.replace('\'', "''"));
    }
    for kind in Kind::ALL {
        let table = kind.table();
        let columns = format!("{}, {SHARED_COLUMNS}", column_names(kind));
        let rows = (1..=databases.len()).map(|number| format!("SELECT {columns} FROM db{number}.{table}"));
        let rows = rows.collect::<Vec<_>>().join("\n        UNION ALL ");
        let order = order::greatest_first();
        let _ = write!(
            sql,
            "CREATE TEMP VIEW all_{table} AS
SELECT {columns} FROM (
    SELECT *, row_number() OVER (PARTITION BY event_id ORDER BY {order}) AS place FROM (
        {rows}
    )
) WHERE place = 1;
"
        );
    }
    sql
}
