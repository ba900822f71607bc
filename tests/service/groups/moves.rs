//! A partition that moves to another database and back: it continues at the other one's position, and the jump is recorded.

use testkit::{NEWEST, OLDEST};

use super::coverage::{Times, assert_covered};
use super::group_fixture::{GroupFixture, Protocol, stop};
use crate::support::process::WAIT_MAX;

/// Partition, from, to, reason.
type Change = (i32, Option<i64>, i64, String);

fn changes(group_fixture: &GroupFixture<'_>, instance: usize) -> Vec<Change> {
    let database = group_fixture.installations[instance].database();
    let query = "SELECT partition, from_offset, to_offset, reason FROM position_changes ORDER BY rowid";
    let mut statement = database.prepare(query).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

/// The instances read the only partition in turn; the numbers are those of the records that each reads.
fn moves_away_and_comes_back(version: &str, protocol: Protocol) {
    let group_fixture = GroupFixture::new(testkit::shared(version).unwrap(), protocol, 1, 2);
    for (instance, records) in [(0, 50), (1, 30), (0, 20)] {
        let mut service = group_fixture.start(instance);
        group_fixture.wait_read_once(&group_fixture.produce(records), WAIT_MAX, &[]);
        stop(&mut service);
        group_fixture.installations[instance].assert_consistent();
    }
    let change = |from, to, reason: &str| (0, from, to, reason.to_owned());
    assert_eq!(changes(&group_fixture, 0), [change(None, 0, "first_start"), change(Some(50), 80, "other_database")]);
    assert_eq!(changes(&group_fixture, 1), [change(None, 50, "other_database")]);
    let counted = |instance: usize| {
        let database = group_fixture.installations[instance].database();
        let query = "SELECT first_offset, next_offset, high_offset, applied FROM consumer_offsets";
        let row = database.query_row(query, [], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?]));
        row.map(|row: [i64; 4]| row).unwrap()
    };
    assert_eq!(counted(0), [80, 100, 100, 20], "counters restart at a jump");
    assert_eq!(counted(1), [50, 80, 80, 30]);
    assert_covered(&group_fixture, Times::Once);
    group_fixture.assert_no_lag();
}

#[test]
fn a_partition_moves_away_and_comes_back_in_a_classic_group() {
    for version in [OLDEST, NEWEST] {
        moves_away_and_comes_back(version, Protocol::Classic);
    }
}

#[test]
fn a_partition_moves_away_and_comes_back_in_a_group_of_the_consumer_protocol() {
    moves_away_and_comes_back(NEWEST, Protocol::Consumer);
}

/// The greater of the group's offset and the stored one counts: what is stored is not read again, although another database has stored it too.
#[test]
fn a_killed_instance_continues_at_its_stored_position_if_that_is_greater() {
    let group_fixture = GroupFixture::new(testkit::shared(NEWEST).unwrap(), Protocol::Classic, 1, 2);
    let mut first = group_fixture.start(0);
    group_fixture.wait_read_once(&group_fixture.produce(50), WAIT_MAX, &[]);
    group_fixture.wait_committed();
    stop(&mut first);
    // As if its last commit had been lost.
    group_fixture
        .kafka
        .commit_offset(&group_fixture.group(), &group_fixture.topic, 0, 40, &committed_by(&group_fixture, 0))
        .unwrap();
    let mut second = group_fixture.start(1);
    group_fixture
        .wait_for("what the group does not know of, read again", WAIT_MAX, || group_fixture.stored(1).len() == 10);
    stop(&mut second);
    let mut first = group_fixture.start(0);
    let produced = group_fixture.produce(5);
    group_fixture.wait_for("the rest", WAIT_MAX, || produced.iter().all(|at| group_fixture.stored(0).contains(at)));
    stop(&mut first);
    assert_eq!(changes(&group_fixture, 0).len(), 1, "the position stayed where it was");
    assert_eq!(changes(&group_fixture, 1), [(0, None, 40, "other_database".to_owned())]);
    assert_covered(&group_fixture, Times::OnceOrMore);
}

/// The metadata of an instance's commits.
fn committed_by(group_fixture: &GroupFixture<'_>, partition: i32) -> String {
    group_fixture.kafka.committed_offsets(&group_fixture.group()).unwrap()[&(group_fixture.topic.clone(), partition)]
        .metadata
        .clone()
}
