//! The classic protocol: members join, their leader assigns the partitions, and the coordinator sends each its assignment
//! ([group membership](https://kafka.apache.org/protocol#The_Messages_JoinGroup)). Knows the requests, not when they are due.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::assignor::{Assignor, GroupMember, Topics, partitions_in};
use super::protocol::{HEARTBEATS_PER_SESSION, Heartbeat, Protocol, ProtocolAssignment, REBALANCE_TIMEOUT};
use super::unassigned::{self, Schedule};
use crate::client::Client;
use crate::consumer::config::Builder;
use crate::consumer::event::Holder;
use crate::error::{Error, ErrorCode, Result};
use crate::protocol::consumer_protocol::{self, Subscription};
use crate::protocol::{
    HeartbeatRequest, JoinAnswer, JoinGroupRequest, Joined, JoinedMember, LeaveGroupRequest, Malformed, Request,
    SyncGroupRequest,
};
use crate::types::{Address, Member, TopicPartition};

/// Longest time between two heartbeats: Kafka's own consumer takes the same (`heartbeat.interval.ms`). A member learns of a rebalance with
/// the next one.
const INTERVAL_MAX: Duration = Duration::from_secs(3);
/// The generation before the first join.
const GENERATION_NONE: i32 = -1;

/// A static member of a classic group.
pub(super) struct Classic {
    group: String,
    instance_id: String,
    session_timeout: Duration,
    topics: BTreeSet<Arc<str>>,
    rack: Option<String>,
    /// The id and generation that the coordinator has given last.
    member: Member,
    /// While this member leads the group.
    leader: Option<LeaderState>,
    /// When to check for partitions that are assigned to no member.
    unassigned_check: Schedule,
}

/// What the leader knows of the assignment.
struct LeaderState {
    /// The topics that members subscribe to, with their partitions at that time.
    topics: Topics,
    /// The partitions that it has assigned; `None` if it came back to a group whose assignment stays.
    assigned: Option<BTreeSet<TopicPartition>>,
}

impl Classic {
    pub(super) fn new(config: &Builder, instance_id: &str, session_timeout: Duration) -> Self {
        let instance_id = instance_id.to_owned();
        let member = Member { id: String::new(), instance_id: Some(instance_id.clone()), epoch: GENERATION_NONE };
        Self {
            group: config.group.clone(),
            instance_id,
            session_timeout,
            topics: config.topics.iter().cloned().collect(),
            rack: config.rack.clone(),
            member,
            leader: None,
            unassigned_check: Schedule::new(config.metadata_age_max),
        }
    }

    fn join_request(&self, owned: &BTreeSet<TopicPartition>) -> Result<JoinGroupRequest> {
        let subscription = Subscription {
            topics: self.topics.clone(),
            owned: owned.clone(),
            generation: Some(self.member.epoch).filter(|generation| *generation >= 0),
        };
        let bytes = subscription.encode(self.rack.as_deref())?;
        Ok(JoinGroupRequest {
            group: self.group.clone(),
            member_id: self.member.id.clone(),
            instance_id: self.instance_id.clone(),
            session_timeout: self.session_timeout,
            rebalance_timeout: REBALANCE_TIMEOUT,
            assignors: Assignor::ALL.map(|assignor| (assignor.name(), bytes.clone())).into(),
        })
    }

    /// Sends `JoinGroup`, and once more if the coordinator gives a dynamic member the id to join with. The decoder refuses a response that
    /// requires an id from a member that has just sent it.
    fn send_join(&mut self, client: &mut Client, owned: &BTreeSet<TopicPartition>) -> Result<(Address, Joined)> {
        let mut request = self.join_request(owned)?;
        loop {
            match client.call_coordinator(&self.group, &request)? {
                (coordinator, JoinAnswer::Joined(joined)) => return Ok((coordinator, joined)),
                (_, JoinAnswer::IdRequired(id)) => {
                    self.member.id.clone_from(&id);
                    request.member_id = id;
                }
            }
        }
    }

    fn note_joined(&mut self, joined: &Joined) {
        if self.member.instance_id.is_some() && !joined.is_static {
            log::info!(
                "the coordinator of group '{}' is older than Kafka 2.3 and knows no static members: after a kill, this \
                 member's partitions are assigned again when its session has timed out",
                self.group
            );
        }
        self.member = Member {
            id: joined.member_id.clone(),
            instance_id: joined.is_static.then(|| self.instance_id.clone()),
            epoch: joined.generation,
        };
    }

    /// The leader's assignments, by member id.
    fn assign(
        &mut self,
        client: &mut Client,
        assignor: Assignor,
        joined: Vec<JoinedMember>,
    ) -> Result<Vec<(String, bytes::Bytes)>> {
        let members: Vec<GroupMember> = joined.into_iter().map(group_member).collect();
        let subscribed: BTreeSet<Arc<str>> =
            members.iter().flat_map(|member| member.subscription.topics.iter().cloned()).collect();
        let topics = partitions_of(client, subscribed)?;
        let assignments = assignor.assign(&members, &topics);
        self.leader = Some(LeaderState { topics, assigned: Some(assignments.iter().flatten().cloned().collect()) });
        members
            .into_iter()
            .zip(&assignments)
            .map(|(member, assignment)| Ok((member.id, consumer_protocol::encode_assignment(assignment)?)))
            .collect()
    }

    /// Whether partitions are assigned to no member, or to this one, which does not subscribe to them: the next assignment cures that.
    /// A request that fails is sent again the next time.
    fn is_incomplete(&mut self, client: &mut Client, owned: &BTreeSet<TopicPartition>) -> bool {
        let now = Instant::now();
        if !self.unassigned_check.take_due(now) {
            return false;
        }
        let is_leader = self.leader.is_some();
        let of_others = self.leader.iter().flat_map(|leader| leader.topics.keys().cloned());
        let Ok(topics) = partitions_of(client, self.topics.iter().cloned().chain(of_others).collect()) else {
            return false;
        };
        let is_subscribed = |at: &TopicPartition| self.topics.contains(&at.topic);
        let has_changed = self.leader.as_ref().is_some_and(|leader| leader.topics != topics);
        let is_incomplete = has_changed || !owned.iter().all(is_subscribed) || {
            match unassigned::assigned(client, &self.group) {
                Ok(Some(assigned)) => !partitions_in(&topics).is_subset(&assigned),
                // The group is rebalancing.
                Ok(None) => return false,
                Err(error) => {
                    log::debug!("the assignments of the group's members are not known: {error}");
                    let known = self.leader.as_ref().and_then(|leader| leader.assigned.as_ref());
                    known.is_some_and(|assigned| !partitions_in(&topics).is_subset(assigned))
                }
            }
        };
        if is_incomplete {
            self.unassigned_check.found();
        } else {
            self.unassigned_check.found_none(is_leader, now);
        }
        is_incomplete
    }
}

impl Protocol for Classic {
    fn assigns_on_join(&self) -> bool {
        true
    }

    fn join(&mut self, client: &mut Client, owned: &BTreeSet<TopicPartition>) -> Result<ProtocolAssignment> {
        self.leader = None;
        // The coordinator may know the instance id, and return the previous assignment.
        let is_return = self.member.id.is_empty();
        let (coordinator, joined) = self.send_join(client, owned)?;
        self.note_joined(&joined);
        let Some(assignor) = Assignor::named(&joined.assignor) else {
            return Err(malformed::<JoinGroupRequest>(coordinator, format!("assignor '{}'", joined.assignor)));
        };
        let assignments = match joined.leads {
            Some(leadership) if leadership.skips_assignment => {
                let members = leadership.members.into_iter().map(group_member);
                let subscribed = members.flat_map(|member| member.subscription.topics).collect();
                self.leader = Some(LeaderState { topics: partitions_of(client, subscribed)?, assigned: None });
                Vec::new()
            }
            Some(leadership) => self.assign(client, assignor, leadership.members)?,
            None => Vec::new(),
        };
        let request = SyncGroupRequest {
            group: self.group.clone(),
            member: self.member.clone(),
            assignor: joined.assignor,
            assignments,
            rebalance_timeout: REBALANCE_TIMEOUT,
        };
        let (coordinator, assignment) = client.call_coordinator(&self.group, &request)?;
        let partitions = consumer_protocol::decode_assignment(assignment)
            .map_err(|Malformed(detail)| malformed::<SyncGroupRequest>(coordinator, detail))?;
        let has_assigned = self.leader.as_ref().is_some_and(|leader| leader.assigned.is_some());
        self.unassigned_check.joined(is_return && !has_assigned, self.leader.is_some(), Instant::now());
        Ok(ProtocolAssignment { partitions, is_cooperative: assignor == Assignor::CooperativeSticky })
    }

    fn heartbeat(&mut self, client: &mut Client, owned: &BTreeSet<TopicPartition>) -> Result<Heartbeat> {
        let request = HeartbeatRequest { group: self.group.clone(), member: self.member.clone() };
        match client.call_coordinator(&self.group, &request) {
            Ok(_) if self.is_incomplete(client, owned) => Ok(Heartbeat::Rebalance),
            Ok(_) => Ok(Heartbeat::Unchanged),
            Err(Error::Broker { code: ErrorCode::REBALANCE_IN_PROGRESS, .. }) => Ok(Heartbeat::Rebalance),
            Err(error) => Err(error),
        }
    }

    fn heartbeat_interval(&self) -> Duration {
        INTERVAL_MAX.min(self.session_timeout / HEARTBEATS_PER_SESSION)
    }

    fn member(&self) -> Member {
        self.member.clone()
    }

    fn holders(&mut self, client: &mut Client) -> Vec<Holder> {
        unassigned::holders(client, &self.group)
    }

    fn reset(&mut self) {
        self.member = Member { id: String::new(), epoch: GENERATION_NONE, ..self.member.clone() };
        self.leader = None;
    }

    fn leave(&mut self, client: &mut Client) -> Result<()> {
        let request = LeaveGroupRequest {
            group: self.group.clone(),
            member_id: self.member.id.clone(),
            instance_id: self.member.instance_id.clone(),
        };
        client.call_coordinator(&self.group, &request).map(drop)
    }
}

/// A member whose subscription cannot be decoded gets no partitions; the others do.
fn group_member(joined: JoinedMember) -> GroupMember {
    let JoinedMember { member_id, instance_id, subscription } = joined;
    let subscription = Subscription::decode(subscription).unwrap_or_else(|malformed| {
        log::warn!(
            "member '{member_id}' of the group gets no partitions: its subscription cannot be decoded: {malformed}"
        );
        Subscription::default()
    });
    GroupMember { id: member_id, instance_id, subscription }
}

/// The partitions of topics; none of those that do not exist.
fn partitions_of(client: &mut Client, topics: BTreeSet<Arc<str>>) -> Result<Topics> {
    let metadata = client.metadata(topics.into_iter().collect())?;
    let partitions = metadata.topics.into_iter().map(|topic| {
        let numbers = topic.partitions.iter().map(|partition| partition.partition).collect();
        (topic.name, numbers)
    });
    Ok(partitions.collect())
}

fn malformed<R: Request>(address: Address, detail: String) -> Error {
    Error::Malformed { address, request: R::NAME, detail }
}
