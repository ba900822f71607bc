//! The trait of the two protocols of group membership: sends the requests of one of them. Must not know when they are due.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::client::Client;
use crate::consumer::event::Holder;
use crate::error::Result;
use crate::types::{Member, TopicPartition};

/// How long a member may take to finish with what is revoked, before the others go on without it: a transaction and a
/// commit, on a slow disk. Kafka's own consumer takes five minutes, for whatever its user does between two polls
/// (`max.poll.interval.ms`).
pub(super) const REBALANCE_TIMEOUT: Duration = Duration::from_mins(1);
/// Heartbeats in one session timeout at least, as Kafka recommends for `heartbeat.interval.ms`.
pub(super) const HEARTBEATS_PER_SESSION: u32 = 3;

/// The outcome of a heartbeat that was accepted.
#[derive(Debug)]
pub(super) enum Heartbeat {
    Unchanged,
    /// The group is rebalancing, and the member has to rejoin for that.
    Rebalance,
    /// The member has a new assignment, or a new epoch.
    Assigned(ProtocolAssignment),
}

/// The assignment that a protocol gives to this member.
#[derive(Debug)]
pub(super) struct ProtocolAssignment {
    pub(super) partitions: BTreeSet<TopicPartition>,
    /// Whether partitions that are revoked stay this member's until it has released them.
    pub(super) is_cooperative: bool,
}

/// One protocol of group membership. Sends each request once; what a failure means is the same for all protocols.
pub(super) trait Protocol: Send {
    /// Whether a rebalance takes a [`join`](Self::join), after which each owned partition may belong to another member.
    fn assigns_on_join(&self) -> bool;
    /// Becomes a member, or remains one, that owns `owned`; blocks until the partitions are assigned.
    fn join(&mut self, client: &mut Client, owned: &BTreeSet<TopicPartition>) -> Result<ProtocolAssignment>;
    /// Sends a heartbeat.
    fn heartbeat(&mut self, client: &mut Client, owned: &BTreeSet<TopicPartition>) -> Result<Heartbeat>;
    /// How long until the next heartbeat is due.
    fn heartbeat_interval(&self) -> Duration;
    /// The member that commits.
    fn member(&self) -> Member;
    /// Who has partitions of the group, as far as that is known.
    fn holders(&mut self, _: &mut Client) -> Vec<Holder> {
        Vec::new()
    }
    /// The coordinator does not know this member any more.
    fn reset(&mut self);
    /// Leaves the group.
    fn leave(&mut self, client: &mut Client) -> Result<()>;
}
