//! The consumer protocol: the coordinator divides the partitions and tells each member, in its own time, what to give up and what to
//! take ([KIP-848](https://cwiki.apache.org/confluence/display/KAFKA/KIP-848%3A+The+Next+Generation+of+the+Consumer+Rebalance+Protocol)).
//! Knows the requests, not when they are due.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::{Beat, Divided, Protocol, REBALANCE_TIMEOUT};
use crate::client::Client;
use crate::consumer::builder::Builder;
use crate::error::{Error, ErrorCode, Result};
use crate::protocol::{
    ConsumerGroupHeartbeat, ConsumerGroupHeartbeatRequest, EPOCH_JOIN, EPOCH_LEAVE, EPOCH_LEAVE_STATIC, PartitionsById,
    by_topic,
};
use crate::types::{Member, TopicId, TopicPartition};

/// Least time between two signs of life, whatever the coordinator says.
const INTERVAL_MIN: Duration = Duration::from_millis(100);

/// A member of a group whose partitions the broker divides.
pub(super) struct ServerSide {
    group: String,
    topics: Vec<Arc<str>>,
    rack: Option<String>,
    member: Member,
    interval: Duration,
    /// What the coordinator knows that we own; `None`: it has to be told everything again, and tells everything again.
    told: Option<BTreeSet<TopicPartition>>,
    /// What the coordinator wants us to have.
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
            told: None,
            assigned: BTreeSet::new(),
            topic_ids: BTreeMap::new(),
        }
    }

    /// Says what has changed, and hears what is to change.
    fn exchange(&mut self, client: &mut Client, owned: &BTreeSet<TopicPartition>) -> Result<Beat> {
        let tells_all = self.told.is_none();
        let request = ConsumerGroupHeartbeatRequest {
            subscription: tells_all.then(|| (REBALANCE_TIMEOUT, self.topics.clone())),
            owned: (self.told.as_ref() != Some(owned)).then(|| self.by_id(owned)),
            ..self.request(self.member.epoch)
        };
        // Until its answer has been understood.
        self.told = None;
        let (_, ConsumerGroupHeartbeat { epoch, interval, assignment }) =
            client.call_coordinator(&self.group, &request)?;
        self.interval = interval.max(INTERVAL_MIN);
        let is_new = epoch != self.member.epoch;
        self.member.epoch = epoch;
        let is_divided = is_new || assignment.is_some();
        if let Some(assignment) = assignment {
            self.assigned = self.by_name(client, assignment)?;
        }
        self.told = Some(owned.clone());
        Ok(if is_divided { Beat::Divided(self.divided()) } else { Beat::Steady })
    }

    fn divided(&self) -> Divided {
        Divided { partitions: self.assigned.clone(), in_turn: true }
    }

    fn request(&self, epoch: i32) -> ConsumerGroupHeartbeatRequest {
        ConsumerGroupHeartbeatRequest {
            group: self.group.clone(),
            member: Member { epoch, ..self.member.clone() },
            rack: self.rack.clone(),
            subscription: None,
            owned: None,
        }
    }

    fn by_id(&self, owned: &BTreeSet<TopicPartition>) -> PartitionsById {
        let id_of = |name: &Arc<str>| self.topic_ids.iter().find(|(_, known)| *known == name).map(|(id, _)| *id);
        let topics = by_topic(owned.iter().map(|at| (at, at.partition))).into_iter();
        topics.filter_map(|(topic, partitions)| Some((id_of(topic)?, partitions))).collect()
    }

    /// A topic that we do not know the id of is new: then the cluster is asked. One that even so is not known is a failure of the
    /// moment, after which the coordinator tells everything again.
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
    fn divides_by_joining(&self) -> bool {
        false
    }

    fn join(&mut self, client: &mut Client, owned: &BTreeSet<TopicPartition>) -> Result<Divided> {
        self.forget();
        match self.exchange(client, owned) {
            // The member that we were before a crash is in our way: brokers before 4.2 take it for another one.
            Err(Error::Broker { code: ErrorCode::FENCED_MEMBER_EPOCH, .. }) => {
                self.leave_with(client, EPOCH_LEAVE)?;
                self.exchange(client, owned)?;
            }
            Err(error @ Error::Broker { code: ErrorCode::UNRELEASED_INSTANCE_ID, .. }) => {
                // Refused if it is not the one that we were.
                self.leave_with(client, EPOCH_LEAVE_STATIC).map_err(|_| error)?;
                self.exchange(client, owned)?;
            }
            joined => drop(joined?),
        }
        Ok(self.divided())
    }

    fn beat(&mut self, client: &mut Client, owned: &BTreeSet<TopicPartition>) -> Result<Beat> {
        self.exchange(client, owned)
    }

    fn interval(&self) -> Duration {
        self.interval
    }

    fn member(&self) -> Member {
        self.member.clone()
    }

    fn forget(&mut self) {
        self.member.epoch = EPOCH_JOIN;
        self.told = None;
        self.assigned.clear();
    }

    fn leave(&mut self, client: &mut Client) -> Result<()> {
        let for_good = self.member.instance_id.is_none();
        self.leave_with(client, if for_good { EPOCH_LEAVE } else { EPOCH_LEAVE_STATIC })
    }
}
