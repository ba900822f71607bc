//! Instances are killed, stopped and started at random while records arrive: in the end the combined databases are those of an
//! independent computation from the same records.

use std::thread;
use std::time::Duration;

use testkit::{Cluster, Codec, NEWEST, OLDEST, ProduceOptions, Random, Record};

use super::coverage::{Times, assert_covered};
use super::group_fixture::{GroupFixture, Protocol, stop};
use crate::support::events::{Sent, Tables, events};
use crate::support::is_full;
use crate::support::process::{Installation, Service};

const PARTITIONS: u32 = 12;
const INSTANCES: usize = 3;

/// The faults of instances, and their sizes.
struct Chaos {
    /// Whether instances are killed too, or only stopped.
    kills: bool,
    records: u64,
    steps: u32,
    /// Greatest time between two steps.
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

/// Half of the records are produced at first, the rest step by step.
fn endure(group_fixture: &GroupFixture<'_>, seed: u64, chaos: &Chaos) -> Tables {
    let sent = events(seed, chaos.records, i32::try_from(PARTITIONS).unwrap());
    let mut tables = Tables::default();
    let mut produce = |sent: &[Sent]| {
        let records: Vec<Record> = sent.iter().map(|sent| sent.record.clone()).collect();
        let options = ProduceOptions::default().codec(Codec::Lz4);
        tables.add(
            &group_fixture.topic,
            sent,
            &group_fixture.kafka.produce(&group_fixture.topic, &options, records).unwrap(),
        );
    };
    let (first, rest) = sent.split_at(sent.len() / 2);
    produce(first);
    let mut random = Random::from_seed(seed);
    let mut services: Vec<Option<Service<'_>>> = group_fixture.start_all().into_iter().map(Some).collect();
    let instances = u64::try_from(services.len()).unwrap();
    let mut ends = 0;
    for chunk in rest.chunks(rest.len().div_ceil(usize::try_from(chaos.steps).unwrap())) {
        produce(chunk);
        thread::sleep(chaos.pause_max * random.below(100_u32) / 100);
        let instance = usize::try_from(random.below(instances)).unwrap();
        match services[instance].take() {
            None => services[instance] = Some(group_fixture.start(instance)),
            Some(mut service) => {
                assert!(service.is_running(), "ended by itself; {}", group_fixture.installations[instance].tail());
                ends += 1;
                if chaos.kills && random.below(3) > 0 { service.kill() } else { stop(&mut service) }
            }
        }
    }
    assert!(ends > chaos.steps / 3, "only {ends} of {} steps ended an instance", chaos.steps);
    settle(group_fixture, services);
    tables
}

/// Runs all instances until everything is read, and stops them.
fn settle<'a>(group_fixture: &'a GroupFixture<'_>, services: Vec<Option<Service<'a>>>) {
    let start = |(instance, service): (usize, Option<_>)| service.unwrap_or_else(|| group_fixture.start(instance));
    let mut services: Vec<Service<'_>> = services.into_iter().enumerate().map(start).collect();
    if services.len() > 1 {
        group_fixture.wait_assigned(services.len());
    }
    group_fixture.wait_committed();
    services.iter_mut().for_each(stop);
}

/// Checks the databases after all instances have stopped.
pub fn assert_right(group_fixture: &GroupFixture<'_>, tables: &Tables, times: Times) {
    for installation in &group_fixture.installations {
        installation.assert_consistent();
    }
    assert_covered(group_fixture, times);
    tables.assert_combined(&group_fixture.installations.iter().map(Installation::database).collect::<Vec<_>>());
    group_fixture.assert_no_lag();
}

fn chaos(cluster: &Cluster, protocol: Protocol, seed: u64) {
    let mut group_fixture =
        GroupFixture::new(cluster, protocol, PARTITIONS, if protocol == Protocol::None { 1 } else { INSTANCES });
    // Small transactions, so that a fault hits the middle; the shortest session timeout of brokers, so that others take over.
    group_fixture.set("BATCH_MAX_RECORDS", "50");
    group_fixture.set("LOG_LEVEL", "INFO");
    if protocol == Protocol::Classic {
        group_fixture.set("KAFKA_SESSION_TIMEOUT_MS", "6000");
    }
    let tables = endure(&group_fixture, seed, &Chaos::new(true));
    assert_right(&group_fixture, &tables, Times::OnceOrMore);
}

fn handover(cluster: &Cluster, protocol: Protocol, seed: u64) {
    let mut group_fixture = GroupFixture::new(cluster, protocol, PARTITIONS, INSTANCES);
    group_fixture.set("BATCH_MAX_RECORDS", "50");
    group_fixture.set("LOG_LEVEL", "INFO");
    let tables = endure(&group_fixture, seed, &Chaos::new(false));
    assert_right(&group_fixture, &tables, Times::Once);
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
fn classic_revocation_stores_each_record_in_one_database() {
    handover(testkit::shared(OLDEST).unwrap(), Protocol::Classic, 5);
    handover(testkit::shared(NEWEST).unwrap(), Protocol::Classic, 6);
}

#[test]
fn consumer_revocation_stores_each_record_in_one_database() {
    handover(testkit::shared(NEWEST).unwrap(), Protocol::Consumer, 7);
}
