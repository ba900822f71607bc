//! What distinguishes the rdkafka peers: the tables, and what they read of an event. Must not know Kafka.

use rusqlite::Statement;
use serde::Deserialize;

use crate::Result;
use crate::sql::Table;

/// Two tables of events.
pub trait Tables {
    /// What is read of an event.
    type Event<'a>: Deserialize<'a>;

    /// Creates both tables.
    fn schema() -> &'static str;

    /// The statement that stores one event.
    fn upsert(table: Table) -> String;

    /// Where an event belongs.
    fn table(event: &Self::Event<'_>) -> Table;

    /// Stores an event by its table's statement.
    fn store(event: &Self::Event<'_>, statement: &mut Statement<'_>, at: &Coordinates<'_>) -> Result<()>;
}

/// Where an event's record is in Kafka, and when it is stored.
pub struct Coordinates<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub offset: i64,
    pub timestamp_ms: Option<i64>,
    pub now: &'a str,
}
