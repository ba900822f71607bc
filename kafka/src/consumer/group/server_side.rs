//! The consumer protocol: the coordinator assigns the partitions, and heartbeat responses tell each member what to revoke and what to
//! take ([KIP-848](https://cwiki.apache.org/confluence/display/KAFKA/KIP-848%3A+The+Next+Generation+of+the+Consumer+Rebalance+Protocol)).
//! Knows the requests, not when they are due.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::protocol::{Heartbeat, Protocol, ProtocolAssignment, REBALANCE_TIMEOUT};
use crate::client::Client;
use crate::consumer::config::Builder;
use crate::error::{Error, ErrorCode, Result};
use crate::protocol::{
    ConsumerGroupHeartbeat, ConsumerGroupHeartbeatRequest, EPOCH_JOIN, EPOCH_LEAVE, EPOCH_LEAVE_STATIC, PartitionsById,
    by_topic,
};
use crate::types::{Member, TopicId, TopicPartition};

/// Least time between two heartbeats, whatever the coordinator says.
const INTERVAL_MIN: Duration = Duration::from_millis(100);

/// A member of a group whose partitions the coordinator assigns.
pub(super) struct ServerSide {
    group: String,
    topics: Vec<Arc<str>>,
    rack: Option<String>,
    member: Member,
    interval: Duration,
    /// The owned partitions that the coordinator knows of; `None`: the next heartbeat sends everything, and so does its response.
    reported: Option<BTreeSet<TopicPartition>>,
    /// The target assignment.
    assigned: BTreeSet<TopicPartition>,
    topic_ids: BTreeMap<TopicId, Arc<str>>,
}

impl ServerSide {
    pub(super) fn new(config: &Builder, member_id: &str, instance_id: Option<String>) -> Self {
        Self {
            group: config.group.clone(),
            topics: config.topics.clone(),
            rack: config.rack.clone(),
            member: Member { id: member_id.to_owned(), instance_id, epoch: EPOCH_JOIN },
            interval: INTERVAL_MIN,
            reported: None,
            assigned: BTreeSet::new(),
            topic_ids: BTreeMap::new(),
        }
    }

    /// Sends what has changed, and receives what is to change.
    fn send_heartbeat(&mut self, client: &mut Client, owned: &BTreeSet<TopicPartition>) -> Result<Heartbeat> {
        let sends_all = self.reported.is_none();
        let request = ConsumerGroupHeartbeatRequest {
            wish: sends_all.then(|| (REBALANCE_TIMEOUT, self.topics.clone())),
            owned: (self.reported.as_ref() != Some(owned)).then(|| self.by_id(owned)),
            ..self.request(self.member.epoch)
        };
        // Until its response has been decoded.
        self.reported = None;
        let (_, ConsumerGroupHeartbeat { epoch, interval, assignment }) =
            client.call_coordinator(&self.group, &request)?;
        self.interval = interval.max(INTERVAL_MIN);
        let is_new = epoch != self.member.epoch;
        self.member.epoch = epoch;
        let is_assigned = is_new || assignment.is_some();
        if let Some(assignment) = assignment {
            self.assigned = self.by_name(client, assignment)?;
        }
        self.reported = Some(owned.clone());
        Ok(if is_assigned { Heartbeat::Assigned(self.assignment()) } else { Heartbeat::Unchanged })
    }

    fn assignment(&self) -> ProtocolAssignment {
        ProtocolAssignment { partitions: self.assigned.clone(), is_cooperative: true }
    }

    fn request(&self, epoch: i32) -> ConsumerGroupHeartbeatRequest {
        ConsumerGroupHeartbeatRequest {
            group: self.group.clone(),
            member: Member { epoch, ..self.member.clone() },
            rack: self.rack.clone(),
            wish: None,
            owned: None,
        }
    }

    fn by_id(&self, owned: &BTreeSet<TopicPartition>) -> PartitionsById {
        let id_of = |name: &Arc<str>| self.topic_ids.iter().find(|(_, known)| *known == name).map(|(id, _)| *id);
        let topics = by_topic(owned.iter().map(|at| (at, at.partition))).into_iter();
        topics.filter_map(|(topic, partitions)| Some((id_of(topic)?, partitions))).collect()
    }

    /// The id of a new topic is not known yet: then metadata is requested. If metadata does not name it either, the heartbeat has failed,
    /// and the next one receives everything again.
    fn by_name(&mut self, client: &mut Client, assignment: PartitionsById) -> Result<BTreeSet<TopicPartition>> {
        if assignment.iter().any(|(id, _)| !self.topic_ids.contains_key(id)) {
            let topics = client.metadata(self.topics.clone())?.topics;
            self.topic_ids = topics.into_iter().filter_map(|topic| Some((topic.id?, topic.name))).collect();
        }
        let mut partitions = BTreeSet::new();
        for (id, numbers) in assignment {
            let Some(name) = self.topic_ids.get(&id) else {
                return Err(Error::Topic { topic: id.to_string(), code: ErrorCode::UNKNOWN_TOPIC_ID });
            };
            partitions.extend(numbers.into_iter().map(|number| TopicPartition::new(Arc::clone(name), number)));
        }
        Ok(partitions)
    }

    fn leave_with(&self, client: &mut Client, epoch: i32) -> Result<()> {
        client.call_coordinator(&self.group, &self.request(epoch)).map(drop)
    }
}

impl Protocol for ServerSide {
    fn assigns_on_join(&self) -> bool {
        false
    }

    fn join(&mut self, client: &mut Client, owned: &BTreeSet<TopicPartition>) -> Result<ProtocolAssignment> {
        self.reset();
        match self.send_heartbeat(client, owned) {
            // The member from before a crash is still there: brokers before 4.2 take it for another one.
            Err(Error::Broker { code: ErrorCode::FENCED_MEMBER_EPOCH, .. }) => {
                self.leave_with(client, EPOCH_LEAVE)?;
                self.send_heartbeat(client, owned)?;
            }
            Err(error @ Error::Broker { code: ErrorCode::UNRELEASED_INSTANCE_ID, .. }) => {
                // Refused if that is another member.
                self.leave_with(client, EPOCH_LEAVE_STATIC).map_err(|_| error)?;
                self.send_heartbeat(client, owned)?;
            }
            joined => drop(joined?),
        }
        Ok(self.assignment())
    }

    fn heartbeat(&mut self, client: &mut Client, owned: &BTreeSet<TopicPartition>) -> Result<Heartbeat> {
        self.send_heartbeat(client, owned)
    }

    fn heartbeat_interval(&self) -> Duration {
        self.interval
    }

    fn member(&self) -> Member {
        self.member.clone()
    }

    fn reset(&mut self) {
        self.member.epoch = EPOCH_JOIN;
        self.reported = None;
        self.assigned.clear();
    }

    fn leave(&mut self, client: &mut Client) -> Result<()> {
        let for_good = self.member.instance_id.is_none();
        self.leave_with(client, if for_good { EPOCH_LEAVE } else { EPOCH_LEAVE_STATIC })
    }
}
