//! How batches take effect: in one transaction, and only if SQLite refuses that, in as many as it takes to find the record
//! that it refuses. Must not know what a transaction does with a record.

use super::batch::{self, Care};
use super::part::{Part, halves};
use super::{Database, DatabaseError};
use crate::storage::sqlite::tables::{Applied, PartitionBatch};

/// What a call of [`Database::apply`] that failed has left to the next one.
#[derive(Clone, Debug)]
pub(super) struct Unfinished {
    /// What became of the offsets that have taken effect.
    pub(super) done: Applied,
    /// The transaction that failed, if that was its commit: SQLite can fail after it has written everything, and a new
    /// connection then finds it done.
    pub(super) uncertain: Option<Uncertain>,
}

impl Unfinished {
    /// `None` if nothing has taken effect, nor may have.
    fn of(done: Applied, uncertain: Option<Uncertain>) -> Option<Self> {
        (done != Applied::default() || uncertain.is_some()).then_some(Self { done, uncertain })
    }
}

/// A transaction that may have been made: it has if this position is where it put it.
#[derive(Clone, Debug)]
pub(super) struct Uncertain {
    pub(super) applied: Applied,
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) next_offset: i64,
}

impl Database {
    /// Lets batches take effect: rows, unidentified messages and positions. The only writer of events that come from Kafka.
    ///
    /// All in one transaction. Only if SQLite refuses that, for what is in a record, in several, one after the other: each holds
    /// the rows of a stretch of offsets and the positions behind it, so that between them everything fits together. A record
    /// that SQLite refuses alone becomes an unidentified message; to find it costs as many transactions as it takes to halve
    /// the batch down to it. A call that failed may be made again with the same batches: it goes on where that one was.
    ///
    /// # Errors
    /// [`DatabaseError::PositionConflict`] if a batch does not begin at the stored position.
    pub fn apply(&mut self, batches: &[PartitionBatch<'_>]) -> Result<Applied, DatabaseError> {
        let mut parts: Vec<Part<'_>> = batches.iter().map(Part::whole).collect();
        let mut done = Applied::default();
        if let Some(unfinished) = self.unfinished.clone() {
            done = self.go_on(unfinished, &mut parts)?;
            // What is certain by now must not be forgotten if the next step fails.
            self.unfinished = Unfinished::of(done, None);
            if parts.is_empty() {
                self.unfinished = None;
                return Ok(done);
            }
        }
        self.bound_wal()?;
        match self.attempt(&parts, Care::None, &mut done) {
            Err(error) if error.is_refusal() => self.isolate(parts, &mut done)?,
            result => result?,
        }
        self.unfinished = None;
        Ok(done)
    }

    /// Takes from the parts what has taken effect already; says what became of that.
    fn go_on(&mut self, unfinished: Unfinished, parts: &mut Vec<Part<'_>>) -> Result<Applied, DatabaseError> {
        let mut done = unfinished.done;
        if let Some(Uncertain { applied, topic, partition, next_offset }) = unfinished.uncertain
            && self.position(&topic, partition)?.is_some_and(|stored| stored.next_offset == next_offset)
        {
            done += applied;
        }
        for part in parts.iter_mut() {
            let stored = self.position(part.batch.topic, part.batch.partition)?;
            // A position that is somewhere else is a conflict, which the transaction finds.
            if let Some(rest) = stored.and_then(|stored| part.from(stored.next_offset)) {
                *part = rest;
            }
        }
        parts.retain(|part| !part.is_empty());
        Ok(done)
    }

    /// One transaction; what became of its offsets is added to `done`.
    fn attempt(&mut self, parts: &[Part<'_>], care: Care<'_>, done: &mut Applied) -> Result<(), DatabaseError> {
        let mut written = None;
        let result = self.write(|transaction, group_id, now| {
            let applied = batch::apply(transaction, group_id, parts, care, now)?;
            written = Some(applied);
            Ok(applied)
        });
        match result {
            Ok(applied) => {
                *done += applied;
                for part in parts {
                    self.written.note_advance(part.batch.topic, part.batch.partition, part.next_offset);
                }
            }
            Err(error) => {
                // A part that covers no offset tells nothing.
                let last = parts.iter().rfind(|part| part.from_offset < part.next_offset);
                let uncertain = written.zip(last).map(|(applied, last)| Uncertain {
                    applied,
                    topic: last.batch.topic.to_owned(),
                    partition: last.batch.partition,
                    next_offset: last.next_offset,
                });
                self.unfinished = Unfinished::of(*done, uncertain);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Finds the records that SQLite refuses. Most refusals leave the transaction alive, and a savepoint around each record is
    /// enough. Where one ends the transaction (`RAISE(ROLLBACK)`) or comes at the commit (deferred foreign keys), halves of the
    /// records are tried, in their order.
    fn isolate(&mut self, parts: Vec<Part<'_>>, done: &mut Applied) -> Result<(), DatabaseError> {
        let mut waiting = vec![parts];
        while let Some(parts) = waiting.pop() {
            let Err(error) = self.attempt(&parts, Care::EachRecord, done) else { continue };
            let Some(refusal) = error.refusal() else { return Err(error) };
            match halves(&parts) {
                Some((first, second)) => waiting.extend([second, first]),
                // If this is refused too, it is not for what is in the record.
                None => self.attempt(&parts, Care::Refused(&refusal), done)?,
            }
        }
        Ok(())
    }
}
