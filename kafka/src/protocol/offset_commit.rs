//! `OffsetCommit`: commits a group's offsets. Sent to the group's coordinator.

use bytes::BytesMut;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::{self, ApiKey, GroupId};

use super::fields::{instance_id_since, text, topic_name};
use super::reader::Reader;
use super::request::{Failure, Request, Unencodable, encode_message};
use super::requested::{Requested, by_topic, read_topics};
use crate::error::ErrorCode;
use crate::types::{CommittedOffset, Member, TopicPartition};

/// The generation of a client that is not a member, with an empty member id. The coordinator accepts it while the group
/// has no members.
const GENERATION_NONE: i32 = -1;

/// The first version with static members.
const VERSION_MIN_STATIC: i16 = 7;

/// Commits offsets.
#[derive(Debug, Clone)]
pub(crate) struct OffsetCommitRequest {
    pub(crate) group: String,
    /// The committing member; `None` for a client that is not a member.
    pub(crate) member: Option<Member>,
    pub(crate) offsets: Vec<(TopicPartition, CommittedOffset)>,
}

impl Request for OffsetCommitRequest {
    const NAME: &'static str = "OffsetCommit";
    const KEY: i16 = ApiKey::OffsetCommit as i16;
    /// Since version 10 with topic ids instead of names, which is not needed: the topic id is checked when the
    /// partition is assigned.
    const VERSIONS: (i16, i16) = (3, 9);
    const FLEXIBLE_SINCE: i16 = 8;
    /// Exactly the committed partitions, each once.
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
                .with_group_instance_id(instance_id_since(member, VERSION_MIN_STATIC, version)),
            None => message,
        };
        encode_message(&message, version, to)
    }

    fn decode(&self, _version: i16, from: &mut Reader) -> Result<Self::Response, Failure> {
        let mut requested = Requested::new(self.offsets.iter().map(|(partition, _)| partition));
        from.i32()?; // throttle time: the broker itself delays the next response
        let committed = read_topics(from, 6, |from, topic| {
            let committed = (requested.take(topic, from.i32()?)?, from.error_code()?);
            from.skip_tagged_fields()?;
            Ok(committed)
        })?;
        from.skip_tagged_fields()?;
        requested.finish()?;
        Ok(committed)
    }
}
