//! What one transaction does with parts of batches: each record becomes a row, an unidentified message, or changes nothing.
//! Must not begin or end the transaction.

use std::collections::BTreeSet;

use rusqlite::Transaction;

use super::conflict;
use super::error::{Context, SqliteError, ensure_written};
use super::events::{self, Events, Stored, take_stale};
use super::tables::offset;
use super::tables::unidentified::{self, Reading};
use super::tables::upsert::Origin;
use crate::entity::{Event, Reason, Rejection};
use crate::storage::batch::{Coordinates, Entry, PartitionBatch};
use crate::storage::counts::{OffsetCounts, Outcome, PartitionCounts, RejectedRecord};
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
    let keeper = |batch| Keeper { transaction, group_id, batch, now, prepared: None, count: 0 };
    let store = |event: &Event<'_>, at: &Coordinates<'_>| match on_rejection {
        OnRejection::Keep(rejection) => Ok(Stored::Rejected(rejection.to_owned())),
        OnRejection::Fail | OnRejection::Isolate => events::try_store(transaction, event, at, now),
    };
    let mut total = PartitionCounts::default();
    for parts in by_topic(parts) {
        let counts: Vec<OffsetCounts> = match on_rejection {
            OnRejection::Fail => store_together(transaction, parts, keeper, now)?,
            OnRejection::Isolate | OnRejection::Keep(_) => {
                let each = parts.iter().map(|part| store_each(part, keeper(part.batch), store, &mut total));
                each.collect::<Result<_, _>>()?
            }
        };
        for (part, mut counts) in parts.iter().zip(counts) {
            counts.add(Outcome::Absent, count_absent(part)?);
            advance(transaction, group_id, part, &counts, now)?;
            total.add(part.batch.topic, part.batch.partition, counts);
        }
    }
    Ok(total)
}

/// The parts in runs of one topic, none of which has two parts of a partition: stale events are counted by partition.
fn by_topic<'p, 'b>(parts: &'p [Part<'b>]) -> impl Iterator<Item = &'p [Part<'b>]> {
    let mut rest = parts;
    std::iter::from_fn(move || {
        let first = rest.first()?;
        let mut partitions = BTreeSet::new();
        let belongs =
            |part: &&Part<'_>| part.batch.topic == first.batch.topic && partitions.insert(part.batch.partition);
        let (run, after) = rest.split_at_checked(rest.iter().take_while(belongs).count())?;
        rest = after;
        Some(run)
    })
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

/// Stores the events of parts of one topic with as few statements as possible, and keeps their other records as unidentified messages.
fn store_together<'p>(
    transaction: &Transaction<'_>,
    parts: &'p [Part<'p>],
    keeper: impl Fn(&'p PartitionBatch<'p>) -> Keeper<'p, 'p>,
    now: &str,
) -> Result<Vec<OffsetCounts>, SqliteError> {
    let Some(topic) = parts.first().map(|part| part.batch.topic) else { return Ok(Vec::new()) };
    let mut events = Events::default();
    let mut counts = Vec::with_capacity(parts.len());
    for part in parts {
        let mut keeper = keeper(part.batch);
        for entry in part.entries {
            match &entry.decoded {
                Ok(event) => events.add(event, part.batch.partition, entry.offset, entry.timestamp_ms),
                Err(rejection) => keeper.keep(entry, rejection)?,
            }
        }
        counts.push((count(part.entries.len()) - keeper.count, keeper.count));
    }
    events.store(transaction, &Origin { topic, now })?;
    let counts = parts.iter().zip(counts).map(|(part, (events, unidentified))| {
        let stale = take_stale(transaction, part.batch.partition)?;
        let applied = events.saturating_sub(stale);
        Ok([(Outcome::Applied, applied), (Outcome::Stale, stale), (Outcome::Unidentified, unidentified)].into())
    });
    counts.collect()
}

/// The same record by record, each event by `store`. The last one that SQLite rejects is noted in `total`.
fn store_each(
    part: &Part<'_>,
    mut keeper: Keeper<'_, '_>,
    store: impl Fn(&Event<'_>, &Coordinates<'_>) -> Result<Stored, SqliteError>,
    total: &mut PartitionCounts,
) -> Result<OffsetCounts, SqliteError> {
    let mut counts = OffsetCounts::default();
    for entry in part.entries {
        let at = part.batch.coordinates(entry);
        match entry.decoded.as_ref().map(|event| store(event, &at)) {
            Err(rejection) => keeper.keep(entry, rejection)?,
            Ok(stored) => match stored? {
                Stored::Applied => counts.add(Outcome::Applied, 1),
                Stored::Stale => counts.add(Outcome::Stale, 1),
                Stored::Rejected(error) => {
                    let rejection = Rejection { reason: Reason::Rejected, error };
                    keeper.keep(entry, &rejection)?;
                    let (topic, error) = (at.topic.to_owned(), rejection.error);
                    let (partition, offset) = (at.partition, entry.offset);
                    total.note_rejected(RejectedRecord { topic, partition, offset, error });
                }
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
