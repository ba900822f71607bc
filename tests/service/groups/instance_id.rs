//! `KAFKA_GROUP_INSTANCE_ID`: a member that stays in the group when it stops, and two members with the same id.

use std::fs;

use testkit::{NEWEST, VERSIONS};

use super::group_fixture::{BELOW_SESSION_TIMEOUT, GroupFixture, Protocol, partitions_of, stop};
use crate::support::process::WAIT_MAX;
use crate::support::topic_fixture::assert_last_line_has;

const PARTITIONS: u32 = 4;

fn stays_over_a_stop(version: &str, protocol: Protocol) {
    let mut group_fixture = GroupFixture::new(testkit::shared(version).unwrap(), protocol, PARTITIONS, 2);
    for (installation, id) in group_fixture.installations.iter_mut().zip(["left", "right"]) {
        installation.set("KAFKA_GROUP_INSTANCE_ID", id);
    }
    let mut services = group_fixture.start_all();
    let before = group_fixture.wait_assigned(2);
    let ids: Vec<Option<&str>> = before.members.iter().map(|member| member.instance_id.as_deref()).collect();
    assert!(ids.contains(&Some("left")) && ids.contains(&Some("right")), "{before:?}");
    group_fixture.wait_read_once(&group_fixture.produce(5), WAIT_MAX, &[]);
    let generation = group_fixture.generation();

    stop(&mut services[0]);
    let produced = group_fixture.produce(5);
    let kept = partitions_of(&before, 0);
    let others = produced.iter().copied().filter(|at| !kept.contains(&at.partition)).collect();
    group_fixture.wait_read_once(&others, BELOW_SESSION_TIMEOUT, &[]);
    let between = group_fixture.described().unwrap();
    assert_eq!(
        partitions_of(&between, 1),
        partitions_of(&before, 1),
        "the partitions of a member that stays are its own"
    );
    assert!(between.members.iter().any(|member| member.instance_id.as_deref() == Some("left")), "{between:?}");

    services[0] = group_fixture.start(0);
    group_fixture.wait_read_once(&produced, BELOW_SESSION_TIMEOUT, &[]);
    let after = group_fixture.wait_assigned(2);
    assert_eq!(partitions_of(&after, 0), kept);
    if protocol == Protocol::Classic {
        assert_eq!(group_fixture.generation(), generation, "no rebalance");
    }
    services.iter_mut().for_each(stop);
    group_fixture.assert_no_lag();
}

#[test]
fn a_classic_member_stays_in_the_group_when_stopped() {
    for version in VERSIONS {
        stays_over_a_stop(version, Protocol::Classic);
    }
}

#[test]
fn a_member_of_the_consumer_protocol_stays_in_the_group_when_stopped() {
    stays_over_a_stop(NEWEST, Protocol::Consumer);
}

/// The later member takes over the id; the earlier one ends with an error.
#[test]
fn the_earlier_of_two_classic_members_with_one_id_ends_with_an_error() {
    for version in VERSIONS {
        let mut group_fixture = GroupFixture::new(testkit::shared(version).unwrap(), Protocol::Classic, PARTITIONS, 2);
        group_fixture.set("KAFKA_GROUP_INSTANCE_ID", "both");
        let mut first = group_fixture.start(0);
        group_fixture.wait_assigned(1);
        group_fixture.wait_read_once(&group_fixture.produce(5), WAIT_MAX, &[]);
        group_fixture.wait_committed();
        let mut second = group_fixture.start(1);
        first.ends_with(1);
        assert_last_line_has(
            &group_fixture.installations[0].stderr(),
            &["instance id 'both'", "KAFKA_GROUP_INSTANCE_ID"],
        );
        group_fixture.wait_read_once(&group_fixture.produce(5), WAIT_MAX, &[]);
        assert_eq!(group_fixture.wait_assigned(1).members.len(), 1);
        stop(&mut second);
        group_fixture.installations[0].assert_consistent();
    }
}

/// A copied database has the same id, which is also the member's id by default.
#[test]
fn a_copied_database_is_reported() {
    for version in VERSIONS {
        let group_fixture = GroupFixture::new(testkit::shared(version).unwrap(), Protocol::Classic, PARTITIONS, 2);
        let mut first = group_fixture.start(0);
        group_fixture.wait_assigned(1);
        stop(&mut first);
        let [original, copy] = [0, 1].map(|instance: usize| group_fixture.installations[instance].database_path());
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(original, copy).unwrap();
        let mut first = group_fixture.start(0);
        group_fixture.wait_assigned(1);
        let mut second = group_fixture.start(1);
        first.ends_with(1);
        assert_last_line_has(&group_fixture.installations[0].stderr(), &["KAFKA_GROUP_INSTANCE_ID", "copied database"]);
        assert!(second.is_running());
        stop(&mut second);
    }
}
