//! What the consumer and the thread of its group membership send each other. Values only.

use std::collections::BTreeSet;

use crate::consumer::event::{Retrying, Waiting};
use crate::error::Error;
use crate::types::{Member, TopicPartition};

/// What the thread has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::consumer) enum GroupCommand {
    /// The user has finished with the event that the confirmation of that number was requested by.
    Confirm(u64),
    /// A commit was refused: send a heartbeat at once, to a coordinator that is looked up again. [`GroupEvent::Verified`] with that number
    /// follows, unless the heartbeat changes the membership.
    Verify(u64),
    /// Leave the group, and end.
    Leave,
}

/// What has happened to the membership. Some events request a confirmation by its number: the member does not rejoin, and does not release
/// partitions, before it has come.
#[derive(Debug)]
pub(in crate::consumer) enum GroupEvent {
    /// A rebalance has begun, after which each partition may belong to another member. Requests a confirmation.
    Rebalancing(u64),
    /// The member has a new assignment.
    Assigned(GroupAssignment),
    /// The membership is lost, and all partitions with it. Requests a confirmation, without which the member does not rejoin: so a user
    /// that hangs does not take partitions from members that go on.
    Lost(u64),
    /// The coordinator has accepted a heartbeat since the command of that number to verify the membership.
    Verified(u64),
    /// Why the member has no partitions.
    Waiting(Waiting),
    /// A request failed, and is retried.
    Retrying(Retrying),
    /// The membership has ended with an error that no retry cures.
    Failed(Error),
    /// The member has left the group.
    Left,
}

/// The partitions that the group has assigned to this member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::consumer) struct GroupAssignment {
    /// The member that commits for them.
    pub(in crate::consumer) member: Member,
    pub(in crate::consumer) partitions: BTreeSet<TopicPartition>,
    /// How the partitions of the previous assignment that are not in this one are revoked.
    pub(in crate::consumer) revocation: RevocationMode,
}

/// How a group revokes partitions
/// ([KIP-429](https://cwiki.apache.org/confluence/display/KAFKA/KIP-429%3A+Kafka+Consumer+Incremental+Rebalance+Protocol)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::consumer) enum RevocationMode {
    /// Another member may own them already.
    Eager,
    /// This member owns them until it has sent the confirmation of that number.
    Cooperative(u64),
}
