//! What one transaction does with parts of batches: each record becomes a row, an unidentified message, or changes nothing.
//! Must not begin or end the transaction.

use rusqlite::Transaction;

use super::conflict;
use super::error::{DatabaseError, Doing};
use super::events::{self, Events};
use super::part::Part;
use crate::entity::{Event, Reason, Rejection};
use crate::repository::upsert::Origin;
use crate::repository::{Applied, Coordinates, Entry, PartitionBatch, offset, unidentified};

/// What is done about a record that SQLite refuses.
#[derive(Clone, Copy, Debug)]
pub(super) enum Care<'a> {
    /// Nothing: the transaction fails. Costs nothing as long as none is refused.
    None,
    /// It is undone alone and kept as an unidentified message, as long as the transaction survives it.
    EachRecord,
    /// The only record has been refused, for this reason: it is kept as an unidentified message.
    Refused(&'a rusqlite::Error),
}

/// Applies parts of batches and moves their positions; says what became of their offsets.
pub(super) fn apply(
    transaction: &Transaction<'_>,
    group_id: &str,
    parts: &[Part<'_>],
    care: Care<'_>,
    now: &str,
) -> Result<Applied, DatabaseError> {
    let mut total = Applied::default();
    for part in parts {
        let absent = absent(part)?;
        let stored = match care {
            Care::None => store_together(transaction, part, now)?,
            Care::EachRecord => store_each(transaction, part, now, |event, at| {
                events::try_store(transaction, event, at, now)
                    .map(|stored| stored.map_err(|refusal| rejection(&refusal)))
            })?,
            Care::Refused(error) => store_each(transaction, part, now, |_, _| Ok(Err(rejection(error))))?,
        };
        let counted = Applied { absent, ..stored };
        let Part { batch, from_offset, next_offset, .. } = *part;
        if !offset::advance(transaction, group_id, batch, (from_offset, next_offset), &counted, now)
            .doing("move a position")?
        {
            let expected = (Some(from_offset), batch.topic_id);
            return Err(conflict(transaction, group_id, batch.topic, batch.partition, expected));
        }
        total += counted;
    }
    Ok(total)
}

/// How many offsets of the part hold no record. Checks that the others are in its range and ascend.
fn absent(part: &Part<'_>) -> Result<u64, DatabaseError> {
    let bad = |offset| DatabaseError::BadBatch {
        topic: part.batch.topic.to_owned(),
        partition: part.batch.partition,
        range: (part.from_offset, part.next_offset),
        offset,
    };
    let mut expected = part.from_offset;
    let mut absent = 0;
    for offset in part.entries.iter().map(|entry| entry.offset) {
        if offset >= part.next_offset {
            return Err(bad(Some(offset)));
        }
        absent += gap(expected, offset).ok_or_else(|| bad(Some(offset)))?;
        expected = offset + 1;
    }
    Ok(absent + gap(expected, part.next_offset).ok_or_else(|| bad(None))?)
}

/// How many offsets lie before `to`, from `from` on; `None` if it lies behind.
fn gap(from: i64, to: i64) -> Option<u64> {
    to.checked_sub(from).and_then(|gap| u64::try_from(gap).ok())
}

/// Stores what the records of a part say, or the records themselves where they say nothing that can be stored.
fn store_together(transaction: &Transaction<'_>, part: &Part<'_>, now: &str) -> Result<Applied, DatabaseError> {
    let mut events = Events::default();
    let mut kept = Kept::prepare(transaction, part.batch, now)?;
    for entry in part.entries {
        match &entry.decoded {
            Ok(event) => events.add(event, entry.offset, entry.timestamp_ms),
            Err(rejection) => kept.keep(entry, rejection)?,
        }
    }
    let read = events.len();
    let origin = Origin { topic: part.batch.topic, partition: part.batch.partition, now };
    let applied = events.store(transaction, &origin).doing("store an event")?;
    // Each event changes one row at most, and what triggers change does not count (https://www.sqlite.org/c3ref/changes.html).
    let stale = read.saturating_sub(applied);
    Ok(Applied { applied: count(applied), stale: count(stale), unidentified: kept.count, absent: 0 })
}

/// The same record by record: `store` says whether an event was stored or is stale, or why the record is kept instead.
fn store_each(
    transaction: &Transaction<'_>,
    part: &Part<'_>,
    now: &str,
    store: impl Fn(&Event<'_>, &Coordinates<'_>) -> rusqlite::Result<Result<bool, Rejection>>,
) -> Result<Applied, DatabaseError> {
    let mut counted = Applied::default();
    let mut kept = Kept::prepare(transaction, part.batch, now)?;
    for entry in part.entries {
        let at = part.batch.coordinates(entry);
        match entry.decoded.as_ref().map(|event| store(event, &at)) {
            Err(rejection) => kept.keep(entry, rejection)?,
            Ok(stored) => match stored.doing("store an event")? {
                Ok(true) => counted.applied += 1,
                Ok(false) => counted.stale += 1,
                Err(rejection) => kept.keep(entry, &rejection)?,
            },
        }
    }
    Ok(Applied { unidentified: kept.count, ..counted })
}

/// The records of a batch that are kept as unidentified messages.
struct Kept<'t, 'b> {
    insert: unidentified::Insert<'t>,
    batch: &'b PartitionBatch<'b>,
    now: &'b str,
    count: u64,
}

impl<'t, 'b> Kept<'t, 'b> {
    fn prepare(
        transaction: &'t Transaction<'_>,
        batch: &'b PartitionBatch<'b>,
        now: &'b str,
    ) -> Result<Self, DatabaseError> {
        let insert = unidentified::Insert::prepare(transaction).doing("prepare to write")?;
        Ok(Self { insert, batch, now, count: 0 })
    }

    fn keep(&mut self, entry: &Entry<'_>, rejection: &Rejection) -> Result<(), DatabaseError> {
        let at = self.batch.coordinates(entry);
        self.insert.keep(entry, rejection, &at, self.now).doing("keep an unidentified message")?;
        self.count += 1;
        Ok(())
    }
}

fn rejection(refusal: &rusqlite::Error) -> Rejection {
    Rejection { reason: Reason::Rejected, error: refusal.to_string() }
}

fn count(records: usize) -> u64 {
    u64::try_from(records).unwrap_or(u64::MAX)
}
