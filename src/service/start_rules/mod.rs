//! The rules that decide where a partition starts, from what is stored, what the group has committed and what the log
//! holds. Pure: must not do I/O.
//!
//! | | committed by | stored | start |
//! |-|---|---|---|
//! | 0 | this database, another database, nobody | under another topic id | data loss: the topic was deleted and recreated |
//! | 1 | this database or nobody | yes | the stored offset |
//! | 1 | this database | no (an older backup) | the log start offset |
//! | 2 | another database | yes or no | the greater offset; refused if no consumer group assigns the partitions |
//! | 3 | somebody without a database id (a tool, an operator) | yes or no | exactly the committed offset |
//! | 4 | nobody | no | as `KAFKA_AUTO_OFFSET_RESET` says; a partition that was added later: the log start offset |

mod decision;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod metadata;
#[cfg(test)]
mod tests;

use kafka::{Assignment, CommittedOffset, OutOfRange, TopicPartition, Truncation};

pub use decision::StartDecision;
pub use error::StartError;
pub use metadata::CommitMetadata;

use crate::settings::{GroupProtocol, OffsetReset, Settings, shorten};
use crate::storage::{JumpReason, StoredPosition, TopicId};

/// What to do about records that [`count_skipped_records`] counts.
pub const READ_SKIPPED: &str = "if that database no longer exists, stop all instances of the group, run 'enterprise-consumer reset --to-earliest', and start again";

/// What the settings allow.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// `KAFKA_AUTO_OFFSET_RESET`.
    pub reset: OffsetReset,
    /// `FAIL_ON_DATA_LOSS`.
    pub fail_on_data_loss: bool,
    /// `KAFKA_GROUP_PROTOCOL=none`: no consumer group assigns the partitions, so no other database may have read them.
    pub exclusive: bool,
}

impl Policy {
    /// The policy of the settings.
    pub fn of(settings: &Settings) -> Self {
        Self {
            reset: settings.kafka.auto_offset_reset,
            fail_on_data_loss: settings.fail_on_data_loss,
            exclusive: settings.kafka.group_protocol == GroupProtocol::None,
        }
    }
}

/// What the database has stored for a partition.
#[derive(Clone, Copy, Debug)]
pub struct StoredOffset<'a> {
    /// The next offset to read.
    pub next_offset: i64,
    /// Id of the topic that the offset belongs to; `None` if the brokers have no topic ids.
    pub topic_id: Option<&'a TopicId>,
    /// Epoch of the leader that wrote the record before, if known.
    pub leader_epoch: Option<i32>,
}

impl<'a> StoredOffset<'a> {
    /// The offset of a stored position.
    pub fn of(position: &'a StoredPosition) -> Self {
        Self {
            next_offset: position.next_offset,
            topic_id: position.topic_id.as_ref(),
            leader_epoch: position.leader_epoch,
        }
    }

    fn resume(&self) -> StartDecision {
        StartDecision::Resume { offset: self.next_offset, leader_epoch: self.leader_epoch }
    }
}

/// Decides where a newly assigned partition starts. `topic_known`: the database has positions of other partitions of
/// its topic.
///
/// # Errors
/// [`StartError`] if an operator has to decide.
pub fn choose(
    assignment: &Assignment,
    stored: Option<StoredOffset<'_>>,
    topic_known: bool,
    own: &CommitMetadata,
    policy: Policy,
) -> Result<StartDecision, StartError> {
    let committed = assignment.committed.as_ref();
    let other_database = match committed.map(|committed| (committed, CommitMetadata::parse(&committed.metadata))) {
        None => None,
        Some((committed, Some(metadata))) if metadata.cluster_id == own.cluster_id => {
            (metadata.database_id != own.database_id).then_some((committed, metadata.database_id))
        }
        Some((committed, _)) => return Ok(follow_reset(committed, stored, assignment)),
    };
    if let Some(stored) = stored
        && is_other_topic(stored, assignment)
    {
        return topic_recreated(assignment, stored, policy);
    }
    if let Some((committed, database_id)) = other_database {
        return follow_other_database(assignment, committed, &database_id, stored, own, policy);
    }
    match stored {
        Some(stored) => Ok(stored.resume()),
        None if committed.is_some() => Ok(StartDecision::Jump {
            to_offset: assignment.log_start_offset,
            leader_epoch: None,
            reason: JumpReason::OlderBackup,
            detail: "the group's offset was committed for this database, but it holds no position: read from the first offset"
                .to_owned(),
        }),
        None => first_start(assignment, topic_known, policy),
    }
}

/// Decides where to continue when the partition's leader does not have the position.
///
/// # Errors
/// [`StartError::DataLoss`] under `FAIL_ON_DATA_LOSS`.
pub fn choose_out_of_range(range: &OutOfRange, policy: Policy) -> Result<StartDecision, StartError> {
    let OutOfRange { partition, position, log_start_offset, end_offset, .. } = range;
    let (to_offset, reason, detail) = if position < log_start_offset {
        let detail = format!("records from offset {position} to {} were deleted by retention", log_start_offset - 1);
        (*log_start_offset, JumpReason::OffsetsExpired, detail)
    } else {
        let detail = format!("the log ends at offset {end_offset}, before the position {position}: it was truncated");
        (*end_offset, JumpReason::LogTruncated, detail)
    };
    data_loss(partition, to_offset, None, reason, detail, policy)
}

/// Decides where to continue when the log was truncated below the position and other records were written there.
///
/// # Errors
/// [`StartError::DataLoss`] under `FAIL_ON_DATA_LOSS`.
pub fn choose_truncated(truncation: &Truncation, policy: Policy) -> Result<StartDecision, StartError> {
    let Truncation { partition, position, position_epoch, divergence_offset, divergence_epoch, .. } = truncation;
    let read = match position - 1 {
        last if last >= *divergence_offset => format!("offsets {divergence_offset} to {last} were"),
        last => format!("offset {last} was"),
    };
    let detail = format!(
        "the log was truncated and rewritten from offset {divergence_offset} on: {read} read before that (of leader epoch \
         {position_epoch}), and what was read stays in the database; the records that replaced it were not read"
    );
    data_loss(partition, *divergence_offset, Some(*divergence_epoch), JumpReason::LogTruncated, detail, policy)
}

/// Counts the records of a partition that a new database does not read, because another database has committed the
/// group's offset behind them. `database_is_new`: it has no position of the group.
///
/// `run` logs a WARN about them, and `check` reports them: the other database may no longer exist, and the records with
/// it.
pub fn count_skipped_records(assignment: &Assignment, database_is_new: bool, own: &CommitMetadata) -> i64 {
    let Some(committed) = assignment.committed.as_ref().filter(|_| database_is_new) else { return 0 };
    match CommitMetadata::parse(&committed.metadata) {
        Some(metadata) if metadata.cluster_id == own.cluster_id && metadata.database_id != own.database_id => {
            (committed.offset - assignment.log_start_offset).max(0)
        }
        _ => 0,
    }
}

/// Whether an operator should look at an offset jump.
pub fn is_warning(reason: JumpReason) -> bool {
    match reason {
        JumpReason::FirstStart | JumpReason::NewPartition | JumpReason::OtherDatabase | JumpReason::GroupReset => false,
        JumpReason::OlderBackup
        | JumpReason::TopicRecreated
        | JumpReason::OffsetsExpired
        | JumpReason::LogTruncated => true,
    }
}

/// Rule 3. An offset that is set to the stored one resumes, unless the log may no longer hold what was read before it:
/// only an offset that was committed with the stored leader epoch confirms that.
fn follow_reset(
    committed: &CommittedOffset,
    stored: Option<StoredOffset<'_>>,
    assignment: &Assignment,
) -> StartDecision {
    let CommittedOffset { offset: to_offset, leader_epoch, .. } = *committed;
    let is_unchanged = |stored: &StoredOffset<'_>| {
        stored.next_offset == to_offset
            && !is_other_topic(*stored, assignment)
            && stored.leader_epoch.is_none_or(|epoch| leader_epoch == Some(epoch))
    };
    if let Some(stored) = stored.filter(is_unchanged) {
        return stored.resume();
    }
    let detail = match committed.metadata.as_str() {
        "" => "the group's offset was set by another program or an operator".to_owned(),
        metadata => format!(
            "the group's offset was set by another program or an operator; its commit metadata is '{}'",
            shorten(metadata)
        ),
    };
    StartDecision::Jump { to_offset, leader_epoch, reason: JumpReason::GroupReset, detail }
}

/// Rule 0. Without topic ids (brokers before 2.8) a recreated topic is not recognized.
fn is_other_topic(stored: StoredOffset<'_>, assignment: &Assignment) -> bool {
    matches!((stored.topic_id, assignment.topic_id), (Some(stored), Some(id)) if id.to_string() != stored.as_str())
}

fn topic_recreated(
    assignment: &Assignment,
    stored: StoredOffset<'_>,
    policy: Policy,
) -> Result<StartDecision, StartError> {
    let topic_id = assignment.topic_id.map(|id| id.to_string()).unwrap_or_default();
    let detail = format!(
        "the topic was deleted and recreated (id '{}' before, '{topic_id}' now); the records of the deleted topic from offset {} on \
         are lost",
        stored.topic_id.map_or("", TopicId::as_str),
        stored.next_offset
    );
    data_loss(&assignment.partition, assignment.log_start_offset, None, JumpReason::TopicRecreated, detail, policy)
}

/// Rule 2.
fn follow_other_database(
    assignment: &Assignment,
    committed: &CommittedOffset,
    database_id: &str,
    stored: Option<StoredOffset<'_>>,
    own: &CommitMetadata,
    policy: Policy,
) -> Result<StartDecision, StartError> {
    // Any client that may commit for the group can write any metadata.
    let committed_by = shorten(database_id);
    if policy.exclusive {
        let partition = assignment.partition.clone();
        return Err(StartError::OtherDatabase { partition, committed_by, database_id: own.database_id.clone() });
    }
    match stored {
        Some(stored) if stored.next_offset >= committed.offset => Ok(stored.resume()),
        _ => Ok(StartDecision::Jump {
            to_offset: committed.offset,
            leader_epoch: committed.leader_epoch,
            reason: JumpReason::OtherDatabase,
            detail: format!("database '{committed_by}' has read this partition up to this offset"),
        }),
    }
}

/// Rule 4.
fn first_start(assignment: &Assignment, topic_known: bool, policy: Policy) -> Result<StartDecision, StartError> {
    let jump = |to_offset, reason, detail: &str| {
        Ok(StartDecision::Jump { to_offset, leader_epoch: None, reason, detail: detail.to_owned() })
    };
    let (start, end) = (assignment.log_start_offset, assignment.end_offset);
    match policy.reset {
        _ if topic_known && start > 0 => {
            let detail = format!(
                "the partition was added after its topic was first read; retention had deleted the records before offset {start}"
            );
            jump(start, JumpReason::NewPartition, &detail)
        }
        _ if topic_known => {
            jump(start, JumpReason::NewPartition, "the partition was added after its topic was first read")
        }
        OffsetReset::Earliest => jump(start, JumpReason::FirstStart, "KAFKA_AUTO_OFFSET_RESET is 'earliest'"),
        OffsetReset::Latest => jump(end, JumpReason::FirstStart, "KAFKA_AUTO_OFFSET_RESET is 'latest'"),
        OffsetReset::Error => Err(StartError::NoPosition(assignment.partition.clone())),
    }
}

fn data_loss(
    partition: &TopicPartition,
    to_offset: i64,
    leader_epoch: Option<i32>,
    reason: JumpReason,
    detail: String,
    policy: Policy,
) -> Result<StartDecision, StartError> {
    if policy.fail_on_data_loss {
        return Err(StartError::DataLoss { partition: partition.clone(), reason, detail });
    }
    Ok(StartDecision::Jump { to_offset, leader_epoch, reason, detail })
}
