//! The requests that this client sends, and the decoders of their responses ([protocol
//! guide](https://kafka.apache.org/protocol#protocol_messages)). `kafka-protocol` encodes requests; responses are
//! decoded here, because the peer is not trusted. Must not know sockets.
//!
//! The oldest versions are those of Kafka 0.11, the first with record batches of format 2; the newest are the highest
//! that `kafka-protocol` encodes and brokers have released. One file for each request; `request` has what they share.

pub(crate) mod api_versions;
pub(crate) mod consumer_group_describe;
pub(crate) mod consumer_group_heartbeat;
pub(crate) mod consumer_protocol;
pub(crate) mod describe_groups;
pub(crate) mod fetch;
mod fields;
pub(crate) mod find_coordinator;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
pub(crate) mod heartbeat;
pub(crate) mod join_group;
pub(crate) mod leave_group;
pub(crate) mod list_offsets;
pub(crate) mod metadata;
pub(crate) mod offset_commit;
pub(crate) mod offset_fetch;
pub(crate) mod offset_for_leader_epoch;
mod reader;
mod request;
mod requested;
pub(crate) mod sasl_authenticate;
pub(crate) mod sasl_handshake;
pub(crate) mod sync_group;
#[cfg(test)]
mod tests;

pub(crate) use api_versions::ApiVersionsRequest;
pub(crate) use consumer_group_describe::ConsumerGroupDescribeRequest;
pub(crate) use consumer_group_heartbeat::{
    ConsumerGroupHeartbeat, ConsumerGroupHeartbeatRequest, EPOCH_JOIN, EPOCH_LEAVE, EPOCH_LEAVE_STATIC, PartitionsById,
};
pub(crate) use describe_groups::DescribeGroupsRequest;
pub(crate) use fetch::{AbortedTransaction, FetchPartition, FetchRequest, FetchResponse, FetchedPartition};
pub(crate) use find_coordinator::FindCoordinatorRequest;
pub(crate) use heartbeat::HeartbeatRequest;
pub(crate) use join_group::{JoinGroupRequest, JoinGroupResponse, Joined, JoinedMember};
pub(crate) use leave_group::LeaveGroupRequest;
pub(crate) use list_offsets::{ListOffsetsRequest, OffsetSpec};
pub(crate) use metadata::MetadataRequest;
pub use metadata::{BrokerInfo, Metadata, PartitionMetadata, TopicMetadata};
pub(crate) use offset_commit::OffsetCommitRequest;
pub(crate) use offset_fetch::OffsetFetchRequest;
pub(crate) use offset_for_leader_epoch::{EpochEnd, OffsetForLeaderEpochRequest, OffsetForLeaderPartition};
pub(crate) use reader::{Malformed, Reader};
pub(crate) use request::{Admission, Failure, Request, Unencodable, decode_response, encode_request};
pub(crate) use requested::by_topic;
pub(crate) use sasl_authenticate::{SaslAuthenticate, SaslAuthenticateRequest};
pub(crate) use sasl_handshake::SaslHandshakeRequest;
pub(crate) use sync_group::SyncGroupRequest;
