//! `ConsumerGroupHeartbeat`: joins, heartbeats and leaves a group of the consumer protocol, whose coordinator assigns
//! the partitions
//! ([KIP-848](https://cwiki.apache.org/confluence/display/KAFKA/KIP-848%3A+The+Next+Generation+of+the+Consumer+Rebalance+Protocol)).

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use kafka_protocol::messages::{self, ApiKey, GroupId};

use super::fields::{milliseconds, text, topic_name};
use super::reader::{Malformed, Reader};
use super::request::{Failure, Request, Unencodable, encode_message, member_refused};
use crate::types::{Member, TopicId};

/// Member epoch that joins.
pub(crate) const EPOCH_JOIN: i32 = 0;
/// Member epoch of a dynamic member that leaves.
pub(crate) const EPOCH_LEAVE: i32 = -1;
/// Member epoch of a static member that leaves and keeps its assignment until the session times out.
pub(crate) const EPOCH_LEAVE_STATIC: i32 = -2;

/// Partitions by topic id.
pub(crate) type PartitionsById = Vec<(TopicId, Vec<i32>)>;

/// One heartbeat, with the fields that have changed.
#[derive(Debug, Clone)]
pub(crate) struct ConsumerGroupHeartbeatRequest {
    pub(crate) group: String,
    /// With one of the epochs above, or the current member epoch.
    pub(crate) member: Member,
    /// `client.rack`.
    pub(crate) rack: Option<String>,
    /// Rebalance timeout and topics; sent when joining.
    pub(crate) subscription: Option<(Duration, Vec<Arc<str>>)>,
    /// The partitions that the member owns; `None`: unchanged.
    pub(crate) owned: Option<PartitionsById>,
}

/// The coordinator's response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConsumerGroupHeartbeat {
    pub(crate) epoch: i32,
    /// Time until the next heartbeat.
    pub(crate) interval: Duration,
    /// The target assignment, if it has changed.
    pub(crate) assignment: Option<PartitionsById>,
}

impl Request for ConsumerGroupHeartbeatRequest {
    const NAME: &'static str = "ConsumerGroupHeartbeat";
    const KEY: i16 = ApiKey::ConsumerGroupHeartbeat as i16;
    const VERSIONS: (i16, i16) = (0, 1);
    const FLEXIBLE_SINCE: i16 = 0;
    type Response = ConsumerGroupHeartbeat;

    fn encode(&self, version: i16, to: &mut BytesMut) -> Result<(), Unencodable> {
        let (timeout_ms, topics) = match &self.subscription {
            Some((timeout, topics)) => {
                (milliseconds(*timeout), Some(topics.iter().map(|topic| topic_name(topic)).collect()))
            }
            None => (-1, None),
        };
        let mut owned = None;
        for (topic_id, partitions) in self.owned.iter().flatten() {
            let topic_id = topic_id.0.to_vec().try_into().map_err(Unencodable::new)?;
            let item = TopicPartitions::default().with_topic_id(topic_id).with_partitions(partitions.clone());
            owned.get_or_insert_with(Vec::new).push(item);
        }
        let message = messages::ConsumerGroupHeartbeatRequest::default()
            .with_group_id(GroupId(text(&self.group)))
            .with_member_id(text(&self.member.id))
            .with_member_epoch(self.member.epoch)
            .with_instance_id(self.member.instance_id.as_deref().map(text))
            .with_rack_id(self.rack.as_deref().map(text))
            .with_rebalance_timeout_ms(timeout_ms)
            .with_subscribed_topic_names(topics)
            .with_topic_partitions(owned.or(self.owned.is_some().then(Vec::new)));
        encode_message(&message, version, to)
    }

    fn decode(&self, _version: i16, from: &mut Reader) -> Result<ConsumerGroupHeartbeat, Failure> {
        from.i32()?; // throttle time: the broker itself delays the next response
        let error = from.error_code()?;
        from.nullable_string()?; // error message: says the same as the code
        from.nullable_string()?; // member id: chosen by the client
        let epoch = from.i32()?;
        let interval_ms = from.i32()?;
        // A nullable structure begins with a byte that is negative for null.
        let assignment = if from.i8()? < 0 { None } else { Some(assignment(from)?) };
        from.skip_tagged_fields()?;
        match error {
            Some(code) => Err(member_refused(code, &self.group, self.member.instance_id.as_deref())),
            None => Ok(ConsumerGroupHeartbeat {
                epoch,
                interval: Duration::from_millis(u64::try_from(interval_ms).unwrap_or(0)),
                assignment,
            }),
        }
    }
}

fn assignment(from: &mut Reader) -> Result<PartitionsById, Malformed> {
    let topics = from.array(18, |from| {
        let Some(id) = from.topic_id()? else { return Err(from.malformed("a topic without an id")) };
        let partitions = from.array(4, Reader::i32)?;
        from.skip_tagged_fields()?;
        Ok((id, partitions))
    })?;
    from.skip_tagged_fields()?;
    Ok(topics)
}
