//! What one transaction does with parts of batches: each record becomes a row, an unidentified message, or changes nothing.
//! Must not begin or end the transaction.

use rusqlite::Transaction;

use super::error::{DatabaseError, Doing, ensure_written};
use super::events::{self, Events, Stored};
use super::not_moved;
use super::part::Part;
use crate::entity::{Event, Reason, Rejection};
use crate::storage::sqlite::tables::unidentified::{self, Reading};
use crate::storage::sqlite::tables::upsert::{Origin, Outcome};
use crate::storage::sqlite::tables::{Applied, Coordinates, Entry, PartitionBatch, offset};

/// What is done about a record that SQLite refuses.
#[derive(Clone, Copy, Debug)]
pub(super) enum Care<'a> {
    /// Nothing: the transaction fails. Costs nothing as long as none is refused.
    None,
    /// It is undone alone and kept as an unidentified message, as long as the transaction survives it.
    EachRecord,
    /// The only record has been refused, for this reason: it is kept as an unidentified message.
    Refused(&'a str),
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
        let kept = Kept { transaction, group_id, batch: part.batch, now, prepared: None, count: 0 };
        let stored = match care {
            Care::None => store_together(transaction, part, kept, now)?,
            Care::EachRecord => store_each(part, kept, |event, at| events::try_store(transaction, event, at, now))?,
            Care::Refused(refusal) => store_each(part, kept, |_, _| Ok(Stored::Refused(refusal.to_owned())))?,
        };
        let counted = Applied { absent, ..stored };
        advance(transaction, group_id, part, &counted, now)?;
        total += counted;
    }
    Ok(total)
}

fn advance(
    transaction: &Transaction<'_>,
    group_id: &str,
    &Part { batch, from_offset, next_offset, .. }: &Part<'_>,
    counted: &Applied,
    now: &str,
) -> Result<(), DatabaseError> {
    let moved = offset::advance(transaction, group_id, batch, (from_offset, next_offset), counted, now);
    if moved.doing("move a position")? {
        return Ok(());
    }
    let expected = (Some(from_offset), batch.topic_id);
    Err(not_moved(transaction, group_id, (batch.topic, batch.partition), expected))
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
fn store_together(
    transaction: &Transaction<'_>,
    part: &Part<'_>,
    mut kept: Kept<'_, '_>,
    now: &str,
) -> Result<Applied, DatabaseError> {
    let mut events = Events::default();
    for entry in part.entries {
        match &entry.decoded {
            Ok(event) => events.add(event, entry.offset, entry.timestamp_ms),
            Err(rejection) => kept.keep(entry, rejection)?,
        }
    }
    let origin = Origin { topic: part.batch.topic, partition: part.batch.partition, now };
    let Outcome { applied, stale } = events.store(transaction, &origin)?;
    Ok(Applied { applied: count(applied), stale: count(stale), unidentified: kept.count, absent: 0 })
}

/// The same record by record, each event by `store`.
fn store_each(
    part: &Part<'_>,
    mut kept: Kept<'_, '_>,
    store: impl Fn(&Event<'_>, &Coordinates<'_>) -> Result<Stored, DatabaseError>,
) -> Result<Applied, DatabaseError> {
    let mut counted = Applied::default();
    for entry in part.entries {
        let at = part.batch.coordinates(entry);
        match entry.decoded.as_ref().map(|event| store(event, &at)) {
            Err(rejection) => kept.keep(entry, rejection)?,
            Ok(stored) => match stored? {
                Stored::Applied => counted.applied += 1,
                Stored::Stale => counted.stale += 1,
                Stored::Refused(error) => kept.keep(entry, &Rejection { reason: Reason::Rejected, error })?,
            },
        }
    }
    Ok(Applied { unidentified: kept.count, ..counted })
}

/// The records of a batch that are kept as unidentified messages.
struct Kept<'t, 'b> {
    transaction: &'t Transaction<'t>,
    group_id: &'b str,
    batch: &'b PartitionBatch<'b>,
    now: &'b str,
    /// The statements, and the number of the reading, once there is a record to keep.
    prepared: Option<(unidentified::Keeper<'t>, i64)>,
    count: u64,
}

impl Kept<'_, '_> {
    fn keep(&mut self, entry: &Entry<'_>, rejection: &Rejection) -> Result<(), DatabaseError> {
        let Self { transaction, group_id, batch: PartitionBatch { topic, partition, .. }, .. } = *self;
        let (keeper, number) = match &mut self.prepared {
            Some(prepared) => prepared,
            none => none.insert((
                unidentified::Keeper::prepare(transaction).doing("prepare to write")?,
                // Without a position the batch is refused in the end.
                offset::reading(transaction, group_id, topic, *partition).doing("read a position")?.unwrap_or_default(),
            )),
        };
        let reading = Reading { number: *number, now: self.now };
        let written = keeper.keep(entry, rejection, &self.batch.coordinates(entry), reading);
        ensure_written(written.doing("keep an unidentified message")?, "unidentified_messages")?;
        self.count += 1;
        Ok(())
    }
}

fn count(records: usize) -> u64 {
    u64::try_from(records).unwrap_or(u64::MAX)
}
