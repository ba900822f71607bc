//! A power failure at any moment: the remaining database is sound, has everything that was committed to Kafka, and after the next start
//! the tables are those of an undisturbed service.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension};

use testkit::Random;

use super::commits::{Commits, commits};
use super::crash_fixture::{CrashFixture, PARTITIONS, assert_sound};
use super::disk::{Disk, Fate, Image, lay_out};
use super::shim::{self, Call, DISK, Plan, read_trace};
use crate::support::process::Installation;
use crate::support::sized;

/// Several runs of one service, with new records before each, and the trace of its disk and of its commits.
struct Past {
    fixture: CrashFixture,
    installation: Installation,
    calls: Vec<Call>,
    /// The disk as the trace names it.
    root: PathBuf,
}

impl Past {
    fn new(synchronous: &str) -> Self {
        let mut fixture = CrashFixture::new("power", 60);
        let mut installation = fixture.installation("none");
        // The log file is on the disk too, so that the trace shows when the service logged records as stored.
        installation.set("DATABASE_SYNCHRONOUS", synchronous).set("LOG_FILE", &format!("{DISK}/logs/consumer.log"));
        installation.set("WAL_MAX_BYTES", "1048576");
        let trace = installation.path().join("trace");
        shim::install(&mut installation, &Plan::Watch, Some(&trace));
        for records in [60, 700, 60] {
            installation.run_to_end();
            fixture.produce(records);
        }
        installation.run_to_end();
        shim::remove(&mut installation);
        let (calls, root) = (read_trace(&trace), installation.path().join(DISK));
        Self { fixture, installation, calls, root }
    }

    /// Whether durability is tested before this call.
    fn is_turn(call: &Call) -> bool {
        matches!(call, Call::Synced(_) | Call::Created(_) | Call::Unlinked(_) | Call::Truncated { .. })
            || matches!(call, Call::Sent(bytes) if !commits(bytes).is_empty())
    }
}

/// Partition and offset of a message.
type At = (i64, i64);

/// The contents of a database and of its log of unidentified messages.
#[derive(Debug, Default)]
pub struct Held {
    positions: BTreeMap<i32, i64>,
    unidentified: BTreeSet<At>,
    /// Those up to the cursor of the log file.
    written_out: BTreeSet<At>,
    /// Those that have a whole line in the log file.
    logged: BTreeSet<At>,
}

impl Held {
    /// Checks integrity, the counter equation, and that no row is beyond a position. Before the tables are created there is nothing to check.
    pub fn by(image: &Image, from: &Path) -> Self {
        let directory = tempfile::tempdir().unwrap();
        lay_out(image, from, directory.path());
        let path = directory.path().join("data/enterprise.db");
        if !path.exists() {
            return Self::default();
        }
        let database = Connection::open(path).unwrap();
        let number = |query: &str| database.query_row(query, [], |row| row.get::<_, i64>(0)).unwrap();
        let check: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(check, "ok");
        let made = "SELECT 1 FROM sqlite_schema WHERE name = 'consumer_offsets'";
        if database.query_row(made, [], |_| Ok(())).optional().unwrap().is_none() {
            return Self::default();
        }
        let off = "SELECT count(*) FROM consumer_offsets WHERE next_offset - first_offset <> applied + stale + unidentified + absent";
        assert_eq!(number(off), 0, "the counter equation");
        for table in ["opportunities", "projects", "unidentified_messages"] {
            let beyond = "WHERE NOT EXISTS (SELECT 1 FROM consumer_offsets WHERE partition = kafka_partition AND kafka_offset < next_offset)";
            assert_eq!(
                number(&format!("SELECT count(*) FROM {table} {beyond}")),
                0,
                "rows of {table} beyond a position"
            );
        }
        let kept = "SELECT (SELECT count(*) FROM unidentified_messages) - (SELECT coalesce(sum(unidentified), 0) FROM consumer_offsets)";
        assert_eq!(number(kept), 0, "unidentified messages counted but not kept");
        let mut statement = database.prepare("SELECT partition, next_offset FROM consumer_offsets").unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        let messages = "SELECT kafka_partition, kafka_offset FROM unidentified_messages";
        let up_to_cursor = format!("{messages} WHERE id <= (SELECT last_id FROM unidentified_log_cursor)");
        Self {
            positions: rows.map(Result::unwrap).collect(),
            unidentified: installations(&database, messages),
            written_out: installations(&database, &up_to_cursor),
            logged: logged(&directory.path().join("logs/unidentified_messages.log")),
        }
    }

    /// Checks that no message before the cursor is missing in the log file, and that none will be written twice.
    fn assert_log_in_step(&self) {
        assert!(self.written_out.is_subset(&self.logged), "the cursor is ahead of the log file: {self:?}");
        assert!(self.logged.is_subset(&self.unidentified), "the log file is ahead of the table: {self:?}");
    }

    pub fn assert_covers(&self, committed: &Commits) {
        for (partition, (offset, _)) in committed {
            let held = self.positions.get(partition);
            assert!(
                held.is_some_and(|held| held >= offset),
                "offset {offset} of partition {partition} was committed to Kafka: {self:?}"
            );
        }
    }

    fn sum(&self) -> i64 {
        self.positions.values().sum()
    }
}

fn installations(database: &Connection, query: &str) -> BTreeSet<At> {
    let mut statement = database.prepare(query).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

/// A power failure may leave any part of a line that was not synced.
fn logged(path: &Path) -> BTreeSet<At> {
    let bytes = fs::read(path).unwrap_or_default();
    let at = |line: &[u8]| {
        let line: serde_json::Value = serde_json::from_slice(line.strip_suffix(b"\n")?).ok()?;
        Some((line["partition"].as_i64()?, line["offset"].as_i64()?))
    };
    bytes.split_inclusive(|&byte| byte == b'\n').filter_map(at).collect()
}

/// The number of records that the service has logged as stored so far.
fn records_stored(call: &Call) -> i64 {
    let Call::Written { path, bytes, .. } = call else { return 0 };
    if !path.ends_with("consumer.log") {
        return 0;
    }
    let lines = std::str::from_utf8(bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap());
    lines
        .filter(|line: &serde_json::Value| line["message"] == "batch stored")
        .map(|line| line["records"].as_i64().unwrap())
        .sum()
}

/// At each moment and for each set of surviving changes: nothing that was committed to Kafka is lost; with `FULL`, nothing that was
/// stored.
fn nothing_committed_is_lost(synchronous: &str) {
    let past = Past::new(synchronous);
    let mut disk = Disk::default();
    let mut committed = Commits::new();
    let (mut stored, mut moments, mut commits_seen) = (0, 0, 0);
    for (number, call) in past.calls.iter().enumerate() {
        let seed = u64::try_from(number).unwrap();
        if sized(Past::is_turn(call) && number % 2 == 0 || number % 61 == 0, true) {
            let mut random = Random::from_seed(seed);
            let mut images = vec![disk.image(&mut Fate::Nothing), disk.image(&mut Fate::Everything)];
            images.extend((0..sized(1, 3)).map(|_| disk.image(&mut Fate::Chance(&mut random))));
            for (way, image) in images.iter().enumerate() {
                eprintln!("before call {number}, image {way}");
                let held = Held::by(image, &past.root);
                held.assert_covers(&committed);
                held.assert_log_in_step();
                assert!(synchronous != "FULL" || held.sum() >= stored, "{stored} were stored, {held:?}");
            }
            moments += 1;
        }
        if let Call::Sent(bytes) = call {
            let now = commits(bytes);
            commits_seen += usize::from(!now.is_empty());
            committed.extend(now);
            // From now on the broker may have the commit.
            Held::by(&disk.image(&mut Fate::Nothing), &past.root).assert_covers(&committed);
        }
        stored += records_stored(call);
        disk.take(call);
    }
    assert!(moments > 30 && commits_seen >= 8, "{moments} moments, {commits_seen} commits");
    assert_eq!(committed.values().map(|(offset, _)| offset).sum::<i64>(), 880, "all offsets are committed at the end");
}

#[test]
fn nothing_committed_is_lost_with_synchronous_normal() {
    nothing_committed_is_lost("NORMAL");
}

#[test]
fn nothing_stored_is_lost_with_synchronous_full() {
    nothing_committed_is_lost("FULL");
}

/// Runs the service on the remaining files, with the group's offsets of that moment.
fn continues_after_a_power_failure(synchronous: &str) {
    let mut past = Past::new(synchronous);
    let mut disk = Disk::default();
    let mut committed = Commits::new();
    let turns = past.calls.iter().filter(|call| Past::is_turn(call)).count();
    let step = sized(turns / 14, 1).max(1);
    let mut turn = 0;
    for (number, call) in past.calls.iter().enumerate() {
        if Past::is_turn(call) {
            turn += 1;
            if turn % step == 0 {
                eprintln!("before call {number}");
                let mut random = Random::from_seed(u64::try_from(number).unwrap());
                let mut fate = if turn % (2 * step) == 0 { Fate::Nothing } else { Fate::Chance(&mut random) };
                let image = disk.image(&mut fate);
                lay_out(&image, &past.root, &past.root);
                set_group(&past.fixture, &past.installation, &committed);
                if !Held::by(&image, &past.root).positions.is_empty() {
                    assert_sound(&past.installation);
                }
                past.fixture.assert_ends_well(&mut past.installation);
            }
        }
        if let Call::Sent(bytes) = call {
            committed.extend(commits(bytes));
        }
        disk.take(call);
    }
}

/// Commits exactly these offsets for the group.
fn set_group(fixture: &CrashFixture, installation: &Installation, committed: &Commits) {
    if fixture.kafka.committed_offsets(&installation.group()).is_ok_and(|committed| !committed.is_empty()) {
        fixture.kafka.delete_group(&installation.group()).unwrap();
    }
    for partition in 0..PARTITIONS {
        if let Some((offset, metadata)) = committed.get(&partition) {
            fixture.kafka.commit_offset(&installation.group(), &fixture.topic, partition, *offset, metadata).unwrap();
        }
    }
}

#[test]
fn continues_after_a_power_failure_with_synchronous_normal() {
    continues_after_a_power_failure("NORMAL");
}

#[test]
fn continues_after_a_power_failure_with_synchronous_full() {
    continues_after_a_power_failure("FULL");
}
