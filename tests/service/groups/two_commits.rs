//! Killed around the two commits, SQLite's and Kafka's: the group's offset is never greater than the stored position, the next start
//! continues at the stored position, and another database begins at the group's offset.

use std::collections::BTreeMap;

use rusqlite::{Connection, TransactionBehavior};
use testkit::{Cluster, Codec, NEWEST, OLDEST, ProduceOptions, Random, Record};

use super::coverage::{Times, assert_covered};
use super::group_fixture::{GroupFixture, Protocol, stop};
use crate::support::events::{Tables, events};
use crate::support::process::{Installation, Service, WAIT_MAX};
use crate::support::sized;

const PARTITIONS: u32 = 4;
/// Records of one transaction.
const BATCH: u64 = 20;
/// Records for many transactions.
const RECORDS: u64 = 20 * BATCH;

/// Offsets by partition.
type Offsets = BTreeMap<i32, i64>;

/// When an instance is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// Records wait to be stored, since the database is locked.
    BeforeBoth,
    /// Likewise, but the instance is stopped in order, and commits.
    StoppedBeforeBoth,
    /// Records are stored and not committed to Kafka.
    Between,
    /// The offsets have just been committed.
    AfterBoth,
}

/// Records for instances that are killed, and the expected tables.
struct Trial<'a> {
    group_fixture: &'a GroupFixture<'a>,
    tables: Tables,
    random: Random,
}

/// A group whose instances have stored and committed a position of every partition.
fn group_fixture(cluster: &Cluster, protocol: Protocol, instances: usize) -> GroupFixture<'_> {
    let mut group_fixture = GroupFixture::new(cluster, protocol, PARTITIONS, instances);
    group_fixture.set("BATCH_MAX_RECORDS", &BATCH.to_string());
    group_fixture.set("LOG_LEVEL", "INFO");
    if instances > 1 {
        group_fixture.set("KAFKA_SESSION_TIMEOUT_MS", "6000"); // The shortest timeout of brokers, so that others take over.
    }
    group_fixture.installations.iter().for_each(Installation::run_to_end);
    group_fixture
}

impl<'a> Trial<'a> {
    fn new(group_fixture: &'a GroupFixture<'a>, seed: u64) -> Self {
        Self { group_fixture, tables: Tables::default(), random: Random::from_seed(seed) }
    }

    fn produce(&mut self, records: u64) {
        let sent = events(self.random.below(1 << 32), records, i32::try_from(PARTITIONS).unwrap());
        let records: Vec<Record> = sent.iter().map(|sent| sent.record.clone()).collect();
        let options = ProduceOptions::default().codec(Codec::Lz4);
        let positions = self.group_fixture.kafka.produce(&self.group_fixture.topic, &options, records).unwrap();
        self.tables.add(&self.group_fixture.topic, &sent, &positions);
    }

    /// The committed offsets.
    fn committed(&self) -> Offsets {
        let committed = self.group_fixture.kafka.committed_offsets(&self.group_fixture.group()).unwrap();
        committed.into_iter().map(|((_, partition), committed)| (partition, committed.offset)).collect()
    }

    /// The end offsets.
    fn ends(&self) -> Offsets {
        (0..).zip(self.group_fixture.kafka.end_offsets(&self.group_fixture.topic).unwrap()).collect()
    }

    /// Runs an instance with new records and kills it; returns whether the moment was hit. In any case checks that it began at the right
    /// position, and that no committed offset is greater than the stored position.
    fn kill(&mut self, instance: usize, moment: Moment) -> bool {
        let installation = &self.group_fixture.installations[instance];
        if matches!(moment, Moment::BeforeBoth | Moment::StoppedBeforeBoth) {
            installation.run_to_end(); // The first records after a start are committed at once: no others may remain.
        }
        let (begun, lines) = (self.next_starts(instance), installation.log().len());
        match moment {
            Moment::BeforeBoth => self.end_before_both(installation, lines, Service::kill),
            Moment::StoppedBeforeBoth => self.end_before_both(installation, lines, stop),
            Moment::Between => self.kill_between(installation, &begun),
            Moment::AfterBoth => self.kill_after_both(installation),
        }
        installation.assert_consistent();
        assert_started(installation, lines, &begun);
        let (stored, committed) = (stored(installation), self.committed());
        for (partition, offset) in &committed {
            assert!(*offset <= stored[partition], "the group knows of {committed:?}, of which is stored {stored:?}");
        }
        match moment {
            Moment::BeforeBoth | Moment::StoppedBeforeBoth => committed == stored && stored != self.ends(),
            Moment::Between => committed != stored,
            Moment::AfterBoth => committed == stored && stored == self.ends(),
        }
    }

    /// The expected start of an instance: the group's offset if it is greater than the stored position, as after another instance.
    fn next_starts(&self, instance: usize) -> Offsets {
        let mut starts = self.committed();
        for (partition, stored) in stored(&self.group_fixture.installations[instance]) {
            starts.entry(partition).and_modify(|start| *start = stored.max(*start)).or_insert(stored);
        }
        starts
    }

    fn end_before_both(&mut self, installation: &'a Installation, lines: usize, end: impl FnOnce(&mut Service<'a>)) {
        let mut service = installation.start(&["run"]);
        installation
            .wait_for("every partition", |installation| starts(installation, lines).len() == PARTITIONS as usize);
        let mut other = Connection::open(installation.database_path()).unwrap();
        other.busy_timeout(WAIT_MAX).unwrap();
        let lock = other.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
        self.produce(BATCH);
        installation.wait_warning(lines, &["storing a batch", "locked"]);
        end(&mut service);
        lock.rollback().unwrap();
    }

    /// The first batch is committed at once, the following ones a second later.
    fn kill_between(&mut self, installation: &Installation, begun: &Offsets) {
        self.produce(RECORDS);
        let goal = begun.values().sum::<i64>() + i64::try_from(self.random.below(RECORDS / 2)).unwrap();
        let mut service = installation.start(&["run"]);
        installation.wait_for("records", |installation| installation.stored() > goal);
        service.kill();
    }

    fn kill_after_both(&mut self, installation: &Installation) {
        self.produce(BATCH);
        let mut service = installation.start(&["run"]);
        self.group_fixture.wait_committed();
        service.kill();
    }
}

/// The stored position of each partition.
fn stored(installation: &Installation) -> Offsets {
    let database = installation.database();
    let mut statement = database.prepare("SELECT partition, next_offset FROM consumer_offsets").unwrap();
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
}

/// The start positions of partitions, from the log after the first `from` lines.
fn starts(installation: &Installation, lines: usize) -> Vec<(i32, i64)> {
    let log = installation.log();
    let starts = log.iter().skip(lines).filter(|line| line["message"] == "partition assigned");
    let number = |line: &serde_json::Value, name: &str| line[name].as_i64().unwrap();
    starts.map(|line| (i32::try_from(number(line, "partition")).unwrap(), number(line, "offset"))).collect()
}

fn assert_started(installation: &Installation, lines: usize, expected: &Offsets) {
    let starts = starts(installation, lines);
    assert!(!starts.is_empty(), "nothing was read; {}", installation.tail());
    for (partition, offset) in starts {
        assert_eq!(offset, expected[&partition], "the start of partition {partition}; {}", installation.tail());
    }
}

/// Kills one instance several times at each of the moments; kills that miss the moment do not count, and must be few.
fn killed(version: &str, protocol: Protocol, kills: &[(Moment, u32)], seed: u64) {
    let group_fixture = group_fixture(testkit::shared(version).unwrap(), protocol, 1);
    let mut trial = Trial::new(&group_fixture, seed);
    for (moment, wanted) in kills {
        let (mut hits, mut kills) = (0, 0);
        while hits < *wanted {
            hits += u32::from(trial.kill(0, *moment));
            kills += 1;
            assert!(kills - hits <= 2 + wanted / 10, "only {hits} of {kills} kills hit {moment:?}");
        }
        println!("{protocol:?}: {hits} of {kills} kills hit {moment:?}");
    }
    let [installation] = &group_fixture.installations[..] else { panic!("one instance") };
    installation.run_to_end();
    installation.assert_clean();
    trial.tables.assert_stored(&installation.database());
    assert_covered(&group_fixture, Times::Once);
    group_fixture.assert_no_lag();
}

#[test]
fn killed_around_the_commits_without_a_group() {
    let kills = [
        (Moment::Between, sized(20, 200)),
        (Moment::AfterBoth, sized(5, 50)),
        (Moment::BeforeBoth, sized(2, 20)),
        (Moment::StoppedBeforeBoth, sized(2, 20)),
    ];
    killed(NEWEST, Protocol::None, &kills, 21);
}

#[test]
fn killed_around_the_commits_as_a_member_of_a_classic_group() {
    let kills = [
        (Moment::Between, sized(10, 100)),
        (Moment::AfterBoth, sized(3, 30)),
        (Moment::BeforeBoth, sized(1, 10)),
        (Moment::StoppedBeforeBoth, sized(1, 10)),
    ];
    killed(OLDEST, Protocol::Classic, &kills, 22);
}

/// The second database reads again what the first has stored and not committed, and the first continues at the second's position.
#[test]
fn another_database_takes_over_from_one_killed_between_the_commits() {
    let group_fixture = group_fixture(testkit::shared(NEWEST).unwrap(), Protocol::Classic, 2);
    let mut trial = Trial::new(&group_fixture, 23);
    let other = &group_fixture.installations[1];
    for _ in 0..sized(1, 10) {
        while !trial.kill(0, Moment::Between) {}
        let (begun, lines) = (trial.next_starts(1), other.log().len());
        let mut service = group_fixture.start(1);
        group_fixture.wait_committed();
        stop(&mut service);
        assert_started(other, lines, &begun);
        assert_eq!(starts(other, lines).len(), PARTITIONS as usize);
    }
    for installation in &group_fixture.installations {
        installation.run_to_end();
        installation.assert_consistent();
    }
    assert_covered(&group_fixture, Times::OnceOrMore);
    trial.tables.assert_combined(&group_fixture.installations.iter().map(Installation::database).collect::<Vec<_>>());
    group_fixture.assert_no_lag();
}
