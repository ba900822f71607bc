//! `opportunities`: the greatest event of each id. Must not decide what an opportunity is.

use std::sync::LazyLock;

use rusqlite::Transaction;

use super::order::unless_older;
use super::upsert::{self, Binder, Row, Statements};
use crate::entity::Opportunity;

/// The table's name.
pub(crate) const TABLE: &str = "opportunities";

/// Those of its own, in the order of [`Row::bind`].
const COLUMNS: &str = "event_id, name, stage, amount, probability, expected_close_date, account_id, owner_id, meta_data, \
     last_modified, extra";

static STATEMENTS: LazyLock<Statements> =
    LazyLock::new(|| upsert::statements(TABLE, COLUMNS, unless_older!("opportunities")));

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
        to.bind(self.amount)?;
        to.bind(self.probability)?;
        to.bind(&self.expected_close_date)?;
        to.bind(&self.account_id)?;
        to.bind(&self.owner_id)?;
        to.bind(self.meta_data.as_ref().map(|meta_data| meta_data.json))?;
        to.bind(self.meta_data.as_ref().and_then(|meta_data| meta_data.last_modified.as_deref()))?;
        to.bind(&self.extra)?;
        Ok(())
    }
}

/// How many rows there are.
pub(crate) fn count(transaction: &Transaction<'_>) -> rusqlite::Result<u64> {
    transaction.query_row("SELECT count(*) FROM opportunities", [], |row| row.get(0))
}
