//! Instances with Kafka's consumer and librdkafka's in one group: partitions are assigned, the group is stable without changes, and
//! every record is read by one member.

use std::thread;
use std::time::{Duration, Instant};

use testkit::{Cluster, Member, NEWEST, OLDEST};

use super::group_fixture::{GroupFixture, Protocol};
use crate::support::is_full;
use crate::support::process::WAIT_MAX;

const PARTITIONS: u32 = 6;
const RANGE: &str = "range";
const COOPERATIVE: &str = "cooperative-sticky";
/// The assignor of the consumer protocol, on the broker.
const UNIFORM: &str = "uniform";

/// The first to join leads.
#[derive(Clone, Copy)]
enum First {
    Ours,
    Java,
}

fn java(group_fixture: &GroupFixture<'_>, assignor: &str) -> Member {
    let mut settings = vec![("client.id", "java")];
    match assignor {
        UNIFORM => settings.push(("group.protocol", "consumer")),
        COOPERATIVE => settings
            .push(("partition.assignment.strategy", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor")),
        _ => {} // Java's default: range, and cooperative-sticky if all members support it.
    }
    if assignor != UNIFORM {
        settings.push(("heartbeat.interval.ms", "300"));
    }
    group_fixture.cluster.java_member(&group_fixture.group(), &group_fixture.topic, &settings).unwrap()
}

fn kcat(group_fixture: &GroupFixture<'_>, assignor: &str) -> Member {
    let settings =
        [("client.id", "kcat"), ("heartbeat.interval.ms", "300"), ("partition.assignment.strategy", assignor)];
    group_fixture.cluster.kcat_member(&group_fixture.group(), &group_fixture.topic, &settings).unwrap()
}

fn share(cluster: &Cluster, first: First, assignor: &str) {
    let protocol = if assignor == UNIFORM { Protocol::Consumer } else { Protocol::Classic };
    let group_fixture = GroupFixture::new(cluster, protocol, PARTITIONS, 2);
    let (mut ours, mut others) = (Vec::new(), Vec::new());
    match first {
        First::Ours => ours.push(group_fixture.start(0)),
        First::Java => others.push(java(&group_fixture, assignor)),
    }
    group_fixture.wait_assigned(1);
    match first {
        First::Ours => others.push(java(&group_fixture, assignor)),
        First::Java => ours.push(group_fixture.start(0)),
    }
    ours.push(group_fixture.start(1));
    if assignor != UNIFORM {
        others.push(kcat(&group_fixture, assignor)); // Debian's kcat does not support the consumer protocol.
    }
    let group = group_fixture.wait_assigned(ours.len() + others.len());
    assert_eq!(group.assignor, assignor);

    let generation = group_fixture.generation();
    assert!(generation.is_some());
    let until = Instant::now() + if is_full() { Duration::from_secs(30) } else { Duration::from_secs(4) };
    while Instant::now() < until {
        let produced = group_fixture.produce(5);
        group_fixture.wait_read_once(&produced, WAIT_MAX, &others);
        thread::sleep(Duration::from_millis(200));
    }
    let after = group_fixture.described().unwrap();
    assert_eq!((group_fixture.generation(), after), (generation, group), "a rebalance while nothing changed");

    for left in (0..others.len()).rev() {
        others[left].stop().unwrap();
        // Not during a rebalance, in which the last commit of a leaving member may be refused.
        group_fixture.wait_assigned(ours.len() + left);
    }
    let produced = group_fixture.produce(5);
    group_fixture.wait_read_once(&produced, WAIT_MAX, &others);
    ours.iter_mut().for_each(super::group_fixture::stop);
}

#[test]
fn an_instance_leads_with_the_range_assignor_on_the_oldest_broker() {
    share(testkit::shared(OLDEST).unwrap(), First::Ours, RANGE);
}

#[test]
fn java_leads_with_the_range_assignor_on_the_newest_broker() {
    share(testkit::shared(NEWEST).unwrap(), First::Java, RANGE);
}

#[test]
fn an_instance_leads_with_the_cooperative_assignor_on_the_newest_broker() {
    share(testkit::shared(NEWEST).unwrap(), First::Ours, COOPERATIVE);
}

#[test]
fn java_leads_with_the_cooperative_assignor_on_the_oldest_broker() {
    share(testkit::shared(OLDEST).unwrap(), First::Java, COOPERATIVE);
}

#[test]
fn with_java_in_a_group_of_the_consumer_protocol() {
    share(testkit::shared(NEWEST).unwrap(), First::Ours, UNIFORM);
    share(testkit::shared(NEWEST).unwrap(), First::Java, UNIFORM);
}
