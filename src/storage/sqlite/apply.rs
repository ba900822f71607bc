//! Applies batches: in one transaction, and only if SQLite rejects that, in as many as it takes to find the rejected records. Must not
//! know what a transaction does with a record.

use super::database::Database;
use super::error::SqliteError;
use super::transaction::{self, OnRejection};
use crate::storage::attempt::{Attempt, UncertainCommit};
use crate::storage::batch::PartitionBatch;
use crate::storage::counts::{OffsetCounts, PartitionCounts};
use crate::storage::part::{Part, halves};

impl Database {
    /// Applies batches; see [`Writer::apply`](crate::storage::Writer::apply). To find a rejected record costs as many transactions as it
    /// takes to halve the batch down to it.
    ///
    /// # Errors
    /// [`SqliteError::PositionConflict`] if a batch does not begin at the stored position.
    pub(super) fn apply(
        &mut self,
        batches: &[PartitionBatch<'_>],
        attempt: &mut Attempt,
    ) -> Result<OffsetCounts, SqliteError> {
        let mut parts: Vec<Part<'_>> = batches.iter().map(Part::whole).collect();
        if !attempt.is_new() {
            self.remove_committed(&mut parts, attempt)?;
            if parts.is_empty() {
                return Ok(attempt.done.total());
            }
        }
        self.bound_wal()?;
        match self.commit(&parts, OnRejection::Fail, attempt) {
            Err(error) if error.is_rejection() => self.isolate(parts, attempt)?,
            result => result?,
        }
        Ok(attempt.done.total())
    }

    /// Settles an uncertain COMMIT, then removes from the parts what the attempt has committed.
    fn remove_committed(&mut self, parts: &mut Vec<Part<'_>>, attempt: &mut Attempt) -> Result<(), SqliteError> {
        if let Some(uncertain) = &attempt.uncertain {
            if self.has_committed(uncertain)? {
                attempt.done.extend(&uncertain.counts);
            }
            attempt.uncertain = None;
        }
        for part in parts.iter_mut() {
            let stored = self.position(part.batch.topic, part.batch.partition)?;
            // A position outside of the part is a conflict, which the transaction finds.
            if let Some(rest) = stored.and_then(|stored| part.from(stored.next_offset)) {
                *part = rest;
            }
        }
        parts.retain(|part| !part.is_empty());
        Ok(())
    }

    /// Commits one transaction and counts its offsets in the attempt.
    fn commit(
        &mut self,
        parts: &[Part<'_>],
        on_rejection: OnRejection<'_>,
        attempt: &mut Attempt,
    ) -> Result<(), SqliteError> {
        let mut written = None;
        let result = self.write(|transaction, group_id, now| {
            let counts = transaction::apply(transaction, group_id, parts, on_rejection, now)?;
            written = Some(counts.clone());
            Ok(counts)
        });
        match result {
            Ok(counts) => {
                attempt.done.extend(&counts);
                attempt.uncertain = None;
                self.growth.note_transaction(parts);
                for part in parts {
                    self.committed.note_advance(part.batch.topic, part.batch.partition, part.offsets.next);
                }
                Ok(())
            }
            Err(error) => {
                attempt.uncertain = written.and_then(|counts| uncertain(parts, counts));
                Err(error)
            }
        }
    }

    /// Finds the records that SQLite rejects. Most rejections leave the transaction open, and a savepoint around each record is enough.
    /// Where one ends the transaction (`RAISE(ROLLBACK)`) or comes with the COMMIT (deferred foreign keys), halves of the records are
    /// committed, in their order.
    fn isolate(&mut self, parts: Vec<Part<'_>>, attempt: &mut Attempt) -> Result<(), SqliteError> {
        let mut remaining = vec![parts];
        while let Some(parts) = remaining.pop() {
            let Err(error) = self.commit(&parts, OnRejection::Isolate, attempt) else { continue };
            let Some(rejection) = error.rejection() else { return Err(error) };
            match halves(&parts) {
                Some((first, second)) => remaining.extend([second, first]),
                // If SQLite rejects this too, the record is not the cause.
                None => self.commit(&parts, OnRejection::Keep(&rejection), attempt)?,
            }
        }
        Ok(())
    }
}

/// What tells later whether a transaction was committed. A part without offsets tells nothing.
fn uncertain(parts: &[Part<'_>], counts: PartitionCounts) -> Option<UncertainCommit> {
    let last = parts.iter().rfind(|part| !part.offsets.is_empty())?;
    Some(UncertainCommit {
        counts,
        topic: last.batch.topic.to_owned(),
        partition: last.batch.partition,
        next_offset: last.offsets.next,
        reading: None,
    })
}
