//! The oldest brokers that the service supports. They have no static members, no topic ids, and no leader epochs in records; the rest
//! of the contract holds.

use testkit::{ANCIENT, Cluster, GroupState};

use super::group_fixture::{BELOW_SESSION_TIMEOUT, GroupFixture, Protocol, stop};
use crate::support::is_full;
use crate::support::process::WAIT_MAX;

/// The least session timeout of brokers by default (`group.min.session.timeout.ms`): a killed member blocks its partitions for it.
const SESSION_TIMEOUT_MS: &str = "6000";

fn alone(cluster: &Cluster) {
    let group_fixture = GroupFixture::new(cluster, Protocol::None, 2, 1);
    let produced = group_fixture.produce(5);
    let check = group_fixture.installations[0].ask(&["check"]);
    assert_eq!(check.code, Some(0), "{}", check.stdout);
    let mut service = group_fixture.start(0);
    group_fixture.wait_read_once(&produced, WAIT_MAX, &[]);
    group_fixture.wait_committed();
    stop(&mut service);
    group_fixture.assert_no_lag();
    group_fixture.installations[0].assert_consistent();
}

fn shared_by_two(cluster: &Cluster) {
    let mut group_fixture = GroupFixture::new(cluster, Protocol::Classic, 4, 2);
    group_fixture.set("KAFKA_SESSION_TIMEOUT_MS", SESSION_TIMEOUT_MS);
    let check = group_fixture.installations[0].ask(&["check"]);
    assert_eq!(check.code, Some(0), "{}", check.stdout);
    let mut services = group_fixture.start_all();
    group_fixture.wait_assigned(2);
    group_fixture.wait_read_once(&group_fixture.produce(5), WAIT_MAX, &[]);
    group_fixture.wait_committed();

    stop(&mut services[0]);
    assert_eq!(group_fixture.described().unwrap().members.len(), 1, "a stopped instance leaves the group");
    group_fixture.wait_read_once(&group_fixture.produce(5), BELOW_SESSION_TIMEOUT, &[]);
    group_fixture.wait_committed();

    services[1].kill();
    let produced = group_fixture.produce(5);
    services[1] = group_fixture.start(1);
    group_fixture.wait_read_once(&produced, WAIT_MAX, &[]);
    group_fixture.wait_committed();
    stop(&mut services[1]);
    assert_eq!(group_fixture.described().unwrap().state, GroupState::Empty);
    group_fixture.assert_no_lag();
    for installation in &group_fixture.installations {
        installation.assert_consistent();
    }
}

/// Brokers of 2.3 have static members, but their `LeaveGroup` request does not name them. With `TEST_SIZE=full` only: the test needs
/// another version of Kafka.
#[test]
fn static_members_leave_where_the_request_does_not_name_them() {
    if is_full() {
        shared_by_two(&Cluster::start("2.3.1").unwrap());
    }
}

/// One broker for both cases: it takes long to start.
#[test]
fn the_oldest_brokers_serve_one_instance_and_several() {
    let cluster = Cluster::start(ANCIENT).unwrap();
    alone(&cluster);
    shared_by_two(&cluster);
}
