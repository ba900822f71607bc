//! Groups of two instances over what happens to a cluster of three: brokers are restarted one by one, a group's coordinator is killed, a leader
//! stands still. The end is the same.

use std::thread;
use std::time::Duration;

use testkit::{Cluster, NEWEST, OLDEST, ProduceOptions, Record};

use super::chaos::assert_right;
use super::coverage::Times;
use super::team::{Protocol, Team, stop};
use crate::support::child::Service;
use crate::support::events::{Tables, events};
use crate::support::is_full;

const PARTITIONS: u32 = 6;

/// Longer than the kit's brokers are waited for by their controller (6 s).
fn standstill() -> Duration {
    if is_full() { Duration::from_secs(30) } else { Duration::from_secs(7) }
}

/// Produces one part of a team's load after the other.
struct Producer<'a> {
    team: &'a Team<'a>,
    tables: Tables,
    parts: u64,
}

impl<'a> Producer<'a> {
    fn new(team: &'a Team<'a>) -> Self {
        Self { team, tables: Tables::default(), parts: 0 }
    }

    fn produce(&mut self) {
        self.parts += 1;
        let sent = events(self.parts, if is_full() { 30_000 } else { 1_000 }, i32::try_from(PARTITIONS).unwrap());
        let records: Vec<Record> = sent.iter().map(|sent| sent.record.clone()).collect();
        // A leader that stands still is not to be waited for by the default of 30 s.
        let options = ProduceOptions::default().config("request.timeout.ms", "3000");
        let positions = self.team.kafka.produce(&self.team.topic, &options, records).unwrap();
        self.tables.add(&self.team.topic, &sent, &positions);
    }
}

/// All of it, with records before, between and after.
fn disturb(cluster: &Cluster, team: &Team<'_>, mut produce: impl FnMut()) {
    for node in cluster.nodes() {
        node.stop().unwrap();
        produce();
        node.start().unwrap();
        produce();
    }
    let coordinator = cluster.node(team.described().unwrap().coordinator).unwrap();
    coordinator.kill().unwrap();
    produce();
    team.wait_committed();
    coordinator.start().unwrap();

    let leader = cluster.node(team.kafka.leaders(&team.topic).unwrap()[0].unwrap()).unwrap();
    leader.pause().unwrap();
    thread::sleep(standstill());
    produce();
    leader.resume().unwrap();
    produce();
}

fn ride_out(version: &str, protocols: &[Protocol]) {
    let cluster = Cluster::builder(version).nodes(3).start().unwrap();
    let team = |protocol: &Protocol| {
        let mut team = Team::new(&cluster, *protocol, PARTITIONS, 2);
        team.set("BATCH_MAX_RECORDS", "50");
        team.set("LOG_LEVEL", "INFO");
        team
    };
    let teams: Vec<Team<'_>> = protocols.iter().map(team).collect();
    let mut producers: Vec<Producer<'_>> = teams.iter().map(Producer::new).collect();
    producers.iter_mut().for_each(Producer::produce);
    let mut services: Vec<Service<'_>> = teams.iter().flat_map(Team::start_all).collect();
    for team in &teams {
        team.wait_divided(2);
    }
    disturb(&cluster, &teams[0], || producers.iter_mut().for_each(Producer::produce));
    for team in &teams {
        team.wait_committed();
        team.wait_divided(2);
    }
    for service in &mut services {
        assert!(service.is_running());
        stop(service);
    }
    for producer in &producers {
        assert_right(producer.team, &producer.tables, Times::OnceOrMore);
    }
}

#[test]
fn two_groups_ride_out_what_happens_to_three_brokers() {
    ride_out(NEWEST, &[Protocol::Classic, Protocol::Consumer]);
    if is_full() {
        ride_out(OLDEST, &[Protocol::Classic]);
    }
}
