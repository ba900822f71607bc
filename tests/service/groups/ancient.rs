//! The oldest brokers that the service is tried with. They know no static members, give topics no ids, and tell readers nothing of
//! leader epochs; the rest of the contract holds.

use testkit::{ANCIENT, Cluster, GroupState};

use super::team::{Protocol, Team, WITHOUT_A_TIMEOUT, stop};
use crate::support::child::PATIENCE;

/// The least that brokers take by default (`group.min.session.timeout.ms`): who is killed is waited for.
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

/// Static members came with 2.3, where `LeaveGroup` does not name them yet.
#[test]
#[ignore = "one more broker for one more version: cargo test --test service ancient -- --ignored"]
fn static_members_leave_where_the_request_does_not_name_them() {
    shared_by_two(&Cluster::start("2.3.1").unwrap());
}

/// One broker for all: it takes long to start.
#[test]
fn the_oldest_brokers_serve_one_instance_and_several() {
    let cluster = Cluster::start(ANCIENT).unwrap();
    alone(&cluster);
    shared_by_two(&cluster);
}
