//! `opportunities`: the greatest event of each id. Must not decide what an opportunity is.

use rusqlite::{CachedStatement, Transaction, params};

use super::{Coordinates, order::unless_older};
use crate::entity::Opportunity;

/// The table's name.
pub(crate) const TABLE: &str = "opportunities";

const UPSERT: &str = concat!(
    "INSERT INTO opportunities
         (event_id, name, stage, amount, probability, expected_close_date, account_id, owner_id, meta_data, last_modified,
          extra, kafka_topic, kafka_partition, kafka_offset, kafka_timestamp, created_at, updated_at)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?16)
     ON CONFLICT (event_id) DO UPDATE SET
         name = excluded.name, stage = excluded.stage, amount = excluded.amount, probability = excluded.probability,
         expected_close_date = excluded.expected_close_date, account_id = excluded.account_id,
         owner_id = excluded.owner_id, meta_data = excluded.meta_data, last_modified = excluded.last_modified,
         extra = excluded.extra, kafka_topic = excluded.kafka_topic, kafka_partition = excluded.kafka_partition,
         kafka_offset = excluded.kafka_offset, kafka_timestamp = excluded.kafka_timestamp,
         updated_at = excluded.updated_at ",
    unless_older!("opportunities")
);

/// The statement that stores opportunities, prepared once for a transaction.
pub(crate) struct Upsert<'t>(CachedStatement<'t>);

impl<'t> Upsert<'t> {
    pub(crate) fn prepare(transaction: &'t Transaction<'_>) -> rusqlite::Result<Self> {
        transaction.prepare_cached(UPSERT).map(Self)
    }

    /// Stores the event unless a greater one of its id is stored; `false` if that is so.
    pub(crate) fn store(&mut self, event: &Opportunity<'_>, at: &Coordinates<'_>, now: &str) -> rusqlite::Result<bool> {
        let changed = self.0.execute(params![
            event.event_id,
            event.name,
            event.stage,
            event.amount,
            event.probability,
            event.expected_close_date,
            event.account_id,
            event.owner_id,
            event.meta_data.as_ref().map(|meta_data| meta_data.json),
            event.meta_data.as_ref().and_then(|meta_data| meta_data.last_modified.as_deref()),
            event.extra,
            at.topic,
            at.partition,
            at.offset,
            at.timestamp_ms,
            now,
        ])?;
        Ok(changed > 0)
    }
}

/// How many rows there are.
pub(crate) fn count(transaction: &Transaction<'_>) -> rusqlite::Result<u64> {
    transaction.query_row("SELECT count(*) FROM opportunities", [], |row| row.get(0))
}
