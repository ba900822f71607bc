//! The service's tables, filled as most Rust services would: typed structs by serde, borrowed where possible, and the service's rule
//! which event wins.

use std::borrow::Cow;

use rusqlite::{Statement, params};
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
pub struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// Both types of events; `stage` or `status` distinguishes them.
#[derive(Deserialize)]
pub struct Event<'a> {
    #[serde(borrow, rename = "event_id")]
    id: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
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
    account_id: Option<Text<'a>>,
    #[serde(borrow)]
    owner_id: Option<Text<'a>>,
    #[serde(borrow)]
    meta_data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct MetaData<'a> {
    #[serde(borrow)]
    last_modified: Option<Text<'a>>,
}

impl Tables for AsTheService {
    type Event<'a> = Event<'a>;

    fn schema() -> &'static str {
        SCHEMA
    }

    fn upsert(table: Table) -> String {
        table.upsert(1)
    }

    fn table(event: &Event<'_>) -> Table {
        if event.stage.is_some() { Table::Opportunities } else { Table::Projects }
    }

    fn store(event: &Event<'_>, statement: &mut Statement<'_>, at: &Coordinates<'_>) -> crate::Result<()> {
        let meta_data = event.meta_data.map(RawValue::get);
        let last_modified = meta_data.map(last_modified).transpose()?.flatten();
        let (account_id, owner_id) = (text(event.account_id.as_ref()), text(event.owner_id.as_ref()));
        let extra: Option<&str> = None;
        match Self::table(event) {
            Table::Opportunities => statement.execute(params![
                event.id.0,
                event.name.0,
                text(event.stage.as_ref()),
                event.amount,
                event.probability,
                text(event.expected_close_date.as_ref()),
                account_id,
                owner_id,
                meta_data,
                last_modified,
                extra,
                at.topic,
                at.partition,
                at.offset,
                at.timestamp_ms,
                at.now
            ])?,
            Table::Projects => statement.execute(params![
                event.id.0,
                event.name.0,
                text(event.status.as_ref()),
                text(event.start_date.as_ref()),
                text(event.end_date.as_ref()),
                event.budget,
                account_id,
                owner_id,
                meta_data,
                last_modified,
                extra,
                at.topic,
                at.partition,
                at.offset,
                at.timestamp_ms,
                at.now
            ])?,
        };
        Ok(())
    }
}

/// The text, if there is one.
pub fn text<'t>(text: Option<&'t Text<'_>>) -> Option<&'t str> {
    text.map(|text| &*text.0)
}

/// The time as the service spells it, so that rows are the same. The events here have whole seconds in UTC.
fn last_modified(meta_data: &str) -> serde_json::Result<Option<String>> {
    let meta_data: MetaData<'_> = serde_json::from_str(meta_data)?;
    Ok(meta_data.last_modified.map(|time| format!("{}.000000000Z", time.0.trim_end_matches('Z'))))
}
