//! Which offsets each database has stored, according to its positions and jumps: together all of them, none twice in one database, and
//! without kills none in two databases.

use std::collections::BTreeMap;
use std::ops::Range;

use super::group_fixture::GroupFixture;
use crate::support::process::Installation;

/// How often an offset may have taken effect over all databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// Without kills: a member commits before it releases a partition.
    Once,
    /// With kills: a killed instance may have stored more than it committed.
    OnceOrMore,
}

/// Checks that every offset of the group's topic has taken effect.
pub fn assert_covered(group_fixture: &GroupFixture<'_>, times: Times) {
    let mut all: BTreeMap<i32, Vec<Range<i64>>> = BTreeMap::new();
    for installation in &group_fixture.installations {
        for (partition, ranges) in stored_ranges(installation) {
            all.entry(partition).or_default().extend(ranges);
        }
    }
    for (partition, end) in (0..).zip(group_fixture.kafka.end_offsets(&group_fixture.topic).unwrap()) {
        let mut ranges = all.remove(&partition).unwrap_or_default();
        ranges.sort_by_key(|range| (range.start, range.end));
        let mut reached = 0;
        for range in &ranges {
            assert!(range.start <= reached, "nobody has taken in {reached}..{} of partition {partition}", range.start);
            assert!(
                times == Times::OnceOrMore || range.start == reached,
                "taken in twice, partition {partition}: {ranges:?}"
            );
            reached = reached.max(range.end);
        }
        assert_eq!(reached, end, "the end of partition {partition}: {ranges:?}");
    }
}

/// The ranges of offsets that a database has stored, by partition. A position advances by reading, or by a jump with a row that records
/// it and new counters; it never goes back.
fn stored_ranges(installation: &Installation) -> BTreeMap<i32, Vec<Range<i64>>> {
    let database = installation.database();
    let mut changes: BTreeMap<i32, Vec<(Option<i64>, i64)>> = BTreeMap::new();
    let query = "SELECT partition, from_offset, to_offset FROM position_changes ORDER BY rowid";
    let mut statement = database.prepare(query).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?)))).unwrap();
    for (partition, change) in rows.map(Result::unwrap) {
        changes.entry(partition).or_default().push(change);
    }
    let query = "SELECT partition, first_offset, next_offset FROM consumer_offsets";
    let mut statement = database.prepare(query).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    let mut stored_ranges = BTreeMap::new();
    for (partition, first, next) in rows.map(Result::unwrap) {
        let changes = changes.remove(&partition).unwrap_or_default();
        let ends = changes.iter().skip(1).map(|(from, _)| from.unwrap_or_else(|| panic!("{changes:?}"))).chain([next]);
        let ranges: Vec<Range<i64>> = changes.iter().zip(ends).map(|((_, start), end)| *start..end).collect();
        let said = format!("partition {partition}, from {first} to {next}: {changes:?}");
        assert_eq!(ranges.last().map(|range| range.start), Some(first), "a jump without a row: {said}");
        assert!(ranges.iter().all(|range| range.start <= range.end), "{said}");
        assert!(ranges.windows(2).all(|pair| pair[0].end <= pair[1].start), "went back: {said}");
        stored_ranges.insert(partition, ranges.into_iter().filter(|range| !range.is_empty()).collect());
    }
    stored_ranges
}
