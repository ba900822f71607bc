//! Whether rows can be stored at all: an event of each type and an unidentified message, in a transaction that is rolled back.
//! Must not leave anything in the database.

use rusqlite::TransactionBehavior;

use super::error::{Context, SqliteError, ensure_written};
use super::open;
use super::paths;
use super::tables::now::now;
use super::tables::offset;
use super::transaction::{self, OnRejection};
use crate::entity::{Kind, decode};
use crate::settings::DatabaseSettings;
use crate::storage::batch::{Entry, PartitionBatch};
use crate::storage::headers::Header;
use crate::storage::part::Part;
use crate::storage::position::OffsetJump;

/// A topic that Kafka cannot have, since its name has a space: no position of a real one is touched.
const TOPIC: &str = "enterprise-consumer check";

/// The value of a record that is not an event.
const NOT_AN_EVENT: &str = "check";

/// Stores an event of each type and an unidentified message in an existing database, and rolls that back.
///
/// # Errors
/// Those of [`Database::apply`](super::database::Database::apply). A row that SQLite rejects is an error here too.
pub(in crate::storage) fn try_to_store(settings: &DatabaseSettings, group_id: &str) -> Result<(), SqliteError> {
    let path = paths::resolve(&settings.path, None)?;
    open::refuse_missing(&path)?;
    let mut connection = open::open_existing_writer(&path, settings.synchronous)?;
    let result = store(&mut connection, group_id);
    open::close_without_checkpoint(connection);
    result
}

fn store(connection: &mut rusqlite::Connection, group_id: &str) -> Result<(), SqliteError> {
    let headers: Vec<Header<'_>> = Vec::new();
    let entry = |(offset, value): (i64, &'static str)| Entry {
        offset,
        timestamp_ms: Some(0),
        key: None,
        value: Some(value.as_bytes()),
        headers: &headers,
        decoded: decode(Some(value.as_bytes())),
    };
    let values = Kind::ALL.into_iter().map(Kind::example).chain([NOT_AN_EVENT]);
    let entries: Vec<Entry<'_>> = (0..).zip(values).map(entry).collect();
    let batch = PartitionBatch::of_records(TOPIC, 0, 0, &entries);
    let start = OffsetJump::first_start(TOPIC, 0, 0);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).context("begin to write")?;
    let now = now(&transaction).context("read the clock")?;
    let reading = offset::next_reading(&transaction).context("store a position")?;
    let put = offset::put(&transaction, group_id, &start, reading, &now).context("store a position")?;
    ensure_written(put, "consumer_offsets")?;
    transaction::apply(&transaction, group_id, &[Part::whole(&batch)], OnRejection::Fail, &now)?;
    transaction.rollback().context("roll back")
}
