//! Groups of two instances on a cluster of three nodes: brokers are restarted one by one, a coordinator is killed, a leader is paused.
//! Every record takes effect once.

use std::thread;
use std::time::Duration;

use testkit::{Cluster, NEWEST, OLDEST, ProduceOptions, Record};

use super::chaos::assert_right;
use super::coverage::Times;
use super::group_fixture::{GroupFixture, Protocol, stop};
use crate::support::events::{Tables, events};
use crate::support::is_full;
use crate::support::process::Service;

const PARTITIONS: u32 = 6;

/// Longer than the broker session timeout of the kit's clusters (6 s).
fn standstill() -> Duration {
    if is_full() { Duration::from_secs(30) } else { Duration::from_secs(7) }
}

/// Produces one part of a group's load after the other.
struct Producer<'a> {
    group_fixture: &'a GroupFixture<'a>,
    tables: Tables,
    parts: u64,
}

impl<'a> Producer<'a> {
    fn new(group_fixture: &'a GroupFixture<'a>) -> Self {
        Self { group_fixture, tables: Tables::default(), parts: 0 }
    }

    fn produce(&mut self) {
        self.parts += 1;
        let sent = events(self.parts, if is_full() { 30_000 } else { 1_000 }, i32::try_from(PARTITIONS).unwrap());
        let records: Vec<Record> = sent.iter().map(|sent| sent.record.clone()).collect();
        // Shorter than the default of 30 s, for a paused leader.
        let options = ProduceOptions::default().config("request.timeout.ms", "3000");
        let positions = self.group_fixture.kafka.produce(&self.group_fixture.topic, &options, records).unwrap();
        self.tables.add(&self.group_fixture.topic, &sent, &positions);
    }
}

/// All faults, with records before, between and after them.
fn disturb(cluster: &Cluster, group_fixture: &GroupFixture<'_>, mut produce: impl FnMut()) {
    for node in cluster.nodes() {
        node.stop().unwrap();
        produce();
        node.start().unwrap();
        produce();
    }
    let coordinator = cluster.node(group_fixture.described().unwrap().coordinator).unwrap();
    coordinator.kill().unwrap();
    produce();
    group_fixture.wait_committed();
    coordinator.start().unwrap();

    let leader = cluster.node(group_fixture.kafka.leaders(&group_fixture.topic).unwrap()[0].unwrap()).unwrap();
    leader.pause().unwrap();
    thread::sleep(standstill());
    produce();
    leader.resume().unwrap();
    produce();
}

fn survive(version: &str, protocols: &[Protocol]) {
    let cluster = Cluster::builder(version).nodes(3).start().unwrap();
    let group_fixture = |protocol: &Protocol| {
        let mut group_fixture = GroupFixture::new(&cluster, *protocol, PARTITIONS, 2);
        group_fixture.set("BATCH_MAX_RECORDS", "50");
        group_fixture.set("LOG_LEVEL", "INFO");
        group_fixture
    };
    let teams: Vec<GroupFixture<'_>> = protocols.iter().map(group_fixture).collect();
    let mut producers: Vec<Producer<'_>> = teams.iter().map(Producer::new).collect();
    producers.iter_mut().for_each(Producer::produce);
    let mut services: Vec<Service<'_>> = teams.iter().flat_map(GroupFixture::start_all).collect();
    for group_fixture in &teams {
        group_fixture.wait_assigned(2);
    }
    disturb(&cluster, &teams[0], || producers.iter_mut().for_each(Producer::produce));
    for group_fixture in &teams {
        group_fixture.wait_committed();
        group_fixture.wait_assigned(2);
    }
    for service in &mut services {
        assert!(service.is_running());
        stop(service);
    }
    for producer in &producers {
        assert_right(producer.group_fixture, &producer.tables, Times::OnceOrMore);
    }
}

#[test]
fn two_groups_survive_faults_of_three_brokers() {
    survive(NEWEST, &[Protocol::Classic, Protocol::Consumer]);
    if is_full() {
        survive(OLDEST, &[Protocol::Classic]);
    }
}
