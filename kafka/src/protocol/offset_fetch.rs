//! `OffsetFetch`: the committed offsets of a group. Sent to the group's coordinator.

use bytes::BytesMut;
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::{self, ApiKey, GroupId};

use super::fields::{text, topic_name};
use super::reader::{Malformed, Reader};
use super::request::{Failure, Request, Unencodable, check_group, encode_message, group_refused, only};
use super::requested::{Requested, by_topic, read_topics};
use crate::error::ErrorCode;
use crate::types::{CommittedOffset, TopicPartition};

/// The first version that refuses while a transaction may still change the offset
/// ([KIP-447](https://cwiki.apache.org/confluence/display/KAFKA/KIP-447)).
const VERSION_MIN_STABLE: i16 = 7;
/// The first version that names several groups
/// ([KIP-709](https://cwiki.apache.org/confluence/display/KAFKA/KIP-709)).
const VERSION_MIN_BATCHED: i16 = 8;

/// Requests the committed offsets of some partitions, not as a member.
#[derive(Debug, Clone)]
pub(crate) struct OffsetFetchRequest {
    pub(crate) group: String,
    pub(crate) partitions: Vec<TopicPartition>,
}

/// One partition of the response: its committed offset, if it has one.
pub(crate) type FetchedOffset = (TopicPartition, Result<Option<CommittedOffset>, ErrorCode>);

impl Request for OffsetFetchRequest {
    const NAME: &'static str = "OffsetFetch";
    const KEY: i16 = ApiKey::OffsetFetch as i16;
    const VERSIONS: (i16, i16) = (3, 9);
    const FLEXIBLE_SINCE: i16 = 6;
    /// Exactly the requested partitions, each once.
    type Response = Vec<FetchedOffset>;

    fn encode(&self, version: i16, to: &mut BytesMut) -> Result<(), Unencodable> {
        let partitions = by_topic(self.partitions.iter().map(|partition| (partition, partition.partition)));
        let message = messages::OffsetFetchRequest::default().with_require_stable(version >= VERSION_MIN_STABLE);
        let group = GroupId(text(&self.group));
        let message = if version >= VERSION_MIN_BATCHED {
            let topics = partitions.into_iter().map(|(topic, partitions)| {
                OffsetFetchRequestTopics::default().with_name(topic_name(topic)).with_partition_indexes(partitions)
            });
            let group = OffsetFetchRequestGroup::default()
                .with_group_id(group)
                .with_member_id(None)
                .with_member_epoch(-1)
                .with_topics(Some(topics.collect()));
            message.with_groups(vec![group])
        } else {
            let topics = partitions.into_iter().map(|(topic, partitions)| {
                OffsetFetchRequestTopic::default().with_name(topic_name(topic)).with_partition_indexes(partitions)
            });
            message.with_group_id(group).with_topics(Some(topics.collect()))
        };
        encode_message(&message, version, to)
    }

    fn decode(&self, version: i16, from: &mut Reader) -> Result<Vec<FetchedOffset>, Failure> {
        let mut requested = Requested::new(&self.partitions);
        from.i32()?; // throttle time: the broker itself delays the next response
        let (offsets, error) = if version >= VERSION_MIN_BATCHED {
            let groups = from.array(4, |from| {
                let group = from.string()?;
                check_group(from, &group, &self.group)?;
                let committed = (offsets(version, from, &mut requested)?, from.error_code()?);
                from.skip_tagged_fields()?;
                Ok(committed)
            })?;
            only(groups, "groups")?
        } else {
            (offsets(version, from, &mut requested)?, from.error_code()?)
        };
        from.skip_tagged_fields()?;
        match error {
            // An unknown group has no committed offsets.
            Some(ErrorCode::GROUP_ID_NOT_FOUND) => {
                Ok(self.partitions.iter().map(|at| (at.clone(), Ok(None))).collect())
            }
            Some(code) => Err(group_refused(code, &self.group)),
            None => {
                requested.finish()?;
                Ok(offsets)
            }
        }
    }
}

fn offsets(version: i16, from: &mut Reader, requested: &mut Requested) -> Result<Vec<FetchedOffset>, Malformed> {
    read_topics(from, 15, |from, topic| partition(version, from, topic, requested))
}

fn partition(
    version: i16,
    from: &mut Reader,
    topic: &str,
    requested: &mut Requested,
) -> Result<FetchedOffset, Malformed> {
    let partition = requested.take(topic, from.i32()?)?;
    let offset = from.i64()?;
    let leader_epoch = if version >= 5 { from.optional_i32()? } else { None };
    let metadata = from.nullable_string()?.unwrap_or_default();
    let error = from.error_code()?;
    from.skip_tagged_fields()?;
    let result = match error {
        Some(ErrorCode::GROUP_ID_NOT_FOUND) => Ok(None),
        Some(code) => Err(code),
        None if offset == -1 => Ok(None),
        None if offset < 0 => return Err(from.malformed(&format!("offset {offset} of {partition}"))),
        None => Ok(Some(CommittedOffset { offset, leader_epoch, metadata })),
    };
    Ok((partition, result))
}
