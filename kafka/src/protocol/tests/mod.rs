//! Every decoder with bytes of `kafka-protocol`'s encoders in every version, and with damaged bytes.

mod describe;
mod epochs;
mod fetch;
mod group;
mod membership;
mod reader;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{self, BrokerId, GroupId, RequestHeader, fetch_response, find_coordinator_response};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion};

use super::api_versions::ApiVersions;
use super::fields::{text, topic_name};
use super::find_coordinator::Coordinator;
use super::*;
use crate::error::ErrorCode;
use crate::types::{Address, CommittedOffset, IsolationLevel, TopicId, TopicPartition};

const CORRELATION_ID: i32 = 77;
const TOPIC_ID: TopicId = TopicId([7; 16]);

fn versions<R: Request>(_: &R) -> impl Iterator<Item = i16> + use<R> {
    R::VERSIONS.0..=R::VERSIONS.1
}

fn encoded<M: Encodable + HeaderVersion>(response: &M, version: i16) -> Bytes {
    let mut bytes = BytesMut::new();
    let header = messages::ResponseHeader::default().with_correlation_id(CORRELATION_ID);
    header.encode(&mut bytes, M::header_version(version)).unwrap();
    response.encode(&mut bytes, version).unwrap();
    bytes.freeze()
}

fn decoded<R: Request>(request: &R, version: i16, bytes: impl Into<Bytes>) -> Result<R::Response, Failure> {
    decode_response(request, version, CORRELATION_ID, bytes.into())
}

fn is_malformed<T>(result: &Result<T, Failure>) -> bool {
    matches!(result, Err(Failure::Malformed(_)))
}

/// A response is decoded as expected; each prefix of it and an additional byte are malformed; and no changed byte
/// causes a panic or a large allocation.
fn check<R: Request<Response: PartialEq + std::fmt::Debug>, M: Encodable + HeaderVersion>(
    request: &R,
    version: i16,
    response: &M,
    expected: &Result<R::Response, Failure>,
) {
    let bytes = encoded(response, version);
    assert_eq!(&decoded(request, version, bytes.clone()), expected, "{} version {version}", R::NAME);
    for length in 0..bytes.len() {
        let cut = decoded(request, version, bytes.slice(..length));
        assert!(is_malformed(&cut), "{} version {version} cut to {length} bytes", R::NAME);
    }
    let longer = [&bytes[..], &[0]].concat();
    assert!(is_malformed(&decoded(request, version, longer)), "{} version {version}", R::NAME);
    for at in 0..bytes.len() {
        for hostile in [&[0xff][..], &[0x7f], &[0x80], &[0], &[0x7f, 0xff, 0xff, 0xff], &[0xff, 0xff, 0xff, 0xff, 0x0f]]
        {
            let mut damaged = bytes.to_vec();
            let end = damaged.len().min(at + hostile.len());
            damaged[at..end].copy_from_slice(&hostile[..end - at]);
            // The result depends on the byte; a panic or an allocation of gigabytes would fail the test.
            drop(decoded(request, version, damaged));
        }
    }
}

/// An encoded request, decoded by `kafka-protocol`.
fn sent<R: Request, M: Decodable + HeaderVersion>(request: &R, version: i16) -> M {
    let mut bytes = encode_request(request, version, CORRELATION_ID, "client").unwrap();
    let length = bytes.split_to(4);
    assert_eq!(u32::from_be_bytes(length[..].try_into().unwrap()) as usize, bytes.len());
    let header = RequestHeader::decode(&mut bytes, M::header_version(version)).unwrap();
    assert_eq!((header.request_api_key, header.request_api_version), (R::KEY, version));
    assert_eq!((header.correlation_id, header.client_id), (CORRELATION_ID, Some(text("client"))));
    let message = M::decode(&mut bytes, version).unwrap();
    assert!(bytes.is_empty());
    message
}

fn partition(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition::new(topic, partition)
}

fn broker_address(host: &str) -> Address {
    Address { host: host.to_owned(), port: 9092 }
}

#[test]
fn api_versions() {
    let request = ApiVersionsRequest;
    for version in versions(&request) {
        let sent: messages::ApiVersionsRequest = sent(&request, version);
        assert_eq!(sent.client_software_name.as_str(), if version >= 3 { "kafka" } else { "" });

        let keys = [(1, 4, 17), (18, 0, 4)].map(|(key, low, high)| {
            ApiVersion::default().with_api_key(key).with_min_version(low).with_max_version(high)
        });
        let response = messages::ApiVersionsResponse::default().with_api_keys(keys.to_vec());
        let ranges = [(1, (4, 17)), (18, (0, 4))].into();
        check(&request, version, &response, &Ok(ApiVersions { unsupported: false, ranges }));

        let response = messages::ApiVersionsResponse::default().with_error_code(31);
        let code = ErrorCode::CLUSTER_AUTHORIZATION_FAILED;
        check(&request, version, &response, &Err(Failure::Refused { code, subject: String::new() }));
    }
}

#[test]
fn api_versions_of_a_broker_that_does_not_support_the_version() {
    let key = ApiVersion::default().with_api_key(18).with_min_version(0).with_max_version(2);
    let response = messages::ApiVersionsResponse::default().with_error_code(35).with_api_keys(vec![key]);
    let expected = ApiVersions { unsupported: true, ranges: [(18, (0, 2))].into() };
    assert_eq!(decoded(&ApiVersionsRequest, 4, encoded(&response, 0)), Ok(expected));
}

#[test]
fn metadata() {
    let request = MetadataRequest { topics: vec!["a".into(), "b".into()] };
    for version in versions(&request) {
        let sent: messages::MetadataRequest = sent(&request, version);
        assert!(!sent.allow_auto_topic_creation);
        let names: Vec<_> = sent.topics.unwrap().into_iter().map(|topic| topic.name.unwrap().to_string()).collect();
        assert_eq!(names, ["a", "b"]);

        let broker = |id, host, rack: Option<&'static str>| {
            let address = MetadataResponseBroker::default().with_host(text(host)).with_port(9092);
            address.with_node_id(BrokerId(id)).with_rack(rack.map(text))
        };
        let found = |partition, leader, epoch, error| {
            MetadataResponsePartition::default()
                .with_partition_index(partition)
                .with_leader_id(BrokerId(leader))
                .with_leader_epoch(epoch)
                .with_error_code(error)
                .with_replica_nodes(vec![BrokerId(1), BrokerId(2)])
                .with_isr_nodes(vec![BrokerId(1)])
        };
        let topic = |name, id: [u8; 16], error| {
            let topic = MetadataResponseTopic::default().with_name(Some(topic_name(name))).with_error_code(error);
            topic.with_topic_id(id.to_vec().try_into().unwrap())
        };
        let response = messages::MetadataResponse::default()
            .with_brokers(vec![broker(1, "one", None), broker(2, "::1", Some("east"))])
            .with_cluster_id(Some(text("cluster")))
            .with_topics(vec![
                topic("b", [0; 16], 3),
                topic("a", TOPIC_ID.0, 0).with_partitions(vec![found(0, 1, 4, 0), found(1, -1, -1, 5)]),
            ]);

        let seen = |partition, leader, leader_epoch: Option<i32>, error| {
            let leader_epoch = leader_epoch.filter(|_| version >= 7);
            PartitionMetadata { partition, leader, leader_epoch, error }
        };
        let expected = Metadata {
            cluster_id: Some("cluster".to_owned()),
            brokers: vec![
                BrokerInfo { id: 1, address: broker_address("one") },
                BrokerInfo { id: 2, address: broker_address("::1") },
            ],
            topics: vec![
                TopicMetadata {
                    name: "b".into(),
                    id: None,
                    error: Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
                    partitions: vec![],
                },
                TopicMetadata {
                    name: "a".into(),
                    id: Some(TOPIC_ID).filter(|_| version >= 10),
                    error: None,
                    partitions: vec![
                        seen(0, Some(1), Some(4), None),
                        seen(1, None, None, Some(ErrorCode::LEADER_NOT_AVAILABLE)),
                    ],
                },
            ],
        };
        check(&request, version, &response, &Ok(expected));
    }
}

#[test]
fn metadata_of_other_topics() {
    let request = MetadataRequest { topics: vec!["a".into(), "b".into()] };
    let topic = |name| MetadataResponseTopic::default().with_name(Some(topic_name(name)));
    let twice = vec![MetadataResponsePartition::default(); 2];
    for version in versions(&request) {
        for topics in [
            vec![topic("a")],
            vec![topic("a"), topic("a")],
            vec![topic("a"), topic("b"), topic("c")],
            vec![topic("b"), topic("a").with_partitions(twice.clone())],
        ] {
            let response = messages::MetadataResponse::default().with_topics(topics);
            assert!(is_malformed(&decoded(&request, version, encoded(&response, version))));
        }
    }
    let refused = messages::MetadataResponse::default().with_error_code(129);
    let expected = Err(Failure::Refused { code: ErrorCode(129), subject: String::new() });
    check(&MetadataRequest { topics: Vec::new() }, 13, &refused, &expected);
}

#[test]
fn names_in_errors_are_cut_and_escaped() {
    let request = MetadataRequest { topics: vec![] };
    let long = "x".repeat(300);
    let check = |response: &messages::MetadataResponse, expected: &str| {
        let Err(Failure::Malformed(malformed)) = decoded(&request, 13, encoded(response, 13)) else { panic!("taken") };
        assert!(malformed.0.starts_with(expected), "{malformed}");
    };
    let of = |host: &str, port| {
        let broker = MetadataResponseBroker::default().with_host(text(host)).with_port(port);
        messages::MetadataResponse::default().with_brokers(vec![broker])
    };
    check(&of("a\nb", 1), r"invalid broker host name 'a\nb'");
    check(&of(&long, 1), &format!("invalid broker host name '{}…'", &long[..200]));
    check(&of(&long[..201], -1), &format!("invalid port -1 of broker '{}…'", &long[..200]));
    let topic = MetadataResponseTopic::default().with_name(Some(topic_name("a\nb")));
    let topics = messages::MetadataResponse::default().with_topics(vec![topic]);
    check(&topics, r"topic 'a\nb', which was not requested");
}

#[test]
fn list_offsets() {
    let request = ListOffsetsRequest {
        isolation: IsolationLevel::ReadCommitted,
        which: OffsetSpec::Earliest,
        partitions: vec![(partition("a", 0), Some(4)), (partition("b", 0), None), (partition("a", 1), None)],
    };
    for version in versions(&request) {
        let sent: messages::ListOffsetsRequest = sent(&request, version);
        assert_eq!((sent.isolation_level, sent.replica_id), (1, BrokerId(-1)));
        let requested = sent
            .topics
            .iter()
            .flat_map(|topic| topic.partitions.iter().map(|requested| (topic.name.to_string(), requested)));
        let requested: Vec<_> = requested
            .map(|(topic, requested)| {
                (topic, requested.partition_index, requested.current_leader_epoch, requested.timestamp)
            })
            .collect();
        let epoch = if version >= 4 { 4 } else { -1 };
        assert_eq!(requested, [("a".into(), 0, epoch, -2), ("a".into(), 1, -1, -2), ("b".into(), 0, -1, -2)]);

        let found = |partition, offset, error| {
            let found = ListOffsetsPartitionResponse::default().with_partition_index(partition);
            found.with_offset(offset).with_error_code(error)
        };
        let topic = |name, partitions| {
            ListOffsetsTopicResponse::default().with_name(topic_name(name)).with_partitions(partitions)
        };
        let response = |topics| messages::ListOffsetsResponse::default().with_topics(topics);
        let complete =
            response(vec![topic("a", vec![found(1, 12, 0), found(0, -1, 6)]), topic("b", vec![found(0, 0, 0)])]);
        let listed = |topic, number, result| (partition(topic, number), result);
        let expected =
            vec![listed("a", 1, Ok(12)), listed("a", 0, Err(ErrorCode::NOT_LEADER_OR_FOLLOWER)), listed("b", 0, Ok(0))];
        check(&request, version, &complete, &Ok(expected));

        for topics in [
            vec![topic("a", vec![found(0, 1, 0), found(1, 1, 0)])],
            vec![topic("a", vec![found(0, 1, 0), found(1, 1, 0), found(1, 1, 0)]), topic("b", vec![found(0, 1, 0)])],
            vec![topic("a", vec![found(0, 1, 0), found(1, 1, 0), found(2, 1, 0)]), topic("b", vec![found(0, 1, 0)])],
            vec![topic("a", vec![found(0, -2, 0), found(1, 1, 0)]), topic("b", vec![found(0, 1, 0)])],
        ] {
            assert!(is_malformed(&decoded(&request, version, encoded(&response(topics), version))));
        }
    }
}
