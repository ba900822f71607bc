//! `ListOffsets`: where a partition's log starts and ends, and which record is the first since a time. Asked of the partition's leader.

use bytes::BytesMut;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{self, ApiKey, BrokerId};

use super::{Asked, Failure, Reader, Request, Unencodable, by_topic, encode_message, isolation_level, topic_name};
use crate::error::ErrorCode;
use crate::types::{IsolationLevel, TopicPartition};

/// Which end of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OffsetSpec {
    /// The first offset that is kept.
    Earliest,
    /// Where the next record will stand: the high watermark, or the last stable offset under `read_committed`.
    Latest,
    /// The first record whose timestamp is not less, in milliseconds since 1970.
    Timestamp(i64),
}

/// Asks for one end of the log of each partition.
#[derive(Debug, Clone)]
pub(crate) struct ListOffsetsRequest {
    pub(crate) isolation: IsolationLevel,
    pub(crate) which: OffsetSpec,
    /// With the leader's epoch as far as we know: a leader of another epoch refuses
    /// ([KIP-320](https://cwiki.apache.org/confluence/display/KAFKA/KIP-320)).
    pub(crate) partitions: Vec<(TopicPartition, Option<i32>)>,
}

/// The answer about one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListedOffset {
    pub(crate) partition: TopicPartition,
    /// -1 if there is no record since a time.
    pub(crate) result: Result<i64, ErrorCode>,
}

impl Request for ListOffsetsRequest {
    const NAME: &'static str = "ListOffsets";
    const KEY: i16 = ApiKey::ListOffsets as i16;
    /// From 2 on with the isolation level.
    const VERSIONS: (i16, i16) = (2, 10);
    const FLEXIBLE_SINCE: i16 = 6;
    /// About exactly the partitions asked, each once.
    type Response = Vec<ListedOffset>;

    fn encode(&self, version: i16, to: &mut BytesMut) -> Result<(), Unencodable> {
        let timestamp = match self.which {
            OffsetSpec::Earliest => -2,
            OffsetSpec::Latest => -1,
            OffsetSpec::Timestamp(timestamp_ms) => timestamp_ms,
        };
        let partitions = self.partitions.iter().map(|(partition, leader_epoch)| {
            let item = ListOffsetsPartition::default()
                .with_partition_index(partition.partition)
                .with_current_leader_epoch(leader_epoch.unwrap_or(-1))
                .with_timestamp(timestamp);
            (partition, item)
        });
        let topics = by_topic(partitions).into_iter().map(|(topic, partitions)| {
            ListOffsetsTopic::default().with_name(topic_name(topic)).with_partitions(partitions)
        });
        let message = messages::ListOffsetsRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_isolation_level(isolation_level(self.isolation))
            .with_topics(topics.collect());
        encode_message(&message, version, to)
    }

    fn decode(&self, version: i16, from: &mut Reader) -> Result<Vec<ListedOffset>, Failure> {
        let mut asked = Asked::new(self.partitions.iter().map(|(partition, _)| partition));
        from.i32()?; // throttle time: the broker itself holds back the next answer
        let topics = from.array(3, |from| {
            let topic = from.string()?;
            let partitions = from.array(22, |from| {
                let partition = asked.answer(&topic, from.i32()?)?;
                let error = from.error_code()?;
                from.i64()?; // timestamp
                let offset = from.i64()?;
                if version >= 4 {
                    from.i32()?; // leader epoch of that offset
                }
                from.skip_tagged_fields()?;
                let result = match error {
                    Some(code) => Err(code),
                    None if offset == -1 && matches!(self.which, OffsetSpec::Timestamp(_)) => Ok(-1),
                    None if offset < 0 => return Err(from.malformed(&format!("offset {offset} of {partition}"))),
                    None => Ok(offset),
                };
                Ok(ListedOffset { partition, result })
            })?;
            from.skip_tagged_fields()?;
            Ok(partitions)
        })?;
        from.skip_tagged_fields()?;
        asked.finish()?;
        Ok(topics.into_iter().flatten().collect())
    }
}
