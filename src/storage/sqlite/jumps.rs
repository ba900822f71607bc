//! Stored positions and their jumps. Must not decide where a partition starts.

use super::conflict;
use super::database::Database;
use super::error::{Context, SqliteError, ensure_written};
use super::tables::{jump, offset};
use crate::storage::attempt::{Attempt, UncertainCommit};
use crate::storage::counts::PartitionCounts;
use crate::storage::position::{OffsetJump, StoredPosition};

impl Database {
    /// The stored position of one partition.
    pub(super) fn position(&mut self, topic: &str, partition: i32) -> Result<Option<StoredPosition>, SqliteError> {
        self.read(|transaction, group_id| offset::find(transaction, group_id, topic, partition))
    }

    /// The group's positions, by topic and partition.
    pub(super) fn positions(&mut self) -> Result<Vec<StoredPosition>, SqliteError> {
        self.read(offset::all)
    }

    /// Whether any partition of the topic has a position.
    pub(super) fn knows_topic(&mut self, topic: &str) -> Result<bool, SqliteError> {
        self.read(|transaction, group_id| offset::knows_topic(transaction, group_id, topic))
    }

    /// Stores offset jumps and their reasons, all in one transaction.
    ///
    /// # Errors
    /// [`SqliteError::PositionConflict`] if a stored position is not the one that its jump begins at.
    pub(super) fn store_jumps(&mut self, jumps: &[OffsetJump], attempt: &mut Attempt) -> Result<(), SqliteError> {
        if let Some(uncertain) = &attempt.uncertain {
            let committed = self.has_committed(uncertain)?;
            let reading = uncertain.reading;
            attempt.uncertain = None;
            if let (true, Some(reading)) = (committed, reading) {
                self.note_jumps(jumps, reading);
                return Ok(());
            }
        }
        let mut written = None;
        let result = self.write(|transaction, group_id, now| {
            let reading = offset::next_reading(transaction).context("store an offset jump")?;
            for jump in jumps {
                if !offset::put(transaction, group_id, jump, reading, now).context("store an offset jump")? {
                    let at = (jump.topic.as_str(), jump.partition);
                    let expected = (jump.from, jump.topic_id.as_ref());
                    return Err(conflict::find(transaction, group_id, at, expected));
                }
                let noted = jump::insert(transaction, group_id, jump, now);
                ensure_written(noted.context("store an offset jump")?, "position_changes")?;
            }
            written = Some(reading);
            Ok(())
        });
        match (&result, written) {
            (Ok(()), Some(reading)) => self.note_jumps(jumps, reading),
            (_, reading) => attempt.uncertain = jumps.first().zip(reading).map(uncertain_jump),
        }
        result
    }

    /// Whether a transaction was committed though its COMMIT failed.
    pub(super) fn has_committed(&mut self, uncertain: &UncertainCommit) -> Result<bool, SqliteError> {
        let UncertainCommit { topic, partition, next_offset, reading, .. } = uncertain;
        let stored = self.position(topic, *partition)?;
        Ok(stored.is_some_and(|stored| {
            stored.next_offset == *next_offset && reading.is_none_or(|reading| reading == stored.reading)
        }))
    }

    fn note_jumps(&mut self, jumps: &[OffsetJump], reading: i64) {
        for jump in jumps {
            self.committed.note_jump(&jump.topic, jump.partition, reading, jump.to);
        }
    }
}

/// The reading tells: a jump may lead to the offset at which the position is.
fn uncertain_jump((jump, reading): (&OffsetJump, i64)) -> UncertainCommit {
    UncertainCommit {
        counts: PartitionCounts::default(),
        topic: jump.topic.clone(),
        partition: jump.partition,
        next_offset: jump.to,
        reading: Some(reading),
    }
}
