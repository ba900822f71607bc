//! `opportunities`: the greatest event of each id. Must not decide what an opportunity is.

use std::sync::LazyLock;

use rusqlite::Transaction;

use super::order;
use super::upsert::{self, Binder, Row, Statements};
use crate::entity::{Opportunity, UtcTime};

/// The table's name.
pub(crate) const TABLE: &str = "opportunities";

/// Those of its own, in the order of [`Row::bind`].
pub(crate) const COLUMNS: &str = "event_id, name, stage, amount, probability, expected_close_date, account_id, owner_id, meta_data, \
     last_modified, extra, amount_text, last_modified_sent";

static STATEMENTS: LazyLock<Statements> =
    LazyLock::new(|| upsert::statements(TABLE, COLUMNS, &order::unless_older(TABLE)));

impl Row for Opportunity<'_> {
    fn statements() -> &'static Statements {
        &STATEMENTS
    }

    fn event_id(&self) -> &str {
        &self.event_id
    }

    fn bind(&self, to: &mut Binder<'_, '_>) -> rusqlite::Result<()> {
        to.bind(&self.event_id)?;
        to.bind(&self.name)?;
        to.bind(&self.stage)?;
        to.bind(self.amount.as_ref().map(|amount| amount.value))?;
        to.bind(self.probability)?;
        to.bind(&self.expected_close_date)?;
        to.bind(&self.account_id)?;
        to.bind(&self.owner_id)?;
        to.bind(self.meta_data.as_ref().map(|meta_data| meta_data.json))?;
        let last_modified = self.meta_data.as_ref().and_then(|meta_data| meta_data.last_modified.as_ref());
        to.bind(last_modified.map(|time| time.effective().as_str()))?;
        to.bind(&self.extra)?;
        to.bind(self.amount.as_ref().and_then(|amount| amount.text.as_deref()))?;
        to.bind(last_modified.and_then(|time| time.too_far_ahead()).map(UtcTime::as_str))?;
        Ok(())
    }
}

/// How many rows there are.
pub(crate) fn count(transaction: &Transaction<'_>) -> rusqlite::Result<u64> {
    transaction.query_row("SELECT count(*) FROM opportunities", [], |row| row.get(0))
}

/// How many rows have a `last_modified` that was sent too far after the record's time.
pub(crate) fn count_ahead(transaction: &Transaction<'_>) -> rusqlite::Result<u64> {
    let sql = "SELECT count(*) FROM opportunities WHERE last_modified_sent IS NOT NULL";
    transaction.query_row(sql, [], |row| row.get(0))
}
