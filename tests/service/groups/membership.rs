//! Members that leave and return: a killed one gets its partitions again, a stopped one releases them, and neither waits for a session
//! timeout of 45 s.

use testkit::{Cluster, GroupState, NEWEST, OLDEST};

use super::group_fixture::{BELOW_SESSION_TIMEOUT, GroupFixture, Protocol, client_id, partitions_of, stop};
use crate::support::process::WAIT_MAX;

const PARTITIONS: u32 = 4;

fn killed_and_stopped(cluster: &Cluster, protocol: Protocol) {
    let group_fixture = GroupFixture::new(cluster, protocol, PARTITIONS, 2);
    let mut services = group_fixture.start_all();
    let before = group_fixture.wait_assigned(2);
    let generation = group_fixture.generation();
    group_fixture.wait_read_once(&group_fixture.produce(5), WAIT_MAX, &[]);
    group_fixture.wait_committed(); // So that the killed instance has no uncommitted records.

    services[0].kill();
    let produced = group_fixture.produce(5);
    services[0] = group_fixture.start(0);
    group_fixture.wait_read_once(&produced, BELOW_SESSION_TIMEOUT, &[]);
    let after = group_fixture.wait_assigned(2);
    for instance in 0..2 {
        assert_eq!(
            partitions_of(&after, instance),
            partitions_of(&before, instance),
            "partitions of instance {instance}"
        );
    }
    if protocol == Protocol::Classic {
        assert_eq!(group_fixture.generation(), generation, "others were disturbed");
    }

    group_fixture.wait_committed();
    stop(&mut services[0]);
    assert_eq!(group_fixture.described().unwrap().members.len(), 1, "a stopped instance leaves the group");
    group_fixture.wait_read_once(&group_fixture.produce(5), BELOW_SESSION_TIMEOUT, &[]);
    stop(&mut services[1]);
    assert_eq!(group_fixture.described().unwrap().state, GroupState::Empty);
    group_fixture.assert_no_lag();
    for installation in &group_fixture.installations {
        installation.assert_consistent();
    }
}

#[test]
fn killed_and_stopped_members_of_a_classic_group() {
    killed_and_stopped(testkit::shared(OLDEST).unwrap(), Protocol::Classic);
    killed_and_stopped(testkit::shared(NEWEST).unwrap(), Protocol::Classic);
}

#[test]
fn killed_and_stopped_members_of_a_group_of_the_consumer_protocol() {
    killed_and_stopped(testkit::shared(NEWEST).unwrap(), Protocol::Consumer);
}

/// An instance without partitions logs what it waits for, and which members have them.
#[test]
fn a_standby_says_who_has_the_partitions_and_takes_over() {
    for version in testkit::VERSIONS {
        let mut group_fixture = GroupFixture::new(testkit::shared(version).unwrap(), Protocol::Classic, 1, 2);
        group_fixture.set("LOG_LEVEL", "INFO");
        let mut first = group_fixture.start(0);
        group_fixture.wait_assigned(1);
        let mut second = group_fixture.start(1);
        let holder = format!("partitions are assigned to '{}' at", client_id(0));
        let says = |what: &[&str]| {
            group_fixture.installations[1].log().iter().any(|line| {
                let message = line["message"].as_str().unwrap();
                line["level"] == "INFO" && what.iter().all(|part| message.contains(part))
            })
        };
        group_fixture.wait_for("word of the rebalance", WAIT_MAX, || {
            says(&["waiting for partitions: the consumer group is rebalancing", &holder])
        });
        group_fixture.wait_for("word of the holder", WAIT_MAX, || {
            says(&["waiting for partitions: none is assigned to this member", &holder])
        });
        stop(&mut first);
        group_fixture.wait_read_once(&group_fixture.produce(5), BELOW_SESSION_TIMEOUT, &[]);
        stop(&mut second);
    }
}

/// A paused member blocks a rebalance until its session times out; it does not delay the stop of other members.
#[test]
fn stopped_while_a_rebalance_is_pending() {
    for version in testkit::VERSIONS {
        let cluster = testkit::shared(version).unwrap();
        let group_fixture = GroupFixture::new(cluster, Protocol::Classic, PARTITIONS, 2);
        let mut first = group_fixture.start(0);
        let java = group_fixture
            .cluster
            .java_member(&group_fixture.group(), &group_fixture.topic, &[("heartbeat.interval.ms", "300")])
            .unwrap();
        group_fixture.wait_assigned(2);
        group_fixture.wait_read_once(&group_fixture.produce(5), WAIT_MAX, std::slice::from_ref(&java));
        java.pause().unwrap();
        let mut second = group_fixture.start(1);
        group_fixture.wait_state(GroupState::PreparingRebalance);
        for service in [&mut first, &mut second] {
            assert!(service.is_running());
            stop(service);
        }
        group_fixture.installations[0].assert_consistent();
    }
}
