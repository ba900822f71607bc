//! The requests that this client makes and the decoders of their responses. Requests are encoded by `kafka-protocol`;
//! responses are decoded here, since the peer is not trusted. Knows nothing of sockets.
//!
//! The oldest versions are those of Kafka 0.11, the first with record batches of format 2; the newest are the highest
//! that `kafka-protocol` encodes and brokers have released.

pub(crate) mod api_versions;
mod asked;
pub(crate) mod consumer_group_describe;
pub(crate) mod consumer_group_heartbeat;
pub(crate) mod consumer_protocol;
pub(crate) mod describe_groups;
pub(crate) mod fetch;
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
pub(crate) mod sasl_authenticate;
pub(crate) mod sasl_handshake;
pub(crate) mod sync_group;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{RequestHeader, TopicName};
use kafka_protocol::protocol::{Encodable, StrBytes};

use crate::budget::ResponseShare;
use crate::error::ErrorCode;
use crate::text::shorten;
use crate::types::{Address, IsolationLevel};

pub(crate) use api_versions::ApiVersionsRequest;
pub(crate) use asked::{Asked, by_topic};
pub(crate) use consumer_group_describe::ConsumerGroupDescribeRequest;
pub(crate) use consumer_group_heartbeat::{
    ConsumerGroupHeartbeat, ConsumerGroupHeartbeatRequest, EPOCH_JOIN, EPOCH_LEAVE, EPOCH_LEAVE_STATIC, PartitionsById,
};
pub(crate) use describe_groups::DescribeGroupsRequest;
pub(crate) use fetch::{AbortedTransaction, FetchPartition, FetchRequest, FetchResponse, FetchedPartition};
pub(crate) use find_coordinator::FindCoordinatorRequest;
pub(crate) use heartbeat::HeartbeatRequest;
pub(crate) use join_group::{JoinAnswer, JoinGroupRequest, Joined, JoinedMember};
pub(crate) use leave_group::LeaveGroupRequest;
pub(crate) use list_offsets::{ListOffsetsRequest, OffsetSpec};
pub(crate) use metadata::MetadataRequest;
pub use metadata::{BrokerInfo, Metadata, PartitionMetadata, TopicMetadata};
pub(crate) use offset_commit::OffsetCommitRequest;
pub(crate) use offset_fetch::OffsetFetchRequest;
pub(crate) use offset_for_leader_epoch::{EpochEnd, EpochQuestion, OffsetForLeaderEpochRequest};
pub(crate) use reader::Reader;
pub(crate) use sasl_authenticate::{SaslAuthenticate, SaslAuthenticateRequest};
pub(crate) use sasl_handshake::SaslHandshakeRequest;
pub(crate) use sync_group::SyncGroupRequest;

/// A host's name is no longer, in bytes ([RFC 1035](https://www.rfc-editor.org/rfc/rfc1035#section-2.3.4)).
const HOST_BYTES_MAX: usize = 255;

/// A request of the protocol: how it is sent and how its response is read.
pub(crate) trait Request {
    /// As the protocol calls it.
    const NAME: &'static str;
    /// The protocol's number for it.
    const KEY: i16;
    /// The versions that are encoded and decoded here, lowest and highest.
    const VERSIONS: (i16, i16);
    /// The first version with compact lengths and tagged fields, in the body and in both headers
    /// ([KIP-482](https://cwiki.apache.org/confluence/display/KAFKA/KIP-482)).
    const FLEXIBLE_SINCE: i16;
    /// False where the response's header stays without tagged fields in all versions.
    const RESPONSE_HEADER_FLEXIBLE: bool = true;
    /// What the broker says.
    type Response;
    /// Largest response that makes sense, in bytes, whatever the connection would take: metadata of a hundred thousand
    /// partitions and what groups commit stay far below.
    const RESPONSE_BYTES_MAX: u32 = 16 * 1024 * 1024;

    /// The highest version that can carry this very request.
    fn version_max(&self) -> i16 {
        Self::VERSIONS.1
    }

    /// Appends the request's body.
    fn encode(&self, version: i16, to: &mut BytesMut) -> Result<(), Unencodable>;

    /// Reads the response's body.
    fn decode(&self, version: i16, from: &mut Reader) -> Result<Self::Response, Failure>;

    /// How long the broker may hold the answer on purpose; added to the deadline.
    fn wait(&self) -> Duration {
        Duration::ZERO
    }

    /// Called with the size of the response, in bytes, before it is received; may wait for memory.
    fn admit(&self, _bytes: usize) -> Admission {
        Admission::Free
    }
}

/// Whether a response is received, and what its memory counts for.
#[derive(Debug)]
pub(crate) enum Admission {
    /// It is, and nobody counts it.
    Free,
    /// It is; the share is held for as long as the response's bytes.
    Counted(ResponseShare),
    /// Nobody wants it any more.
    Unwanted,
}

/// The peer's bytes are not the protocol: what is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) String);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A request that the protocol has no bytes for, such as one with a name that is too long.
#[derive(Debug)]
pub(crate) struct Unencodable(pub(crate) String);

impl Unencodable {
    pub(crate) fn new(cause: impl fmt::Display) -> Self {
        Self(cause.to_string())
    }
}

/// Why a response holds no answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Malformed(Malformed),
    /// The broker refused the request as a whole; `subject` says what it is about (a group), or is empty.
    Refused {
        code: ErrorCode,
        subject: String,
    },
}

impl From<Malformed> for Failure {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

/// A whole request, its length before it.
pub(crate) fn encode_request<R: Request>(
    request: &R,
    version: i16,
    correlation_id: i32,
    client_id: &str,
) -> Result<Bytes, Unencodable> {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation_id)
        .with_client_id(Some(text(client_id)));
    let mut body = BytesMut::new();
    encode_message(&header, if version >= R::FLEXIBLE_SINCE { 2 } else { 1 }, &mut body)?;
    request.encode(version, &mut body)?;
    let length = i32::try_from(body.len()).map_err(Unencodable::new)?;
    let mut framed = BytesMut::with_capacity(4 + body.len());
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(&body);
    Ok(framed.freeze())
}

/// Reads a whole response, without the length before it.
pub(crate) fn decode_response<R: Request>(
    request: &R,
    version: i16,
    correlation_id: i32,
    bytes: Bytes,
) -> Result<R::Response, Failure> {
    let flexible = version >= R::FLEXIBLE_SINCE;
    let mut reader = Reader::new(bytes, flexible && R::RESPONSE_HEADER_FLEXIBLE);
    let answered = reader.i32()?;
    if answered != correlation_id {
        let detail = format!("it answers request {answered}, but {correlation_id} was asked");
        return Err(reader.malformed(&detail).into());
    }
    reader.skip_tagged_fields()?;
    reader.set_flexible(flexible);
    match request.decode(version, &mut reader) {
        Err(Failure::Malformed(malformed)) => Err(malformed.into()),
        answer => reader.finish().map_err(Failure::from).and(answer),
    }
}

/// The coordinator refuses a request about a group.
fn group_refused(code: ErrorCode, group: &str) -> Failure {
    Failure::Refused { code, subject: format!("group '{group}'") }
}

/// The coordinator refuses a request of one of the group's static members.
fn member_refused(code: ErrorCode, group: &str, instance_id: Option<&str>) -> Failure {
    let instance = instance_id.map(|id| format!(" (instance id '{id}')")).unwrap_or_default();
    Failure::Refused { code, subject: format!("group '{group}'{instance}") }
}

fn encode_message(message: &impl Encodable, version: i16, to: &mut BytesMut) -> Result<(), Unencodable> {
    message.encode(to, version).map_err(Unencodable::new)
}

pub(crate) fn text(of: &str) -> StrBytes {
    StrBytes::from_string(of.to_owned())
}

pub(crate) fn topic_name(of: &str) -> TopicName {
    TopicName(text(of))
}

/// Milliseconds as the protocol carries them; longer waits than it can say are cut to the longest.
fn milliseconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

fn isolation_level(level: IsolationLevel) -> i8 {
    match level {
        IsolationLevel::ReadUncommitted => 0,
        IsolationLevel::ReadCommitted => 1,
    }
}

/// A host name and a port, as messages carry them. The name will stand in logs and errors as it is.
fn address(host: String, port: i32) -> Result<Address, Malformed> {
    if host.len() > HOST_BYTES_MAX || host.contains(char::is_control) {
        return Err(Malformed(format!("a broker of the name '{}'", shorten(&host))));
    }
    match u16::try_from(port) {
        Ok(port) => Ok(Address { host, port }),
        Err(_) => Err(Malformed(format!("port {port} of broker '{}'", shorten(&host)))),
    }
}
