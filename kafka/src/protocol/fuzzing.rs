//! Fuzz targets: responses of any bytes. Decoding ends without a panic, in memory bounded by the bytes; an error is one
//! short line; a response is about the request; and if `kafka-protocol` can decode the same bytes and encodes them
//! again, the result is decoded to the same response.
//!
//! An input is a version number and a response without its length. For `Fetch`, a topic id is between them.

use std::collections::HashSet;
use std::fmt::Debug;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use fuzzkit::{Target, within};
use kafka_protocol::messages::{self, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion};

use super::*;
use crate::types::{Address, CommittedOffset, IsolationLevel, Member, TopicId, TopicPartition};

/// The topic of all requests.
pub(crate) const TOPIC: &str = "events";
/// Its partitions.
pub(crate) const PARTITIONS: i32 = 3;
/// The group of all requests.
pub(crate) const GROUP: &str = "readers";

/// Memory per byte of a response: two bytes may be an empty string, which takes 24 bytes, and a growing list exists
/// twice.
const MEMORY_FACTOR: usize = 24;
/// Memory for an empty response: the requested partitions, and the text of an error.
const MEMORY_LEAST: usize = 8 * 1024;
/// The longest error, in characters.
const ERROR_CHARS_MAX: usize = 600;

/// Each response.
pub(crate) const TARGETS: &[Target] = &[
    target("api_versions", |input| response::<_, messages::ApiVersionsResponse>(&ApiVersionsRequest, input, |_| {})),
    target("metadata", |input| response::<_, messages::MetadataResponse>(&metadata(), input, described)),
    target("fetch", fetched),
    target("list_offsets", |input| {
        response::<_, messages::ListOffsetsResponse>(&list_offsets(), input, |partitions| {
            all_requested(partitions.iter().map(|(partition, _)| partition));
            assert!(!partitions.iter().any(|(_, result)| result.is_ok_and(|offset| offset < 0)));
        })
    }),
    target("offset_fetch", |input| {
        response::<_, messages::OffsetFetchResponse>(&offset_fetch(), input, |partitions| {
            all_requested(partitions.iter().map(|(partition, _)| partition));
        })
    }),
    target("offset_commit", |input| {
        response::<_, messages::OffsetCommitResponse>(&offset_commit(member(1)), input, |partitions| {
            all_requested(partitions.iter().map(|(partition, _)| partition));
        })
    }),
    target("offset_for_leader_epoch", |input| {
        response::<_, messages::OffsetForLeaderEpochResponse>(&offset_for_leader_epoch(), input, |partitions| {
            all_requested(partitions.iter().map(|(partition, _)| partition));
        })
    }),
    target("find_coordinator", |input| {
        response::<_, messages::FindCoordinatorResponse>(&find_coordinator(), input, |found| {
            fit_for_logs(&found.address);
        })
    }),
    target("join_group", |input| {
        response::<_, messages::JoinGroupResponse>(&join_group(String::new(), Bytes::new()), input, |_| {})
    }),
    target("sync_group", |input| {
        response::<_, messages::SyncGroupResponse>(&sync_group(member(1), Bytes::new()), input, |_| {})
    }),
    target("heartbeat", |input| response::<_, messages::HeartbeatResponse>(&heartbeat(member(1)), input, |()| {})),
    target("leave_group", |input| {
        response::<_, messages::LeaveGroupResponse>(&leave_group(String::new()), input, |()| {})
    }),
    target("consumer_group_heartbeat", member_heartbeat),
    target("describe_groups", |input| {
        response::<_, messages::DescribeGroupsResponse>(&describe_groups(), input, |_| {})
    }),
    target("consumer_group_describe", |input| {
        response::<_, messages::ConsumerGroupDescribeResponse>(&consumer_group_describe(), input, |_| {})
    }),
    target("sasl_handshake", |input| response::<_, messages::SaslHandshakeResponse>(&sasl_handshake(), input, |_| {})),
    target("sasl_authenticate", |input| {
        let request = SaslAuthenticateRequest { message: Bytes::new() };
        response::<_, messages::SaslAuthenticateResponse>(&request, input, |_| {})
    }),
];

const fn target(name: &'static str, run: fn(&[u8]) -> bool) -> Target {
    Target { name, run, words: &[TOPIC, GROUP, "other"], tries: 4_000 }
}

/// Decodes a response and checks the properties above. True if both decoders accept it.
fn response<R, M>(request: &R, input: &[u8], check: impl FnOnce(&R::Response)) -> bool
where
    R: Request<Response: PartialEq + Debug>,
    M: Decodable + Encodable + HeaderVersion + PartialEq,
{
    let Some((version, bytes)) = input.split_first() else { return false };
    let (lowest, highest) = (R::VERSIONS.0, request.version_max());
    let version = lowest + i16::from(*version) % (highest - lowest + 1);
    let correlation_id = bytes.first_chunk().map_or(0, |first| i32::from_be_bytes(*first));
    let bytes = Bytes::copy_from_slice(bytes);
    let decode = |bytes| decode_response(request, version, correlation_id, bytes);
    let decoded = within(bytes.len() * MEMORY_FACTOR + MEMORY_LEAST, || decode(bytes.clone()));
    match &decoded {
        Err(Failure::Malformed(malformed)) => {
            let text = malformed.to_string();
            let is_fit = text.chars().count() <= ERROR_CHARS_MAX && !text.contains(char::is_control);
            assert!(is_fit, "an error of {} bytes: {text:?}", text.len());
            return false;
        }
        Err(Failure::Refused { .. }) => {}
        Ok(response) => check(response),
    }
    if trusts_tagged_counts(R::KEY, version) {
        return true;
    }
    let Some(written) = encoded_again::<M>(bytes, version) else { return false };
    assert_eq!(decode(written), decoded, "{} version {version}", R::NAME);
    true
}

/// Whether `kafka-protocol` decodes an array in the tagged fields, which are skipped here: it allocates memory for any
/// announced count.
fn trusts_tagged_counts(key: i16, version: i16) -> bool {
    (key == ApiVersionsRequest::KEY && version >= ApiVersionsRequest::FLEXIBLE_SINCE)
        || (key == FetchRequest::KEY && version >= FetchRequest::FLEXIBLE_SINCE)
}

/// Decodes and encodes by `kafka-protocol`; `None` if it does not accept all bytes, or decodes its own encoding to
/// something else (it drops tagged fields with the greatest numbers). Only for accepted bytes: it trusts counts.
fn encoded_again<M: Decodable + Encodable + HeaderVersion + PartialEq>(bytes: Bytes, version: i16) -> Option<Bytes> {
    let header_version = M::header_version(version);
    let read = |mut bytes: Bytes| {
        let header = ResponseHeader::decode(&mut bytes, header_version).ok()?;
        M::decode(&mut bytes, version).ok().filter(|_| bytes.is_empty()).map(|message| (header, message))
    };
    let (header, message) = read(bytes)?;
    let mut written = BytesMut::new();
    header.encode(&mut written, header_version).ok()?;
    message.encode(&mut written, version).ok()?;
    let written = written.freeze();
    (read(written.clone())? == (header, message)).then_some(written)
}

fn fit_for_logs(address: &Address) {
    assert!(address.host.len() <= 255 && !address.host.contains(char::is_control), "{address:?}");
}

fn described(metadata: &Metadata) {
    metadata.brokers.iter().for_each(|broker| fit_for_logs(&broker.address));
    assert!(matches!(metadata.topics.as_slice(), [topic] if &*topic.name == TOPIC));
    let numbers = || metadata.topics.iter().flat_map(|topic| &topic.partitions).map(|partition| partition.partition);
    assert!(numbers().all(|number| number >= 0));
    assert_eq!(numbers().collect::<HashSet<_>>().len(), numbers().count());
}

/// Sets the byte in front of the assignment to -1 or 1: for Kafka, every negative byte means null; for
/// `kafka-protocol`, every byte but 1.
fn member_heartbeat(input: &[u8]) -> bool {
    let mut input = input.to_vec();
    if let Some(byte) = before_assignment(&input).ok().and_then(|at| input.get_mut(at)) {
        *byte = if *byte < 0x80 { 1 } else { 0xff };
    }
    response::<_, messages::ConsumerGroupHeartbeatResponse>(&consumer_group_heartbeat(), &input, |_| {})
}

fn before_assignment(input: &[u8]) -> Result<usize, Malformed> {
    let mut from = Reader::new(Bytes::copy_from_slice(input), true);
    from.skip(1 + 4)?; // version, correlation id
    from.skip_tagged_fields()?;
    from.skip(4 + 2)?; // throttle time, error
    from.nullable_string()?;
    from.nullable_string()?;
    from.skip(4 + 4)?; // epoch, interval
    Ok(input.len() - from.remaining())
}

fn fetched(input: &[u8]) -> bool {
    let Some((version, rest)) = input.split_first() else { return false };
    let Some((id, bytes)) = rest.split_first_chunk() else { return false };
    let request = fetch(TopicId(*id));
    response::<_, messages::FetchResponse>(&request, &[&[*version], bytes].concat(), |response| {
        requested_once(response.partitions.iter().map(|fetched| &fetched.partition));
    })
}

/// Each partition was requested and occurs once.
fn requested_once<'a>(found: impl Iterator<Item = &'a TopicPartition>) -> usize {
    let found: Vec<_> = found.collect();
    assert!(found.iter().all(|at| &*at.topic == TOPIC && (0..PARTITIONS).contains(&at.partition)));
    assert_eq!(found.iter().collect::<HashSet<_>>().len(), found.len());
    found.len()
}

fn all_requested<'a>(found: impl Iterator<Item = &'a TopicPartition>) {
    assert_eq!(requested_once(found), partitions().count());
}

/// The partitions of all requests.
pub(crate) fn partitions() -> impl Iterator<Item = TopicPartition> {
    (0..PARTITIONS).map(|number| TopicPartition::new(TOPIC, number))
}

pub(crate) fn member(epoch: i32) -> Member {
    Member { id: "member".to_owned(), instance_id: Some("instance".to_owned()), epoch }
}

pub(crate) fn metadata() -> MetadataRequest {
    MetadataRequest { topics: vec![TOPIC.into()] }
}

pub(crate) fn fetch(topic_id: TopicId) -> FetchRequest {
    let requested = |partition| FetchPartition {
        partition,
        topic_id: Some(topic_id).filter(|id| id.0 != [0; 16]),
        position: 0,
        leader_epoch: None,
        max_bytes: 10_000,
    };
    FetchRequest {
        isolation: IsolationLevel::ReadCommitted,
        max_wait: Duration::ZERO,
        min_bytes: 0,
        max_bytes: 10_000,
        rack: None,
        partitions: partitions().map(requested).collect(),
    }
}

pub(crate) fn list_offsets() -> ListOffsetsRequest {
    ListOffsetsRequest {
        isolation: IsolationLevel::ReadCommitted,
        which: OffsetSpec::Latest,
        partitions: partitions().map(|partition| (partition, None)).collect(),
    }
}

pub(crate) fn offset_fetch() -> OffsetFetchRequest {
    OffsetFetchRequest { group: GROUP.to_owned(), partitions: partitions().collect() }
}

pub(crate) fn offset_commit(member: Member) -> OffsetCommitRequest {
    let committed = || CommittedOffset { offset: 7, leader_epoch: Some(0), metadata: "of us".to_owned() };
    let offsets = partitions().map(|partition| (partition, committed())).collect();
    OffsetCommitRequest { group: GROUP.to_owned(), member: Some(member), offsets }
}

pub(crate) fn offset_for_leader_epoch() -> OffsetForLeaderEpochRequest {
    let requested = |partition| OffsetForLeaderPartition { partition, current_leader_epoch: -1, epoch: 0 };
    OffsetForLeaderEpochRequest { partitions: partitions().map(requested).collect() }
}

pub(crate) fn find_coordinator() -> FindCoordinatorRequest {
    FindCoordinatorRequest { group: GROUP.to_owned() }
}

pub(crate) fn join_group(member_id: String, subscription: Bytes) -> JoinGroupRequest {
    JoinGroupRequest {
        group: GROUP.to_owned(),
        member_id,
        instance_id: "instance".to_owned(),
        session_timeout: Duration::from_secs(45),
        rebalance_timeout: Duration::from_mins(1),
        assignors: vec![("range", subscription)],
    }
}

pub(crate) fn sync_group(member: Member, assignment: Bytes) -> SyncGroupRequest {
    SyncGroupRequest {
        group: GROUP.to_owned(),
        assignments: vec![(member.id.clone(), assignment)],
        member,
        assignor: "range".to_owned(),
        rebalance_timeout: Duration::from_mins(1),
    }
}

pub(crate) fn heartbeat(member: Member) -> HeartbeatRequest {
    HeartbeatRequest { group: GROUP.to_owned(), member }
}

pub(crate) fn leave_group(member_id: String) -> LeaveGroupRequest {
    LeaveGroupRequest { group: GROUP.to_owned(), member_id, instance_id: Some("instance".to_owned()) }
}

pub(crate) fn consumer_group_heartbeat() -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest {
        group: GROUP.to_owned(),
        member: member(EPOCH_JOIN),
        rack: None,
        subscription: Some((Duration::from_mins(1), vec![TOPIC.into()])),
        owned: Some(Vec::new()),
    }
}

pub(crate) fn describe_groups() -> DescribeGroupsRequest {
    DescribeGroupsRequest { group: GROUP.to_owned() }
}

pub(crate) fn consumer_group_describe() -> ConsumerGroupDescribeRequest {
    ConsumerGroupDescribeRequest { group: GROUP.to_owned() }
}

pub(crate) fn sasl_handshake() -> SaslHandshakeRequest {
    SaslHandshakeRequest { mechanism: "SCRAM-SHA-512".to_owned() }
}
