//! `OffsetForLeaderEpoch`: where the records of a leader's epoch end in the log as it is now. Asked of the partition's leader
//! ([KIP-320](https://cwiki.apache.org/confluence/display/KAFKA/KIP-320%3A+Allow+fetchers+to+detect+and+handle+log+truncation)).

use bytes::BytesMut;
use kafka_protocol::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use kafka_protocol::messages::{self, ApiKey, BrokerId};

use super::{Asked, Failure, Malformed, Reader, Request, Unencodable, by_topic, encode_message, topic_name};
use crate::error::ErrorCode;
use crate::types::TopicPartition;

/// Asks where epochs end.
#[derive(Debug, Clone)]
pub(crate) struct OffsetForLeaderEpochRequest {
    pub(crate) partitions: Vec<EpochQuestion>,
}

/// What is asked about one partition.
#[derive(Debug, Clone)]
pub(crate) struct EpochQuestion {
    pub(crate) partition: TopicPartition,
    /// The leader's epoch as far as we know: a leader of another epoch refuses.
    pub(crate) current_leader_epoch: i32,
    /// The epoch whose end is wanted.
    pub(crate) epoch: i32,
}

/// The end of an epoch in a leader's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EpochEnd {
    /// The greatest epoch in the log that is not greater than the one asked for.
    pub(crate) epoch: i32,
    /// One past the last offset of that epoch.
    pub(crate) end_offset: i64,
}

/// The answer about one partition; `None` where the leader knows of no such epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EpochAnswer {
    pub(crate) partition: TopicPartition,
    pub(crate) result: Result<Option<EpochEnd>, ErrorCode>,
}

impl Request for OffsetForLeaderEpochRequest {
    const NAME: &'static str = "OffsetForLeaderEpoch";
    const KEY: i16 = ApiKey::OffsetForLeaderEpoch as i16;
    /// From 3 on who may read a topic may ask; before, only who may manage the cluster.
    const VERSIONS: (i16, i16) = (3, 4);
    const FLEXIBLE_SINCE: i16 = 4;
    /// About exactly the partitions asked, each once.
    type Response = Vec<EpochAnswer>;

    fn encode(&self, version: i16, to: &mut BytesMut) -> Result<(), Unencodable> {
        let partitions = self.partitions.iter().map(|question| {
            let item = OffsetForLeaderPartition::default()
                .with_partition(question.partition.partition)
                .with_current_leader_epoch(question.current_leader_epoch)
                .with_leader_epoch(question.epoch);
            (&question.partition, item)
        });
        let topics = by_topic(partitions).into_iter().map(|(topic, partitions)| {
            OffsetForLeaderTopic::default().with_topic(topic_name(topic)).with_partitions(partitions)
        });
        let message = messages::OffsetForLeaderEpochRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_topics(topics.collect());
        encode_message(&message, version, to)
    }

    fn decode(&self, _version: i16, from: &mut Reader) -> Result<Vec<EpochAnswer>, Failure> {
        let mut asked = Asked::new(self.partitions.iter().map(|question| &question.partition));
        from.i32()?; // throttle time: the broker itself holds back the next answer
        let topics = from.array(3, |from| {
            let topic = from.string()?;
            let partitions = from.array(18, |from| answer(from, &topic, &mut asked))?;
            from.skip_tagged_fields()?;
            Ok(partitions)
        })?;
        from.skip_tagged_fields()?;
        asked.finish()?;
        Ok(topics.into_iter().flatten().collect())
    }
}

fn answer(from: &mut Reader, topic: &str, asked: &mut Asked) -> Result<EpochAnswer, Malformed> {
    let error = from.error_code()?;
    let partition = asked.answer(topic, from.i32()?)?;
    let epoch = from.optional_i32()?;
    let end_offset = Some(from.i64()?).filter(|offset| *offset >= 0);
    from.skip_tagged_fields()?;
    let end = epoch.zip(end_offset).map(|(epoch, end_offset)| EpochEnd { epoch, end_offset });
    Ok(EpochAnswer { partition, result: error.map_or(Ok(end), Err) })
}
