//! What the databases must hold in the end, derived from what took effect. Must not use the code that stores.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use rusqlite::{Connection, Row};

use super::cluster::Cluster;
use super::disk::{self, Seen};
use super::instance::Instance;
use super::log::{Meaning, Message, Produced};
use crate::storage::{self, Outcome, StoredPosition};

/// Checks all databases, after everything has been read.
pub(super) fn check(cluster: &Cluster, instances: &[Instance<'_>]) {
    let mut stored = cluster.skipped.clone();
    for instance in instances {
        let seen = &instance.disk.borrow().seen;
        check_database(cluster, instance, seen);
        stored.extend(&seen.stored);
    }
    let missing: Vec<_> = cluster.readable().filter(|record| !stored.contains(&record.serial)).collect();
    assert!(missing.is_empty(), "records that no database has: {missing:?}");
    for partition in cluster.partitions() {
        let committed = cluster.committed.get(&partition).map(|committed| committed.offset);
        assert_eq!(committed, Some(cluster.log(partition).end()), "the group's offset of partition {partition}");
    }
}

fn check_database(cluster: &Cluster, instance: &Instance<'_>, seen: &Seen) {
    let path = &instance.settings.database.path;
    storage::inspect(&instance.settings.database)
        .unwrap()
        .verify(&mut |invariant, violations| assert!(violations.is_empty(), "{invariant:?}: {violations:?}"))
        .unwrap();
    let all = cluster.all_records();
    let records: Vec<&Produced> =
        all.into_iter().map(|record| &**record).filter(|record| seen.stored.contains(&record.serial)).collect();
    let connection = Connection::open(path).unwrap();
    check_events(&connection, &records);
    check_messages(&connection, &records, instance, seen);
    let mut database = storage::open(&instance.settings.database, &instance.settings.kafka.group_id).unwrap();
    instance.disk.borrow().check_positions(&mut *database);
    for position in database.positions().unwrap() {
        let counted = seen.counted.get(&position.partition).map_or(&[][..], Vec::as_slice);
        check_counters(&records, counted, &position, &seen.pruned);
    }
}

/// Of each id the greatest event, by time, partition, offset; of two at the same offset of a rewritten log the later
/// one.
fn check_events(connection: &Connection, records: &[&Produced]) {
    let mut greatest = BTreeMap::new();
    for record in records {
        if let Meaning::Event { id, name, time } = &record.meaning {
            let order = (time.clone(), record.at.partition, record.at.offset);
            let best = greatest.entry(id.clone()).or_insert_with(|| (order.clone(), name.clone()));
            if order >= best.0 {
                *best = (order, name.clone());
            }
        }
    }
    let expected: BTreeSet<_> =
        greatest.into_iter().map(|(id, ((_, partition, offset), name))| (id, name, partition, offset)).collect();
    let query = "SELECT event_id, name, kafka_partition, kafka_offset FROM opportunities
                 UNION ALL SELECT event_id, name, kafka_partition, kafka_offset FROM projects";
    let found = rows(connection, query, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)));
    assert_eq!(found, expected, "events");
}

fn check_messages(connection: &Connection, records: &[&Produced], instance: &Instance<'_>, seen: &Seen) {
    let kept: BTreeSet<Message> = records.iter().filter_map(|record| record.message()).collect();
    let expected: BTreeSet<Message> = kept.difference(&seen.pruned).cloned().collect();
    assert_eq!(disk::messages(connection).into_keys().collect::<BTreeSet<_>>(), expected, "unidentified messages");
    if let Some(path) = instance.unidentified_log() {
        let lines = fs::read_to_string(path).unwrap_or_default().lines().count();
        assert_eq!(lines, kept.len() + seen.kept_again, "lines in the log of unidentified messages");
    }
}

/// What became of the offsets since the counters began.
fn check_counters(stored: &[&Produced], counted: &[u64], position: &StoredPosition, pruned: &BTreeSet<Message>) {
    let (first, next) = (position.first_offset, position.next_offset);
    let find = |serial: &u64| stored.binary_search_by_key(serial, |record| record.serial).map(|index| stored[index]);
    let records: Vec<&Produced> = counted.iter().map(|serial| find(serial).unwrap()).collect();
    let is_event = |record: &&&Produced| matches!(record.meaning, Meaning::Event { .. });
    let events = u64::try_from(records.iter().filter(is_event).count()).unwrap();
    let all = u64::try_from(records.len()).unwrap();
    let offsets = u64::try_from(next - first).unwrap();
    let counters = position.counters;
    assert_eq!(
        (
            counters.get(Outcome::Applied) + counters.get(Outcome::Stale),
            counters.get(Outcome::Unidentified),
            counters.get(Outcome::Absent),
        ),
        (events, all - events, offsets - all),
        "counters of {position:?}"
    );
    let is_pruned = |record: &&&Produced| record.message().is_some_and(|message| pruned.contains(&message));
    let expected = u64::try_from(records.iter().filter(is_pruned).count()).unwrap();
    assert_eq!(position.pruned, expected, "pruned of {position:?}");
}

fn rows<T: Ord>(connection: &Connection, query: &str, row: impl Fn(&Row<'_>) -> rusqlite::Result<T>) -> BTreeSet<T> {
    let mut statement = connection.prepare(query).unwrap();
    let rows: Vec<T> = statement.query_map([], |found| row(found)).unwrap().map(Result::unwrap).collect();
    let count = rows.len();
    let set: BTreeSet<T> = rows.into_iter().collect();
    assert_eq!(set.len(), count, "duplicate rows");
    set
}
