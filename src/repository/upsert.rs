//! Upserts of events, many in one [multi-row `VALUES`](https://www.sqlite.org/lang_insert.html): SQLite begins and ends a
//! statement once for all of them. Must not know the columns of any table.

use rusqlite::{Statement, ToSql, Transaction};

/// Rows in one statement, the most first. More gain little (`./bench --instructions`, thousands for each event of a transaction:
/// single ones 15.6, 8 rows 13.4, 16 rows 12.7, 64 rows 11.8, 256 rows 11.6), and a statement of 64 has 963 parameters, far from
/// [SQLite's limit](https://www.sqlite.org/limits.html#max_variable_number) of 32,766.
const ROWS: [usize; 3] = [64, 8, 1];

/// The parameters that all rows share: `?1` topic, `?2` partition, `?3` the present time.
const SHARED: usize = 3;

/// The columns of [`SHARED`], in every table of events.
const SHARED_COLUMNS: &str = "kafka_topic, kafka_partition, created_at, updated_at";
const SHARED_VALUES: &str = "?1, ?2, ?3, ?3";

/// An event as a row of its table.
pub(crate) trait Row {
    /// The statements that [`statements`] makes for its table, made once.
    fn statements() -> &'static Statements;

    /// Binds the values of its own columns, in their order.
    fn bind(&self, to: &mut Binder<'_, '_>) -> rusqlite::Result<()>;
}

/// An upsert for each number of rows in [`ROWS`].
pub(crate) type Statements = [(usize, String); ROWS.len()];

/// An event and where in its partition it lies.
#[derive(Debug)]
pub(crate) struct Placed<'e, E> {
    pub(crate) event: &'e E,
    pub(crate) offset: i64,
    pub(crate) timestamp_ms: Option<i64>,
}

/// Where events come from, and when they are stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: i32,
    pub(crate) now: &'a str,
}

/// Stores events in their order, each unless a greater one of its id is stored; says how many were.
pub(crate) fn store<E: Row>(
    transaction: &Transaction<'_>,
    origin: &Origin<'_>,
    events: &[Placed<'_, E>],
) -> rusqlite::Result<usize> {
    let mut stored = 0;
    let mut rest = events;
    for (rows, sql) in E::statements() {
        if rest.len() < *rows {
            continue;
        }
        let mut statement = transaction.prepare_cached(sql)?;
        while let Some((events, after)) = rest.split_at_checked(*rows) {
            stored += execute(&mut statement, origin, events)?;
            rest = after;
        }
    }
    Ok(stored)
}

fn execute<E: Row>(
    statement: &mut Statement<'_>,
    origin: &Origin<'_>,
    events: &[Placed<'_, E>],
) -> rusqlite::Result<usize> {
    let mut binder = Binder { statement, bound: 0 };
    binder.bind(origin.topic)?;
    binder.bind(origin.partition)?;
    binder.bind(origin.now)?;
    for placed in events {
        placed.event.bind(&mut binder)?;
        binder.bind(placed.offset)?;
        binder.bind(placed.timestamp_ms)?;
    }
    statement.raw_execute()
}

/// Binds values to a statement's parameters, one after the other.
pub(crate) struct Binder<'s, 'c> {
    statement: &'s mut Statement<'c>,
    bound: usize,
}

impl Binder<'_, '_> {
    pub(crate) fn bind(&mut self, value: impl ToSql) -> rusqlite::Result<()> {
        self.bound += 1;
        self.statement.raw_bind_parameter(self.bound, value)
    }
}

/// Makes the upserts of a table, whose own columns begin with the id. Where there is a row of the id, `unless_older` says whether it gets
/// the new values; it keeps its `created_at`.
pub(crate) fn statements(table: &str, columns: &str, unless_older: &str) -> Statements {
    let columns = format!("{columns}, kafka_offset, kafka_timestamp");
    let own: Vec<&str> = columns.split(", ").collect();
    let replaced = own.iter().skip(1).chain(&["kafka_topic", "kafka_partition", "updated_at"]);
    let assignments: Vec<String> = replaced.map(|column| format!("{column} = excluded.{column}")).collect();
    let assignments = assignments.join(", ");
    ROWS.map(|rows| {
        let values: Vec<String> = (0..rows).map(|row| values(SHARED + row * own.len(), own.len())).collect();
        let values = values.join(", ");
        let sql = format!(
            "INSERT INTO {table} ({columns}, {SHARED_COLUMNS}) VALUES {values}
             ON CONFLICT (event_id) DO UPDATE SET {assignments} WHERE {unless_older}"
        );
        (rows, sql)
    })
}

/// The values of a row: its parameters follow those that are `taken`.
fn values(taken: usize, count: usize) -> String {
    let own: Vec<String> = (1..=count).map(|number| format!("?{}", taken + number)).collect();
    format!("({}, {SHARED_VALUES})", own.join(", "))
}
