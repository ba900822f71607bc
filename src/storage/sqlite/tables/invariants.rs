//! The invariants between the tables, as SQL: each query finds what violates one of them. Must not know how that is reported.

use rusqlite::{Row, Transaction};

use super::offset;
use crate::entity::Kind;
use crate::storage::counts::Outcome;
use crate::storage::findings::{CountedPosition, Invariant, Violation};

/// The most violations that are reported of one invariant and table.
const VIOLATIONS_MAX: u32 = 100;

/// The tables whose rows have the coordinates of their record.
fn tables() -> impl Iterator<Item = &'static str> {
    Kind::ALL.into_iter().map(Kind::table).chain(["unidentified_messages"])
}

/// How many columns of a [`CountedPosition`] are before its counters.
const BEFORE_COUNTERS: usize = 7;

fn columns() -> String {
    format!("group_id, topic, partition, first_offset, next_offset, high_offset, pruned, {}", offset::counters(", "))
}

fn position(row: &Row<'_>) -> rusqlite::Result<CountedPosition> {
    let mut counters = [0; Outcome::ALL.len()];
    for (column, counter) in (BEFORE_COUNTERS..).zip(&mut counters) {
        *counter = row.get(column)?;
    }
    Ok(CountedPosition {
        group_id: row.get(0)?,
        topic: row.get(1)?,
        partition: row.get(2)?,
        first_offset: row.get(3)?,
        next_offset: row.get(4)?,
        high_offset: row.get(5)?,
        pruned: row.get(6)?,
        counters,
    })
}

/// What violates an invariant. Takes longer the more rows there are.
pub(crate) fn violations(invariant: Invariant, transaction: &Transaction<'_>) -> rusqlite::Result<Vec<Violation>> {
    match invariant {
        Invariant::Integrity => integrity(transaction),
        Invariant::Counters => counters(transaction),
        Invariant::Rows => rows(transaction),
        Invariant::Unidentified => unidentified(transaction),
    }
}

/// See <https://www.sqlite.org/pragma.html#pragma_integrity_check>.
fn integrity(transaction: &Transaction<'_>) -> rusqlite::Result<Vec<Violation>> {
    let mut statement = transaction.prepare(&format!("PRAGMA integrity_check({VIOLATIONS_MAX})"))?;
    let lines = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    Ok(lines.into_iter().filter(|line| line != "ok").map(Violation::Damage).collect())
}

fn counters(transaction: &Transaction<'_>) -> rusqlite::Result<Vec<Violation>> {
    transaction
        .prepare(&format!(
            "SELECT {} FROM consumer_offsets
             WHERE next_offset - first_offset <> {} OR high_offset < next_offset OR min(first_offset, {}) < 0
                 OR pruned NOT BETWEEN 0 AND unidentified
             ORDER BY group_id, topic, partition LIMIT {VIOLATIONS_MAX}",
            columns(),
            offset::counters(" + "),
            offset::counters(", "),
        ))?
        .query_map([], |row| position(row).map(Violation::Miscounted))?
        .collect()
}

/// The highest position is that of all groups, since each of them may have stored a row, and of all topics that had the name: it is never
/// lowered, also if the topic was recreated.
fn rows(transaction: &Transaction<'_>) -> rusqlite::Result<Vec<Violation>> {
    let mut found = Vec::new();
    for table in tables() {
        let mut statement = transaction.prepare(&format!(
            "WITH highest AS MATERIALIZED
                 (SELECT topic, partition, max(high_offset) AS high_offset FROM consumer_offsets GROUP BY topic, partition)
             SELECT kafka_topic, kafka_partition, high_offset, count(*), min(kafka_offset), max(kafka_offset)
             FROM {table} LEFT JOIN highest ON topic = kafka_topic AND partition = kafka_partition
             WHERE high_offset IS NULL OR kafka_offset >= high_offset
             GROUP BY kafka_topic, kafka_partition LIMIT {VIOLATIONS_MAX}"
        ))?;
        let beyond = statement.query_map([], |row| {
            Ok(Violation::Beyond {
                table,
                topic: row.get(0)?,
                partition: row.get(1)?,
                high_offset: row.get(2)?,
                rows: row.get(3)?,
                first_offset: row.get(4)?,
                last_offset: row.get(5)?,
            })
        })?;
        for violation in beyond {
            found.push(violation?);
        }
    }
    Ok(found)
}

/// A message that was counted has the topic id that the position has now, or none if the id was not known yet: the counters of a position
/// that gets another id begin at 0. It was kept or found in the reading that the counters belong to, or found in a later one of another
/// group. A message that only an earlier reading found may be another record, of a log that was truncated since. There may be more
/// messages than were counted, of a later reading. A message that has been replayed is still there. One that was pruned is counted as that
/// for each position that it is counted for here; if another group reads it again later, it is kept again.
fn unidentified(transaction: &Transaction<'_>) -> rusqlite::Result<Vec<Violation>> {
    transaction
        .prepare(&format!(
            "SELECT * FROM (
                 SELECT {},
                     (SELECT count(DISTINCT kafka_offset) FROM unidentified_messages AS message
                      WHERE kafka_topic = topic AND message.topic_id IN (position.topic_id, '')
                          AND kafka_partition = partition AND kafka_offset >= first_offset AND kafka_offset < next_offset
                          AND message.reading >= position.reading) AS kept
                 FROM consumer_offsets AS position WHERE unidentified > 0)
             WHERE kept + pruned < unidentified ORDER BY group_id, topic, partition LIMIT {VIOLATIONS_MAX}",
            columns(),
        ))?
        .query_map([], |row| Ok(Violation::Missing { position: position(row)?, kept: row.get("kept")? }))?
        .collect()
}
