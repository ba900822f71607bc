//! Requests and responses of a group's members.

use std::sync::Arc;

use kafka_protocol::messages::consumer_group_heartbeat_response::{self, Assignment};
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::leave_group_response::MemberResponse;

use super::*;
use crate::protocol::join_group::Leadership;
use crate::types::Member;

const GROUP: &str = "readers";

fn member() -> Member {
    Member { id: "id-1".to_owned(), instance_id: Some("here".to_owned()), epoch: 5 }
}

fn refused<T>(code: ErrorCode) -> Result<T, Failure> {
    Err(Failure::Refused { code, subject: "group 'readers' (instance id 'here')".to_owned() })
}

#[test]
fn join_group() {
    let request = JoinGroupRequest {
        group: GROUP.to_owned(),
        member_id: "id-1".to_owned(),
        instance_id: "here".to_owned(),
        session_timeout: Duration::from_secs(45),
        rebalance_timeout: Duration::from_mins(1),
        assignors: vec![("first", Bytes::from_static(b"f")), ("second", Bytes::from_static(b"s"))],
    };
    assert_eq!(request.wait(), Duration::from_mins(1));
    for version in versions(&request) {
        let sent: messages::JoinGroupRequest = sent(&request, version);
        assert_eq!((sent.group_id.to_string(), sent.member_id.as_str()), (GROUP.to_owned(), "id-1"));
        let since = |since, of| Some(of).filter(|_| version >= since);
        assert_eq!(sent.group_instance_id.as_deref(), since(5, "here"));
        assert_eq!((sent.session_timeout_ms, sent.rebalance_timeout_ms), (45_000, 60_000));
        assert_eq!(sent.protocol_type.as_str(), "consumer");
        let assignors = sent.protocols.iter().map(|protocol| (protocol.name.to_string(), &protocol.metadata[..]));
        assert_eq!(assignors.collect::<Vec<_>>(), [("first".to_owned(), &b"f"[..]), ("second".to_owned(), b"s")]);

        let response = |leader: &str, error| {
            let other = JoinGroupResponseMember::default().with_member_id(text("id-2"));
            let leading = JoinGroupResponseMember::default().with_member_id(text("id-1"));
            let leading = leading
                .with_group_instance_id(since(5, "here").map(text))
                .with_metadata(Bytes::from_static(b"subscription"));
            messages::JoinGroupResponse::default()
                .with_error_code(error)
                .with_generation_id(6)
                .with_protocol_name(Some(text("first")))
                .with_leader(text(leader))
                .with_skip_assignment(version >= 9)
                .with_member_id(text("id-1"))
                .with_members(if leader == "id-1" { vec![leading, other] } else { vec![] })
        };
        let joined = |leads| {
            let (member_id, assignor) = ("id-1".to_owned(), "first".to_owned());
            Ok(JoinGroupResponse::Joined(Joined { is_static: version >= 5, generation: 6, member_id, assignor, leads }))
        };
        check(&request, version, &response("id-2", 0), &joined(None));
        let joined_member = |id: &str, instance_id: Option<&str>, subscription| JoinedMember {
            member_id: id.to_owned(),
            instance_id: instance_id.map(str::to_owned),
            subscription: Bytes::from_static(subscription),
        };
        let members = vec![joined_member("id-1", since(5, "here"), b"subscription"), joined_member("id-2", None, b"")];
        let leads = Leadership { members, skips_assignment: version >= 9 };
        check(&request, version, &response("id-1", 0), &joined(Some(leads)));
        check(&request, version, &response("", 82), &refused(ErrorCode::FENCED_INSTANCE_ID));
        let first = JoinGroupRequest { member_id: String::new(), ..request.clone() };
        check(&first, version, &response("", 79), &Ok(JoinGroupResponse::MemberIdRequired("id-1".to_owned())));
        check(&request, version, &response("", 79), &refused(ErrorCode::MEMBER_ID_REQUIRED));
        if version >= 7 {
            let without = response("id-2", 0).with_protocol_name(None);
            assert!(is_malformed(&decoded(&request, version, encoded(&without, version))));
        }
    }
}

#[test]
fn sync_group() {
    let request = SyncGroupRequest {
        group: GROUP.to_owned(),
        member: member(),
        assignor: "first".to_owned(),
        assignments: vec![("id-1".to_owned(), Bytes::from_static(b"part"))],
        rebalance_timeout: Duration::from_mins(1),
    };
    assert_eq!(request.wait(), Duration::from_mins(1));
    for version in versions(&request) {
        let sent: messages::SyncGroupRequest = sent(&request, version);
        assert_eq!(
            (sent.group_id.to_string(), sent.member_id.as_str(), sent.generation_id),
            (GROUP.to_owned(), "id-1", 5)
        );
        assert_eq!(sent.group_instance_id.as_deref(), Some("here").filter(|_| version >= 3));
        let named = |name| if version >= 5 { Some(name) } else { None };
        assert_eq!((sent.protocol_type.as_deref(), sent.protocol_name.as_deref()), (named("consumer"), named("first")));
        assert_eq!(
            (sent.assignments[0].member_id.as_str(), &sent.assignments[0].assignment[..]),
            ("id-1", &b"part"[..])
        );

        let response = messages::SyncGroupResponse::default().with_assignment(Bytes::from_static(b"part"));
        check(&request, version, &response, &Ok(Bytes::from_static(b"part")));
        let response = messages::SyncGroupResponse::default().with_error_code(27);
        check(&request, version, &response, &refused(ErrorCode::REBALANCE_IN_PROGRESS));
    }
}

#[test]
fn heartbeat() {
    let request = HeartbeatRequest { group: GROUP.to_owned(), member: member() };
    for version in versions(&request) {
        let sent: messages::HeartbeatRequest = sent(&request, version);
        assert_eq!(
            (sent.group_id.to_string(), sent.member_id.as_str(), sent.generation_id),
            (GROUP.to_owned(), "id-1", 5)
        );
        assert_eq!(sent.group_instance_id.as_deref(), Some("here").filter(|_| version >= 3));
        check(&request, version, &messages::HeartbeatResponse::default(), &Ok(()));
        let response = messages::HeartbeatResponse::default().with_error_code(22);
        check(&request, version, &response, &refused(ErrorCode::ILLEGAL_GENERATION));
    }
}

#[test]
fn leave_group() {
    let request = LeaveGroupRequest {
        group: GROUP.to_owned(),
        member_id: "id-1".to_owned(),
        instance_id: Some("here".to_owned()),
    };
    for version in versions(&request) {
        let sent: messages::LeaveGroupRequest = sent(&request, version);
        assert_eq!(sent.group_id.to_string(), GROUP);
        let members =
            sent.members.iter().map(|leaver| (leaver.member_id.as_str(), leaver.group_instance_id.as_deref()));
        let expected = if version >= 3 { ("", vec![("id-1", Some("here"))]) } else { ("id-1", vec![]) };
        assert_eq!((sent.member_id.as_str(), members.collect::<Vec<_>>()), expected);

        let response = |error, members: &[i16]| {
            let members = members.iter().map(|error| MemberResponse::default().with_error_code(*error));
            messages::LeaveGroupResponse::default().with_error_code(error).with_members(members.collect())
        };
        let refused = |code| Err(Failure::Refused { code, subject: "group 'readers'".to_owned() });
        check(&request, version, &response(0, &[]), &Ok(()));
        check(&request, version, &response(25, &[]), &refused(ErrorCode::UNKNOWN_MEMBER_ID));
        if version >= 3 {
            check(&request, version, &response(0, &[0]), &Ok(()));
            check(&request, version, &response(0, &[25]), &refused(ErrorCode::UNKNOWN_MEMBER_ID));
            assert!(is_malformed(&decoded(&request, version, encoded(&response(0, &[0, 0]), version))));
        }
    }
}

#[test]
fn consumer_group_heartbeat() {
    let steady = ConsumerGroupHeartbeatRequest {
        group: GROUP.to_owned(),
        member: member(),
        rack: Some("r1".to_owned()),
        subscription: None,
        owned: None,
    };
    let subscription = Some((Duration::from_mins(1), vec![Arc::from("a"), Arc::from("b")]));
    let all =
        ConsumerGroupHeartbeatRequest { subscription, owned: Some(vec![(TOPIC_ID, vec![0, 3])]), ..steady.clone() };
    let nothing = ConsumerGroupHeartbeatRequest { owned: Some(vec![]), ..steady.clone() };
    for version in versions(&steady) {
        let sent_of = |request| -> messages::ConsumerGroupHeartbeatRequest { sent(request, version) };
        let sent = sent_of(&steady);
        assert_eq!(
            (sent.group_id.to_string(), sent.member_id.as_str(), sent.member_epoch),
            (GROUP.to_owned(), "id-1", 5)
        );
        assert_eq!((sent.instance_id.as_deref(), sent.rack_id.as_deref()), (Some("here"), Some("r1")));
        assert_eq!((sent.rebalance_timeout_ms, sent.subscribed_topic_names, sent.topic_partitions), (-1, None, None));
        let sent = sent_of(&all);
        assert_eq!(sent.rebalance_timeout_ms, 60_000);
        assert_eq!(sent.subscribed_topic_names, Some(vec![topic_name("a"), topic_name("b")]));
        let owned = sent.topic_partitions.unwrap();
        assert_eq!((owned.len(), owned[0].topic_id.as_bytes(), &owned[0].partitions), (1, &TOPIC_ID.0, &vec![0, 3]));
        assert_eq!(sent_of(&nothing).topic_partitions, Some(vec![]));

        let response = messages::ConsumerGroupHeartbeatResponse::default()
            .with_member_id(Some(text("id-1")))
            .with_member_epoch(6)
            .with_heartbeat_interval_ms(5000);
        let expected =
            |assignment| Ok(ConsumerGroupHeartbeat { epoch: 6, interval: Duration::from_secs(5), assignment });
        check(&steady, version, &response, &expected(None));
        let assigned = |id: [u8; 16]| {
            let topic = consumer_group_heartbeat_response::TopicPartitions::default().with_partitions(vec![1, 2]);
            let topic = topic.with_topic_id(id.to_vec().try_into().unwrap());
            response.clone().with_assignment(Some(Assignment::default().with_topic_partitions(vec![topic])))
        };
        check(&all, version, &assigned(TOPIC_ID.0), &expected(Some(vec![(TOPIC_ID, vec![1, 2])])));
        assert!(is_malformed(&decoded(&all, version, encoded(&assigned([0; 16]), version))));
        let none = response.clone().with_assignment(Some(Assignment::default()));
        check(&steady, version, &none, &expected(Some(vec![])));
        let refusal = response.with_error_code(110).with_error_message(Some(text("why")));
        check(&steady, version, &refusal, &refused(ErrorCode::FENCED_MEMBER_EPOCH));
    }
}
