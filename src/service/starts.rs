//! Where partitions start, as told by the rules of [`start`](crate::service::start): chosen, stored, synced, claimed, in that order.

use kafka::{Assignment, OutOfRange, Start, TopicId, TopicPartition, Truncation};

use super::source::Source;
use super::{Service, ServiceError};
use crate::service::start::{self, Choice, Claim, Policy, Stored};
use crate::storage::{self, Attempt, OffsetJump};

/// As many partitions are named in a line about skipped records.
const SKIPPED_SHOWN_MAX: usize = 20;

impl<S: Source> Service<'_, S> {
    /// Newly assigned partitions.
    pub(super) fn start(&mut self, assignments: Vec<Assignment>) -> Result<(), ServiceError> {
        let mut starts = Vec::with_capacity(assignments.len());
        let mut moves = Vec::new();
        let mut skipped = Vec::new();
        let new_database = match self.new_database {
            Some(known) => known,
            None => self.patiently("reading positions", |store| Ok(store.positions()?.is_empty()))?,
        };
        // Partitions of a new instance may come in several steps.
        self.new_database = Some(new_database);
        for assignment in assignments {
            let at = &assignment.partition;
            let claim = Claim {
                database_id: self.store.id().to_owned(),
                cluster_id: assignment.cluster_id.as_ref().to_owned(),
            };
            let (stored, topic_known) = self.patiently("reading positions", |store| {
                Ok((store.position(&at.topic, at.partition)?, store.knows_topic(&at.topic)?))
            })?;
            let known = stored.as_ref().map(Stored::of);
            skipped.push((at.clone(), start::skipped(&assignment, new_database && known.is_none(), &claim)));
            let choice = start::choose(&assignment, known, topic_known, &claim, self.policy())?;
            self.claim = claim.to_string();
            let topic_id = stored_topic_id(assignment.topic_id);
            let from = stored.as_ref().map(|row| row.next_offset);
            let (start, change) = choice.act(at, topic_id.as_ref(), from);
            moves.extend(change);
            self.positions.insert(&start, topic_id, assignment.end_offset);
            starts.push(start);
        }
        self.move_positions(&moves)?;
        warn_skipped(&skipped);
        self.sync_and_claim(starts)
    }

    /// A position that the leader does not have: an end, or the nearest surviving offset.
    pub(super) fn jump_into_range(&mut self, range: &OutOfRange) -> Result<(), ServiceError> {
        let choice = start::choose_out_of_range(range, self.policy())?;
        self.jump(choice, &range.partition, range.topic_id, range.position, range.end_offset)
    }

    /// A log that was truncated and written anew: an end, or the point from which on it has other records.
    pub(super) fn jump_to_divergence(&mut self, truncation: &Truncation) -> Result<(), ServiceError> {
        let choice = start::choose_truncated(truncation, self.policy())?;
        let Truncation { partition, topic_id, position, .. } = truncation;
        self.jump(choice, partition, *topic_id, *position, *position)
    }

    /// Leaves the position where a partition was read.
    fn jump(
        &mut self,
        choice: Choice,
        at: &TopicPartition,
        topic_id: Option<TopicId>,
        from: i64,
        end_offset: i64,
    ) -> Result<(), ServiceError> {
        let topic_id = stored_topic_id(topic_id);
        let (start, change) = choice.act(at, topic_id.as_ref(), Some(from));
        self.move_positions(change.as_slice())?;
        self.positions.insert(&start, topic_id, end_offset);
        self.sync_and_claim(vec![start])
    }

    fn move_positions(&mut self, moves: &[OffsetJump]) -> Result<(), ServiceError> {
        if moves.is_empty() {
            return Ok(());
        }
        let mut attempt = Attempt::default();
        self.patiently("storing a position", |store| store.store_jumps(moves, &mut attempt))?;
        for change in moves {
            let level = if start::is_warning(change.reason) { log::Level::Warn } else { log::Level::Info };
            log::log!(
                level, topic = change.topic, partition = change.partition, from_offset = change.from, to_offset = change.to,
                reason = change.reason.as_str(); "position set: {}", change.detail
            );
        }
        Ok(())
    }

    /// What is claimed must survive a power cut, as what is committed.
    fn sync_and_claim(&mut self, starts: Vec<Start>) -> Result<(), ServiceError> {
        self.patiently("syncing the database", |store| store.sync())?;
        self.source.start(starts, &self.claim);
        Ok(())
    }

    fn policy(&self) -> Policy {
        Policy::of(self.settings)
    }
}

/// The id as the database has it.
fn stored_topic_id(id: Option<TopicId>) -> Option<storage::TopicId> {
    id.and_then(|id| storage::TopicId::new(id.to_string()))
}

/// One line for all partitions.
fn warn_skipped(skipped: &[(TopicPartition, i64)]) {
    let skipped: Vec<&(TopicPartition, i64)> = skipped.iter().filter(|(_, records)| *records > 0).collect();
    if skipped.is_empty() {
        return;
    }
    let mut shown: Vec<String> =
        skipped.iter().take(SKIPPED_SHOWN_MAX).map(|(at, records)| format!("{at}: {records}")).collect();
    if let Some(more @ 1..) = skipped.len().checked_sub(SKIPPED_SHOWN_MAX) {
        shown.push(format!("and {more} more partitions"));
    }
    log::warn!(
        records = skipped.iter().map(|(_, records)| records).sum::<i64>(), partitions = skipped.len();
        "this database is new, and the group's offsets were committed by another one: records before them are not read \
         ({}); {}",
        shown.join(", "), start::READ_SKIPPED
    );
}
