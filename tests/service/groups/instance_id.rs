//! `KAFKA_GROUP_INSTANCE_ID`: a member that stays one over a stop, and what is said to two that have the same id.

use std::fs;

use testkit::{NEWEST, VERSIONS};

use super::team::{Protocol, Team, WITHOUT_A_TIMEOUT, partitions_of, stop};
use crate::support::child::PATIENCE;
use crate::support::scene::assert_last_line_has;

const PARTITIONS: u32 = 4;

fn stays_over_a_stop(version: &str, protocol: Protocol) {
    let mut team = Team::new(testkit::shared(version).unwrap(), protocol, PARTITIONS, 2);
    for (place, id) in team.places.iter_mut().zip(["left", "right"]) {
        place.set("KAFKA_GROUP_INSTANCE_ID", id);
    }
    let mut services = team.start_all();
    let before = team.wait_divided(2);
    let ids: Vec<Option<&str>> = before.members.iter().map(|member| member.instance_id.as_deref()).collect();
    assert!(ids.contains(&Some("left")) && ids.contains(&Some("right")), "{before:?}");
    team.wait_read_once(&team.produce(5), PATIENCE, &[]);
    let generation = team.generation();

    stop(&mut services[0]);
    let produced = team.produce(5);
    let kept = partitions_of(&before, 0);
    let others = produced.iter().copied().filter(|at| !kept.contains(&at.partition)).collect();
    team.wait_read_once(&others, WITHOUT_A_TIMEOUT, &[]);
    let between = team.described().unwrap();
    assert_eq!(
        partitions_of(&between, 1),
        partitions_of(&before, 1),
        "the partitions of a member that stays are its own"
    );
    assert!(between.members.iter().any(|member| member.instance_id.as_deref() == Some("left")), "{between:?}");

    services[0] = team.start(0);
    team.wait_read_once(&produced, WITHOUT_A_TIMEOUT, &[]);
    let after = team.wait_divided(2);
    assert_eq!(partitions_of(&after, 0), kept);
    if protocol == Protocol::Classic {
        assert_eq!(team.generation(), generation, "nothing was divided anew");
    }
    services.iter_mut().for_each(stop);
    team.assert_no_lag();
}

#[test]
fn a_classic_member_stays_over_a_stop() {
    for version in VERSIONS {
        stays_over_a_stop(version, Protocol::Classic);
    }
}

#[test]
fn a_member_of_the_consumer_protocol_stays_over_a_stop() {
    stays_over_a_stop(NEWEST, Protocol::Consumer);
}

/// The later one takes the id over, the earlier one ends and says why.
#[test]
fn the_earlier_of_two_classic_members_with_one_id_is_told() {
    for version in VERSIONS {
        let mut team = Team::new(testkit::shared(version).unwrap(), Protocol::Classic, PARTITIONS, 2);
        team.set("KAFKA_GROUP_INSTANCE_ID", "both");
        let mut first = team.start(0);
        team.wait_divided(1);
        team.wait_read_once(&team.produce(5), PATIENCE, &[]);
        team.wait_committed();
        let mut second = team.start(1);
        first.ends_with(1);
        assert_last_line_has(&team.places[0].stderr(), &["instance id 'both'", "KAFKA_GROUP_INSTANCE_ID"]);
        team.wait_read_once(&team.produce(5), PATIENCE, &[]);
        assert_eq!(team.wait_divided(1).members.len(), 1);
        stop(&mut second);
        team.places[0].assert_consistent();
    }
}

/// A copied file has the same id: as a member's id too, where none is set.
#[test]
fn a_copied_database_is_told() {
    for version in VERSIONS {
        let team = Team::new(testkit::shared(version).unwrap(), Protocol::Classic, PARTITIONS, 2);
        let mut first = team.start(0);
        team.wait_divided(1);
        stop(&mut first);
        let [original, copy] = [0, 1].map(|instance: usize| team.places[instance].database_path());
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(original, copy).unwrap();
        let mut first = team.start(0);
        team.wait_divided(1);
        let mut second = team.start(1);
        first.ends_with(1);
        assert_last_line_has(&team.places[0].stderr(), &["KAFKA_GROUP_INSTANCE_ID", "copied database"]);
        assert!(second.is_running());
        stop(&mut second);
    }
}
