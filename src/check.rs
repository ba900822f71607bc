//! The `check` command: looks at everything the service needs, changes nothing, and says for each thing that it is in order or
//! what to mend. Must not read records.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use kafka::{Client, ConnectionSettings, ErrorCode, Metadata, TopicMetadata, TopicPartition};

use crate::cli;
use crate::database::{DatabaseError, DatabaseReader};
use crate::error_chain::ErrorChain;
use crate::permissions;
use crate::settings::{GroupProtocol, KafkaSettings, Settings, advice};
use crate::start::{Claim, READ_SKIPPED};

/// How long a broker may take to answer a question of `check` or `status`: somebody is waiting at a terminal.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Between two questions to a broker that is not ready.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// Names of file systems, as in `/proc/self/mountinfo`, whose locks and shared memory SQLite cannot rely on
/// (<https://www.sqlite.org/useovernet.html>).
const NETWORK_FILE_SYSTEMS: [&str; 12] = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "afs",
    "ceph",
    "glusterfs",
    "fuse.glusterfs",
    "fuse.sshfs",
    "lustre",
];

/// What a look at one thing found.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Finding {
    Ok(String),
    /// Works, but an operator should know.
    Warning(String),
    /// The service cannot work like this.
    Mend(String),
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    what: &'static str,
    finding: Finding,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mark, text) = match &self.finding {
            Finding::Ok(text) => ("ok", text),
            Finding::Warning(text) => ("warn", text),
            Finding::Mend(text) => ("FAIL", text),
        };
        writeln!(f, "{:<9} {mark:<5} {text}", self.what)
    }
}

/// Prints the report; true if the service can work.
pub fn check(settings: &Settings) -> bool {
    let mut all_right = true;
    let mut tell = |what, finding| {
        all_right &= !matches!(finding, Finding::Mend(_));
        cli::print(Line { what, finding });
    };
    tell("settings", Finding::Ok(describe(settings)));
    for warning in &settings.warnings {
        tell("settings", Finding::Warning(warning.clone()));
    }
    // Before SQLite opens the files: it gives an empty `-wal` file the database's mode.
    let exposed = permissions::warnings(settings);
    let (database, database_id) = look_at_database(&settings.database.path);
    tell("database", database);
    if let Some(warning) = network_file_system(&settings.database.path) {
        tell("database", Finding::Warning(warning));
    }
    for warning in exposed {
        tell("files", Finding::Warning(warning));
    }
    let kafka = &settings.kafka;
    match kafka.security.load() {
        // Nobody can be called like this.
        Err(error) => tell("security", Finding::Mend(ErrorChain(&error).to_string())),
        Ok(security) => {
            tell("security", Finding::Ok(kafka.security.describe()));
            let database = KnownDatabase {
                id: database_id.as_deref(),
                is_new: !has_positions(&settings.database.path, &kafka.group_id),
            };
            look_at_kafka(kafka, &mut client(kafka, security), database, &mut tell);
        }
    }
    all_right
}

/// What the database says of itself.
#[derive(Clone, Copy)]
struct KnownDatabase<'a> {
    /// `None` if there is none, or it cannot be read.
    id: Option<&'a str>,
    /// Whether it has no position of the group.
    is_new: bool,
}

fn has_positions(path: &Path, group: &str) -> bool {
    let positions = DatabaseReader::open(path).and_then(|mut reader| reader.positions(group));
    positions.is_ok_and(|positions| !positions.is_empty())
}

/// Brokers, topics and group.
fn look_at_kafka(
    kafka: &KafkaSettings,
    client: &mut Client,
    database: KnownDatabase<'_>,
    tell: &mut impl FnMut(&'static str, Finding),
) {
    match client.metadata(kafka.topics.iter().map(|topic| Arc::from(topic.as_str())).collect()) {
        Err(error) => {
            let servers: Vec<String> = kafka.bootstrap_servers.iter().map(ToString::to_string).collect();
            let asked =
                format!("none of KAFKA_BOOTSTRAP_SERVERS ({}) answers: {}", servers.join(", "), explain(&error));
            // One that answers with a refusal is there.
            tell("brokers", Finding::Mend(if error.is_retriable() { asked } else { explain(&error) }));
        }
        Ok(metadata) => {
            let cluster_id = metadata.cluster_id.clone().unwrap_or_default();
            tell(
                "brokers",
                Finding::Ok(format!("{} of cluster '{cluster_id}'", counted(metadata.brokers.len(), "broker"))),
            );
            for topic in &metadata.topics {
                tell("topic", look_at_topic(client, kafka, topic));
            }
            if metadata.topics.iter().any(|topic| topic.error.is_none()) {
                tell("group", look_at_group(client, kafka, &metadata, database, &cluster_id));
            }
        }
    }
}

/// An error of the client and all that caused it, and what to do about it.
pub fn explain(error: &kafka::Error) -> String {
    let chain = ErrorChain(error);
    advice(error).map_or_else(|| chain.to_string(), |advice| format!("{chain}; {advice}"))
}

/// A client whose questions are answered soon or not at all.
pub fn client(kafka: &KafkaSettings, security: kafka::Security) -> Client {
    let connection = ConnectionSettings {
        client_id: kafka.client_id.clone(),
        connect_timeout: PATIENCE,
        request_timeout: PATIENCE,
        receive_bytes_max: kafka.receive_max_bytes.get(),
        security,
    };
    Client::new(kafka.bootstrap_servers.clone(), connection)
}

/// Every partition that metadata shows.
pub fn partitions_of(metadata: &Metadata) -> Vec<TopicPartition> {
    let of_topic = |topic: &TopicMetadata| {
        let name = Arc::clone(&topic.name);
        let numbers: Vec<i32> = topic.partitions.iter().map(|partition| partition.partition).collect();
        numbers.into_iter().map(move |number| TopicPartition::new(Arc::clone(&name), number))
    };
    metadata.topics.iter().flat_map(of_topic).collect()
}

fn describe(settings: &Settings) -> String {
    let kafka = &settings.kafka;
    format!("topics {}, group '{}', isolation level {}", kafka.topics.join(", "), kafka.group_id, kafka.isolation_level)
}

/// Also gives the database's id, if there is a database.
fn look_at_database(path: &Path) -> (Finding, Option<String>) {
    let shown = path.display();
    let id = match DatabaseReader::open(path).and_then(|mut reader| reader.id()) {
        Ok(id) => id,
        Err(DatabaseError::Missing { .. }) => return (look_at_place(path), None),
        Err(error) => return (Finding::Mend(ErrorChain(&error).to_string()), None),
    };
    // To append nothing changes nothing. SQLite keeps its log beside the file.
    let file =
        File::options().append(true).open(path).map_err(|error| format!("'{shown}' cannot be written to: {error}"));
    if let Err(obstacle) = file.and_then(|_| try_to_write_beside(path)) {
        return (Finding::Mend(obstacle), Some(id));
    }
    let text = format!(
        "'{shown}', id {id}; a copy that is used beside it needs an id of its own: \
         UPDATE database_identity SET id = lower(hex(randomblob(16)))"
    );
    (Finding::Ok(text), Some(id))
}

/// Whether the service can make the database where there is none yet.
fn look_at_place(path: &Path) -> Finding {
    match try_to_write_beside(path) {
        Ok(()) => Finding::Ok(format!("'{}' does not exist yet; the first run makes it", path.display())),
        Err(obstacle) => Finding::Mend(obstacle),
    }
}

/// Permissions tell little of what is permitted: makes a file and removes it, in the nearest directory that exists; the first run makes
/// the others.
fn try_to_write_beside(path: &Path) -> Result<(), String> {
    let mut directories = path.ancestors().skip(1).map(or_here);
    let directory = directories.find(|directory| directory.exists()).unwrap_or(Path::new("."));
    let probe = directory.join(format!(".enterprise-consumer-check-{}", std::process::id()));
    File::create_new(&probe)
        .and_then(|_| std::fs::remove_file(&probe))
        .map_err(|error| format!("'{}' is not a directory that can be written to: {error}", directory.display()))
}

/// The parent of a bare file name is the empty path, which means here.
fn or_here(directory: &Path) -> &Path {
    if directory.as_os_str().is_empty() { Path::new(".") } else { directory }
}

/// A warning, if the database lies where SQLite must not be used.
fn network_file_system(path: &Path) -> Option<String> {
    let absolute = std::path::absolute(path).ok()?;
    let existing = absolute.ancestors().find(|ancestor| ancestor.exists())?.canonicalize().ok()?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let kind = file_system_of(&existing, &mounts)?;
    NETWORK_FILE_SYSTEMS.contains(&kind).then(|| {
        format!(
            "'{}' lies on a network file system ({kind}), where SQLite's locks and shared memory do not work reliably: use a \
             local disk",
            path.display()
        )
    })
}

/// The type of the file system that a path lies on: that of the longest mount point above it
/// (<https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html>).
fn file_system_of<'a>(path: &Path, mountinfo: &'a str) -> Option<&'a str> {
    let mounts = mountinfo.lines().filter_map(|line| {
        let (mount, rest) = line.split_once(" - ")?;
        let point = mount.split(' ').nth(4)?;
        path.starts_with(point).then_some((point.len(), rest.split(' ').next()?))
    });
    // Of mounts on the same point, the last one lies on top.
    mounts.max_by_key(|(length, _)| *length).map(|(_, kind)| kind)
}

fn look_at_topic(client: &mut Client, kafka: &KafkaSettings, topic: &TopicMetadata) -> Finding {
    let name = &topic.name;
    if let Some(code) = topic.error {
        let error = kafka::Error::Topic { topic: name.to_string(), code };
        let mend = if code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION { ": create it" } else { "" };
        return Finding::Mend(format!("{}{mend}", explain(&error)));
    }
    let leaderless = topic.partitions.iter().filter(|partition| partition.leader.is_none()).count();
    let partitions = counted(topic.partitions.len(), "partition");
    if leaderless > 0 {
        return Finding::Mend(format!("'{name}': {leaderless} of {partitions} have no leader; look at the brokers"));
    }
    match try_to_fetch(client, kafka, topic) {
        Ok(()) => Finding::Ok(format!("'{name}': {partitions}")),
        Err(error) => Finding::Mend(format!("'{name}' cannot be read: {}", explain(&error))),
    }
}

/// Fetches at the end of a log, where nothing is: metadata and offsets can be had with DESCRIBE, only this needs READ.
fn try_to_fetch(client: &mut Client, kafka: &KafkaSettings, topic: &TopicMetadata) -> kafka::Result<()> {
    let first = topic.partitions.iter().take(1);
    let first: Vec<_> =
        first.map(|partition| TopicPartition::new(Arc::clone(&topic.name), partition.partition)).collect();
    patiently(|| {
        for (at, offsets) in client.log_offsets(&first, kafka.isolation_level)? {
            let (_, end_offset) = offsets?;
            client.timestamp_at(&at, end_offset, kafka.isolation_level)?;
        }
        Ok(())
    })
}

/// Whether the group's offsets are ours to go on from.
fn look_at_group(
    client: &mut Client,
    kafka: &KafkaSettings,
    metadata: &Metadata,
    database: KnownDatabase<'_>,
    cluster_id: &str,
) -> Finding {
    let group = &kafka.group_id;
    let partitions = partitions_of(metadata);
    let committed = patiently(|| {
        client.may_read_as(group)?;
        client.committed(group, &partitions)
    });
    let committed = match committed {
        Ok(committed) => committed,
        Err(error) => return Finding::Mend(format!("'{group}' cannot be read: {}", explain(&error))),
    };
    if committed.is_empty() {
        return Finding::Ok(format!("'{group}' has committed nothing yet"));
    }
    let partitions = counted(committed.len(), "partition");
    let others: BTreeSet<String> = committed
        .values()
        .filter_map(|offset| Claim::parse(&offset.metadata))
        .filter(|claim| claim.cluster_id == cluster_id && Some(claim.database_id.as_str()) != database.id)
        .map(|claim| claim.database_id)
        .collect();
    if others.is_empty() {
        return Finding::Ok(format!("'{group}' has offsets of {partitions}"));
    }
    let ids: Vec<String> = others.into_iter().collect();
    if kafka.group_protocol != GroupProtocol::None {
        let ids = ids.join(", ");
        if database.is_new {
            return Finding::Warning(format!(
                "'{group}' has offsets of {partitions}, some of other databases (id {ids}), and this database is new: it gets no \
                 record before them; {READ_SKIPPED}"
            ));
        }
        return Finding::Ok(format!("'{group}' has offsets of {partitions}, some of other databases (id {ids})"));
    }
    Finding::Mend(format!(
        "'{group}' was read into another database (id {}): use that one or another KAFKA_GROUP_ID, or reset the group's \
         offsets with 'enterprise-consumer reset' or kafka-consumer-groups --reset-offsets",
        ids.join(", ")
    ))
}

/// Asks again what a broker cannot answer yet: on a new cluster, the first question about a group makes it get ready for groups.
fn patiently<T>(mut ask: impl FnMut() -> kafka::Result<T>) -> kafka::Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match ask() {
            Err(error) if error.is_retriable() && Instant::now() < deadline => thread::sleep(ASK_AGAIN),
            answer => return answer,
        }
    }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_and_last_mount_counts() {
        let mounts = "\
22 1 0:21 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:26 / /srv rw - nfs4 server:/export rw
31 30 0:27 / /srv/local rw - xfs /dev/vdb rw
32 31 0:28 / /srv/local rw - tmpfs tmpfs rw
";
        let check = |path: &str, kind| assert_eq!(file_system_of(Path::new(path), mounts), kind, "{path}");
        check("/var/lib", Some("ext4"));
        check("/srv/data", Some("nfs4"));
        check("/srv/localhost", Some("nfs4"));
        check("/srv/local/data", Some("tmpfs"));
        assert_eq!(file_system_of(Path::new("/x"), "nonsense"), None);
    }
}
