//! A topic, its expected tables, and installations whose service runs with the shim. Knows the contract of the tables and of the log
//! file, not how they are written.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};

use testkit::{Client, Cluster, ProduceOptions, Random, unique};

use super::shim::{self, Call, DISK, Plan};
use crate::support::events::{Tables, events};
use crate::support::process::{Installation, WAIT_MAX, json_lines};
use crate::support::sized;

/// The number of partitions of each topic.
pub const PARTITIONS: i32 = 2;

/// A topic and the expected tables of its records.
pub struct CrashFixture {
    pub cluster: &'static Cluster,
    pub kafka: &'static Client,
    pub topic: String,
    pub tables: Tables,
    seed: u64,
}

impl CrashFixture {
    pub fn new(name: &str, records: u64) -> Self {
        let cluster = testkit::shared(testkit::NEWEST).unwrap();
        let kafka = cluster.client().unwrap();
        let topic = unique(name);
        kafka.create_topic(&topic, PARTITIONS.try_into().unwrap(), &[]).unwrap();
        let mut fixture = Self { cluster, kafka, topic, tables: Tables::default(), seed: 5 };
        fixture.produce(records);
        fixture
    }

    pub fn produce(&mut self, records: u64) {
        self.seed += 1;
        let sent = events(self.seed, records, PARTITIONS);
        let records = sent.iter().map(|sent| sent.record.clone());
        let positions = self.kafka.produce(&self.topic, &ProduceOptions::default(), records).unwrap();
        self.tables.add(&self.topic, &sent, &positions);
    }

    /// An empty installation with a separate group, whose service makes many small transactions. All files that matter are on its disk.
    pub fn installation(&self, protocol: &str) -> Installation {
        let mut installation = Installation::new(&self.cluster.bootstrap_servers(), &self.topic);
        installation.set("KAFKA_GROUP_ID", &unique("group")).set("KAFKA_GROUP_PROTOCOL", protocol);
        installation.set("DATABASE_URL", &format!("sqlite:///{DISK}/data/enterprise.db"));
        installation.set("UNIDENTIFIED_LOG_FILE", &format!("{DISK}/logs/unidentified_messages.log"));
        installation.set("BATCH_MAX_RECORDS", "8");
        installation
    }

    /// Runs to the end without a fault, and checks tables, log file and committed offsets.
    pub fn assert_ends_well(&self, installation: &mut Installation) {
        shim::remove(installation);
        installation.run_to_end();
        self.assert_stored(installation);
        assert_logged(installation);
        let ends = self.kafka.end_offsets(&self.topic).unwrap();
        let committed = self.kafka.committed_offsets(&installation.group()).unwrap();
        for (partition, end) in (0..).zip(ends) {
            assert_eq!(committed[&(self.topic.clone(), partition)].offset, end, "partition {partition}");
        }
    }

    /// Checks the tables.
    pub fn assert_stored(&self, installation: &Installation) {
        assert_sound(installation);
        installation.assert_clean();
        self.tables.assert_stored(&installation.database());
    }
}

/// Runs once without a fault and returns the calls.
pub fn calls_of(installation: &mut Installation) -> Vec<Call> {
    let trace = installation.path().join("trace");
    shim::install(installation, &Plan::Watch, Some(&trace));
    installation.run_to_end();
    let mut calls = shim::read_trace(&trace);
    calls.retain(|call| !matches!(call, Call::Sent(_)));
    calls
}

/// Checks that each unidentified message is in the log file once.
fn assert_logged(installation: &Installation) {
    let lines = json_lines(&installation.unidentified_path());
    let number = |line: &serde_json::Value, name| line[name].as_i64().unwrap();
    let logged: BTreeSet<_> = lines.iter().map(|line| (number(line, "partition"), number(line, "offset"))).collect();
    let expected = "SELECT kafka_partition, kafka_offset FROM unidentified_messages ORDER BY 1, 2";
    let database = installation.database();
    let mut statement = database.prepare(expected).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let expected: Vec<(i64, i64)> = rows.map(Result::unwrap).collect();
    assert!(!expected.is_empty(), "a topic without unidentified messages");
    assert_eq!(logged.into_iter().collect::<Vec<_>>(), expected, "messages in the log file");
    assert_eq!(lines.len(), expected.len(), "messages in the log file, each once");
}

/// Runs until the plan kills the process; false if it ends before.
pub fn dies(installation: &mut Installation, arguments: &[&str], plan: &Plan) -> bool {
    shim::install(installation, plan, None);
    let status = installation.start(arguments).wait(WAIT_MAX);
    shim::remove(installation);
    assert!(status.signal() == Some(9) || status.code() == Some(0), "{plan}: {status}; {}", installation.tail());
    status.signal().is_some()
}

/// Checks the database with `verify`.
pub fn assert_sound(installation: &Installation) {
    let answer = installation.ask(&["verify"]);
    assert_eq!(answer.code, Some(0), "{answer:?}");
}

/// The numbers of all calls in the full size, a sample in the CI size: the first ones, those that `must` be in it, the last, and some
/// others.
pub fn sample(calls: &[Call], must: impl Fn(&Call) -> bool) -> Vec<usize> {
    let all = 1..=calls.len();
    let mut random = Random::from_seed(17);
    let one_in = sized(u64::try_from(calls.len()).unwrap() / 8 + 1, 1);
    let chosen =
        |call: &usize| *call <= 3 || *call == calls.len() || must(&calls[*call - 1]) || random.below(one_in) == 0;
    all.filter(chosen).collect()
}

pub fn copy_directory(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to: PathBuf = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_directory(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
