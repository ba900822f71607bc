//! Upserts of events, many in one [multi-row `VALUES`](https://www.sqlite.org/lang_insert.html): SQLite begins and ends a
//! statement once for all of them. Must not know which types of events there are.

use std::sync::LazyLock;

use rusqlite::{Statement, ToSql, Transaction};

use super::super::error::Trigger;
use super::order;
use super::tally::{self, COUNT_SAME, count_stale};
use crate::entity::{Bind, ByKind, Event, Kind, Value};

/// The numbers of rows in one statement, in descending order. More rows gain little: for each event of a transaction `./bench --instructions`
/// counts 15,600 with one row, 13,400 with 8, 12,700 with 16, 11,800 with 64 and 11,600 with 256. A statement of 64 rows has 1,026 parameters,
/// far from [SQLite's limit](https://www.sqlite.org/limits.html#max_variable_number) of 32,766.
const ROWS: [usize; 3] = [64, 8, 1];

/// How many parameters all rows share: `?1` topic, `?2` the present time.
const SHARED: usize = 2;

/// The columns of [`SHARED`], in every table of events.
const SHARED_COLUMNS: &str = "kafka_topic, created_at, updated_at";
const SHARED_VALUES: &str = "?1, ?2, ?2";

/// The statements of a table of events.
#[derive(Debug)]
struct Statements {
    /// An upsert for each number of rows in [`ROWS`].
    upserts: [(usize, String); ROWS.len()],
    /// Whether there is a row of an id.
    exists: String,
}

static STATEMENTS: LazyLock<ByKind<Statements>> = LazyLock::new(|| ByKind::new(statements));

/// An event with its id, and partition, offset and timestamp of its record.
#[derive(Debug)]
pub(crate) struct Placed<'e> {
    pub(crate) event_id: &'e str,
    pub(crate) event: &'e Event<'e>,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) timestamp_ms: Option<i64>,
}

/// The topic that events come from, and the time at which they are stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin<'a> {
    pub(crate) topic: &'a str,
    pub(crate) now: &'a str,
}

/// Stores events in their order, each unless it or a greater event of its id is stored; [`tally::take_stale`] says how many were not. The
/// inner error says what a trigger did to keep an event out of the table; some of the others are stored then.
pub(crate) fn store(
    transaction: &Transaction<'_>,
    kind: Kind,
    origin: &Origin<'_>,
    events: &[Placed<'_>],
) -> rusqlite::Result<Result<(), Trigger>> {
    let mut rest = events;
    let statements = STATEMENTS.get(kind);
    for (rows, sql) in &statements.upserts {
        if rest.len() < *rows {
            continue;
        }
        let mut statement = transaction.prepare_cached(sql)?;
        while let Some((events, after)) = rest.split_at_checked(*rows) {
            if let Err(trigger) = execute(transaction, &mut statement, &statements.exists, origin, events)? {
                return Ok(Err(trigger));
            }
            rest = after;
        }
    }
    Ok(Ok(()))
}

fn execute(
    transaction: &Transaction<'_>,
    statement: &mut Statement<'_>,
    exists: &str,
    origin: &Origin<'_>,
    events: &[Placed<'_>],
) -> rusqlite::Result<Result<(), Trigger>> {
    let mut binder = Binder { statement, bound: 0 };
    binder.add(origin.topic)?;
    binder.add(origin.now)?;
    for placed in events {
        placed.event.bind(&mut binder)?;
        binder.add(placed.partition)?;
        binder.add(placed.offset)?;
        binder.add(placed.timestamp_ms)?;
    }
    let changes_before = transaction.total_changes();
    let written = statement.raw_execute()?;
    // Changes by triggers count in `total_changes` only (https://www.sqlite.org/c3ref/total_changes.html).
    let by_triggers = (transaction.total_changes() - changes_before) > written as u64;
    if by_triggers && !are_stored(transaction, exists, events)? {
        return Ok(Err(Trigger::Deletes));
    }
    let is_any_skipped =
        written < events.len() && written as u64 + tally::take_unchanged(transaction)? != events.len() as u64;
    Ok(if is_any_skipped { Err(Trigger::Skips) } else { Ok(()) })
}

/// Whether there is a row of each event's id.
fn are_stored(transaction: &Transaction<'_>, exists: &str, events: &[Placed<'_>]) -> rusqlite::Result<bool> {
    let mut exists = transaction.prepare_cached(exists)?;
    for placed in events {
        if !exists.exists([placed.event_id])? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Binds values to a statement's parameters, one after the other.
struct Binder<'s, 'c> {
    statement: &'s mut Statement<'c>,
    bound: usize,
}

impl Binder<'_, '_> {
    fn add(&mut self, value: impl ToSql) -> rusqlite::Result<()> {
        self.bound += 1;
        self.statement.raw_bind_parameter(self.bound, value)
    }
}

impl Bind for Binder<'_, '_> {
    type Error = rusqlite::Error;

    #[inline]
    fn bind(&mut self, value: Value<'_>) -> rusqlite::Result<()> {
        match value {
            Value::Text(text) | Value::Json(text) => self.add(text),
            Value::Real(number) => self.add(number),
            Value::Integer(number) => self.add(number),
        }
    }
}

/// The names of the columns that hold the fields of an event type.
pub(crate) fn column_names(kind: Kind) -> String {
    let names: Vec<&str> = kind.columns().iter().map(|column| column.name).collect();
    names.join(", ")
}

/// Makes the statements of a table. Where there is a row of the id, [`order::unless_older`] says whether it gets the new values, and keeps
/// its `created_at`; a row of the very same record does not change, nor does its `updated_at`.
fn statements(kind: Kind) -> Statements {
    let (table, unless_older) = (kind.table(), order::unless_older(kind.table()));
    let columns = format!("{}, kafka_partition, kafka_offset, kafka_timestamp", column_names(kind));
    let own: Vec<&str> = columns.split(", ").collect();
    let replaced = own.iter().skip(1).chain(&["kafka_topic", "updated_at"]);
    let assignments: Vec<String> = replaced.map(|column| format!("{column} = excluded.{column}")).collect();
    let assignments = assignments.join(", ");
    // The offset first: another record differs in it, as a rule.
    let coordinates = ["kafka_offset", "kafka_partition", "kafka_topic"];
    let others = own.iter().skip(1).copied().filter(|column| !coordinates.contains(column));
    let compared = coordinates.into_iter().chain(others);
    let is_same: Vec<String> = compared.map(|column| format!("excluded.{column} IS {table}.{column}")).collect();
    let is_same = is_same.join(" AND ");
    // Of a `CASE` SQLite evaluates no more than it needs (https://www.sqlite.org/lang_expr.html#the_case_expression).
    let count_stale = count_stale("excluded.kafka_partition");
    let is_written =
        format!("CASE WHEN NOT ({unless_older}) THEN {count_stale} WHEN {is_same} THEN {COUNT_SAME} ELSE TRUE END");
    let upserts = ROWS.map(|rows| {
        let values: Vec<String> = (0..rows).map(|row| values(SHARED + row * own.len(), own.len())).collect();
        let values = values.join(", ");
        let sql = format!(
            "INSERT INTO {table} ({columns}, {SHARED_COLUMNS}) VALUES {values}
             ON CONFLICT (event_id) DO UPDATE SET {assignments} WHERE {is_written}"
        );
        (rows, sql)
    });
    Statements { upserts, exists: format!("SELECT 1 FROM {table} WHERE event_id = ?1") }
}

/// The values of a row, whose parameters follow the first `taken` ones.
fn values(taken: usize, count: usize) -> String {
    let own: Vec<String> = (1..=count).map(|number| format!("?{}", taken + number)).collect();
    format!("({}, {SHARED_VALUES})", own.join(", "))
}
