//! A static member that comes back to a stable group in which partitions are assigned to no member, as between the two rounds of a
//! cooperative rebalance: the coordinator is scripted, so that only the member itself can start the next rebalance.

use std::time::{Duration, Instant};

use kafka::{Builder, Consumer, Event, GroupProtocol, OffsetPosition, WaitReason, Waiting};
use kafka_protocol::messages::ApiKey;

use crate::fake::{FakeBroker, Joined, TOPIC};

const DEADLINE: Duration = Duration::from_mins(1);
/// No periodic check comes in a test's time.
const NEVER: Duration = Duration::from_hours(1);
const PARTITIONS: i32 = 6;

fn member(broker: &FakeBroker) -> Builder {
    Consumer::from_hosts(vec![broker.address()]).with_topic(TOPIC).with_group("g").with_group_protocol(
        GroupProtocol::Classic { instance_id: "returns".to_owned(), session_timeout: Duration::from_millis(300) },
    )
}

/// Polls until it reads these partitions; the waits meanwhile.
fn until_reading(consumer: &mut Consumer, expected: &[i32]) -> Vec<Waiting> {
    let deadline = Instant::now() + DEADLINE;
    let (mut reading, mut waited) = (Vec::new(), Vec::new());
    while reading != expected {
        assert!(Instant::now() < deadline, "reads {reading:?} instead of {expected:?}");
        match consumer.poll(Duration::from_millis(20), 100).unwrap() {
            Event::Assigned(assignments) => {
                let start = |of: kafka::Assignment| OffsetPosition {
                    partition: of.partition,
                    token: of.token,
                    offset: 0,
                    leader_epoch: None,
                };
                consumer.start(assignments.into_iter().map(start).collect(), "ours");
            }
            Event::Started(partitions) => reading.extend(partitions.iter().map(|at| at.partition)),
            Event::Rebalancing(acknowledgement) => consumer.acknowledge(acknowledgement),
            Event::Revoked(revocation) => {
                reading.retain(|number| revocation.partitions.iter().all(|at| at.partition != *number));
                consumer.acknowledge(revocation.acknowledgement);
            }
            Event::Waiting(waiting) => waited.push(waiting),
            _ => {}
        }
        reading.sort_unstable();
    }
    waited
}

#[test]
fn unassigned_partitions_are_assigned_at_once_when_a_member_comes_back() {
    let others = vec![0, 1];
    let second = Joined::Follows { ours: vec![2, 3, 4], others: vec![0, 1, 5] };
    for first in [
        Joined::Follows { ours: vec![2, 3], others: others.clone() },
        Joined::LeadsAgain { ours: vec![2, 3], others: others.clone() },
    ] {
        let broker = FakeBroker::start(PARTITIONS);
        broker.script([first.clone(), second.clone()]);
        let mut consumer = member(&broker).with_metadata_max_age(NEVER).create().unwrap();
        until_reading(&mut consumer, &[2, 3, 4]);
        assert_eq!(broker.received(ApiKey::JoinGroup), 2, "{first:?}: the group is complete now");
    }
}

#[test]
fn a_complete_group_is_not_rebalanced() {
    for joined in [
        Joined::Follows { ours: vec![2, 3], others: vec![0, 1, 4, 5] },
        Joined::LeadsAgain { ours: vec![2, 3], others: vec![0, 1, 4, 5] },
        Joined::Leads,
    ] {
        let broker = FakeBroker::start(PARTITIONS);
        broker.script([joined.clone()]);
        let mut consumer = member(&broker).with_metadata_max_age(Duration::from_millis(50)).create().unwrap();
        let expected: Vec<i32> = if matches!(joined, Joined::Leads) { (0..PARTITIONS).collect() } else { vec![2, 3] };
        until_reading(&mut consumer, &expected);
        let checks = broker.received(ApiKey::DescribeGroups);
        let heartbeats = broker.received(ApiKey::Heartbeat);
        let deadline = Instant::now() + DEADLINE;
        while broker.received(ApiKey::Heartbeat) < heartbeats + 10 {
            assert!(Instant::now() < deadline);
            assert!(!matches!(consumer.poll(Duration::from_millis(20), 100).unwrap(), Event::Rebalancing(_)));
        }
        assert_eq!(broker.received(ApiKey::JoinGroup), 1, "{joined:?}");
        if !matches!(joined, Joined::Follows { .. }) {
            assert!(
                broker.received(ApiKey::DescribeGroups) > checks + 1,
                "{joined:?}: a leader checks again and again"
            );
        }
    }
}

/// Found by the leader's next check, not by its own return.
#[test]
fn the_leader_finds_unassigned_partitions() {
    let broker = FakeBroker::start(PARTITIONS);
    broker.script([
        Joined::LeadsAgain { ours: vec![0, 1, 2], others: vec![3, 4, 5] },
        Joined::LeadsAgain { ours: vec![0, 1, 2], others: vec![3] },
        Joined::Leads,
    ]);
    let mut consumer = member(&broker).with_metadata_max_age(Duration::from_millis(50)).create().unwrap();
    until_reading(&mut consumer, &[0, 1, 2]);
    broker.rebalance(); // The other one releases 4 and 5, and is killed before it rejoins.
    let deadline = Instant::now() + DEADLINE;
    while broker.received(ApiKey::JoinGroup) < 3 {
        assert!(Instant::now() < deadline, "4 and 5 stay unassigned");
        match consumer.poll(Duration::from_millis(20), 100).unwrap() {
            Event::Rebalancing(acknowledgement) => consumer.acknowledge(acknowledgement),
            Event::Revoked(revocation) => consumer.acknowledge(revocation.acknowledgement),
            _ => {}
        }
    }
}

#[test]
fn a_standby_names_the_members_that_have_partitions() {
    let broker = FakeBroker::start(PARTITIONS);
    broker.script([Joined::Follows { ours: vec![], others: (0..PARTITIONS).collect() }]);
    let mut consumer = member(&broker).create().unwrap();
    let deadline = Instant::now() + DEADLINE;
    let mut waited: Vec<Waiting> = Vec::new();
    while waited.len() < 2 {
        assert!(Instant::now() < deadline, "{waited:?}");
        if let Event::Waiting(waiting) = consumer.poll(Duration::from_millis(20), 100).unwrap() {
            waited.push(waiting);
        }
    }
    assert_eq!(waited[0].reason, WaitReason::Rebalance);
    assert_eq!(waited[1].reason, WaitReason::Standby);
    assert!(waited[1].to_string().ends_with("partitions are assigned to 'other' at /127.0.0.1 (6)"), "{}", waited[1]);
}
