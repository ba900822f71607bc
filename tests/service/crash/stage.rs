//! A topic, what must come of it, and places in which services read it through the shim. Knows the contract of the tables and of the
//! log file, nothing of how they are written.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};

use testkit::{Client, Cluster, ProduceOptions, Random, unique};

use super::shim::{self, Call, DISK, Plan};
use crate::support::child::{PATIENCE, Place, json_lines};
use crate::support::events::{Tables, events};
use crate::support::sized;

/// Of each topic.
pub const PARTITIONS: i32 = 2;

/// A topic and what its records make of an empty database.
pub struct Stage {
    pub cluster: &'static Cluster,
    pub kafka: &'static Client,
    pub topic: String,
    pub tables: Tables,
    seed: u64,
}

impl Stage {
    pub fn new(name: &str, records: u64) -> Self {
        let cluster = testkit::shared(testkit::NEWEST).unwrap();
        let kafka = cluster.client().unwrap();
        let topic = unique(name);
        kafka.create_topic(&topic, PARTITIONS.try_into().unwrap(), &[]).unwrap();
        let mut stage = Self { cluster, kafka, topic, tables: Tables::default(), seed: 5 };
        stage.produce(records);
        stage
    }

    pub fn produce(&mut self, records: u64) {
        self.seed += 1;
        let sent = events(self.seed, records, PARTITIONS);
        let records = sent.iter().map(|sent| sent.record.clone());
        let positions = self.kafka.produce(&self.topic, &ProduceOptions::default(), records).unwrap();
        self.tables.add(&self.topic, &sent, &positions);
    }

    /// A place with nothing in it and a group of its own, whose service makes many small transactions. All that counts lies on
    /// its disk.
    pub fn place(&self, protocol: &str) -> Place {
        let mut place = Place::new(&self.cluster.bootstrap_servers(), &self.topic);
        place.set("KAFKA_GROUP_ID", &unique("group")).set("KAFKA_GROUP_PROTOCOL", protocol);
        place.set("DATABASE_URL", &format!("sqlite:///{DISK}/data/enterprise.db"));
        place.set("UNIDENTIFIED_LOG_FILE", &format!("{DISK}/logs/unidentified_messages.log"));
        place.set("BATCH_MAX_RECORDS", "8");
        place
    }

    /// Runs to the end without any fault: tables, log file and group are what they must be.
    pub fn assert_ends_well(&self, place: &mut Place) {
        shim::remove(place);
        place.run_to_end();
        self.assert_stored(place);
        assert_logged(place);
        let ends = self.kafka.end_offsets(&self.topic).unwrap();
        let committed = self.kafka.committed_offsets(&place.group()).unwrap();
        for (partition, end) in (0..).zip(ends) {
            assert_eq!(committed[&(self.topic.clone(), partition)].offset, end, "partition {partition}");
        }
    }

    /// The tables are what they must be.
    pub fn assert_stored(&self, place: &Place) {
        assert_sound(place);
        place.assert_clean();
        self.tables.assert_stored(&place.database());
    }
}

/// Runs once without any fault and gives what was done.
pub fn calls_of(place: &mut Place) -> Vec<Call> {
    let trace = place.path().join("trace");
    shim::install(place, &Plan::Watch, Some(&trace));
    place.run_to_end();
    let mut calls = shim::read_trace(&trace);
    calls.retain(|call| !matches!(call, Call::Sent(_)));
    calls
}

/// Each unidentified message stands in the log file once.
fn assert_logged(place: &Place) {
    let lines = json_lines(&place.unidentified_path());
    let number = |line: &serde_json::Value, name| line[name].as_i64().unwrap();
    let logged: BTreeSet<_> = lines.iter().map(|line| (number(line, "partition"), number(line, "offset"))).collect();
    let expected = "SELECT kafka_partition, kafka_offset FROM unidentified_messages ORDER BY 1, 2";
    let database = place.database();
    let mut statement = database.prepare(expected).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let expected: Vec<(i64, i64)> = rows.map(Result::unwrap).collect();
    assert!(!expected.is_empty(), "a topic without unidentified messages");
    assert_eq!(logged.into_iter().collect::<Vec<_>>(), expected, "messages in the log file");
    assert_eq!(lines.len(), expected.len(), "messages in the log file, each once");
}

/// Runs until the plan kills it; false if it comes to its end before.
pub fn dies(place: &mut Place, arguments: &[&str], plan: &Plan) -> bool {
    shim::install(place, plan, None);
    let status = place.start(arguments).wait(PATIENCE);
    shim::remove(place);
    assert!(status.signal() == Some(9) || status.code() == Some(0), "{plan}: {status}; {}", place.tail());
    status.signal().is_some()
}

/// What the program itself says of its database.
pub fn assert_sound(place: &Place) {
    let answer = place.ask(&["verify"]);
    assert_eq!(answer.code, Some(0), "{answer:?}");
}

/// Every number of a call in the full size, a sample in CI's: the first ones, those that `must` be in it, the last, and some
/// between them.
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
