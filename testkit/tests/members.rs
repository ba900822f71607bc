//! Foreign members of consumer groups: the records that they read, and the state of their group.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of a test fail the test")]

mod support;

use std::collections::BTreeSet;

use support::wait_until;
use testkit::{Cluster, GroupState, Member, NEWEST, Position, ProduceOptions, Record, unique};

/// Settings of members with short timeouts.
const QUICK: [(&str, &str); 2] = [("session.timeout.ms", "6000"), ("heartbeat.interval.ms", "200")];

fn produce(cluster: &Cluster, topic: &str, partitions: i32) -> BTreeSet<Position> {
    let records = (0..partitions * 5).map(|number| Record::value("{}").partition(number % partitions));
    cluster.client().unwrap().produce(topic, &ProduceOptions::default(), records).unwrap().into_iter().collect()
}

fn assert_running(member: &mut Member) {
    assert!(member.is_running().unwrap(), "a member has ended: {}", member.said().unwrap());
}

/// Members that share four partitions: every record is read once, the group is stable, and a stopped member leaves it.
fn share(cluster: &Cluster, group: &str, topic: &str, protocol: &str, mut members: Vec<Member>) {
    let kafka = cluster.client().unwrap();
    wait_until("a stable group", || {
        members.iter_mut().for_each(assert_running);
        kafka.describe_group(group).is_ok_and(|described| {
            let assigned: usize = described.members.iter().map(|member| member.partitions.len()).sum();
            described.state == GroupState::Stable && described.members.len() == members.len() && assigned == 4
        })
    });
    let described = kafka.describe_group(group).unwrap();
    assert_eq!((described.coordinator, described.protocol.as_str()), (1, protocol));
    assert!(described.members.iter().all(|member| !member.partitions.is_empty()), "{described:?}");
    let generation = cluster.generation(group).unwrap();
    assert!(generation.is_some());
    let produced = produce(cluster, topic, 4);
    let read = || members.iter().flat_map(|member| member.read().unwrap()).collect::<Vec<_>>();
    wait_until("the records", || read().len() >= produced.len());
    assert_eq!((read().len(), read().into_iter().collect::<BTreeSet<_>>()), (produced.len(), produced));
    assert_eq!(cluster.generation(group).unwrap(), generation);

    let mut last = members.pop().unwrap();
    for member in &mut members {
        member.stop().unwrap();
    }
    wait_until("the last member alone", || {
        let described = kafka.describe_group(group).unwrap();
        described.members.len() == 1 && described.members[0].partitions.len() == 4
    });
    assert!(cluster.generation(group).unwrap() > generation);
    last.stop().unwrap();
    assert_eq!(kafka.describe_group(group).unwrap().state, GroupState::Empty);
    assert_eq!(cluster.group_offsets(group).unwrap().iter().filter_map(|offset| offset.lag).sum::<i64>(), 0);
}

#[test]
fn java_and_kcat_share_a_classic_group() {
    for version in testkit::VERSIONS {
        for assignor in ["range", "cooperative-sticky"] {
            let cluster = testkit::shared(version).unwrap();
            let (topic, group) = (unique("members"), unique("group"));
            cluster.client().unwrap().create_topic(&topic, 4, &[]).unwrap();
            let mut java = QUICK.to_vec();
            if assignor == "cooperative-sticky" {
                java.push((
                    "partition.assignment.strategy",
                    "org.apache.kafka.clients.consumer.CooperativeStickyAssignor",
                ));
            }
            let kcat = [&QUICK[..], &[("partition.assignment.strategy", assignor)]].concat();
            let members = vec![
                cluster.java_member(&group, &topic, &java).unwrap(),
                cluster.kcat_member(&group, &topic, &kcat).unwrap(),
            ];
            share(cluster, &group, &topic, "Classic", members);
        }
    }
}

#[test]
fn java_members_share_a_group_of_the_consumer_protocol() {
    let cluster = testkit::shared(NEWEST).unwrap();
    let (topic, group) = (unique("members"), unique("group"));
    cluster.client().unwrap().create_topic(&topic, 4, &[]).unwrap();
    let member = || cluster.java_member(&group, &topic, &[("group.protocol", "consumer")]).unwrap();
    let members = vec![member(), member()];
    share(cluster, &group, &topic, "Consumer", members);
}
