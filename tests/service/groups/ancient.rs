//! The oldest brokers that the service supports. They have no static members, no topic ids, and no leader epochs in records; the rest
//! of the contract holds.

use testkit::{ANCIENT, Cluster, GroupState};

use super::team::{Protocol, Team, WITHOUT_A_TIMEOUT, stop};
use crate::support::child::PATIENCE;
use crate::support::is_full;

/// The least session timeout of brokers by default (`group.min.session.timeout.ms`): a killed member blocks its partitions for it.
const SESSION_TIMEOUT_MS: &str = "6000";

fn alone(cluster: &Cluster) {
    let team = Team::new(cluster, Protocol::None, 2, 1);
    let produced = team.produce(5);
    let check = team.places[0].ask(&["check"]);
    assert_eq!(check.code, Some(0), "{}", check.stdout);
    let mut service = team.start(0);
    team.wait_read_once(&produced, PATIENCE, &[]);
    team.wait_committed();
    stop(&mut service);
    team.assert_no_lag();
    team.places[0].assert_consistent();
}

fn shared_by_two(cluster: &Cluster) {
    let mut team = Team::new(cluster, Protocol::Classic, 4, 2);
    team.set("KAFKA_SESSION_TIMEOUT_MS", SESSION_TIMEOUT_MS);
    let check = team.places[0].ask(&["check"]);
    assert_eq!(check.code, Some(0), "{}", check.stdout);
    let mut services = team.start_all();
    team.wait_divided(2);
    team.wait_read_once(&team.produce(5), PATIENCE, &[]);
    team.wait_committed();

    stop(&mut services[0]);
    assert_eq!(team.described().unwrap().members.len(), 1, "a stopped instance leaves the group");
    team.wait_read_once(&team.produce(5), WITHOUT_A_TIMEOUT, &[]);
    team.wait_committed();

    services[1].kill();
    let produced = team.produce(5);
    services[1] = team.start(1);
    team.wait_read_once(&produced, PATIENCE, &[]);
    team.wait_committed();
    stop(&mut services[1]);
    assert_eq!(team.described().unwrap().state, GroupState::Empty);
    team.assert_no_lag();
    for place in &team.places {
        place.assert_consistent();
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
