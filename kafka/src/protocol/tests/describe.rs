//! Responses that describe groups.

use std::sync::Arc;

use kafka_protocol::messages::consumer_group_describe_response::{self, Assignment, TopicPartitions};
use kafka_protocol::messages::describe_groups_response::{self, DescribedGroupMember};
use kafka_protocol::messages::{GroupId, TopicName};

use super::*;
use crate::protocol::describe_groups::{DescribedClassicGroup, DescribedClassicMember};
use crate::types::{GroupDescription, MemberDescription, TopicPartition};

const GROUP: &str = "readers";

fn refused<T>(code: ErrorCode) -> Result<T, Failure> {
    Err(Failure::Refused { code, subject: "group 'readers'".to_owned() })
}

#[test]
fn describe_groups() {
    let request = DescribeGroupsRequest { group: GROUP.to_owned() };
    for version in versions(&request) {
        let sent: messages::DescribeGroupsRequest = sent(&request, version);
        assert_eq!(sent.groups.iter().map(|group| group.to_string()).collect::<Vec<_>>(), [GROUP]);

        let instance_id = (version >= 4).then_some("here");
        let member = DescribedGroupMember::default()
            .with_member_id(text("id-1"))
            .with_group_instance_id(instance_id.map(text))
            .with_client_id(text("client"))
            .with_client_host(text("/10.0.0.7"))
            .with_member_metadata(Bytes::from_static(b"subscription"))
            .with_member_assignment(Bytes::from_static(b"assignment"));
        let group = |name: &str, error| {
            describe_groups_response::DescribedGroup::default()
                .with_group_id(GroupId(text(name)))
                .with_error_code(error)
                .with_group_state(text("Stable"))
                .with_protocol_type(text("consumer"))
                .with_protocol_data(text("range"))
                .with_members(vec![member.clone()])
        };
        let response = |groups| messages::DescribeGroupsResponse::default().with_groups(groups);
        let expected = DescribedClassicGroup {
            state: "Stable".to_owned(),
            members: vec![DescribedClassicMember {
                id: "id-1".to_owned(),
                instance_id: instance_id.map(str::to_owned),
                client_id: "client".to_owned(),
                host: "/10.0.0.7".to_owned(),
            }],
        };
        check(&request, version, &response(vec![group(GROUP, 0)]), &Ok(expected));
        check(&request, version, &response(vec![group(GROUP, 30)]), &refused(ErrorCode::GROUP_AUTHORIZATION_FAILED));
        for wrong in [vec![], vec![group("others", 0)], vec![group("others", 0), group(GROUP, 0)]] {
            assert!(is_malformed(&decoded(&request, version, encoded(&response(wrong), version))));
        }
    }
}

#[test]
fn consumer_group_describe() {
    let request = ConsumerGroupDescribeRequest { group: GROUP.to_owned() };
    for version in versions(&request) {
        let sent: messages::ConsumerGroupDescribeRequest = sent(&request, version);
        assert_eq!(sent.group_ids.iter().map(|group| group.to_string()).collect::<Vec<_>>(), [GROUP]);

        let assignment = |partitions| {
            let topic = TopicPartitions::default()
                .with_topic_id(TOPIC_ID.0.to_vec().try_into().unwrap())
                .with_topic_name(TopicName(text("t")))
                .with_partitions(partitions);
            Assignment::default().with_topic_partitions(vec![topic])
        };
        let member = consumer_group_describe_response::Member::default()
            .with_member_id(text("id-1"))
            .with_client_id(text("client"))
            .with_client_host(text("/10.0.0.7"))
            .with_subscribed_topic_names(vec![TopicName(text("t"))])
            .with_assignment(assignment(vec![0, 3]))
            .with_target_assignment(assignment(vec![0]));
        let group = |error| {
            consumer_group_describe_response::DescribedGroup::default()
                .with_group_id(GroupId(text(GROUP)))
                .with_error_code(error)
                .with_group_state(text("Stable"))
                .with_members(vec![member.clone()])
        };
        let response = |groups| messages::ConsumerGroupDescribeResponse::default().with_groups(groups);
        let topic: Arc<str> = "t".into();
        let expected = GroupDescription {
            state: "Stable".to_owned(),
            members: vec![MemberDescription {
                id: "id-1".to_owned(),
                instance_id: None,
                client_id: "client".to_owned(),
                host: "/10.0.0.7".to_owned(),
                partitions: [0, 3].map(|partition| TopicPartition::new(Arc::clone(&topic), partition)).into(),
            }],
        };
        check(&request, version, &response(vec![group(0)]), &Ok(expected));
        check(&request, version, &response(vec![group(69)]), &refused(ErrorCode::GROUP_ID_NOT_FOUND));
        assert!(is_malformed(&decoded(&request, version, encoded(&response(vec![]), version))));
    }
}
