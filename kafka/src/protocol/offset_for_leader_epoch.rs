//! `OffsetForLeaderEpoch`: the end offset of a leader epoch in the leader's log. Sent to the partition's leader
//! ([KIP-320](https://cwiki.apache.org/confluence/display/KAFKA/KIP-320%3A+Allow+fetchers+to+detect+and+handle+log+truncation)).

use bytes::BytesMut;
use kafka_protocol::messages::{self, ApiKey, BrokerId, offset_for_leader_epoch_request};

use super::fields::topic_name;
use super::reader::{Malformed, Reader};
use super::request::{Failure, Request, Unencodable, encode_message};
use super::requested::{Requested, by_topic, read_topics};
use crate::error::ErrorCode;
use crate::types::TopicPartition;

/// Requests the end offsets of leader epochs.
#[derive(Debug, Clone)]
pub(crate) struct OffsetForLeaderEpochRequest {
    pub(crate) partitions: Vec<OffsetForLeaderPartition>,
}

/// One partition of the request.
#[derive(Debug, Clone)]
pub(crate) struct OffsetForLeaderPartition {
    pub(crate) partition: TopicPartition,
    /// The leader epoch in the client's metadata: a leader of another epoch refuses.
    pub(crate) current_leader_epoch: i32,
    /// The epoch whose end offset is requested.
    pub(crate) epoch: i32,
}

/// The end of a leader epoch in the leader's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EpochEnd {
    /// The greatest epoch in the log that is not greater than the requested one.
    pub(crate) epoch: i32,
    /// One past the last offset of that epoch.
    pub(crate) end_offset: i64,
}

/// One partition of the response; `None` if the log has no such epoch.
pub(crate) type FetchedEpochEnd = (TopicPartition, Result<Option<EpochEnd>, ErrorCode>);

impl Request for OffsetForLeaderEpochRequest {
    const NAME: &'static str = "OffsetForLeaderEpoch";
    const KEY: i16 = ApiKey::OffsetForLeaderEpoch as i16;
    /// Since version 3 the request requires `DESCRIBE` on the topic; before, `CLUSTER_ACTION` on the cluster.
    const VERSIONS: (i16, i16) = (3, 4);
    const FLEXIBLE_SINCE: i16 = 4;
    /// Exactly the requested partitions, each once.
    type Response = Vec<FetchedEpochEnd>;

    fn encode(&self, version: i16, to: &mut BytesMut) -> Result<(), Unencodable> {
        let partitions = self.partitions.iter().map(|requested| {
            let item = offset_for_leader_epoch_request::OffsetForLeaderPartition::default()
                .with_partition(requested.partition.partition)
                .with_current_leader_epoch(requested.current_leader_epoch)
                .with_leader_epoch(requested.epoch);
            (&requested.partition, item)
        });
        let topics = by_topic(partitions).into_iter().map(|(topic, partitions)| {
            offset_for_leader_epoch_request::OffsetForLeaderTopic::default()
                .with_topic(topic_name(topic))
                .with_partitions(partitions)
        });
        let message = messages::OffsetForLeaderEpochRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_topics(topics.collect());
        encode_message(&message, version, to)
    }

    fn decode(&self, _version: i16, from: &mut Reader) -> Result<Vec<FetchedEpochEnd>, Failure> {
        let mut requested = Requested::new(self.partitions.iter().map(|requested| &requested.partition));
        from.i32()?; // throttle time: the broker itself delays the next response
        let ends = read_topics(from, 18, |from, topic| partition(from, topic, &mut requested))?;
        from.skip_tagged_fields()?;
        requested.finish()?;
        Ok(ends)
    }
}

fn partition(from: &mut Reader, topic: &str, requested: &mut Requested) -> Result<FetchedEpochEnd, Malformed> {
    let error = from.error_code()?;
    let partition = requested.take(topic, from.i32()?)?;
    let epoch = from.optional_i32()?;
    let end_offset = Some(from.i64()?).filter(|offset| *offset >= 0);
    from.skip_tagged_fields()?;
    let end = epoch.zip(end_offset).map(|(epoch, end_offset)| EpochEnd { epoch, end_offset });
    Ok((partition, error.map_or(Ok(end), Err)))
}
