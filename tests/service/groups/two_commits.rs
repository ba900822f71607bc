//! Killed around the two commits, SQLite's and Kafka's: whichever of them has been made, the group never knows of more than is
//! stored, the next start goes on where SQLite is, and another database begins where the group is.

use std::collections::BTreeMap;

use rusqlite::{Connection, TransactionBehavior};
use testkit::{Cluster, Codec, NEWEST, OLDEST, ProduceOptions, Record};

use super::coverage::{Times, assert_covered};
use super::team::{Protocol, Team, stop};
use crate::support::child::{PATIENCE, Place, Service};
use crate::support::events::{Random, Tables, events};
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
    /// The same, but it is stopped in order, and commits what it has to.
    StoppedBeforeBoth,
    /// Records are stored that the group does not know of.
    Between,
    /// The group has just been told.
    AfterBoth,
}

/// Records for instances that are killed, and what must come of these.
struct Trial<'a> {
    team: &'a Team<'a>,
    tables: Tables,
    random: Random,
}

/// A team of instances that have stored and committed a position of every partition.
fn team(cluster: &Cluster, protocol: Protocol, instances: usize) -> Team<'_> {
    let mut team = Team::new(cluster, protocol, PARTITIONS, instances);
    team.set("BATCH_MAX_RECORDS", &BATCH.to_string());
    team.set("LOG_LEVEL", "INFO");
    if instances > 1 {
        team.set("KAFKA_SESSION_TIMEOUT_MS", "6000"); // The shortest that a broker takes, so that others take over.
    }
    team.places.iter().for_each(Place::run_to_end);
    team
}

impl<'a> Trial<'a> {
    fn new(team: &'a Team<'a>, seed: u64) -> Self {
        Self { team, tables: Tables::default(), random: Random::new(seed) }
    }

    fn produce(&mut self, records: u64) {
        let sent = events(self.random.below(1 << 32), records, i32::try_from(PARTITIONS).unwrap());
        let records: Vec<Record> = sent.iter().map(|sent| sent.record.clone()).collect();
        let options = ProduceOptions::default().codec(Codec::Lz4);
        let positions = self.team.kafka.produce(&self.team.topic, &options, records).unwrap();
        self.tables.add(&self.team.topic, &sent, &positions);
    }

    /// What the group knows.
    fn committed(&self) -> Offsets {
        let committed = self.team.kafka.committed_offsets(&self.team.group()).unwrap();
        committed.into_iter().map(|((_, partition), committed)| (partition, committed.offset)).collect()
    }

    /// Where the log ends.
    fn ends(&self) -> Offsets {
        (0..).zip(self.team.kafka.end_offsets(&self.team.topic).unwrap()).collect()
    }

    /// Runs an instance with new records and kills it; says whether the moment was hit. Whether or not: it had begun where it must, and
    /// the group knows of nothing that is not stored.
    fn kill(&mut self, instance: usize, moment: Moment) -> bool {
        let place = &self.team.places[instance];
        if matches!(moment, Moment::BeforeBoth | Moment::StoppedBeforeBoth) {
            place.run_to_end(); // What is read first after a start would be committed at once: nothing else may be left.
        }
        let (begun, lines) = (self.next_starts(instance), place.log().len());
        match moment {
            Moment::BeforeBoth => self.end_before_both(place, lines, Service::kill),
            Moment::StoppedBeforeBoth => self.end_before_both(place, lines, stop),
            Moment::Between => self.kill_between(place, &begun),
            Moment::AfterBoth => self.kill_after_both(place),
        }
        place.assert_consistent();
        assert_started(place, lines, &begun);
        let (stored, committed) = (stored(place), self.committed());
        for (partition, offset) in &committed {
            assert!(*offset <= stored[partition], "the group knows of {committed:?}, of which is stored {stored:?}");
        }
        match moment {
            Moment::BeforeBoth | Moment::StoppedBeforeBoth => committed == stored && stored != self.ends(),
            Moment::Between => committed != stored,
            Moment::AfterBoth => committed == stored && stored == self.ends(),
        }
    }

    /// Where an instance must begin: where the group is, if that is further than what is stored, which is so only of what others stored.
    fn next_starts(&self, instance: usize) -> Offsets {
        let mut starts = self.committed();
        for (partition, stored) in stored(&self.team.places[instance]) {
            starts.entry(partition).and_modify(|start| *start = stored.max(*start)).or_insert(stored);
        }
        starts
    }

    fn end_before_both(&mut self, place: &'a Place, lines: usize, end: impl FnOnce(&mut Service<'a>)) {
        let mut service = place.start(&["run"]);
        place.wait_for("every partition", |place| starts(place, lines).len() == PARTITIONS as usize);
        let mut other = Connection::open(place.database_path()).unwrap();
        other.busy_timeout(PATIENCE).unwrap();
        let lock = other.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
        self.produce(BATCH);
        place.wait_warning(lines, &["storing a batch", "locked"]);
        end(&mut service);
        lock.rollback().unwrap();
    }

    /// The first batch is committed at once, those behind it a second later.
    fn kill_between(&mut self, place: &Place, begun: &Offsets) {
        self.produce(RECORDS);
        let goal = begun.values().sum::<i64>() + i64::try_from(self.random.below(RECORDS / 2)).unwrap();
        let mut service = place.start(&["run"]);
        place.wait_for("records", |place| place.stored() > goal);
        service.kill();
    }

    fn kill_after_both(&mut self, place: &Place) {
        self.produce(BATCH);
        let mut service = place.start(&["run"]);
        self.team.wait_committed();
        service.kill();
    }
}

/// What is stored of each partition.
fn stored(place: &Place) -> Offsets {
    let database = place.database();
    let mut statement = database.prepare("SELECT partition, next_offset FROM consumer_offsets").unwrap();
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
}

/// Where partitions began to be read, as the log tells after so many lines.
fn starts(place: &Place, lines: usize) -> Vec<(i32, i64)> {
    let log = place.log();
    let starts = log.iter().skip(lines).filter(|line| line["message"] == "partition assigned");
    let number = |line: &serde_json::Value, name: &str| line[name].as_i64().unwrap();
    starts.map(|line| (i32::try_from(number(line, "partition")).unwrap(), number(line, "offset"))).collect()
}

fn assert_started(place: &Place, lines: usize, expected: &Offsets) {
    let starts = starts(place, lines);
    assert!(!starts.is_empty(), "nothing was read; {}", place.tail());
    for (partition, offset) in starts {
        assert_eq!(offset, expected[&partition], "the start of partition {partition}; {}", place.tail());
    }
}

/// One instance is killed so often at each of the moments: kills that missed do not count, and are few.
fn killed(version: &str, protocol: Protocol, kills: &[(Moment, u32)], seed: u64) {
    let team = team(testkit::shared(version).unwrap(), protocol, 1);
    let mut trial = Trial::new(&team, seed);
    for (moment, wanted) in kills {
        let (mut hits, mut kills) = (0, 0);
        while hits < *wanted {
            hits += u32::from(trial.kill(0, *moment));
            kills += 1;
            assert!(kills - hits <= 2 + wanted / 10, "only {hits} of {kills} kills hit {moment:?}");
        }
        println!("{protocol:?}: {hits} of {kills} kills hit {moment:?}");
    }
    let [place] = &team.places[..] else { panic!("one instance") };
    place.run_to_end();
    place.assert_clean();
    trial.tables.assert_stored(&place.database());
    assert_covered(&team, Times::Once);
    team.assert_no_lag();
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

/// What the first had stored and not committed is read again into the second database, and the first goes on where the second was.
#[test]
fn another_database_takes_over_from_one_killed_between_the_commits() {
    let team = team(testkit::shared(NEWEST).unwrap(), Protocol::Classic, 2);
    let mut trial = Trial::new(&team, 23);
    let other = &team.places[1];
    for _ in 0..sized(1, 10) {
        while !trial.kill(0, Moment::Between) {}
        let (begun, lines) = (trial.next_starts(1), other.log().len());
        let mut service = team.start(1);
        team.wait_committed();
        stop(&mut service);
        assert_started(other, lines, &begun);
        assert_eq!(starts(other, lines).len(), PARTITIONS as usize);
    }
    for place in &team.places {
        place.run_to_end();
        place.assert_consistent();
    }
    assert_covered(&team, Times::OnceOrMore);
    trial.tables.assert_union(&team.places.iter().map(Place::database).collect::<Vec<_>>());
    team.assert_no_lag();
}
