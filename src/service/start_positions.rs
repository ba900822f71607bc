//! Where partitions start: decided by the [`start_rules`](crate::service::start_rules), stored, then synced. Must not
//! know the reader.

use kafka::{Assignment, OffsetPosition, OutOfRange, StartToken, TopicPartition, Truncation};
use log::Level;

use super::error::ServiceError;
use super::offsets::PartitionStart;
use super::publisher::publish_jump;
use super::retrying_writer::RetryingWriter;
use crate::service::start_rules::{self, CommitMetadata, Policy, StartDecision, StoredOffset};
use crate::settings::Settings;
use crate::storage::{Attempt, OffsetJump, TopicId};

/// At most this many partitions are named in the log line about skipped records.
const SKIPPED_SHOWN_MAX: usize = 20;

/// Decides and stores where partitions start.
pub(super) struct StartPositions {
    policy: Policy,
    /// Whether the database had no position before the first assignment, which may come in several events; `None` until
    /// then.
    database_is_new: Option<bool>,
}

/// What a partition starts from, apart from the decision.
struct Request<'a> {
    partition: &'a TopicPartition,
    token: StartToken,
    topic_id: Option<kafka::TopicId>,
    stored_offset: Option<i64>,
    end_offset: i64,
}

impl StartPositions {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { policy: Policy::of(settings), database_is_new: None }
    }

    /// Newly assigned partitions. `own`: the commit metadata of this database.
    pub(super) fn of_assignments(
        &mut self,
        assignments: &[Assignment],
        own: &CommitMetadata,
        writer: &mut RetryingWriter<'_>,
    ) -> Result<Vec<PartitionStart>, ServiceError> {
        let database_is_new = match self.database_is_new {
            Some(known) => known,
            None => writer.retry("reading positions", |writer| Ok(writer.positions()?.is_empty()))?,
        };
        self.database_is_new = Some(database_is_new);
        let (mut starts, mut jumps, mut skipped) = (Vec::with_capacity(assignments.len()), Vec::new(), Vec::new());
        for assignment in assignments {
            let at = &assignment.partition;
            let (stored, topic_known) = writer.retry("reading positions", |writer| {
                Ok((writer.position(&at.topic, at.partition)?, writer.knows_topic(&at.topic)?))
            })?;
            let is_new = database_is_new && stored.is_none();
            skipped.push((at, start_rules::count_skipped_records(assignment, is_new, own)));
            let offset = stored.as_ref().map(StoredOffset::of);
            let decision = start_rules::choose(assignment, offset, topic_known, own, self.policy)?;
            let request = Request {
                partition: at,
                token: assignment.token,
                topic_id: assignment.topic_id,
                stored_offset: stored.as_ref().map(|position| position.next_offset),
                end_offset: assignment.end_offset,
            };
            let (start, jump) = apply(decision, &request);
            starts.push(start);
            jumps.extend(jump);
        }
        store(&jumps, writer)?;
        warn_skipped(&skipped);
        sync(writer)?;
        Ok(starts)
    }

    /// A partition whose position its leader does not have.
    pub(super) fn of_out_of_range(
        &self,
        range: &OutOfRange,
        writer: &mut RetryingWriter<'_>,
    ) -> Result<PartitionStart, ServiceError> {
        let decision = start_rules::choose_out_of_range(range, self.policy)?;
        let OutOfRange { partition, token, topic_id, position, end_offset, .. } = range;
        jump(decision, &Request::of_position(partition, *token, *topic_id, *position, *end_offset), writer)
    }

    /// A partition whose log was truncated below the position.
    pub(super) fn of_truncation(
        &self,
        truncation: &Truncation,
        writer: &mut RetryingWriter<'_>,
    ) -> Result<PartitionStart, ServiceError> {
        let decision = start_rules::choose_truncated(truncation, self.policy)?;
        let Truncation { partition, token, topic_id, position, .. } = truncation;
        jump(decision, &Request::of_position(partition, *token, *topic_id, *position, *position), writer)
    }
}

impl<'a> Request<'a> {
    fn of_position(
        partition: &'a TopicPartition,
        token: StartToken,
        topic_id: Option<kafka::TopicId>,
        position: i64,
        end_offset: i64,
    ) -> Self {
        Self { partition, token, topic_id, stored_offset: Some(position), end_offset }
    }
}

fn jump(
    decision: StartDecision,
    request: &Request<'_>,
    writer: &mut RetryingWriter<'_>,
) -> Result<PartitionStart, ServiceError> {
    let (start, jump) = apply(decision, request);
    store(jump.as_slice(), writer)?;
    sync(writer)?;
    Ok(start)
}

fn apply(decision: StartDecision, request: &Request<'_>) -> (PartitionStart, Option<OffsetJump>) {
    let Request { partition, token, topic_id, stored_offset, end_offset } = *request;
    let position = OffsetPosition {
        partition: partition.clone(),
        token,
        offset: decision.offset(),
        leader_epoch: decision.leader_epoch(),
    };
    let topic_id = topic_id.and_then(|id| TopicId::new(id.to_string()));
    let jump = decision.into_offset_jump(partition, topic_id.as_ref(), stored_offset);
    (PartitionStart { position, topic_id, end_offset }, jump)
}

fn store(jumps: &[OffsetJump], writer: &mut RetryingWriter<'_>) -> Result<(), ServiceError> {
    if jumps.is_empty() {
        return Ok(());
    }
    let mut attempt = Attempt::default();
    writer.retry("storing a position", |writer| writer.store_jumps(jumps, &mut attempt))?;
    for jump in jumps {
        publish_jump(&writer.metrics, jump);
        let level = if start_rules::is_warning(jump.reason) { Level::Warn } else { Level::Info };
        log::log!(
            level, topic = jump.topic, partition = jump.partition, from_offset = jump.from, to_offset = jump.to,
            reason = jump.reason.as_str(); "offset jump: {}", jump.detail
        );
    }
    Ok(())
}

/// A start position is committed to the group, so it must survive a power cut.
fn sync(writer: &mut RetryingWriter<'_>) -> Result<(), ServiceError> {
    Ok(writer.retry("syncing the database", |writer| writer.sync())?)
}

/// One line for all partitions.
fn warn_skipped(skipped: &[(&TopicPartition, i64)]) {
    let skipped: Vec<_> = skipped.iter().filter(|(_, records)| *records > 0).collect();
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
        "this database is new, and another database has committed the group's offsets: records before them are not read \
         ({}); {}",
        shown.join(", "), start_rules::READ_SKIPPED
    );
}
