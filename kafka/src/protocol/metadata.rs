//! `Metadata`: the brokers of the cluster, and the partitions of topics with their leaders. Never creates a topic.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::BytesMut;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{self, ApiKey};

use super::fields::{address, topic_name};
use super::reader::{Malformed, Reader};
use super::request::{Failure, Request, Unencodable, encode_message};
use crate::error::ErrorCode;
use crate::text::shorten;
use crate::types::{Address, TopicId};

/// Requests some topics; with none, only the brokers.
#[derive(Debug, Clone)]
pub(crate) struct MetadataRequest {
    pub(crate) topics: Vec<Arc<str>>,
}

/// The cluster as one broker knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// The cluster's id, if the broker names it.
    pub cluster_id: Option<String>,
    /// The live brokers.
    pub brokers: Vec<BrokerInfo>,
    /// Exactly the requested topics, each once.
    pub topics: Vec<TopicMetadata>,
}

/// A broker of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerInfo {
    /// Its id (`node.id`, `broker.id`).
    pub id: i32,
    /// Its advertised listener.
    pub address: Address,
}

/// A topic, or why its partitions are unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicMetadata {
    /// As in the request.
    pub name: Arc<str>,
    /// Its id; brokers before 2.8 have none.
    pub id: Option<TopicId>,
    /// Why the response has no partitions, such as [`ErrorCode::UNKNOWN_TOPIC_OR_PARTITION`].
    pub error: Option<ErrorCode>,
    /// In the order of the response.
    pub partitions: Vec<PartitionMetadata>,
}

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionMetadata {
    /// Its number, from 0.
    pub partition: i32,
    /// The id of its leader, if it has one.
    pub leader: Option<i32>,
    /// The leader epoch; brokers before 2.1 have none.
    pub leader_epoch: Option<i32>,
    /// Such as [`ErrorCode::LEADER_NOT_AVAILABLE`].
    pub error: Option<ErrorCode>,
}

impl Request for MetadataRequest {
    const NAME: &'static str = "Metadata";
    const KEY: i16 = ApiKey::Metadata as i16;
    /// Since version 4 a request can forbid that the broker creates the topic.
    const VERSIONS: (i16, i16) = (4, 13);
    const FLEXIBLE_SINCE: i16 = 9;
    type Response = Metadata;

    fn encode(&self, version: i16, to: &mut BytesMut) -> Result<(), Unencodable> {
        let topics = self.topics.iter().map(|name| MetadataRequestTopic::default().with_name(Some(topic_name(name))));
        let message = messages::MetadataRequest::default()
            .with_topics(Some(topics.collect()))
            .with_allow_auto_topic_creation(false);
        encode_message(&message, version, to)
    }

    fn decode(&self, version: i16, from: &mut Reader) -> Result<Metadata, Failure> {
        from.i32()?; // throttle time: the broker itself delays the next response
        let brokers = from.array(9, broker)?;
        let cluster_id = from.nullable_string()?;
        from.i32()?; // controller
        let mut missing: HashSet<&Arc<str>> = self.topics.iter().collect();
        let topics = from.array(5, |from| topic(version, from, &mut missing))?;
        if (8..=10).contains(&version) {
            from.i32()?; // authorized operations
        }
        let error = if version >= 13 { from.error_code()? } else { None };
        from.skip_tagged_fields()?;
        if let Some(code) = error {
            return Err(Failure::Refused { code, subject: String::new() });
        }
        match missing.into_iter().next() {
            None => Ok(Metadata { cluster_id, brokers, topics }),
            Some(topic) => Err(Malformed(format!("topic {topic} is missing")).into()),
        }
    }
}

fn broker(from: &mut Reader) -> Result<BrokerInfo, Malformed> {
    let id = from.i32()?;
    let address = address(from.string()?, from.i32()?)?;
    from.nullable_string()?; // rack: the leader chooses the replica, not the client
    from.skip_tagged_fields()?;
    Ok(BrokerInfo { id, address })
}

fn topic(version: i16, from: &mut Reader, missing: &mut HashSet<&Arc<str>>) -> Result<TopicMetadata, Malformed> {
    let error = from.error_code()?;
    let name = from.string()?;
    let Some(name) = missing.take(&Arc::from(name.as_str())).cloned() else {
        return Err(from.malformed(&format!("topic '{}', which was not requested", shorten(&name))));
    };
    let id = if version >= 10 { from.topic_id()? } else { None };
    from.i8()?; // internal topic or not
    let partitions = from.array(18, |from| partition(version, from))?;
    if version >= 8 {
        from.i32()?; // authorized operations
    }
    from.skip_tagged_fields()?;
    let distinct: HashSet<i32> = partitions.iter().map(|partition| partition.partition).collect();
    if distinct.len() < partitions.len() {
        return Err(from.malformed(&format!("topic '{name}' has a partition twice")));
    }
    Ok(TopicMetadata { name, id, error, partitions })
}

fn partition(version: i16, from: &mut Reader) -> Result<PartitionMetadata, Malformed> {
    let error = from.error_code()?;
    let partition = from.i32()?;
    let leader = from.optional_i32()?;
    let leader_epoch = if version >= 7 { from.optional_i32()? } else { None };
    from.skip_array(4)?; // replicas
    from.skip_array(4)?; // in-sync replicas
    if version >= 5 {
        from.skip_array(4)?; // offline replicas
    }
    from.skip_tagged_fields()?;
    if partition < 0 {
        return Err(from.malformed(&format!("partition number {partition}")));
    }
    Ok(PartitionMetadata { partition, leader, leader_epoch, error })
}
