//! Partitions and instances in other numbers: more instances than partitions, partitions and topics that come later, and an end.

use testkit::{Cluster, NEWEST, OLDEST};

use super::coverage::{Times, assert_covered};
use super::team::{Protocol, Team, WITHOUT_A_TIMEOUT, partitions_of, stop};
use crate::support::child::PATIENCE;

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
        let team = Team::new(cluster, protocol, 2, 3);
        let mut services = team.start_all();
        let group = team.wait_divided(3);
        team.wait_read_once(&team.produce(5), PATIENCE, &[]);
        let idle = (0..3).find(|instance| partitions_of(&group, *instance).is_empty()).unwrap();
        let busy = (0..3).find(|instance| *instance != idle).unwrap();
        assert!(services[idle].is_running());
        stop(&mut services[busy]);
        team.wait_read_once(&team.produce(5), WITHOUT_A_TIMEOUT, &[]);
        let group = team.wait_divided(2);
        assert_eq!(partitions_of(&group, idle).len(), 1, "{group:?}");
        for instance in (0..3).filter(|instance| *instance != busy) {
            stop(&mut services[instance]);
        }
        assert_covered(&team, Times::Once);
    });
}

#[test]
fn run_to_the_end_alone_and_together() {
    with_each(|cluster, protocol| {
        let team = Team::new(cluster, protocol, 4, 2);
        let produced = team.produce(25);
        team.places[0].run_to_end();
        team.wait_read_once(&produced, PATIENCE, &[]);
        assert_eq!(team.stored(0).len(), 100, "alone, it has every partition");

        let produced = team.produce(25);
        let mut services: Vec<_> = team.places.iter().map(|place| place.start(&["run", "--exit-at-end"])).collect();
        for service in &mut services {
            service.ends_with(0);
        }
        team.wait_read_once(&produced, PATIENCE, &[]);
        assert_covered(&team, Times::Once);
        team.assert_no_lag();
    });
}

#[test]
fn a_topic_that_is_created_later_is_divided() {
    with_each(|cluster, protocol| {
        let team = Team::without_topic(cluster, protocol, 2);
        let mut services = team.start_all();
        for place in &team.places {
            place.wait_warning(0, &[&team.topic, "does not exist"]);
        }
        team.kafka.create_topic(&team.topic, 4, &[]).unwrap();
        let produced = team.produce(5);
        team.wait_divided(2);
        team.wait_read_once(&produced, PATIENCE, &[]);
        services.iter_mut().for_each(stop);
        assert_covered(&team, Times::Once);
    });
}

#[test]
fn partitions_that_are_added_are_divided() {
    with_each(|cluster, protocol| {
        let team = Team::new(cluster, protocol, 2, 2);
        let mut services = team.start_all();
        team.wait_divided(2);
        team.wait_read_once(&team.produce(5), PATIENCE, &[]);
        team.kafka.add_partitions(&team.topic, 6).unwrap();
        // Before anybody knows of them: a new partition is read from its beginning.
        let produced = team.produce(5);
        team.wait_read_once(&produced, PATIENCE, &[]);
        let group = team.wait_divided(2);
        assert!((0..2).all(|instance| partitions_of(&group, instance).len() == 3), "{group:?}");
        services.iter_mut().for_each(stop);
        assert_covered(&team, Times::Once);
        team.assert_no_lag();
    });
}
