//! What one transaction does with batches: each record becomes a row, an unidentified message, or changes nothing.
//! Must not begin or end the transaction.

use rusqlite::{ErrorCode, Transaction};

use super::conflict;
use super::error::{DatabaseError, Doing};
use crate::entity::{Event, Reason, Rejection};
use crate::repository::{Applied, Coordinates, Entry, PartitionBatch, offset, opportunity, project, unidentified};

/// Applies the batches and moves their positions; says what became of their offsets.
pub(super) fn apply(
    transaction: &Transaction<'_>,
    group_id: &str,
    batches: &[PartitionBatch<'_>],
    now: &str,
) -> Result<Applied, DatabaseError> {
    let mut tables = Tables::prepare(transaction).doing("prepare to write")?;
    let mut total = Applied::default();
    for batch in batches {
        let mut counted = Applied { absent: absent(batch)?, ..Applied::default() };
        for entry in &batch.entries {
            tables.store(batch, entry, now, &mut counted)?;
        }
        if !offset::advance(transaction, group_id, batch, &counted, now).doing("move a position")? {
            let expected = (Some(batch.from_offset), batch.topic_id);
            return Err(conflict(transaction, group_id, batch.topic, batch.partition, expected));
        }
        total += counted;
    }
    Ok(total)
}

/// How many offsets of the batch hold no record. Checks that the others are in its range and ascend.
fn absent(batch: &PartitionBatch<'_>) -> Result<u64, DatabaseError> {
    let bad = |offset| DatabaseError::BadBatch {
        topic: batch.topic.to_owned(),
        partition: batch.partition,
        range: (batch.from_offset, batch.next_offset),
        offset,
    };
    let mut expected = batch.from_offset;
    let mut absent = 0;
    for offset in batch.entries.iter().map(|entry| entry.offset) {
        if offset >= batch.next_offset {
            return Err(bad(Some(offset)));
        }
        absent += gap(expected, offset).ok_or_else(|| bad(Some(offset)))?;
        expected = offset + 1;
    }
    Ok(absent + gap(expected, batch.next_offset).ok_or_else(|| bad(None))?)
}

/// How many offsets lie before `to`, from `from` on; `None` if it lies behind.
fn gap(from: i64, to: i64) -> Option<u64> {
    to.checked_sub(from).and_then(|gap| u64::try_from(gap).ok())
}

/// The statements of one transaction, each prepared once.
struct Tables<'t> {
    transaction: &'t Transaction<'t>,
    opportunities: opportunity::Upsert<'t>,
    projects: project::Upsert<'t>,
    unidentified: unidentified::Insert<'t>,
}

impl<'t> Tables<'t> {
    fn prepare(transaction: &'t Transaction<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            transaction,
            opportunities: opportunity::Upsert::prepare(transaction)?,
            projects: project::Upsert::prepare(transaction)?,
            unidentified: unidentified::Insert::prepare(transaction)?,
        })
    }

    /// Stores what a record says, or the record itself if it says nothing that can be stored.
    fn store(
        &mut self,
        batch: &PartitionBatch<'_>,
        entry: &Entry<'_>,
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
            Ok(event) => {
                let stored = match event {
                    Event::Opportunity(opportunity) => self.opportunities.store(opportunity, &at, now),
                    Event::Project(project) => self.projects.store(project, &at, now),
                };
                match stored {
                    Ok(true) => {
                        counted.applied += 1;
                        return Ok(());
                    }
                    Ok(false) => {
                        counted.stale += 1;
                        return Ok(());
                    }
                    Err(error) => refused = self.refused(error)?,
                }
                &refused
            }
        };
        self.unidentified.keep(entry, rejection, &at, now).doing("keep an unidentified message")?;
        counted.unidentified += 1;
        Ok(())
    }

    /// The rejection of a record that SQLite refuses for what is in it; every other error stays one. SQLite has backed out that
    /// one statement only ([ABORT](https://www.sqlite.org/lang_conflict.html)), unless a trigger of somebody else ended the
    /// whole transaction.
    fn refused(&self, error: rusqlite::Error) -> Result<Rejection, DatabaseError> {
        let of_the_record = matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch)
        );
        if of_the_record && !self.transaction.is_autocommit() {
            Ok(Rejection { reason: Reason::Rejected, error: error.to_string() })
        } else {
            Err(error).doing("store an event")
        }
    }
}
