//! Two instances over what happens to a cluster of three: brokers are restarted one by one, the group's coordinator is killed, a leader
//! stands still. The end is the same.

use std::thread;
use std::time::Duration;

use testkit::{Cluster, NEWEST, OLDEST, ProduceOptions, Record};

use super::chaos::assert_right;
use super::coverage::Times;
use super::team::{Protocol, Team, is_full, stop};
use crate::support::events::{Tables, events};

const PARTITIONS: u32 = 6;

/// Longer than the kit's brokers are waited for by their controller (6 s).
fn standstill() -> Duration {
    if is_full() { Duration::from_secs(30) } else { Duration::from_secs(7) }
}

/// Produces one part of the load after the other.
struct Producer<'a> {
    team: &'a Team<'a>,
    tables: Tables,
    parts: u64,
}

impl Producer<'_> {
    fn produce(&mut self) {
        let sent = events(self.parts, if is_full() { 30_000 } else { 1_000 }, i32::try_from(PARTITIONS).unwrap());
        self.parts += 1;
        let records: Vec<Record> = sent.iter().map(|sent| sent.record.clone()).collect();
        // A leader that stands still is not to be waited for by the default of 30 s. What is sent again must not be stored again.
        let options =
            ProduceOptions::default().config("request.timeout.ms", "3000").config("enable.idempotence", "true");
        let positions = self.team.kafka.produce(&self.team.topic, &options, records).unwrap();
        self.tables.add(&self.team.topic, &sent, &positions);
    }
}

fn ride_out(version: &str, protocol: Protocol) {
    let cluster = Cluster::builder(version).nodes(3).start().unwrap();
    let mut team = Team::new(&cluster, protocol, PARTITIONS, 2);
    team.set("BATCH_MAX_RECORDS", "50");
    team.set("LOG_LEVEL", "INFO");
    let mut producer = Producer { team: &team, tables: Tables::default(), parts: 1 };
    producer.produce();
    let mut services = team.start_all();
    team.wait_divided(2);

    for node in cluster.nodes() {
        node.stop().unwrap();
        producer.produce();
        node.start().unwrap();
        producer.produce();
    }
    let coordinator = cluster.node(team.described().unwrap().coordinator).unwrap();
    coordinator.kill().unwrap();
    producer.produce();
    team.wait_committed();
    coordinator.start().unwrap();

    let leader = cluster.node(team.kafka.leaders(&team.topic).unwrap()[0].unwrap()).unwrap();
    leader.pause().unwrap();
    thread::sleep(standstill());
    producer.produce();
    leader.resume().unwrap();
    producer.produce();

    team.wait_committed();
    team.wait_divided(2);
    for (service, place) in services.iter_mut().zip(&team.places) {
        assert!(service.is_running(), "{}", place.tail());
        stop(service);
    }
    let tables = std::mem::take(&mut producer.tables);
    assert_right(&team, &tables, Times::OnceOrMore);
}

#[test]
fn a_classic_group_rides_out_what_happens_to_three_brokers() {
    ride_out(OLDEST, Protocol::Classic);
}

#[test]
fn a_group_of_the_consumer_protocol_rides_out_what_happens_to_three_brokers() {
    ride_out(NEWEST, Protocol::Consumer);
}
