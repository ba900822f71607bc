//! The service's tables, filled as most Rust services would: typed structs by serde, borrowed where possible, and the service's rule
//! which event wins.

use std::borrow::Cow;

use rusqlite::types::ToSqlOutput;
use rusqlite::{Statement, ToSql, params};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::tables::{Coordinates, Tables};
use crate::database::SCHEMA;
use crate::sql::Table;

/// The service's tables.
pub struct AsTheService;

/// Borrows where nothing is escaped; serde borrows a `Cow` inside of an `Option` only so.
#[derive(Deserialize)]
#[serde(transparent)]
pub struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl ToSql for Text<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(&*self.0))
    }
}

/// Both types of events; `stage` or `status` distinguishes them. `M` is what is read of `meta_data`.
#[derive(Deserialize)]
pub struct Event<'a, M> {
    #[serde(borrow, rename = "event_id")]
    pub id: Text<'a>,
    #[serde(borrow)]
    pub name: Text<'a>,
    #[serde(borrow)]
    stage: Option<Text<'a>>,
    #[serde(borrow)]
    status: Option<Text<'a>>,
    amount: Option<f64>,
    budget: Option<f64>,
    probability: Option<u8>,
    #[serde(borrow)]
    expected_close_date: Option<Text<'a>>,
    #[serde(borrow)]
    start_date: Option<Text<'a>>,
    #[serde(borrow)]
    end_date: Option<Text<'a>>,
    #[serde(borrow)]
    pub account_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub owner_id: Option<Text<'a>>,
    pub meta_data: Option<M>,
}

impl<M> Event<'_, M> {
    pub fn table(&self) -> Table {
        if self.stage.is_some() { Table::Opportunities } else { Table::Projects }
    }

    /// The values of the four columns after the name, which only its table has.
    pub fn own(&self) -> [&dyn ToSql; 4] {
        match self.table() {
            Table::Opportunities => [&self.stage, &self.amount, &self.probability, &self.expected_close_date],
            Table::Projects => [&self.status, &self.start_date, &self.end_date, &self.budget],
        }
    }
}

#[derive(Deserialize)]
struct MetaData<'a> {
    #[serde(borrow)]
    last_modified: Option<Text<'a>>,
}

impl Tables for AsTheService {
    type Event<'a> = Event<'a, &'a RawValue>;

    fn schema() -> &'static str {
        SCHEMA
    }

    fn upsert(table: Table) -> String {
        table.upsert(1)
    }

    fn table(event: &Self::Event<'_>) -> Table {
        event.table()
    }

    fn store(event: &Self::Event<'_>, statement: &mut Statement<'_>, at: &Coordinates<'_>) -> crate::Result<()> {
        let meta_data = event.meta_data.map(RawValue::get);
        let last_modified = meta_data.map(last_modified).transpose()?.flatten();
        let [first, second, third, fourth] = event.own();
        let extra: Option<&str> = None;
        statement.execute(params![
            event.id,
            event.name,
            first,
            second,
            third,
            fourth,
            event.account_id,
            event.owner_id,
            meta_data,
            last_modified,
            extra,
            at.topic,
            at.partition,
            at.offset,
            at.timestamp_ms,
            at.now
        ])?;
        Ok(())
    }
}

/// The time as the service spells it, so that rows are the same. The events here have whole seconds in UTC.
fn last_modified(meta_data: &str) -> serde_json::Result<Option<String>> {
    let meta_data: MetaData<'_> = serde_json::from_str(meta_data)?;
    Ok(meta_data.last_modified.map(|time| format!("{}.000000000Z", time.0.trim_end_matches('Z'))))
}
