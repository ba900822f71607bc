//! Instances are killed, stopped and started at random while records come: in the end the databases together are what an independent
//! computation makes of the same records.

use std::thread;
use std::time::Duration;

use testkit::{Cluster, Codec, NEWEST, OLDEST, ProduceOptions, Random, Record};

use super::coverage::{Times, assert_covered};
use super::team::{Protocol, Team, stop};
use crate::support::child::{Place, Service};
use crate::support::events::{Sent, Tables, events};
use crate::support::is_full;

const PARTITIONS: u32 = 12;
const INSTANCES: usize = 3;

/// What is done to instances, in which sizes.
struct Chaos {
    /// Whether they are killed too, or only stopped.
    kills: bool,
    records: u64,
    steps: u32,
    /// Between two steps, at most.
    pause_max: Duration,
}

impl Chaos {
    fn new(kills: bool) -> Self {
        if is_full() {
            Self { kills, records: 300_000, steps: 80, pause_max: Duration::from_secs(3) }
        } else {
            Self { kills, records: 12_000, steps: 16, pause_max: Duration::from_millis(700) }
        }
    }
}

/// Half of the records are there at first, the rest comes step by step.
fn endure(team: &Team<'_>, seed: u64, chaos: &Chaos) -> Tables {
    let sent = events(seed, chaos.records, i32::try_from(PARTITIONS).unwrap());
    let mut tables = Tables::default();
    let mut produce = |sent: &[Sent]| {
        let records: Vec<Record> = sent.iter().map(|sent| sent.record.clone()).collect();
        let options = ProduceOptions::default().codec(Codec::Lz4);
        tables.add(&team.topic, sent, &team.kafka.produce(&team.topic, &options, records).unwrap());
    };
    let (first, rest) = sent.split_at(sent.len() / 2);
    produce(first);
    let mut random = Random::from_seed(seed);
    let mut services: Vec<Option<Service<'_>>> = team.start_all().into_iter().map(Some).collect();
    let instances = u64::try_from(services.len()).unwrap();
    let mut ends = 0;
    for chunk in rest.chunks(rest.len().div_ceil(usize::try_from(chaos.steps).unwrap())) {
        produce(chunk);
        thread::sleep(chaos.pause_max * random.below(100_u32) / 100);
        let instance = usize::try_from(random.below(instances)).unwrap();
        match services[instance].take() {
            None => services[instance] = Some(team.start(instance)),
            Some(mut service) => {
                assert!(service.is_running(), "ended by itself; {}", team.places[instance].tail());
                ends += 1;
                if chaos.kills && random.below(3) > 0 { service.kill() } else { stop(&mut service) }
            }
        }
    }
    assert!(ends > chaos.steps / 3, "only {ends} of {} steps ended an instance", chaos.steps);
    settle(team, services);
    tables
}

/// All of them run until nothing is left to be read, and stop.
fn settle<'a>(team: &'a Team<'_>, services: Vec<Option<Service<'a>>>) {
    let start = |(instance, service): (usize, Option<_>)| service.unwrap_or_else(|| team.start(instance));
    let mut services: Vec<Service<'_>> = services.into_iter().enumerate().map(start).collect();
    if services.len() > 1 {
        team.wait_divided(services.len());
    }
    team.wait_committed();
    services.iter_mut().for_each(stop);
}

/// What must hold when all have stopped.
pub fn assert_right(team: &Team<'_>, tables: &Tables, times: Times) {
    for place in &team.places {
        place.assert_consistent();
    }
    assert_covered(team, times);
    tables.assert_union(&team.places.iter().map(Place::database).collect::<Vec<_>>());
    team.assert_no_lag();
}

fn chaos(cluster: &Cluster, protocol: Protocol, seed: u64) {
    let mut team = Team::new(cluster, protocol, PARTITIONS, if protocol == Protocol::None { 1 } else { INSTANCES });
    // Small steps, so that there is a middle to be hit; the shortest session that a broker takes, so that others take over.
    team.set("BATCH_MAX_RECORDS", "50");
    team.set("LOG_LEVEL", "INFO");
    if protocol == Protocol::Classic {
        team.set("KAFKA_SESSION_TIMEOUT_MS", "6000");
    }
    let tables = endure(&team, seed, &Chaos::new(true));
    assert_right(&team, &tables, Times::OnceOrMore);
}

fn handover(cluster: &Cluster, protocol: Protocol, seed: u64) {
    let mut team = Team::new(cluster, protocol, PARTITIONS, INSTANCES);
    team.set("BATCH_MAX_RECORDS", "50");
    team.set("LOG_LEVEL", "INFO");
    let tables = endure(&team, seed, &Chaos::new(false));
    assert_right(&team, &tables, Times::Once);
}

#[test]
fn one_instance_without_a_group() {
    chaos(testkit::shared(NEWEST).unwrap(), Protocol::None, 1);
}

#[test]
fn classic_on_the_oldest_broker() {
    chaos(testkit::shared(OLDEST).unwrap(), Protocol::Classic, 2);
}

#[test]
fn classic_on_the_newest_broker() {
    chaos(testkit::shared(NEWEST).unwrap(), Protocol::Classic, 3);
}

#[test]
fn consumer_on_the_newest_broker() {
    chaos(testkit::shared(NEWEST).unwrap(), Protocol::Consumer, 4);
}

#[test]
fn classic_handover_stores_each_record_in_one_database() {
    handover(testkit::shared(OLDEST).unwrap(), Protocol::Classic, 5);
    handover(testkit::shared(NEWEST).unwrap(), Protocol::Classic, 6);
}

#[test]
fn consumer_handover_stores_each_record_in_one_database() {
    handover(testkit::shared(NEWEST).unwrap(), Protocol::Consumer, 7);
}
