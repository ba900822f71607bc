//! `OffsetCommit`: what a group has read, told to the group's coordinator.

use bytes::BytesMut;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::{self, ApiKey, GroupId};

use super::{Asked, Failure, Reader, Request, Unencodable, by_topic, encode_message, text, topic_name};
use crate::error::ErrorCode;
use crate::types::{CommittedOffset, Member, TopicPartition};

/// How one outside the group signs: no generation, and (by default) no member id. The coordinator takes it while the group
/// has no members.
const GENERATION_NONE: i32 = -1;

/// The first version that names static members.
const VERSION_MIN_STATIC: i16 = 7;

/// Commits offsets.
#[derive(Debug, Clone)]
pub(crate) struct OffsetCommitRequest {
    pub(crate) group: String,
    /// As whom; `None`: as one outside the group.
    pub(crate) member: Option<Member>,
    pub(crate) offsets: Vec<(TopicPartition, CommittedOffset)>,
}

impl Request for OffsetCommitRequest {
    const NAME: &'static str = "OffsetCommit";
    const KEY: i16 = ApiKey::OffsetCommit as i16;
    /// From 10 on by topic id, which would be no gain: an offset of a topic that was made anew is noticed by other means.
    const VERSIONS: (i16, i16) = (3, 9);
    const FLEXIBLE_SINCE: i16 = 8;
    /// About exactly the partitions committed, each once.
    type Response = Vec<(TopicPartition, Option<ErrorCode>)>;

    fn encode(&self, version: i16, to: &mut BytesMut) -> Result<(), Unencodable> {
        let partitions = self.offsets.iter().map(|(partition, committed)| {
            let item = OffsetCommitRequestPartition::default()
                .with_partition_index(partition.partition)
                .with_committed_offset(committed.offset)
                .with_committed_leader_epoch(committed.leader_epoch.unwrap_or(-1))
                .with_committed_metadata(Some(text(&committed.metadata)));
            (partition, item)
        });
        let topics = by_topic(partitions).into_iter().map(|(topic, partitions)| {
            OffsetCommitRequestTopic::default().with_name(topic_name(topic)).with_partitions(partitions)
        });
        let message = messages::OffsetCommitRequest::default()
            .with_group_id(GroupId(text(&self.group)))
            .with_generation_id_or_member_epoch(GENERATION_NONE)
            .with_topics(topics.collect());
        let message = match &self.member {
            Some(member) => message
                .with_generation_id_or_member_epoch(member.epoch)
                .with_member_id(text(&member.id))
                .with_group_instance_id(member.instance_id_since(VERSION_MIN_STATIC, version)),
            None => message,
        };
        encode_message(&message, version, to)
    }

    fn decode(&self, _version: i16, from: &mut Reader) -> Result<Self::Response, Failure> {
        let mut asked = Asked::new(self.offsets.iter().map(|(partition, _)| partition));
        from.i32()?; // throttle time: the broker itself holds back the next answer
        let topics = from.array(3, |from| {
            let topic = from.string()?;
            let partitions = from.array(6, |from| {
                let answer = (asked.answer(&topic, from.i32()?)?, from.error_code()?);
                from.skip_tagged_fields()?;
                Ok(answer)
            })?;
            from.skip_tagged_fields()?;
            Ok(partitions)
        })?;
        from.skip_tagged_fields()?;
        asked.finish()?;
        Ok(topics.into_iter().flatten().collect())
    }
}
