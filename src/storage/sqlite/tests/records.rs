//! Records that several tests store.

use crate::entity::Event;
use crate::storage::sqlite::database::Database;
use crate::storage::sqlite::fixtures::{TOPIC, batch, counts, entry, opportunity, rejected};
use crate::storage::{Entry, OffsetCounts, PartitionBatch};

/// Two records from an offset on.
pub(super) fn two(from: i64) -> PartitionBatch<'static> {
    two_with(from, rejected(from + 1))
}

pub(super) fn two_with(from: i64, second: Entry<'_>) -> PartitionBatch<'_> {
    batch(0, from, from + 2, vec![entry(from, Ok(Event::Opportunity(opportunity("a")))), second])
}

pub(super) fn counts_of_two() -> OffsetCounts {
    counts(1, 0, 1, 0)
}

pub(super) fn next_offset(database: &mut Database) -> i64 {
    database.position(TOPIC, 0).unwrap().expect("a position").next_offset
}
