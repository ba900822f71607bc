//! `Fetch`: record batches of some partitions of one broker, without a fetch session: each request names all of its
//! partitions. Does not decode the batches.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{self, ApiKey, BrokerId, fetch_request};

use super::fields::{isolation_level, milliseconds, text, topic_name};
use super::reader::{Malformed, Reader};
use super::request::{Failure, Request, Unencodable, encode_message};
use super::requested::{Requested, by_topic};
use crate::error::ErrorCode;
use crate::types::{IsolationLevel, TopicId, TopicPartition};

/// The last version that names topics; later ones have topic ids instead
/// ([KIP-516](https://cwiki.apache.org/confluence/display/KAFKA/KIP-516)).
const VERSION_MAX_BY_NAME: i16 = 12;
/// The request belongs to no fetch session and starts none
/// ([KIP-227](https://cwiki.apache.org/confluence/display/KAFKA/KIP-227)).
const SESSION_EPOCH_NONE: i32 = -1;

/// Requests records from one broker.
#[derive(Debug, Clone)]
pub(crate) struct FetchRequest {
    pub(crate) isolation: IsolationLevel,
    /// How long the broker may wait until it has `min_bytes`.
    pub(crate) max_wait: Duration,
    pub(crate) min_bytes: i32,
    /// Soft limit over all partitions: the first batch is complete even if it is larger
    /// ([KIP-74](https://cwiki.apache.org/confluence/display/KAFKA/KIP-74)).
    pub(crate) max_bytes: i32,
    /// `client.rack`, so that the broker can name a replica in the same rack
    /// ([KIP-392](https://cwiki.apache.org/confluence/display/KAFKA/KIP-392)).
    pub(crate) rack: Option<String>,
    /// The broker fills the response in this order (topic by topic).
    pub(crate) partitions: Vec<FetchPartition>,
}

/// One partition of the request.
#[derive(Debug, Clone)]
pub(crate) struct FetchPartition {
    pub(crate) partition: TopicPartition,
    pub(crate) topic_id: Option<TopicId>,
    /// The first offset to fetch.
    pub(crate) position: i64,
    /// The leader epoch in the client's metadata: a leader of another epoch refuses.
    pub(crate) leader_epoch: Option<i32>,
    /// Soft limit, like that of the whole request.
    pub(crate) max_bytes: i32,
}

/// The broker's response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FetchResponse {
    /// How long the client must wait before the next fetch
    /// ([KIP-219](https://cwiki.apache.org/confluence/display/KAFKA/KIP-219)).
    pub(crate) throttle: Duration,
    /// Only requested partitions, each at most once.
    pub(crate) partitions: Vec<FetchedPartition>,
}

/// One partition of the response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FetchedPartition {
    pub(crate) partition: TopicPartition,
    pub(crate) error: Option<ErrorCode>,
    /// -1 with an error.
    pub(crate) high_watermark: i64,
    /// -1 with an error.
    pub(crate) last_stable_offset: i64,
    /// The replica to fetch from instead; the response has no records then.
    pub(crate) preferred_read_replica: Option<i32>,
    /// The aborted transactions in the records' range of offsets; only under `read_committed`.
    pub(crate) aborted: Vec<AbortedTransaction>,
    /// Record batches, the last one possibly incomplete. They share the response's memory.
    pub(crate) records: Bytes,
}

/// The first offset of a transaction that ends with an abort marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AbortedTransaction {
    pub(crate) producer_id: i64,
    pub(crate) first_offset: i64,
}

impl Request for FetchRequest {
    const NAME: &'static str = "Fetch";
    const KEY: i16 = ApiKey::Fetch as i16;
    /// Since version 4 with the isolation level and record batches of format 2.
    const VERSIONS: (i16, i16) = (4, 17);
    const FLEXIBLE_SINCE: i16 = 12;
    type Response = FetchResponse;
    /// The connection's limit applies.
    const RESPONSE_BYTES_MAX: u32 = u32::MAX;

    fn version_max(&self) -> i16 {
        if self.partitions.iter().all(|partition| partition.topic_id.is_some()) {
            Self::VERSIONS.1
        } else {
            VERSION_MAX_BY_NAME
        }
    }

    fn encode(&self, version: i16, to: &mut BytesMut) -> Result<(), Unencodable> {
        let partitions = self.partitions.iter().map(|requested| {
            let item = fetch_request::FetchPartition::default()
                .with_partition(requested.partition.partition)
                .with_current_leader_epoch(requested.leader_epoch.unwrap_or(-1))
                .with_fetch_offset(requested.position)
                .with_log_start_offset(-1)
                .with_partition_max_bytes(requested.max_bytes);
            (&requested.partition, (requested.topic_id, item))
        });
        let mut topics = Vec::new();
        for (name, partitions) in by_topic(partitions) {
            let mut topic = fetch_request::FetchTopic::default().with_topic(topic_name(name));
            if let Some((Some(id), _)) = partitions.first() {
                topic.topic_id = id.0.to_vec().try_into().map_err(Unencodable::new)?;
            }
            topics.push(topic.with_partitions(partitions.into_iter().map(|(_, item)| item).collect()));
        }
        let message = messages::FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_wait_ms(milliseconds(self.max_wait))
            .with_min_bytes(self.min_bytes)
            .with_max_bytes(self.max_bytes)
            .with_isolation_level(isolation_level(self.isolation))
            .with_session_epoch(SESSION_EPOCH_NONE)
            .with_topics(topics)
            .with_rack_id(text(self.rack.as_deref().unwrap_or_default()));
        encode_message(&message, version, to)
    }

    fn decode(&self, version: i16, from: &mut Reader) -> Result<FetchResponse, Failure> {
        let throttle = Duration::from_millis(u64::try_from(from.i32()?).unwrap_or(0));
        let error = if version >= 7 { from.error_code()? } else { None };
        if version >= 7 {
            from.i32()?; // session id: there is no session
        }
        let mut requested = Requested::new(self.partitions.iter().map(|requested| &requested.partition));
        let names = self.names();
        let topics = from.array(3, |from| {
            let topic = if version > VERSION_MAX_BY_NAME { topic_by_id(&names, from)? } else { from.string()?.into() };
            let partitions = from.array(26, |from| partition(version, from, &topic, &mut requested))?;
            from.skip_tagged_fields()?;
            Ok(partitions)
        })?;
        from.skip_tagged_fields()?;
        match error {
            Some(code) => Err(Failure::Refused { code, subject: String::new() }),
            None => Ok(FetchResponse { throttle, partitions: topics.into_iter().flatten().collect() }),
        }
    }

    fn wait(&self) -> Duration {
        self.max_wait
    }
}

impl FetchRequest {
    fn names(&self) -> HashMap<TopicId, Arc<str>> {
        let named = |requested: &FetchPartition| Some((requested.topic_id?, Arc::clone(&requested.partition.topic)));
        self.partitions.iter().filter_map(named).collect()
    }
}

fn topic_by_id(names: &HashMap<TopicId, Arc<str>>, from: &mut Reader) -> Result<Arc<str>, Malformed> {
    let id = from.topic_id()?;
    match id.and_then(|id| names.get(&id)) {
        Some(name) => Ok(Arc::clone(name)),
        None => Err(from.malformed(&format!("topic id {id:?}, which was not requested"))),
    }
}

fn partition(
    version: i16,
    from: &mut Reader,
    topic: &str,
    requested: &mut Requested,
) -> Result<FetchedPartition, Malformed> {
    let partition = requested.take(topic, from.i32()?)?;
    let error = from.error_code()?;
    let high_watermark = from.i64()?;
    let last_stable_offset = from.i64()?;
    if version >= 5 {
        from.i64()?; // log start offset: ListOffsets is sent where it is needed
    }
    let aborted = from.array(16, |from| {
        let transaction = AbortedTransaction { producer_id: from.i64()?, first_offset: from.i64()? };
        from.skip_tagged_fields()?;
        Ok(transaction)
    })?;
    let preferred_read_replica = if version >= 11 { from.optional_i32()? } else { None };
    let records = from.nullable_bytes()?.unwrap_or_default();
    from.skip_tagged_fields()?;
    Ok(FetchedPartition {
        partition,
        error,
        high_watermark,
        last_stable_offset,
        preferred_read_replica,
        aborted,
        records,
    })
}
