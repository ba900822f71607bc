//! One topic on a shared broker, and the installation of a service that reads it, for tests of positions. Knows the tables and the log
//! of the service, not its rules.

use std::fs;
use std::ops::Range;

use rusqlite::Row;
use testkit::{Client, Cluster, Position, ProduceOptions, Record, unique};

use super::process::Installation;

/// A topic, its cluster, and the installation of a service that reads it.
pub struct TopicFixture {
    pub cluster: &'static Cluster,
    pub kafka: &'static Client,
    pub topic: String,
    pub installation: Installation,
}

/// A row of `position_changes`: partition, from, to, reason.
pub type Change = (i32, Option<i64>, i64, String);

impl TopicFixture {
    pub fn new(name: &str, partitions: u32) -> Self {
        Self::on(testkit::NEWEST, name, partitions)
    }

    /// With `KAFKA_GROUP_PROTOCOL=none`: the group has no members, and any client may commit offsets at any time.
    pub fn without_members(name: &str, partitions: u32) -> Self {
        let mut fixture = Self::new(name, partitions);
        fixture.installation.set("KAFKA_GROUP_PROTOCOL", "none");
        fixture
    }

    pub fn on(version: &str, name: &str, partitions: u32) -> Self {
        let fixture = Self::without_topic(version, name);
        fixture.create_topic(partitions);
        fixture
    }

    pub fn without_topic(version: &str, name: &str) -> Self {
        Self::on_cluster(testkit::shared(version).unwrap(), name)
    }

    /// On a separate cluster, without a topic.
    pub fn on_cluster(cluster: &'static Cluster, name: &str) -> Self {
        let topic = unique(name);
        let installation = Installation::new(&cluster.bootstrap_servers(), &topic);
        Self { cluster, kafka: cluster.client().unwrap(), topic, installation }
    }

    /// Creates the topic and returns its id.
    pub fn create_topic(&self, partitions: u32) -> String {
        self.kafka.create_topic(&self.topic, partitions, &[]).unwrap()
    }

    /// Deletes and recreates the topic; returns the old and the new id.
    pub fn recreate_topic(&self, partitions: u32) -> (String, String) {
        let before = self.kafka.topic_id(&self.topic).unwrap();
        self.kafka.delete_topic(&self.topic).unwrap();
        (before, self.create_topic(partitions))
    }

    pub fn group(&self) -> String {
        format!("group-of-{}", self.topic)
    }

    /// The same topic and group, with the installation of another service.
    pub fn another_installation(&self) -> Self {
        let mut installation = Installation::new(&self.cluster.bootstrap_servers(), &self.topic);
        if let Some(protocol) = self.installation.variables().get("KAFKA_GROUP_PROTOCOL") {
            installation.set("KAFKA_GROUP_PROTOCOL", protocol);
        }
        Self { cluster: self.cluster, kafka: self.kafka, topic: self.topic.clone(), installation }
    }

    /// An installation whose commands use this one's database, with this command line before the program.
    pub fn on_same_database(&self, wrapper: &[&str]) -> Installation {
        let mut installation = self.another_installation().installation;
        installation
            .set("DATABASE_URL", &format!("sqlite:///{}", self.installation.database_path().display()))
            .wrap(wrapper);
        installation
    }

    /// Produces one opportunity for each number, each with a different id.
    pub fn produce(&self, partition: i32, numbers: Range<i64>) -> Vec<Position> {
        let event = |number| {
            let value = format!(r#"{{"event_id":"opp_{partition}_{number}","name":"number {number}","stage":"won"}}"#);
            Record::value(value).partition(partition)
        };
        self.kafka.produce(&self.topic, &ProduceOptions::default(), numbers.map(event)).unwrap()
    }

    /// Resets offsets with Kafka's tool; `partitions` such as `:0`, or empty for all.
    pub fn reset(&self, partitions: &str, to: &[&str]) {
        self.cluster.reset_offsets(&self.group(), &format!("{}{partitions}", self.topic), to).unwrap();
    }

    pub fn database_id(&self) -> String {
        self.installation.database().query_row("SELECT id FROM database_identity", [], |row| row.get(0)).unwrap()
    }

    /// The stored positions of the topic's partitions.
    pub fn next_offsets(&self) -> Vec<i64> {
        self.rows("SELECT next_offset FROM consumer_offsets ORDER BY partition", |row| row.get(0))
    }

    /// The offsets at which the partitions' counters began.
    pub fn first_offsets(&self) -> Vec<i64> {
        self.rows("SELECT first_offset FROM consumer_offsets ORDER BY partition", |row| row.get(0))
    }

    /// The sum of a column of `consumer_offsets`.
    pub fn number(&self, column: &str) -> i64 {
        self.installation.number(&format!("SELECT sum({column}) FROM consumer_offsets")).unwrap()
    }

    /// Waits until the group has committed an offset for a partition; returns its metadata.
    pub fn wait_committed(&self, partition: i32, offset: i64) -> String {
        let at = (self.topic.clone(), partition);
        let mut found = None;
        self.installation.wait_for("the commit", |_| {
            let mut committed = self.kafka.committed_offsets(&self.group()).unwrap();
            found = committed.remove(&at).filter(|committed| committed.offset == offset);
            found.is_some()
        });
        found.unwrap().metadata
    }

    /// Offsets of the events in the table, of one partition.
    pub fn stored_offsets(&self, partition: i32) -> Vec<i64> {
        let query = format!("SELECT kafka_offset FROM opportunities WHERE kafka_partition = {partition} ORDER BY 1");
        self.rows(&query, |row| row.get(0))
    }

    /// Every offset jump so far.
    pub fn changes(&self) -> Vec<Change> {
        let query = "SELECT partition, from_offset, to_offset, reason FROM position_changes ORDER BY rowid";
        self.rows(query, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
    }

    /// The jumps without the first `count`, sorted by partition.
    pub fn changes_after(&self, count: usize) -> Vec<Change> {
        let mut changes = self.changes().split_off(count);
        changes.sort();
        changes
    }

    pub fn rows<T>(&self, query: &str, row: impl Fn(&Row<'_>) -> rusqlite::Result<T>) -> Vec<T> {
        let database = self.installation.database();
        let mut statement = database.prepare(query).unwrap();
        let rows = statement.query_map([], |found| row(found)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    /// Runs until the end, and checks that database and group are at the end of the log.
    pub fn run_to_end(&self) {
        self.installation.run_to_end();
        self.assert_at_end();
    }

    /// Checks that the stored positions and the group's offsets are at the end of the log, and that the offsets have the database's metadata.
    pub fn assert_at_end(&self) {
        self.installation.assert_clean();
        let ends = self.kafka.end_offsets(&self.topic).unwrap();
        assert_eq!(self.next_offsets(), ends, "stored positions; {}", self.installation.tail());
        let committed = self.kafka.committed_offsets(&self.group()).unwrap();
        let marks = format!("database={} cluster=", self.database_id());
        for (partition, end) in (0..).zip(&ends) {
            let offset = &committed[&(self.topic.clone(), partition)];
            assert_eq!(offset.offset, *end, "the group's offset of partition {partition}");
            assert!(offset.metadata.starts_with(&marks), "not marked as ours: {offset:?}");
        }
    }

    /// Checks that the service refuses to run with an error that has all parts, and changes no position. Returns its standard error.
    pub fn assert_refused(&self, parts: &[&str]) -> String {
        let before = self.installation.database_path().exists().then(|| (self.next_offsets(), self.changes()));
        let answer = self.installation.ask(&["run", "--exit-at-end"]);
        assert_eq!(answer.code, Some(1), "{answer:?}");
        assert_last_line_has(&answer.stderr, parts);
        if let Some(before) = before {
            assert_eq!((self.next_offsets(), self.changes()), before, "a service that refuses changes nothing");
        }
        answer.stderr
    }

    /// Stops a running service as `systemctl stop` does.
    pub fn stop(service: &mut super::process::Service<'_>) {
        service.signal("TERM");
        service.ends_with(0);
    }

    /// A backup: the database as one file without a WAL.
    pub fn back_up(&self) -> Vec<u8> {
        let copy = self.installation.path().join("backup.db");
        let _ = fs::remove_file(&copy); // An earlier backup.
        self.installation.database().execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
        fs::read(copy).unwrap()
    }

    /// Replaces the database by a backup.
    pub fn restore(&self, backup: &[u8]) {
        let path = self.installation.database_path();
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(format!("{}{suffix}", path.display())); // After a kill they exist.
        }
        fs::write(path, backup).unwrap();
    }
}

/// Checks that the last line, which is the error chain, has all parts.
pub fn assert_last_line_has(text: &str, parts: &[&str]) {
    let line = text.lines().last().unwrap_or_default();
    for part in parts {
        assert!(line.contains(part), "'{part}' is not in '{line}'");
    }
}
