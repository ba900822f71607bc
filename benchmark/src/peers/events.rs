//! Events as the rdkafka peers read them: typed structs by serde, borrowed where possible.

use std::borrow::Cow;

use rusqlite::{Statement, params};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::sql::Table;

/// Borrows where nothing is escaped; serde borrows a `Cow` inside of an `Option` only so.
#[derive(Deserialize)]
#[serde(transparent)]
pub struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

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

/// Where an event lies.
pub struct Place<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub offset: i64,
    pub timestamp_ms: Option<i64>,
}

impl Event<'_> {
    pub fn table(&self) -> Table {
        if self.stage.is_some() { Table::Opportunities } else { Table::Projects }
    }

    /// Stores it by its table's statement.
    pub fn store(&self, statement: &mut Statement<'_>, at: &Place<'_>, now: &str) -> crate::Result<()> {
        let meta_data = self.meta_data.map(RawValue::get);
        let last_modified = meta_data.map(last_modified).transpose()?.flatten();
        let (account_id, owner_id) = (text(self.account_id.as_ref()), text(self.owner_id.as_ref()));
        let extra: Option<&str> = None;
        match self.table() {
            Table::Opportunities => statement.execute(params![
                self.id.0,
                self.name.0,
                text(self.stage.as_ref()),
                self.amount,
                self.probability,
                text(self.expected_close_date.as_ref()),
                account_id,
                owner_id,
                meta_data,
                last_modified,
                extra,
                at.topic,
                at.partition,
                at.offset,
                at.timestamp_ms,
                now
            ])?,
            Table::Projects => statement.execute(params![
                self.id.0,
                self.name.0,
                text(self.status.as_ref()),
                text(self.start_date.as_ref()),
                text(self.end_date.as_ref()),
                self.budget,
                account_id,
                owner_id,
                meta_data,
                last_modified,
                extra,
                at.topic,
                at.partition,
                at.offset,
                at.timestamp_ms,
                now
            ])?,
        };
        Ok(())
    }
}

fn text<'t>(text: Option<&'t Text<'_>>) -> Option<&'t str> {
    text.map(|text| &*text.0)
}

/// The time as the service spells it, so that rows are the same. The events here have whole seconds in UTC.
fn last_modified(meta_data: &str) -> serde_json::Result<Option<String>> {
    let meta_data: MetaData<'_> = serde_json::from_str(meta_data)?;
    Ok(meta_data.last_modified.map(|time| format!("{}.000000000Z", time.0.trim_end_matches('Z'))))
}
