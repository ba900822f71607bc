//! The classic protocol: members join, one of them divides the partitions, each is told its part
//! ([group membership](https://kafka.apache.org/protocol#The_Messages_JoinGroup)). Knows the requests, not when they are due.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::assignor::{Assignor, GroupMember, Topics, partitions_in};
use super::unassigned::{self, Schedule};
use super::{BEATS_PER_SESSION, Beat, Divided, Protocol, REBALANCE_TIMEOUT};
use crate::client::Client;
use crate::consumer::builder::Builder;
use crate::consumer::event::Holder;
use crate::error::{Error, ErrorCode, Result};
use crate::protocol::consumer_protocol::{self, Subscription};
use crate::protocol::{
    HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, Joined, JoinedMember, LeaveGroupRequest, Malformed, Request,
    SyncGroupRequest,
};
use crate::types::{Address, Member, TopicPartition};

/// Longest time between two signs of life: Kafka's own consumer takes the same (`heartbeat.interval.ms`). A member hears of a change with
/// the next one.
const INTERVAL_MAX: Duration = Duration::from_secs(3);
/// The epoch of one who is no member.
const GENERATION_NONE: i32 = -1;

/// A static member of a classic group.
pub(super) struct Classic {
    group: String,
    instance_id: String,
    session_timeout: Duration,
    topics: BTreeSet<Arc<str>>,
    rack: Option<String>,
    /// As the coordinator called us last.
    member: Member,
    leads: Option<Leading>,
    /// When to look for partitions that nobody has.
    look: Schedule,
}

/// What the leader knows of the assignment.
struct Leading {
    /// The topics that members want, with their partitions at that time.
    topics: Topics,
    /// What it has assigned; `None` if it came back to a group that goes on as before.
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
            leads: None,
            look: Schedule::new(config.metadata_age_max),
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

    /// Sends `JoinGroup`, and once more if the coordinator gives a dynamic member the id to join with. One that asks for the id
    /// of who has just named it is refused by the decoder.
    fn ask_to_join(&mut self, client: &mut Client, owned: &BTreeSet<TopicPartition>) -> Result<(Address, Joined)> {
        let mut request = self.join_request(owned)?;
        loop {
            match client.call_coordinator(&self.group, &request)? {
                (coordinator, JoinGroupResponse::Joined(joined)) => return Ok((coordinator, joined)),
                (_, JoinGroupResponse::MemberIdRequired(id)) => {
                    self.member.id.clone_from(&id);
                    request.member_id = id;
                }
            }
        }
    }

    fn become_member(&mut self, joined: &Joined) {
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

    /// The leader's work: everybody's part, by member id.
    fn divide(
        &mut self,
        client: &mut Client,
        assignor: Assignor,
        joined: Vec<JoinedMember>,
    ) -> Result<Vec<(String, bytes::Bytes)>> {
        let members: Vec<GroupMember> = joined.into_iter().map(group_member).collect();
        let wanted: BTreeSet<Arc<str>> =
            members.iter().flat_map(|member| member.subscription.topics.iter().cloned()).collect();
        let topics = partitions_of(client, wanted)?;
        let shares = assignor.divide(&members, &topics);
        self.leads = Some(Leading { topics, assigned: Some(shares.iter().flatten().cloned().collect()) });
        members
            .into_iter()
            .zip(&shares)
            .map(|(member, share)| Ok((member.id, consumer_protocol::encode_assignment(share)?)))
            .collect()
    }

    /// Whether there are partitions that the group has assigned to nobody, or that we have and do not want: the next assignment gives them
    /// to somebody. What cannot be learnt now is looked for the next time.
    fn is_incomplete(&mut self, client: &mut Client, owned: &BTreeSet<TopicPartition>) -> bool {
        let now = Instant::now();
        if !self.look.take_due(now) {
            return false;
        }
        let leads = self.leads.is_some();
        let of_others = self.leads.iter().flat_map(|leading| leading.topics.keys().cloned());
        let Ok(topics) = partitions_of(client, self.topics.iter().cloned().chain(of_others).collect()) else {
            return false;
        };
        let is_wanted = |at: &TopicPartition| self.topics.contains(&at.topic);
        let has_changed = self.leads.as_ref().is_some_and(|leading| leading.topics != topics);
        let is_incomplete = has_changed || !owned.iter().all(is_wanted) || {
            match unassigned::assigned(client, &self.group) {
                Ok(Some(assigned)) => !partitions_in(&topics).is_subset(&assigned),
                // It is about to be assigned anew.
                Ok(None) => return false,
                Err(error) => {
                    log::debug!("what the members of the group have is not known: {error}");
                    let known = self.leads.as_ref().and_then(|leading| leading.assigned.as_ref());
                    known.is_some_and(|assigned| !partitions_in(&topics).is_subset(assigned))
                }
            }
        };
        if is_incomplete {
            self.look.found();
        } else {
            self.look.found_none(leads, now);
        }
        is_incomplete
    }
}

impl Protocol for Classic {
    fn divides_by_joining(&self) -> bool {
        true
    }

    fn join(&mut self, client: &mut Client, owned: &BTreeSet<TopicPartition>) -> Result<Divided> {
        self.leads = None;
        // Perhaps the coordinator knows us by our instance id, and only gives us what we had.
        let is_return = self.member.id.is_empty();
        let (coordinator, joined) = self.ask_to_join(client, owned)?;
        self.become_member(&joined);
        let Some(assignor) = Assignor::named(&joined.assignor) else {
            return Err(malformed::<JoinGroupRequest>(coordinator, format!("assignor '{}'", joined.assignor)));
        };
        let assignments = match joined.leads {
            Some(leadership) if leadership.skips_assignment => {
                let members = leadership.members.into_iter().map(group_member);
                let wanted = members.flat_map(|member| member.subscription.topics).collect();
                self.leads = Some(Leading { topics: partitions_of(client, wanted)?, assigned: None });
                Vec::new()
            }
            Some(leadership) => self.divide(client, assignor, leadership.members)?,
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
        let has_assigned = self.leads.as_ref().is_some_and(|leading| leading.assigned.is_some());
        self.look.joined(is_return && !has_assigned, self.leads.is_some(), Instant::now());
        Ok(Divided { partitions, in_turn: assignor == Assignor::CooperativeSticky })
    }

    fn beat(&mut self, client: &mut Client, owned: &BTreeSet<TopicPartition>) -> Result<Beat> {
        let request = HeartbeatRequest { group: self.group.clone(), member: self.member.clone() };
        match client.call_coordinator(&self.group, &request) {
            Ok(_) if self.is_incomplete(client, owned) => Ok(Beat::Rebalance),
            Ok(_) => Ok(Beat::Steady),
            Err(Error::Broker { code: ErrorCode::REBALANCE_IN_PROGRESS, .. }) => Ok(Beat::Rebalance),
            Err(error) => Err(error),
        }
    }

    fn interval(&self) -> Duration {
        INTERVAL_MAX.min(self.session_timeout / BEATS_PER_SESSION)
    }

    fn member(&self) -> Member {
        self.member.clone()
    }

    fn holders(&mut self, client: &mut Client) -> Vec<Holder> {
        unassigned::holders(client, &self.group)
    }

    fn forget(&mut self) {
        self.member = Member { id: String::new(), epoch: GENERATION_NONE, ..self.member.clone() };
        self.leads = None;
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

/// A member that says what nobody understands wants nothing, and does not keep the others from what they want.
fn group_member(joined: JoinedMember) -> GroupMember {
    let JoinedMember { member_id, instance_id, subscription } = joined;
    let subscription = Subscription::decode(subscription).unwrap_or_else(|malformed| {
        log::warn!(
            "member '{member_id}' of the group gets no partitions: its subscription is not understood: {malformed}"
        );
        Subscription::default()
    });
    GroupMember { id: member_id, instance_id, subscription }
}

/// What there is of topics: nothing of those that do not exist.
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
