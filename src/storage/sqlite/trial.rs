//! Whether rows can be stored at all: an event of each type and an unidentified message, in a transaction that is rolled back.
//! Must not leave anything in the database.

use rusqlite::TransactionBehavior;

use super::batch::{self, Care};
use super::error::{DatabaseError, Doing, ensure_written};
use super::open;
use super::part::Part;
use crate::entity::decode;
use crate::settings::DatabaseSettings;
use crate::storage::sqlite::tables::offset;
use crate::storage::sqlite::tables::position_change::{MoveReason, PositionMove};
use crate::storage::sqlite::tables::{Entry, Header, PartitionBatch};

/// A topic that Kafka cannot have, since its name has a blank: no position of a real one is touched.
const TOPIC: &str = "enterprise-consumer check";

const VALUES: [&str; 3] = [
    r#"{"event_id":"opp_enterprise-consumer check","name":"check","stage":"check"}"#,
    r#"{"event_id":"proj_enterprise-consumer check","name":"check","status":"check"}"#,
    "check",
];

/// Stores an event of each type and an unidentified message in an existing database, and rolls that back.
///
/// # Errors
/// What [`Database::apply`](super::Database::apply) would fail with; a row that SQLite refuses, as for a constraint or trigger of the
/// operator's, is an error here too.
pub fn try_to_store(settings: &DatabaseSettings, group_id: &str) -> Result<(), DatabaseError> {
    let path = open::resolve(&settings.path, None)?;
    open::refuse_missing(&path)?;
    let mut connection = open::open_existing_writer(&path, settings.synchronous)?;
    let result = store(&mut connection, group_id);
    open::close_as_it_is(connection);
    result
}

fn store(connection: &mut rusqlite::Connection, group_id: &str) -> Result<(), DatabaseError> {
    let headers: Vec<Header<'_>> = Vec::new();
    let entry = |(offset, value): (i64, &'static str)| Entry {
        offset,
        timestamp_ms: Some(0),
        key: None,
        value: Some(value.as_bytes()),
        headers: &headers,
        decoded: decode(Some(value.as_bytes())),
    };
    let entries: Vec<Entry<'_>> = (0..).zip(VALUES).map(entry).collect();
    let next_offset = 3;
    let batch = PartitionBatch {
        topic: TOPIC,
        topic_id: "",
        partition: 0,
        leader_epoch: None,
        from_offset: 0,
        next_offset,
        entries: &entries,
    };
    let begin = PositionMove {
        topic: TOPIC.to_owned(),
        partition: 0,
        from: None,
        to: 0,
        topic_id: String::new(),
        leader_epoch: None,
        reason: MoveReason::FirstStart,
        detail: String::new(),
    };
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).doing("begin to write")?;
    let now = super::now(&transaction).doing("read the clock")?;
    let reading = offset::next_reading(&transaction).doing("store a position")?;
    let put = offset::put(&transaction, group_id, &begin, reading, &now).doing("store a position")?;
    ensure_written(put, "consumer_offsets")?;
    batch::apply(&transaction, group_id, &[Part::whole(&batch)], Care::None, &now)?;
    transaction.rollback().doing("roll back")
}
