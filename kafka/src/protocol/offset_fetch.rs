//! `OffsetFetch`: what a group has committed. Asked of the group's coordinator.

use bytes::BytesMut;
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::{self, ApiKey, GroupId};

use super::{
    Asked, Failure, Malformed, Reader, Request, Unencodable, by_topic, encode_message, group_refused, text, topic_name,
};
use crate::error::ErrorCode;
use crate::text::shorten;
use crate::types::{CommittedOffset, TopicPartition};

/// The first version that waits for open transactions to end, instead of giving an offset that they will change
/// ([KIP-447](https://cwiki.apache.org/confluence/display/KAFKA/KIP-447)).
const VERSION_MIN_STABLE: i16 = 7;
/// The first version that asks about several groups at once
/// ([KIP-709](https://cwiki.apache.org/confluence/display/KAFKA/KIP-709)).
const VERSION_MIN_BATCHED: i16 = 8;

/// Asks for the committed offsets of some partitions, as one outside the group.
#[derive(Debug, Clone)]
pub(crate) struct OffsetFetchRequest {
    pub(crate) group: String,
    pub(crate) partitions: Vec<TopicPartition>,
}

/// The answer about one partition: its committed offset, if there is one.
pub(crate) type FetchedOffset = (TopicPartition, Result<Option<CommittedOffset>, ErrorCode>);

impl Request for OffsetFetchRequest {
    const NAME: &'static str = "OffsetFetch";
    const KEY: i16 = ApiKey::OffsetFetch as i16;
    const VERSIONS: (i16, i16) = (3, 9);
    const FLEXIBLE_SINCE: i16 = 6;
    /// About exactly the partitions asked, each once.
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
        let mut asked = Asked::new(&self.partitions);
        from.i32()?; // throttle time: the broker itself holds back the next answer
        let (offsets, error) = if version >= VERSION_MIN_BATCHED {
            let groups = from.array(4, |from| {
                let group = from.string()?;
                if group != self.group {
                    return Err(
                        from.malformed(&format!("an answer about group '{}', which was not asked", shorten(&group)))
                    );
                }
                let answer = (offsets(version, from, &mut asked)?, from.error_code()?);
                from.skip_tagged_fields()?;
                Ok(answer)
            })?;
            <[_; 1]>::try_from(groups)
                .map(|[group]| group)
                .map_err(|groups| Malformed(format!("{} answers about one group", groups.len())))?
        } else {
            (offsets(version, from, &mut asked)?, from.error_code()?)
        };
        from.skip_tagged_fields()?;
        match error {
            // A group that the coordinator does not know has committed nothing.
            Some(ErrorCode::GROUP_ID_NOT_FOUND) => {
                Ok(self.partitions.iter().map(|at| (at.clone(), Ok(None))).collect())
            }
            Some(code) => Err(group_refused(code, &self.group)),
            None => {
                asked.finish()?;
                Ok(offsets)
            }
        }
    }
}

fn offsets(version: i16, from: &mut Reader, asked: &mut Asked) -> Result<Vec<FetchedOffset>, Malformed> {
    let topics = from.array(3, |from| {
        let topic = from.string()?;
        let partitions = from.array(15, |from| partition(version, from, &topic, asked))?;
        from.skip_tagged_fields()?;
        Ok(partitions)
    })?;
    Ok(topics.into_iter().flatten().collect())
}

fn partition(version: i16, from: &mut Reader, topic: &str, asked: &mut Asked) -> Result<FetchedOffset, Malformed> {
    let partition = asked.answer(topic, from.i32()?)?;
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
