//! What one transaction does with parts of batches: each record becomes a row, an unidentified message, or changes nothing.
//! Must not begin or end the transaction.

use rusqlite::Transaction;

use super::conflict;
use super::error::{Context, SqliteError, ensure_written};
use super::events::{self, Events, Stored};
use super::tables::offset;
use super::tables::unidentified::{self, Reading};
use super::tables::upsert::{Origin, StoredEvents};
use crate::entity::{Event, Reason, Rejection};
use crate::storage::batch::{Coordinates, Entry, PartitionBatch};
use crate::storage::counts::{OffsetCounts, Outcome, PartitionCounts};
use crate::storage::part::Part;

/// What happens to a record that SQLite rejects.
#[derive(Clone, Copy, Debug)]
pub(super) enum OnRejection<'a> {
    /// The transaction fails. Costs nothing as long as no record is rejected.
    Fail,
    /// The record is rolled back alone and kept as an unidentified message, if its rejection leaves the transaction open.
    Isolate,
    /// The only record was rejected before, for this reason: it is kept as an unidentified message.
    Keep(&'a str),
}

/// Applies parts of batches and advances their positions; gives what became of their offsets, by partition.
pub(super) fn apply(
    transaction: &Transaction<'_>,
    group_id: &str,
    parts: &[Part<'_>],
    on_rejection: OnRejection<'_>,
    now: &str,
) -> Result<PartitionCounts, SqliteError> {
    let mut total = PartitionCounts::default();
    for part in parts {
        let absent = count_absent(part)?;
        let keeper = Keeper { transaction, group_id, batch: part.batch, now, prepared: None, count: 0 };
        let mut counts = match on_rejection {
            OnRejection::Fail => store_together(transaction, part, keeper, now)?,
            OnRejection::Isolate => {
                store_each(part, keeper, |event, at| events::try_store(transaction, event, at, now))?
            }
            OnRejection::Keep(rejection) => {
                store_each(part, keeper, |_, _| Ok(Stored::Rejected(rejection.to_owned())))?
            }
        };
        counts.add(Outcome::Absent, absent);
        advance(transaction, group_id, part, &counts, now)?;
        total.add(part.batch.topic, part.batch.partition, counts);
    }
    Ok(total)
}

fn advance(
    transaction: &Transaction<'_>,
    group_id: &str,
    part: &Part<'_>,
    counts: &OffsetCounts,
    now: &str,
) -> Result<(), SqliteError> {
    let Part { batch, offsets, .. } = part;
    if offset::advance(transaction, group_id, batch, *offsets, counts, now).context("advance a position")? {
        return Ok(());
    }
    let expected = (Some(offsets.from), batch.topic_id);
    Err(conflict::find(transaction, group_id, (batch.topic, batch.partition), expected))
}

/// How many offsets of the part have no record. Checks that the records are in its range, by ascending offset.
fn count_absent(part: &Part<'_>) -> Result<u64, SqliteError> {
    let bad = |offset| SqliteError::BadBatch {
        topic: part.batch.topic.to_owned(),
        partition: part.batch.partition,
        offsets: part.offsets,
        offset,
    };
    let mut expected = part.offsets.from;
    let mut absent = 0;
    for offset in part.entries.iter().map(|entry| entry.offset) {
        if offset >= part.offsets.next {
            return Err(bad(Some(offset)));
        }
        absent += distance(expected, offset).ok_or_else(|| bad(Some(offset)))?;
        expected = offset + 1;
    }
    Ok(absent + distance(expected, part.offsets.next).ok_or_else(|| bad(None))?)
}

/// How many offsets there are from `from` to before `to`; `None` if `to` is less.
fn distance(from: i64, to: i64) -> Option<u64> {
    to.checked_sub(from).and_then(|distance| u64::try_from(distance).ok())
}

/// Stores the events of a part with as few statements as possible, and keeps its other records as unidentified messages.
fn store_together(
    transaction: &Transaction<'_>,
    part: &Part<'_>,
    mut keeper: Keeper<'_, '_>,
    now: &str,
) -> Result<OffsetCounts, SqliteError> {
    let mut events = Events::default();
    for entry in part.entries {
        match &entry.decoded {
            Ok(event) => events.add(event, entry.offset, entry.timestamp_ms),
            Err(rejection) => keeper.keep(entry, rejection)?,
        }
    }
    let origin = Origin { topic: part.batch.topic, partition: part.batch.partition, now };
    let StoredEvents { applied, stale } = events.store(transaction, &origin)?;
    Ok([(Outcome::Applied, count(applied)), (Outcome::Stale, count(stale)), (Outcome::Unidentified, keeper.count)]
        .into())
}

/// The same record by record, each event by `store`.
fn store_each(
    part: &Part<'_>,
    mut keeper: Keeper<'_, '_>,
    store: impl Fn(&Event<'_>, &Coordinates<'_>) -> Result<Stored, SqliteError>,
) -> Result<OffsetCounts, SqliteError> {
    let mut counts = OffsetCounts::default();
    for entry in part.entries {
        let at = part.batch.coordinates(entry);
        match entry.decoded.as_ref().map(|event| store(event, &at)) {
            Err(rejection) => keeper.keep(entry, rejection)?,
            Ok(stored) => match stored? {
                Stored::Applied => counts.add(Outcome::Applied, 1),
                Stored::Stale => counts.add(Outcome::Stale, 1),
                Stored::Rejected(error) => keeper.keep(entry, &Rejection { reason: Reason::Rejected, error })?,
            },
        }
    }
    counts.add(Outcome::Unidentified, keeper.count);
    Ok(counts)
}

/// Keeps records of a batch as unidentified messages.
struct Keeper<'t, 'b> {
    transaction: &'t Transaction<'t>,
    group_id: &'b str,
    batch: &'b PartitionBatch<'b>,
    now: &'b str,
    /// The statements and the number of the reading, once there is a record to keep.
    prepared: Option<(unidentified::Statements<'t>, i64)>,
    count: u64,
}

impl Keeper<'_, '_> {
    fn keep(&mut self, entry: &Entry<'_>, rejection: &Rejection) -> Result<(), SqliteError> {
        let Self { transaction, group_id, batch: PartitionBatch { topic, partition, .. }, .. } = *self;
        let (statements, number) = match &mut self.prepared {
            Some(prepared) => prepared,
            none => none.insert((
                unidentified::Statements::prepare(transaction).context("prepare to write")?,
                // Without a position the batch is a conflict, which `advance` finds.
                offset::reading(transaction, group_id, topic, *partition)
                    .context("read a position")?
                    .unwrap_or_default(),
            )),
        };
        let reading = Reading { number: *number, now: self.now };
        let written = statements.keep(entry, rejection, &self.batch.coordinates(entry), reading);
        ensure_written(written.context("keep an unidentified message")?, "unidentified_messages")?;
        self.count += 1;
        Ok(())
    }
}

fn count(records: usize) -> u64 {
    u64::try_from(records).unwrap_or(u64::MAX)
}
