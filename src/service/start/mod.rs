//! Where a partition starts: rules on what is stored, what the group committed and what the log holds. Pure; must not do I/O.
//!
//! | | committed by | stored | start |
//! |-|---|---|---|
//! | 0 | us, another database, nobody | under another topic id | data loss: the topic was deleted and made again |
//! | 1 | us or nobody | yes | the stored offset |
//! | 1 | us | no (an older backup) | the first offset of the log |
//! | 2 | another database | yes or no | the greater offset; refused where no group shares out partitions |
//! | 3 | somebody without a database id | yes or no | exactly the committed offset |
//! | 4 | nobody | no | as `KAFKA_AUTO_OFFSET_RESET` says; a partition that was added later: the first offset |

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
use std::fmt;

use kafka::{Assignment, CommittedOffset, OutOfRange, Start, TopicPartition, Truncation};

use crate::settings::{GroupProtocol, OffsetReset, Settings};
use crate::storage::sqlite::tables::offset::StoredPosition;
use crate::storage::sqlite::tables::position_change::{MoveReason, PositionMove};

/// Who committed a group offset, as its commit metadata tells.
///
/// The cluster's id is part of it since a mirrored or restored cluster copies group offsets with their metadata: there they say
/// nothing of what our database holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Id of the database that holds the rows.
    pub database_id: String,
    /// Id of the cluster that it read them from.
    pub cluster_id: String,
}

impl Claim {
    /// Reads a commit metadata; `None` if it is not of ours.
    pub fn parse(metadata: &str) -> Option<Self> {
        let (database_id, cluster_id) = metadata.strip_prefix("database=")?.split_once(" cluster=")?;
        Some(Self { database_id: database_id.to_owned(), cluster_id: cluster_id.to_owned() })
    }
}

/// The commit metadata.
impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "database={} cluster={}", self.database_id, self.cluster_id)
    }
}

/// What the operator allows.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// `KAFKA_AUTO_OFFSET_RESET`.
    pub reset: OffsetReset,
    /// `FAIL_ON_DATA_LOSS`.
    pub fail_on_data_loss: bool,
    /// No group shares out the partitions: nobody else may have read them.
    pub exclusive: bool,
}

impl Policy {
    /// As the settings say.
    pub fn of(settings: &Settings) -> Self {
        Self {
            reset: settings.kafka.auto_offset_reset,
            fail_on_data_loss: settings.fail_on_data_loss,
            exclusive: settings.kafka.group_protocol == GroupProtocol::None,
        }
    }
}

/// What the database knows of a partition.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    /// The next offset to read.
    pub next_offset: i64,
    /// Id of the topic that it belongs to; empty from brokers that have none.
    pub topic_id: &'a str,
    /// Epoch of the leader that wrote the record before, where known.
    pub leader_epoch: Option<i32>,
}

impl<'a> Stored<'a> {
    /// Of a stored position.
    pub fn of(row: &'a StoredPosition) -> Self {
        Self { next_offset: row.next_offset, topic_id: &row.topic_id, leader_epoch: row.leader_epoch }
    }

    fn resume(&self) -> Choice {
        Choice::Resume { offset: self.next_offset, leader_epoch: self.leader_epoch }
    }
}

/// Where to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Where it was left.
    Resume {
        /// The next offset to read.
        offset: i64,
        /// Epoch of the leader that wrote the record before: the log must still have that.
        leader_epoch: Option<i32>,
    },
    /// Elsewhere: counters start anew and the change is recorded.
    Jump {
        /// The next offset to read.
        to_offset: i64,
        /// Epoch of the leader that wrote the record before, where somebody has read that.
        leader_epoch: Option<i32>,
        /// Why.
        reason: MoveReason,
        /// What a person wants to know about it.
        detail: String,
    },
}

impl Choice {
    /// The next offset to read.
    pub fn offset(&self) -> i64 {
        match self {
            Self::Resume { offset, .. } | Self::Jump { to_offset: offset, .. } => *offset,
        }
    }

    /// The epoch of the leader that wrote the record before, where known.
    pub fn leader_epoch(&self) -> Option<i32> {
        match self {
            Self::Resume { leader_epoch, .. } | Self::Jump { leader_epoch, .. } => *leader_epoch,
        }
    }

    /// What it means: where to start, and the change for the database if the position jumps there from where it was.
    pub fn act(self, at: &TopicPartition, topic_id: &str, from: Option<i64>) -> (Start, Option<PositionMove>) {
        let start = |offset, leader_epoch| Start { partition: at.clone(), offset, leader_epoch };
        match self {
            Self::Resume { offset, leader_epoch } => (start(offset, leader_epoch), None),
            Self::Jump { to_offset, leader_epoch, reason, detail } => {
                let change = PositionMove {
                    topic: at.topic.to_string(),
                    partition: at.partition,
                    from,
                    to: to_offset,
                    topic_id: topic_id.to_owned(),
                    leader_epoch,
                    reason,
                    detail,
                };
                (start(to_offset, leader_epoch), Some(change))
            }
        }
    }
}

/// Why a partition must not be read until somebody has decided something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartError {
    /// Records were lost before they were read.
    DataLoss {
        /// Where.
        partition: TopicPartition,
        /// What happened.
        reason: MoveReason,
        /// What exactly is gone.
        detail: String,
    },
    /// Another database has read the partition, though nobody shares partitions out.
    OtherDatabase {
        /// Where.
        partition: TopicPartition,
        /// The id in the group's commit.
        theirs: String,
        /// The id of the database in use.
        ours: String,
    },
    /// Nothing stored, nothing committed, and the operator wants to be asked.
    NoPosition(TopicPartition),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DataLoss { partition, detail, .. } => write!(
                f,
                "data loss on {partition}: {detail}; to go on with what is left, set the group's offset for this partition with \
                 'enterprise-consumer reset' or kafka-consumer-groups --reset-offsets, or start with FAIL_ON_DATA_LOSS=false"
            ),
            Self::OtherDatabase { partition, theirs, ours } => write!(
                f,
                "{partition} was read into another database (id '{theirs}'), not into this one (id '{ours}'): with \
                 KAFKA_GROUP_PROTOCOL=none a group belongs to one database; start with that database or another \
                 KAFKA_GROUP_ID, or, if that database is gone, reset the group's offsets with 'enterprise-consumer \
                 reset' or kafka-consumer-groups --reset-offsets"
            ),
            Self::NoPosition(partition) => write!(
                f,
                "no position is known for {partition} and KAFKA_AUTO_OFFSET_RESET is 'error': set one with \
                 'enterprise-consumer reset' or kafka-consumer-groups --reset-offsets, or choose 'earliest' or 'latest'"
            ),
        }
    }
}

impl std::error::Error for StartError {}

/// How many records of a partition a new database does not get, since the group's offset stands behind what another database has
/// read; 0 if that is not so. `new_database`: it has no position of the group.
///
/// To be said at WARN and by `check`: the other database may be gone, and with it what was read.
pub fn skipped(assignment: &Assignment, new_database: bool, us: &Claim) -> i64 {
    let Some(committed) = assignment.committed.as_ref().filter(|_| new_database) else { return 0 };
    match Claim::parse(&committed.metadata) {
        Some(claim) if claim.cluster_id == us.cluster_id && claim.database_id != us.database_id => {
            (committed.offset - assignment.log_start_offset).max(0)
        }
        _ => 0,
    }
}

/// What to do about [`skipped`] records.
pub const READ_SKIPPED: &str = "if that database is gone, stop all instances of the group, run 'enterprise-consumer reset --to-earliest', and start again";

/// Whether an operator should look at a change of position.
pub fn is_warning(reason: MoveReason) -> bool {
    match reason {
        MoveReason::FirstStart | MoveReason::NewPartition | MoveReason::OtherDatabase | MoveReason::GroupReset => false,
        MoveReason::OlderBackup
        | MoveReason::TopicRecreated
        | MoveReason::OffsetsExpired
        | MoveReason::LogTruncated => true,
    }
}

/// Applies the rules to a newly assigned partition. `topic_known`: the database has positions of other partitions of its topic.
pub fn choose(
    assignment: &Assignment,
    stored: Option<Stored<'_>>,
    topic_known: bool,
    us: &Claim,
    policy: Policy,
) -> Result<Choice, StartError> {
    let by_whom = assignment.committed.as_ref().map(|committed| (committed, Claim::parse(&committed.metadata)));
    let other = match by_whom {
        None => None,
        Some((committed, Some(claim))) if claim.cluster_id == us.cluster_id => {
            (claim.database_id != us.database_id).then_some((committed, claim.database_id))
        }
        Some((committed, _)) => return Ok(obey(committed, stored, assignment)),
    };
    if let Some(stored) = stored
        && is_other_topic(stored, assignment)
    {
        return recreated(assignment, stored, policy);
    }
    if let Some((committed, theirs)) = other {
        return take_over(assignment, committed, &theirs, stored, us, policy);
    }
    match stored {
        Some(stored) => Ok(stored.resume()),
        None if assignment.committed.is_some() => Ok(Choice::Jump {
            to_offset: assignment.log_start_offset,
            leader_epoch: None,
            reason: MoveReason::OlderBackup,
            detail: "the group's offset was committed for this database, but it holds no position: read from the first offset".into(),
        }),
        None => first_start(assignment, topic_known, policy),
    }
}

/// Applies the rules to a position that the partition's leader does not have.
pub fn choose_out_of_range(range: &OutOfRange, policy: Policy) -> Result<Choice, StartError> {
    let OutOfRange { partition, position, log_start_offset, end_offset, .. } = range;
    let (to_offset, reason, detail) = if position < log_start_offset {
        let gone = format!("records from offset {position} to {} are gone by retention", log_start_offset - 1);
        (*log_start_offset, MoveReason::OffsetsExpired, gone)
    } else {
        let gone =
            format!("the log ends at offset {end_offset}, before the position {position}: its end was truncated");
        (*end_offset, MoveReason::LogTruncated, gone)
    };
    loss(partition, to_offset, None, reason, detail, policy)
}

/// Applies the rules to a log that no longer has what was read of it.
pub fn choose_truncated(truncation: &Truncation, policy: Policy) -> Result<Choice, StartError> {
    let Truncation { partition, position, position_epoch, divergence_offset, divergence_epoch, .. } = truncation;
    let read = match position - 1 {
        last if last >= *divergence_offset => format!("offsets {divergence_offset} to {last} were"),
        last => format!("offset {last} was"),
    };
    let detail = format!(
        "the log was truncated and written anew from offset {divergence_offset} on: {read} read before that (of leader epoch \
         {position_epoch}), and what became of it stays in the database; what stands there now was not read"
    );
    loss(partition, *divergence_offset, Some(*divergence_epoch), MoveReason::LogTruncated, detail, policy)
}

/// Rule 3. What was read before somebody set the offset, even to where it was, need not be in the log any more.
fn obey(committed: &CommittedOffset, stored: Option<Stored<'_>>, assignment: &Assignment) -> Choice {
    let CommittedOffset { offset: to_offset, leader_epoch, .. } = *committed;
    let is_there = |stored: &Stored<'_>| {
        stored.next_offset == to_offset
            && !is_other_topic(*stored, assignment)
            && stored.leader_epoch.is_none_or(|epoch| leader_epoch == Some(epoch))
    };
    if let Some(stored) = stored.filter(is_there) {
        return stored.resume();
    }
    let detail = match committed.metadata.as_str() {
        "" => "the group's offset was set by somebody else".to_owned(),
        metadata => {
            format!("the group's offset was set by somebody else, who left '{}'", crate::settings::shorten(metadata))
        }
    };
    Choice::Jump { to_offset, leader_epoch, reason: MoveReason::GroupReset, detail }
}

/// Rule 0. Brokers without topic ids cannot tell.
fn is_other_topic(stored: Stored<'_>, assignment: &Assignment) -> bool {
    !stored.topic_id.is_empty() && assignment.topic_id.is_some_and(|id| id.to_string() != stored.topic_id)
}

fn recreated(assignment: &Assignment, stored: Stored<'_>, policy: Policy) -> Result<Choice, StartError> {
    let now = assignment.topic_id.map(|id| id.to_string()).unwrap_or_default();
    let detail = format!(
        "the topic was deleted and made again (id '{}' before, '{now}' now); what it held from offset {} on is gone",
        stored.topic_id, stored.next_offset
    );
    loss(&assignment.partition, assignment.log_start_offset, None, MoveReason::TopicRecreated, detail, policy)
}

/// Rule 2.
fn take_over(
    assignment: &Assignment,
    committed: &CommittedOffset,
    theirs: &str,
    stored: Option<Stored<'_>>,
    us: &Claim,
    policy: Policy,
) -> Result<Choice, StartError> {
    // Anybody who may commit for the group can write anything there.
    let theirs = crate::settings::shorten(theirs);
    if policy.exclusive {
        let partition = assignment.partition.clone();
        return Err(StartError::OtherDatabase { partition, theirs, ours: us.database_id.clone() });
    }
    match stored {
        Some(stored) if stored.next_offset >= committed.offset => Ok(stored.resume()),
        _ => Ok(Choice::Jump {
            to_offset: committed.offset,
            leader_epoch: committed.leader_epoch,
            reason: MoveReason::OtherDatabase,
            detail: format!("database '{theirs}' has read this partition up to here"),
        }),
    }
}

/// Rule 4.
fn first_start(assignment: &Assignment, topic_known: bool, policy: Policy) -> Result<Choice, StartError> {
    let jump = |to_offset, reason, detail: &str| {
        Ok(Choice::Jump { to_offset, leader_epoch: None, reason, detail: detail.to_owned() })
    };
    let (start, end) = (assignment.log_start_offset, assignment.end_offset);
    match policy.reset {
        _ if topic_known && start > 0 => {
            let detail = format!(
                "the partition appeared after its topic was first seen; records before offset {start} were gone by then"
            );
            jump(start, MoveReason::NewPartition, &detail)
        }
        _ if topic_known => {
            jump(start, MoveReason::NewPartition, "the partition appeared after its topic was first seen")
        }
        OffsetReset::Earliest => jump(start, MoveReason::FirstStart, "KAFKA_AUTO_OFFSET_RESET is 'earliest'"),
        OffsetReset::Latest => jump(end, MoveReason::FirstStart, "KAFKA_AUTO_OFFSET_RESET is 'latest'"),
        OffsetReset::Error => Err(StartError::NoPosition(assignment.partition.clone())),
    }
}

fn loss(
    partition: &TopicPartition,
    to_offset: i64,
    leader_epoch: Option<i32>,
    reason: MoveReason,
    detail: String,
    policy: Policy,
) -> Result<Choice, StartError> {
    if policy.fail_on_data_loss {
        return Err(StartError::DataLoss { partition: partition.clone(), reason, detail });
    }
    Ok(Choice::Jump { to_offset, leader_epoch, reason, detail })
}

#[cfg(test)]
mod tests;
