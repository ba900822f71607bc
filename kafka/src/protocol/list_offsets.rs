//! `ListOffsets`: the log start offset, the end offset, and offsets by timestamp. Sent to the partition's leader.

use bytes::BytesMut;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{self, ApiKey, BrokerId};

use super::fields::{isolation_level, topic_name};
use super::reader::Reader;
use super::request::{Failure, Request, Unencodable, encode_message};
use super::requested::{Requested, by_topic, read_topics};
use crate::error::ErrorCode;
use crate::types::{IsolationLevel, TopicPartition};

/// Which offset of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OffsetSpec {
    /// The log start offset.
    Earliest,
    /// The high watermark, or the last stable offset under `read_committed`.
    Latest,
    /// The first record whose timestamp, in milliseconds since 1970-01-01 UTC, is not less.
    Timestamp(i64),
}

/// Requests one offset of each partition.
#[derive(Debug, Clone)]
pub(crate) struct ListOffsetsRequest {
    pub(crate) isolation: IsolationLevel,
    pub(crate) which: OffsetSpec,
    /// With the leader epoch in the client's metadata: a leader of another epoch refuses
    /// ([KIP-320](https://cwiki.apache.org/confluence/display/KAFKA/KIP-320)).
    pub(crate) partitions: Vec<(TopicPartition, Option<i32>)>,
}

/// One partition of the response: its offset, -1 if no record has a timestamp that is not less.
pub(crate) type ListedOffset = (TopicPartition, Result<i64, ErrorCode>);

impl Request for ListOffsetsRequest {
    const NAME: &'static str = "ListOffsets";
    const KEY: i16 = ApiKey::ListOffsets as i16;
    /// Since version 2 with the isolation level.
    const VERSIONS: (i16, i16) = (2, 10);
    const FLEXIBLE_SINCE: i16 = 6;
    /// Exactly the requested partitions, each once.
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
        let mut requested = Requested::new(self.partitions.iter().map(|(partition, _)| partition));
        from.i32()?; // throttle time: the broker itself delays the next response
        let listed = read_topics(from, 22, |from, topic| {
            let partition = requested.take(topic, from.i32()?)?;
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
            Ok((partition, result))
        })?;
        from.skip_tagged_fields()?;
        requested.finish()?;
        Ok(listed)
    }
}
