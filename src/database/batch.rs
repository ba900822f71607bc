//! What one transaction does with parts of batches: each record becomes a row, an unidentified message, or changes nothing.
//! Must not begin or end the transaction.

use rusqlite::Transaction;

use super::conflict;
use super::error::{DatabaseError, Doing};
use super::events::Events;
use super::part::Part;
use crate::entity::{Event, Reason, Rejection};
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
    let mut tables = Tables::prepare(transaction).doing("prepare to write")?;
    let mut total = Applied::default();
    for part in parts {
        let mut counted = Applied { absent: absent(part)?, ..Applied::default() };
        for entry in part.entries {
            tables.store(part.batch, entry, care, now, &mut counted)?;
        }
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

/// The statements of one transaction, each prepared once.
struct Tables<'t> {
    events: Events<'t>,
    unidentified: unidentified::Insert<'t>,
}

impl<'t> Tables<'t> {
    fn prepare(transaction: &'t Transaction<'_>) -> rusqlite::Result<Self> {
        Ok(Self { events: Events::prepare(transaction)?, unidentified: unidentified::Insert::prepare(transaction)? })
    }

    /// Stores what a record says, or the record itself if it says nothing that can be stored.
    fn store(
        &mut self,
        batch: &PartitionBatch<'_>,
        entry: &Entry<'_>,
        care: Care<'_>,
        now: &str,
        counted: &mut Applied,
    ) -> Result<(), DatabaseError> {
        let at = Coordinates {
            topic: batch.topic,
            topic_id: batch.topic_id,
            partition: batch.partition,
            offset: entry.offset,
            timestamp_ms: entry.timestamp_ms,
        };
        let refused;
        let rejection = match &entry.decoded {
            Err(rejection) => rejection,
            Ok(event) => match self.store_event(event, &at, care, now).doing("store an event")? {
                Ok(true) => {
                    counted.applied += 1;
                    return Ok(());
                }
                Ok(false) => {
                    counted.stale += 1;
                    return Ok(());
                }
                Err(rejection) => {
                    refused = rejection;
                    &refused
                }
            },
        };
        self.unidentified.keep(entry, rejection, &at, now).doing("keep an unidentified message")?;
        counted.unidentified += 1;
        Ok(())
    }

    /// Whether the event was stored or is stale, or why it is kept instead.
    fn store_event(
        &mut self,
        event: &Event<'_>,
        at: &Coordinates<'_>,
        care: Care<'_>,
        now: &str,
    ) -> rusqlite::Result<Result<bool, Rejection>> {
        let rejection = |error: &rusqlite::Error| Rejection { reason: Reason::Rejected, error: error.to_string() };
        match care {
            Care::None => self.events.store(event, at, now).map(Ok),
            Care::EachRecord => {
                self.events.try_store(event, at, now).map(|stored| stored.map_err(|error| rejection(&error)))
            }
            Care::Refused(error) => Ok(Err(rejection(error))),
        }
    }
}
