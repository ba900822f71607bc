//! Requests and responses about groups.

use kafka_protocol::protocol::StrBytes;

use super::*;
use crate::types::Member;

const GROUP: &str = "readers";

fn refused(code: ErrorCode) -> Failure {
    Failure::Refused { code, subject: "group 'readers'".to_owned() }
}

#[test]
fn find_coordinator() {
    let request = FindCoordinatorRequest { group: GROUP.to_owned() };
    for version in versions(&request) {
        let sent: messages::FindCoordinatorRequest = sent(&request, version);
        assert_eq!(sent.key_type, 0);
        let keys: Vec<&str> = sent.coordinator_keys.iter().map(StrBytes::as_str).collect();
        assert_eq!((sent.key.as_str(), keys), if version >= 4 { ("", vec![GROUP]) } else { (GROUP, vec![]) });

        let response = |group, id, host, port, error| {
            let response = messages::FindCoordinatorResponse::default();
            if version >= 4 {
                let answer = find_coordinator_response::Coordinator::default().with_key(text(group));
                let answer = answer.with_node_id(BrokerId(id)).with_host(text(host)).with_port(port);
                response.with_coordinators(vec![answer.with_error_code(error)])
            } else {
                response.with_node_id(BrokerId(id)).with_host(text(host)).with_port(port).with_error_code(error)
            }
        };
        let expected = Coordinator { id: 2, address: broker_address("two") };
        check(&request, version, &response(GROUP, 2, "two", 9092, 0), &Ok(expected));
        let expected = refused(ErrorCode::COORDINATOR_NOT_AVAILABLE);
        check(&request, version, &response(GROUP, -1, "", -1, 15), &Err(expected));
        assert!(is_malformed(&decoded(&request, version, encoded(&response(GROUP, 2, "two", 70_000, 0), version))));
        if version >= 4 {
            assert!(is_malformed(&decoded(
                &request,
                version,
                encoded(&response("others", 2, "two", 9092, 0), version)
            )));
            let none = messages::FindCoordinatorResponse::default();
            assert!(is_malformed(&decoded(&request, version, encoded(&none, version))));
        }
    }
}

/// A partition of an `OffsetFetch` response: topic, number, offset, epoch, metadata, error.
type Committed = (&'static str, i32, i64, i32, Option<&'static str>, i16);

fn offset_fetch_response(
    version: i16,
    group: &str,
    error: i16,
    offsets: &[Committed],
) -> messages::OffsetFetchResponse {
    let response = messages::OffsetFetchResponse::default();
    if version >= 8 {
        let topics = offsets.iter().map(|&(topic, number, offset, epoch, metadata, error)| {
            let found = OffsetFetchResponsePartitions::default().with_partition_index(number).with_error_code(error);
            let found = found.with_committed_offset(offset).with_committed_leader_epoch(epoch);
            let found = found.with_metadata(metadata.map(text));
            OffsetFetchResponseTopics::default().with_name(topic_name(topic)).with_partitions(vec![found])
        });
        let answer = OffsetFetchResponseGroup::default().with_group_id(GroupId(text(group))).with_error_code(error);
        response.with_groups(vec![answer.with_topics(topics.collect())])
    } else {
        let topics = offsets.iter().map(|&(topic, number, offset, epoch, metadata, error)| {
            let found = OffsetFetchResponsePartition::default().with_partition_index(number).with_error_code(error);
            let epoch = if version >= 5 { epoch } else { -1 };
            let found = found.with_committed_offset(offset).with_committed_leader_epoch(epoch);
            let found = found.with_metadata(metadata.map(text));
            OffsetFetchResponseTopic::default().with_name(topic_name(topic)).with_partitions(vec![found])
        });
        response.with_topics(topics.collect()).with_error_code(error)
    }
}

#[test]
fn offset_fetch() {
    let partitions = vec![partition("a", 0), partition("a", 1), partition("b", 0), partition("b", 1)];
    let request = OffsetFetchRequest { group: GROUP.to_owned(), partitions };
    for version in versions(&request) {
        let sent: messages::OffsetFetchRequest = sent(&request, version);
        assert_eq!(sent.require_stable, version >= 7);
        let requested: Vec<_> = if version >= 8 {
            assert_eq!((sent.groups[0].group_id.to_string(), sent.groups[0].member_epoch), (GROUP.to_owned(), -1));
            let topics = sent.groups[0].topics.iter().flatten();
            topics.map(|topic| (topic.name.to_string(), topic.partition_indexes.clone())).collect()
        } else {
            assert_eq!(sent.group_id.to_string(), GROUP);
            let topics = sent.topics.iter().flatten();
            topics.map(|topic| (topic.name.to_string(), topic.partition_indexes.clone())).collect()
        };
        assert_eq!(requested, [("a".to_owned(), vec![0, 1]), ("b".to_owned(), vec![0, 1])]);

        let all: [Committed; 4] = [
            ("a", 0, 50, 3, Some("note"), 0),
            ("a", 1, -1, -1, Some(""), 0),
            ("b", 1, 0, -1, None, 0),
            ("b", 0, -1, -1, None, 88),
        ];
        let committed = |offset, leader_epoch, metadata: &str| {
            Ok(Some(CommittedOffset { offset, leader_epoch, metadata: metadata.to_owned() }))
        };
        let expected = vec![
            (partition("a", 0), committed(50, Some(3).filter(|_| version >= 5), "note")),
            (partition("a", 1), Ok(None)),
            (partition("b", 1), committed(0, None, "")),
            (partition("b", 0), Err(ErrorCode::UNSTABLE_OFFSET_COMMIT)),
        ];
        check(&request, version, &offset_fetch_response(version, GROUP, 0, &all), &Ok(expected));
        let expected = Err(refused(ErrorCode::NOT_COORDINATOR));
        check(&request, version, &offset_fetch_response(version, GROUP, 16, &[]), &expected);
        // An unknown group has no committed offsets.
        let nothing = |at: &TopicPartition| (at.clone(), Ok(None));
        let expected = Ok(request.partitions.iter().map(nothing).collect());
        check(&request, version, &offset_fetch_response(version, GROUP, 69, &[]), &expected);
        let unknown = [("a", 0), ("a", 1), ("b", 0), ("b", 1)].map(|(topic, number)| (topic, number, -1, -1, None, 69));
        check(&request, version, &offset_fetch_response(version, GROUP, 0, &unknown), &expected);

        let malformed = |response: &_| is_malformed(&decoded(&request, version, encoded(response, version)));
        assert!(malformed(&offset_fetch_response(version, GROUP, 0, &all[1..])));
        assert!(malformed(&offset_fetch_response(version, GROUP, 0, &[all[0], all[0], all[1], all[2], all[3]])));
        assert!(malformed(&offset_fetch_response(
            version,
            GROUP,
            0,
            &[("a", 0, -7, -1, None, 0), all[1], all[2], all[3]]
        )));
        if version >= 8 {
            assert!(malformed(&offset_fetch_response(version, "others", 0, &all)));
            assert!(malformed(&messages::OffsetFetchResponse::default()));
        }
    }
}

#[test]
fn offset_commit() {
    let committed =
        |offset, leader_epoch, metadata: &str| CommittedOffset { offset, leader_epoch, metadata: metadata.into() };
    let offsets =
        vec![(partition("a", 0), committed(50, Some(3), "note")), (partition("b", 0), committed(0, None, ""))];
    let request = OffsetCommitRequest { group: GROUP.to_owned(), member: None, offsets };
    let member = Member { id: "id-1".to_owned(), instance_id: Some("here".to_owned()), epoch: 5 };
    let of_member = OffsetCommitRequest { member: Some(member), ..request.clone() };
    for version in versions(&request) {
        let sent: messages::OffsetCommitRequest = sent(&request, version);
        assert_eq!((sent.group_id.to_string(), sent.member_id.as_str()), (GROUP.to_owned(), ""));
        assert_eq!(
            (sent.generation_id_or_member_epoch, sent.group_instance_id, sent.retention_time_ms),
            (-1, None, -1)
        );
        let sent_by: messages::OffsetCommitRequest = super::sent(&of_member, version);
        assert_eq!((sent_by.member_id.as_str(), sent_by.generation_id_or_member_epoch), ("id-1", 5));
        assert_eq!(sent_by.group_instance_id.as_deref(), Some("here").filter(|_| version >= 7));
        let committed: Vec<_> = sent
            .topics
            .iter()
            .map(|topic| {
                let partition = &topic.partitions[0];
                let metadata = partition.committed_metadata.as_deref().unwrap();
                (
                    topic.name.to_string(),
                    partition.partition_index,
                    partition.committed_offset,
                    partition.committed_leader_epoch,
                    metadata,
                )
            })
            .collect();
        let epoch = if version >= 6 { 3 } else { -1 };
        assert_eq!(committed, [("a".to_owned(), 0, 50, epoch, "note"), ("b".to_owned(), 0, 0, -1, "")]);

        let response = |answers: &[(&str, i16)]| {
            let topics = answers.iter().map(|&(topic, error)| {
                let answer = OffsetCommitResponsePartition::default().with_partition_index(0).with_error_code(error);
                OffsetCommitResponseTopic::default().with_name(topic_name(topic)).with_partitions(vec![answer])
            });
            messages::OffsetCommitResponse::default().with_topics(topics.collect())
        };
        let expected = vec![(partition("b", 0), Some(ErrorCode::UNKNOWN_MEMBER_ID)), (partition("a", 0), None)];
        check(&request, version, &response(&[("b", 25), ("a", 0)]), &Ok(expected));
        for answers in [&[("a", 0)][..], &[("a", 0), ("a", 0)], &[("a", 0), ("b", 0), ("c", 0)]] {
            assert!(is_malformed(&decoded(&request, version, encoded(&response(answers), version))));
        }
    }
}

#[test]
fn a_name_that_cannot_be_encoded_is_refused() {
    let request = FindCoordinatorRequest { group: "g".repeat(40_000) };
    assert!(encode_request(&request, 1, CORRELATION_ID, "client").is_err());
}
