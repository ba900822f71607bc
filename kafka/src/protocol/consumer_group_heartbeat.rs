//! `ConsumerGroupHeartbeat`: everything between a member and the coordinator that divides the partitions
//! ([KIP-848](https://cwiki.apache.org/confluence/display/KAFKA/KIP-848%3A+The+Next+Generation+of+the+Consumer+Rebalance+Protocol)).

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use kafka_protocol::messages::{self, ApiKey, GroupId};

use super::{
    Failure, Malformed, Reader, Request, Unencodable, encode_message, member_refused, milliseconds, text, topic_name,
};
use crate::types::{Member, TopicId};

/// The epoch of one who joins.
pub(crate) const EPOCH_JOIN: i32 = 0;
/// The epoch of one who leaves for good.
pub(crate) const EPOCH_LEAVE: i32 = -1;
/// The epoch of a static member that leaves and will be back.
pub(crate) const EPOCH_LEAVE_STATIC: i32 = -2;

/// The partitions of topics, named by the topics' ids.
pub(crate) type PartitionsById = Vec<(TopicId, Vec<i32>)>;

/// One sign of life, with what has changed.
#[derive(Debug, Clone)]
pub(crate) struct ConsumerGroupHeartbeatRequest {
    pub(crate) group: String,
    /// With an epoch of the above, or the one that the coordinator gave last.
    pub(crate) member: Member,
    /// Where we stand.
    pub(crate) rack: Option<String>,
    /// What we want: how long we may take to give something up, and the topics. Sent by one who joins.
    pub(crate) wish: Option<(Duration, Vec<Arc<str>>)>,
    /// What we have; `None`: as before.
    pub(crate) owned: Option<PartitionsById>,
}

/// What the coordinator says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConsumerGroupHeartbeat {
    pub(crate) epoch: i32,
    /// When the next sign of life is due.
    pub(crate) interval: Duration,
    /// What we shall have, if that has changed.
    pub(crate) assignment: Option<PartitionsById>,
}

impl Request for ConsumerGroupHeartbeatRequest {
    const NAME: &'static str = "ConsumerGroupHeartbeat";
    const KEY: i16 = ApiKey::ConsumerGroupHeartbeat as i16;
    const VERSIONS: (i16, i16) = (0, 1);
    const FLEXIBLE_SINCE: i16 = 0;
    type Response = ConsumerGroupHeartbeat;

    fn encode(&self, version: i16, to: &mut BytesMut) -> Result<(), Unencodable> {
        let (timeout_ms, topics) = match &self.wish {
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
        from.i32()?; // throttle time: the broker itself holds back the next answer
        let error = from.error_code()?;
        from.nullable_string()?; // error message: the code says it
        from.nullable_string()?; // member id: we have chosen it
        let epoch = from.i32()?;
        let interval_ms = from.i32()?;
        // A structure that may be null has a byte before it that says so.
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
