//! More instances than partitions, partitions and topics that are created later, and `--exit-at-end`.

use testkit::{Cluster, NEWEST, OLDEST};

use super::coverage::{Times, assert_covered};
use super::group_fixture::{BELOW_SESSION_TIMEOUT, GroupFixture, Protocol, partitions_of, stop};
use crate::support::process::WAIT_MAX;

const GROUPS: [(&str, Protocol); 3] =
    [(OLDEST, Protocol::Classic), (NEWEST, Protocol::Classic), (NEWEST, Protocol::Consumer)];

fn with_each(test: fn(&'static Cluster, Protocol)) {
    for (version, protocol) in GROUPS {
        test(testkit::shared(version).unwrap(), protocol);
    }
}

#[test]
fn an_instance_without_a_partition_takes_over() {
    with_each(|cluster, protocol| {
        let group_fixture = GroupFixture::new(cluster, protocol, 2, 3);
        let mut services = group_fixture.start_all();
        let group = group_fixture.wait_assigned(3);
        group_fixture.wait_read_once(&group_fixture.produce(5), WAIT_MAX, &[]);
        let idle = (0..3).find(|instance| partitions_of(&group, *instance).is_empty()).unwrap();
        let busy = (0..3).find(|instance| *instance != idle).unwrap();
        assert!(services[idle].is_running());
        stop(&mut services[busy]);
        group_fixture.wait_read_once(&group_fixture.produce(5), BELOW_SESSION_TIMEOUT, &[]);
        let group = group_fixture.wait_assigned(2);
        assert_eq!(partitions_of(&group, idle).len(), 1, "{group:?}");
        for instance in (0..3).filter(|instance| *instance != busy) {
            stop(&mut services[instance]);
        }
        assert_covered(&group_fixture, Times::Once);
    });
}

#[test]
fn run_to_the_end_alone_and_together() {
    with_each(|cluster, protocol| {
        let group_fixture = GroupFixture::new(cluster, protocol, 4, 2);
        let produced = group_fixture.produce(25);
        group_fixture.installations[0].run_to_end();
        group_fixture.wait_read_once(&produced, WAIT_MAX, &[]);
        assert_eq!(group_fixture.stored(0).len(), 100, "alone, it has every partition");

        let produced = group_fixture.produce(25);
        let mut services: Vec<_> = group_fixture
            .installations
            .iter()
            .map(|installation| installation.start(&["run", "--exit-at-end"]))
            .collect();
        for service in &mut services {
            service.ends_with(0);
        }
        group_fixture.wait_read_once(&produced, WAIT_MAX, &[]);
        assert_covered(&group_fixture, Times::Once);
        group_fixture.assert_no_lag();
    });
}

#[test]
fn a_topic_that_is_created_later_is_assigned() {
    with_each(|cluster, protocol| {
        let group_fixture = GroupFixture::without_topic(cluster, protocol, 2);
        let mut services = group_fixture.start_all();
        for installation in &group_fixture.installations {
            installation.wait_warning(0, &[&group_fixture.topic, "does not exist"]);
        }
        group_fixture.kafka.create_topic(&group_fixture.topic, 4, &[]).unwrap();
        let produced = group_fixture.produce(5);
        group_fixture.wait_assigned(2);
        group_fixture.wait_read_once(&produced, WAIT_MAX, &[]);
        services.iter_mut().for_each(stop);
        assert_covered(&group_fixture, Times::Once);
    });
}

#[test]
fn added_partitions_are_assigned() {
    with_each(|cluster, protocol| {
        let group_fixture = GroupFixture::new(cluster, protocol, 2, 2);
        let mut services = group_fixture.start_all();
        group_fixture.wait_assigned(2);
        group_fixture.wait_read_once(&group_fixture.produce(5), WAIT_MAX, &[]);
        group_fixture.kafka.add_partitions(&group_fixture.topic, 6).unwrap();
        // Before any member knows them: a new partition is read from its beginning.
        let produced = group_fixture.produce(5);
        group_fixture.wait_read_once(&produced, WAIT_MAX, &[]);
        let group = group_fixture.wait_assigned(2);
        assert!((0..2).all(|instance| partitions_of(&group, instance).len() == 3), "{group:?}");
        services.iter_mut().for_each(stop);
        assert_covered(&group_fixture, Times::Once);
        group_fixture.assert_no_lag();
    });
}
