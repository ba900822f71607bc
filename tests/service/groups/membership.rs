//! How members leave and come back: a killed one takes its own partitions again, a stopped one leaves them to others, and neither
//! waits for a session to time out, which would take 45 s.

use testkit::{Cluster, GroupState, NEWEST, OLDEST};

use super::team::{Protocol, Team, WITHOUT_A_TIMEOUT, client_id, partitions_of, stop};
use crate::support::child::PATIENCE;

const PARTITIONS: u32 = 4;

fn killed_and_stopped(cluster: &Cluster, protocol: Protocol) {
    let team = Team::new(cluster, protocol, PARTITIONS, 2);
    let mut services = team.start_all();
    let before = team.wait_divided(2);
    let generation = team.generation();
    team.wait_read_once(&team.produce(5), PATIENCE, &[]);
    team.wait_committed(); // What is stored but not committed yet, is only known to the one that is killed.

    services[0].kill();
    let produced = team.produce(5);
    services[0] = team.start(0);
    team.wait_read_once(&produced, WITHOUT_A_TIMEOUT, &[]);
    let after = team.wait_divided(2);
    for instance in 0..2 {
        assert_eq!(
            partitions_of(&after, instance),
            partitions_of(&before, instance),
            "partitions of instance {instance}"
        );
    }
    if protocol == Protocol::Classic {
        assert_eq!(team.generation(), generation, "others were disturbed");
    }

    team.wait_committed();
    stop(&mut services[0]);
    assert_eq!(team.described().unwrap().members.len(), 1, "a stopped instance leaves the group");
    team.wait_read_once(&team.produce(5), WITHOUT_A_TIMEOUT, &[]);
    stop(&mut services[1]);
    assert_eq!(team.described().unwrap().state, GroupState::Empty);
    team.assert_no_lag();
    for place in &team.places {
        place.assert_consistent();
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

/// The log says what is waited for, and who has the partitions, to who starts and gets none.
#[test]
fn a_standby_says_who_has_the_partitions_and_takes_over() {
    for version in testkit::VERSIONS {
        let mut team = Team::new(testkit::shared(version).unwrap(), Protocol::Classic, 1, 2);
        team.set("LOG_LEVEL", "INFO");
        let mut first = team.start(0);
        team.wait_divided(1);
        let mut second = team.start(1);
        let holder = format!("partitions are assigned to '{}' at", client_id(0));
        let says = |what: &[&str]| {
            team.places[1].log().iter().any(|line| {
                let message = line["message"].as_str().unwrap();
                line["level"] == "INFO" && what.iter().all(|part| message.contains(part))
            })
        };
        team.wait_for("word of the rebalance", PATIENCE, || {
            says(&["waiting for partitions: the consumer group is rebalancing", &holder])
        });
        team.wait_for("word of the holder", PATIENCE, || {
            says(&["waiting for partitions: none is assigned to this member", &holder])
        });
        stop(&mut first);
        team.wait_read_once(&team.produce(5), WITHOUT_A_TIMEOUT, &[]);
        stop(&mut second);
    }
}

/// A member that does not answer holds a rebalance up, until its session has timed out; nobody has to wait for it with stopping.
#[test]
fn stopped_while_a_rebalance_is_pending() {
    for version in testkit::VERSIONS {
        let cluster = testkit::shared(version).unwrap();
        let team = Team::new(cluster, Protocol::Classic, PARTITIONS, 2);
        let mut first = team.start(0);
        let java = team.cluster.java_member(&team.group(), &team.topic, &[("heartbeat.interval.ms", "300")]).unwrap();
        team.wait_divided(2);
        team.wait_read_once(&team.produce(5), PATIENCE, std::slice::from_ref(&java));
        java.pause().unwrap();
        let mut second = team.start(1);
        team.wait_state(GroupState::PreparingRebalance);
        for service in [&mut first, &mut second] {
            assert!(service.is_running());
            stop(service);
        }
        team.places[0].assert_consistent();
    }
}
