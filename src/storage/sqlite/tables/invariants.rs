//! What must hold between the tables, as SQL: each query finds what breaks one rule. Must not know how that is told.

use rusqlite::{Row, Transaction};

use super::{opportunity, project};

/// How much one rule tells of what breaks it, at most, for each table that it looks at.
const VIOLATIONS_MAX: u32 = 100;

/// The tables whose rows say where their record lay.
const TABLES: [&str; 3] = [opportunity::TABLE, project::TABLE, "unidentified_messages"];

/// A rule that holds at any moment between two transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invariant {
    /// The file is sound, as SQLite itself finds.
    Integrity,
    /// Each position accounts for every offset since its counters began.
    Counters,
    /// No row is of a record at or beyond the highest position of its partition.
    Rows,
    /// Every unidentified message that a position has counted is kept.
    Unidentified,
}

/// What breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// SQLite found damage, or something of a kind that no service writes.
    Damage(String),
    /// The counters of a position are not the way that it has come, or its highest value is less than the present one.
    Miscounted(CountedPosition),
    /// Rows of records that no position has come past.
    Beyond {
        /// The table.
        table: &'static str,
        /// The topic's name.
        topic: String,
        /// The partition's number.
        partition: i64,
        /// The highest position of the partition over all groups and times, if it has any.
        high_offset: Option<i64>,
        /// How many rows.
        rows: u64,
        /// The first and the last of their offsets.
        offsets: (i64, i64),
    },
    /// Fewer messages than were counted.
    Missing {
        /// The position that has counted them.
        position: CountedPosition,
        /// How many there are in the counted range.
        kept: u64,
    },
}

/// A position and its counters, also where they make no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedPosition {
    /// The consumer group.
    pub group_id: String,
    /// The topic's name.
    pub topic: String,
    /// The partition's number.
    pub partition: i64,
    /// Where the counters began.
    pub first_offset: i64,
    /// The first offset that has not taken effect.
    pub next_offset: i64,
    /// The greatest `next_offset` ever.
    pub high_offset: i64,
    /// Events stored.
    pub applied: i64,
    /// Events that changed nothing.
    pub stale: i64,
    /// Records kept as unidentified messages.
    pub unidentified: i64,
    /// Offsets without a record.
    pub absent: i64,
}

const COLUMNS: &str =
    "group_id, topic, partition, first_offset, next_offset, high_offset, applied, stale, unidentified, absent";

fn position(row: &Row<'_>) -> rusqlite::Result<CountedPosition> {
    Ok(CountedPosition {
        group_id: row.get(0)?,
        topic: row.get(1)?,
        partition: row.get(2)?,
        first_offset: row.get(3)?,
        next_offset: row.get(4)?,
        high_offset: row.get(5)?,
        applied: row.get(6)?,
        stale: row.get(7)?,
        unidentified: row.get(8)?,
        absent: row.get(9)?,
    })
}

impl Invariant {
    /// Every rule, in the order that they are told.
    pub const ALL: [Self; 4] = [Self::Integrity, Self::Counters, Self::Rows, Self::Unidentified];

    /// What breaks the rule. Takes the longer the more there is in the database.
    pub(crate) fn violations(self, transaction: &Transaction<'_>) -> rusqlite::Result<Vec<Violation>> {
        match self {
            Self::Integrity => integrity(transaction),
            Self::Counters => counters(transaction),
            Self::Rows => rows(transaction),
            Self::Unidentified => unidentified(transaction),
        }
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
            "SELECT {COLUMNS} FROM consumer_offsets
             WHERE next_offset - first_offset <> applied + stale + unidentified + absent OR high_offset < next_offset
                 OR min(first_offset, applied, stale, unidentified, absent) < 0
             ORDER BY group_id, topic, partition LIMIT {VIOLATIONS_MAX}"
        ))?
        .query_map([], |row| position(row).map(Violation::Miscounted))?
        .collect()
}

/// The highest position is taken over all groups, since each of them may have stored a row, and over all topics that had the
/// name: it is never lowered, also where the topic was made again.
fn rows(transaction: &Transaction<'_>) -> rusqlite::Result<Vec<Violation>> {
    let mut found = Vec::new();
    for table in TABLES {
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
                offsets: (row.get(4)?, row.get(5)?),
            })
        })?;
        for violation in beyond {
            found.push(violation?);
        }
    }
    Ok(found)
}

/// A message that was counted was kept under the topic id that the position has now, or before that id was known: a position
/// that gets another id begins to count anew. It was kept or found in the reading that the counters are of, or found again in a later
/// one, by another group; what only an earlier reading found may be another record, of a log that was truncated since. There may be
/// more than were counted, of a later reading. A message that has been replayed is still there.
fn unidentified(transaction: &Transaction<'_>) -> rusqlite::Result<Vec<Violation>> {
    transaction
        .prepare(&format!(
            "SELECT * FROM (
                 SELECT {COLUMNS},
                     (SELECT count(DISTINCT kafka_offset) FROM unidentified_messages AS message
                      WHERE kafka_topic = topic AND message.topic_id IN (position.topic_id, '')
                          AND kafka_partition = partition AND kafka_offset >= first_offset AND kafka_offset < next_offset
                          AND message.reading >= position.reading) AS kept
                 FROM consumer_offsets AS position WHERE unidentified > 0)
             WHERE kept < unidentified ORDER BY group_id, topic, partition LIMIT {VIOLATIONS_MAX}"
        ))?
        .query_map([], |row| Ok(Violation::Missing { position: position(row)?, kept: row.get(10)? }))?
        .collect()
}
