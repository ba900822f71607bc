//! A power cut at any moment: what is left is sound, holds everything that Kafka was told of by then, and the next start ends with
//! the tables that an undisturbed service has.

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

/// Several runs of one service, with new records before each; and what it did to its disk and told Kafka.
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
        // Its log lies on the disk as well, so that the trace has what the service believed and when.
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

    /// Whether the moment before this call is one in which it turns out what is safe.
    fn is_turn(call: &Call) -> bool {
        matches!(call, Call::Synced(_) | Call::Created(_) | Call::Unlinked(_) | Call::Truncated { .. })
            || matches!(call, Call::Sent(bytes) if !commits(bytes).is_empty())
    }
}

/// Partition and offset of a message.
type At = (i64, i64);

/// What a database holds, and the log of its unidentified messages.
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
    /// Sound, with the counter equation and no row beyond a position; nothing at all before the tables are made.
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

    /// No message is missing in the log file for good, as one up to the cursor would be, nor will one be read and written again.
    fn assert_log_in_step(&self) {
        assert!(self.written_out.is_subset(&self.logged), "the cursor is ahead of the log file: {self:?}");
        assert!(self.logged.is_subset(&self.unidentified), "the log file is ahead of the table: {self:?}");
    }

    pub fn assert_covers(&self, told: &Commits) {
        for (partition, (offset, _)) in told {
            let held = self.positions.get(partition);
            assert!(held.is_some_and(|held| held >= offset), "Kafka was told {offset} of {partition}: {self:?}");
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

/// A power cut may leave anything of a line that was not synced.
fn logged(path: &Path) -> BTreeSet<At> {
    let bytes = fs::read(path).unwrap_or_default();
    let at = |line: &[u8]| {
        let line: serde_json::Value = serde_json::from_slice(line.strip_suffix(b"\n")?).ok()?;
        Some((line["partition"].as_i64()?, line["offset"].as_i64()?))
    };
    bytes.split_inclusive(|&byte| byte == b'\n').filter_map(at).collect()
}

/// Records that the service has told its log of as stored, up to here.
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

/// At each moment and whatever gets through: nothing that Kafka was told of is taken back; with `FULL`, nothing that was stored.
fn nothing_told_is_taken_back(synchronous: &str) {
    let past = Past::new(synchronous);
    let mut disk = Disk::default();
    let mut told = Commits::new();
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
                held.assert_covers(&told);
                held.assert_log_in_step();
                assert!(synchronous != "FULL" || held.sum() >= stored, "{stored} were stored, {held:?}");
            }
            moments += 1;
        }
        if let Call::Sent(bytes) = call {
            let now = commits(bytes);
            commits_seen += usize::from(!now.is_empty());
            told.extend(now);
            // As of now the other side may know.
            Held::by(&disk.image(&mut Fate::Nothing), &past.root).assert_covers(&told);
        }
        stored += records_stored(call);
        disk.take(call);
    }
    assert!(moments > 30 && commits_seen >= 8, "{moments} moments, {commits_seen} commits");
    assert_eq!(told.values().map(|(offset, _)| offset).sum::<i64>(), 880, "Kafka knows everything in the end");
}

#[test]
fn nothing_told_is_taken_back_with_normal_syncs() {
    nothing_told_is_taken_back("NORMAL");
}

#[test]
fn nothing_stored_is_taken_back_with_full_syncs() {
    nothing_told_is_taken_back("FULL");
}

/// The real service goes on from what is left, with the group as it was then.
fn goes_on_from_what_is_left(synchronous: &str) {
    let mut past = Past::new(synchronous);
    let mut disk = Disk::default();
    let mut told = Commits::new();
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
                set_group(&past.fixture, &past.installation, &told);
                if !Held::by(&image, &past.root).positions.is_empty() {
                    assert_sound(&past.installation);
                }
                past.fixture.assert_ends_well(&mut past.installation);
            }
        }
        if let Call::Sent(bytes) = call {
            told.extend(commits(bytes));
        }
        disk.take(call);
    }
}

/// The group has committed exactly this.
fn set_group(fixture: &CrashFixture, installation: &Installation, told: &Commits) {
    if fixture.kafka.committed_offsets(&installation.group()).is_ok_and(|committed| !committed.is_empty()) {
        fixture.kafka.delete_group(&installation.group()).unwrap();
    }
    for partition in 0..PARTITIONS {
        if let Some((offset, metadata)) = told.get(&partition) {
            fixture.kafka.commit_offset(&installation.group(), &fixture.topic, partition, *offset, metadata).unwrap();
        }
    }
}

#[test]
fn goes_on_from_what_is_left_with_normal_syncs() {
    goes_on_from_what_is_left("NORMAL");
}

#[test]
fn goes_on_from_what_is_left_with_full_syncs() {
    goes_on_from_what_is_left("FULL");
}
