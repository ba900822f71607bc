//! What `check` and `status` ask Kafka, and what a start would decide on it: every partition's offsets, who reads it, and where `run`
//! would go on, by the rules of [`start_rules`]. A few requests a broker, however many partitions there are. Changes
//! nothing; must not print.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka::{
    Assignment, Client, CommittedOffset, ConnectionSettings, Error, ErrorCode, GroupDescription, IsolationLevel,
    MemberDescription, Metadata, OutOfRange, StartToken, TopicMetadata, TopicPartition, Truncated, Truncation,
    Watermarks,
};

use crate::runtime::error_chain::ErrorChain;
use crate::service::start_rules::{self, CommitMetadata, Policy, StartDecision, StartError, StoredOffset};
use crate::settings::{GroupProtocol, KafkaSettings, Settings, advice};
use crate::storage::StoredPosition;

/// How long a broker may take to answer: somebody is waiting at a terminal.
pub const TIMEOUT: Duration = Duration::from_secs(5);

/// Between two requests to a broker that is not ready.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// What the database tells, as far as it exists.
#[derive(Clone, Debug, Default)]
pub struct Local {
    /// The database's id; `None` if there is no database yet.
    pub database_id: Option<String>,
    /// The group's stored positions.
    pub positions: Vec<StoredPosition>,
}

/// The cluster, seen from this database.
#[derive(Debug, Default)]
pub struct Inspection {
    /// The cluster's id; empty if the brokers tell none.
    pub cluster_id: String,
    /// How many brokers there are.
    pub brokers: usize,
    /// The topics of the settings.
    pub topics: Vec<TopicInspection>,
    /// State and members of the group; `None` if the coordinator does not tell.
    pub group: Option<GroupDescription>,
    /// Each partition of the topics, and each one that has a stored position.
    pub partitions: BTreeMap<TopicPartition, PartitionInspection>,
    /// What could not be had, each with its cause.
    pub failures: Vec<Failure>,
}

/// Something that could not be had.
#[derive(Debug)]
pub struct Failure {
    /// What it is about: `brokers`, `topic` or `group`.
    pub subject: &'static str,
    /// What failed and why, in one line.
    pub text: String,
}

/// A topic as metadata shows it.
#[derive(Debug)]
pub struct TopicInspection {
    /// Its name.
    pub name: String,
    /// How many partitions it has.
    pub partitions: usize,
    /// How many of them have no leader.
    pub leaderless: usize,
}

/// One partition.
#[derive(Debug, Default)]
pub struct PartitionInspection {
    /// Its log; `None` if the leader does not tell.
    pub watermarks: Option<Watermarks>,
    /// What the group has committed.
    pub committed: Option<CommittedOffset>,
    /// Who reads it.
    pub reader: Reader,
    /// Where `run` would go on, unless another member reads it.
    pub start: Option<Result<StartDecision, StartError>>,
    /// How many records this database does not get, since another one has read them; see [`start_rules::count_skipped_records`].
    pub skipped: i64,
    /// The timestamp of the oldest record that has not been read, in milliseconds since 1970.
    pub oldest_unread_ms: Option<i64>,
    /// The timestamp of the first record behind the last stable offset, likewise.
    pub blocked_since_ms: Option<i64>,
    /// Why something of this partition could not be had.
    pub error: Option<String>,
}

/// Which member of the group reads a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reader {
    /// None, or the group has no members, or the coordinator does not tell.
    #[default]
    Unassigned,
    /// The instance of this database.
    ThisInstance(MemberDescription),
    /// Another one.
    Other(MemberDescription),
}

impl PartitionInspection {
    /// The next offset to be read by whoever reads the partition, or would after a start. `None` if that cannot be said, as after a
    /// data loss that stops the service.
    pub fn position(&self, stored: Option<i64>) -> Option<i64> {
        match (&self.reader, &self.start) {
            (Reader::Other(_), _) => self.committed.as_ref().map(|committed| committed.offset),
            (_, Some(Ok(choice))) => Some(choice.offset()),
            (_, Some(Err(_))) => None,
            (_, None) => stored,
        }
    }
}

/// A client whose requests are answered soon or not at all.
pub fn client(kafka: &KafkaSettings, security: kafka::Security) -> Client {
    let connection = ConnectionSettings {
        client_id: kafka.client_id.clone(),
        connect_timeout: TIMEOUT,
        connect_timeout_max: TIMEOUT,
        request_timeout: TIMEOUT,
        receive_bytes_max: kafka.receive_max_bytes.get(),
        security,
        ..ConnectionSettings::default()
    };
    Client::new(kafka.bootstrap_servers.clone(), connection)
}

/// An error of the client with its causes, and what to do about it.
pub fn explain(error: &Error) -> String {
    let chain = ErrorChain(error);
    advice(error).map_or_else(|| chain.to_string(), |advice| format!("{chain}; {advice}"))
}

/// Repeats a request that a broker cannot answer yet: on a new cluster, the first request about a group makes it create the topic
/// that groups are kept in.
pub fn with_retry<T>(mut request: impl FnMut() -> kafka::Result<T>) -> kafka::Result<T> {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        match request() {
            Err(error) if error.is_retriable() && Instant::now() < deadline => std::thread::sleep(RETRY_INTERVAL),
            result => return result,
        }
    }
}

impl Inspection {
    /// Asks the cluster. What cannot be had is among the failures.
    pub fn make(settings: &Settings, client: &mut Client, local: &Local) -> Self {
        let mut inspection = Self::default();
        let kafka = &settings.kafka;
        let topics = kafka.topics.iter().map(|topic| Arc::from(topic.as_str())).collect();
        match client.metadata(topics) {
            Err(error) => inspection.failures.push(Failure { subject: "brokers", text: unreachable(kafka, &error) }),
            Ok(metadata) => Inspector { settings, client, local, metadata, into: &mut inspection }.inspect(),
        }
        inspection
    }

    /// Of a cluster that cannot be asked.
    pub fn failed(subject: &'static str, text: String) -> Self {
        Self { failures: vec![Failure { subject, text }], ..Self::default() }
    }
}

/// A broker that answers with a refusal is there.
fn unreachable(kafka: &KafkaSettings, error: &Error) -> String {
    if !error.is_retriable() {
        return explain(error);
    }
    let servers: Vec<String> = kafka.bootstrap_servers.iter().map(ToString::to_string).collect();
    format!("none of KAFKA_BOOTSTRAP_SERVERS ({}) answers: {}", servers.join(", "), explain(error))
}

struct Inspector<'a> {
    settings: &'a Settings,
    client: &'a mut Client,
    local: &'a Local,
    metadata: Metadata,
    into: &'a mut Inspection,
}

impl Inspector<'_> {
    fn inspect(mut self) {
        self.into.brokers = self.metadata.brokers.len();
        self.into.cluster_id = self.metadata.cluster_id.clone().unwrap_or_default();
        for topic in &self.metadata.topics {
            match topic.error {
                Some(code) => self.into.failures.push(Failure { subject: "topic", text: missing_topic(topic, code) }),
                None => self.into.topics.push(TopicInspection {
                    name: topic.name.to_string(),
                    partitions: topic.partitions.len(),
                    leaderless: topic.partitions.iter().filter(|partition| partition.leader.is_none()).count(),
                }),
            }
        }
        let partitions = partitions_of(&self.metadata);
        if partitions.is_empty() {
            return;
        }
        self.into.partitions = partitions.iter().map(|at| (at.clone(), PartitionInspection::default())).collect();
        self.inspect_watermarks(&partitions);
        self.inspect_group(&partitions);
        self.plan_starts();
        self.inspect_timestamps();
    }

    /// Notes why something of a partition could not be had: among the failures once for all partitions with the same cause.
    fn note(&mut self, at: &TopicPartition, error: &Error) {
        let text = explain(error);
        if let Some(partition) = self.into.partitions.get_mut(at) {
            partition.error.get_or_insert_with(|| text.clone());
        }
        if !self.into.failures.iter().any(|failure| failure.text.ends_with(&text)) {
            self.into.failures.push(Failure { subject: "topic", text: format!("{at}: {text}") });
        }
    }

    fn fail(&mut self, subject: &'static str, error: &Error) {
        self.into.failures.push(Failure { subject, text: explain(error) });
    }

    fn inspect_watermarks(&mut self, partitions: &[TopicPartition]) {
        match self.client.watermarks(partitions) {
            Err(error) => self.fail("brokers", &error),
            Ok(found) => {
                for (at, result) in found {
                    match (result, self.into.partitions.get_mut(&at)) {
                        (Ok(watermarks), Some(partition)) => partition.watermarks = Some(watermarks),
                        (Ok(_), None) => {}
                        (Err(error), _) => self.note(&at, &error),
                    }
                }
            }
        }
    }

    fn inspect_group(&mut self, partitions: &[TopicPartition]) {
        let kafka = &self.settings.kafka;
        let client = &mut *self.client;
        let committed = with_retry(|| {
            match kafka.group_protocol {
                GroupProtocol::None => {}
                GroupProtocol::Classic => client.may_join_classic(&kafka.group_id)?,
                GroupProtocol::Consumer => client.may_join_consumer(&kafka.group_id)?,
            }
            client.committed(&kafka.group_id, partitions)
        });
        match committed {
            Ok(committed) => {
                for (at, offset) in committed {
                    self.into.partitions.entry(at).or_default().committed = Some(offset);
                }
            }
            Err(error) => {
                let text = format!("'{}' cannot be used: {}", kafka.group_id, explain(&error));
                return self.into.failures.push(Failure { subject: "group", text });
            }
        }
        // READ on the group brings DESCRIBE, but brokers differ in whom they let describe: who reads is then not known.
        if let Ok(group) = self.client.describe_group(&kafka.group_id) {
            self.assign_readers(&group);
            self.into.group = Some(group);
        }
    }

    fn assign_readers(&mut self, group: &GroupDescription) {
        let kafka = &self.settings.kafka;
        for member in &group.members {
            let is_ours = is_this_instance(kafka, self.local.database_id.as_deref(), member);
            for at in &member.partitions {
                if let Some(partition) = self.into.partitions.get_mut(at) {
                    let member = member.clone();
                    partition.reader = if is_ours { Reader::ThisInstance(member) } else { Reader::Other(member) };
                }
            }
        }
    }

    /// Applies the rules of a start to each partition that no other member reads.
    fn plan_starts(&mut self) {
        let policy = Policy::of(self.settings);
        let us = CommitMetadata {
            database_id: self.local.database_id.clone().unwrap_or_default(),
            cluster_id: self.into.cluster_id.clone(),
        };
        let known_topics: BTreeSet<&str> = self.local.positions.iter().map(|stored| stored.topic.as_str()).collect();
        let mut assignments = Vec::new();
        for (at, partition) in &mut self.into.partitions {
            let Some(watermarks) = partition.watermarks else { continue };
            if matches!(partition.reader, Reader::Other(_)) {
                continue;
            }
            let assignment = assignment(&self.metadata, at, watermarks, partition, self.settings.kafka.isolation_level);
            let stored = stored_position(&self.local.positions, at).map(StoredOffset::of);
            let topic_known = known_topics.contains(&*at.topic);
            partition.skipped = start_rules::count_skipped_records(&assignment, self.local.positions.is_empty(), &us);
            partition.start = Some(start_rules::choose(&assignment, stored, topic_known, &us, policy));
            assignments.push(assignment);
        }
        let truncations = self.find_truncations();
        for assignment in assignments {
            let at = &assignment.partition;
            let Some(partition) = self.into.partitions.get_mut(at) else { continue };
            let (Some(Ok(choice)), Some(watermarks)) = (&partition.start, partition.watermarks) else { continue };
            let truncated = truncations.get(at).copied();
            if let Some(loss) = confirm(choice, &assignment, watermarks, truncated, policy) {
                partition.start = Some(loss);
            }
        }
    }

    /// Compares the positions to start at with the leaders' logs, as the consumer does before it reads.
    fn find_truncations(&mut self) -> BTreeMap<TopicPartition, Truncated> {
        let position = |(at, partition): (&TopicPartition, &PartitionInspection)| match &partition.start {
            Some(Ok(choice)) => Some((at.clone(), choice.offset(), choice.leader_epoch()?)),
            _ => None,
        };
        let positions: Vec<_> = self.into.partitions.iter().filter_map(position).collect();
        if positions.is_empty() || !self.settings.kafka.validate_leader_epochs {
            return BTreeMap::new();
        }
        match self.client.truncations(&positions) {
            Ok(truncations) => truncations.into_iter().collect(),
            Err(error) => {
                self.fail("brokers", &error);
                BTreeMap::new()
            }
        }
    }

    /// Fetches one batch of each partition at its position, which tells its age, and that it can be read.
    fn inspect_timestamps(&mut self) {
        let mut positions = BTreeMap::new();
        let mut blocked = BTreeMap::new();
        for (at, partition) in &self.into.partitions {
            let Some(watermarks) = partition.watermarks else { continue };
            let stored = stored_position(&self.local.positions, at).map(|stored| stored.next_offset);
            let position = partition.position(stored).unwrap_or(watermarks.end_offset);
            // A fetch beyond the log is refused.
            let position = position.clamp(watermarks.start_offset, watermarks.end_offset);
            positions.insert(at.clone(), position);
            if watermarks.last_stable_offset < watermarks.end_offset {
                blocked.insert(at.clone(), watermarks.last_stable_offset);
            }
        }
        for (at, timestamp) in self.timestamps(&positions) {
            if let Some(partition) = self.into.partitions.get_mut(&at) {
                partition.oldest_unread_ms = timestamp;
            }
        }
        for (at, timestamp) in self.timestamps(&blocked) {
            if let Some(partition) = self.into.partitions.get_mut(&at) {
                partition.blocked_since_ms = timestamp;
            }
        }
    }

    fn timestamps(&mut self, offsets: &BTreeMap<TopicPartition, i64>) -> Vec<(TopicPartition, Option<i64>)> {
        if offsets.is_empty() {
            return Vec::new();
        }
        let found = match self.client.timestamps_at(offsets) {
            Ok(found) => found,
            Err(error) => {
                self.fail("brokers", &error);
                return Vec::new();
            }
        };
        let mut timestamps = Vec::with_capacity(found.len());
        for (at, result) in found {
            match result {
                Ok(timestamp) => timestamps.push((at, timestamp)),
                Err(error) => self.note(&at, &error),
            }
        }
        timestamps
    }
}

/// Whether the leader has what the choice starts at: `None` if so, else what the rules say of the loss.
fn confirm(
    choice: &StartDecision,
    assignment: &Assignment,
    watermarks: Watermarks,
    truncated: Option<Truncated>,
    policy: Policy,
) -> Option<Result<StartDecision, StartError>> {
    let position = choice.offset();
    let (partition, topic_id) = (assignment.partition.clone(), assignment.topic_id);
    if let (Some(truncated), Some(position_epoch)) = (truncated, choice.leader_epoch()) {
        let Truncated { divergence_offset, divergence_epoch } = truncated;
        let truncation = Truncation {
            token: assignment.token,
            partition,
            topic_id,
            position,
            position_epoch,
            divergence_offset,
            divergence_epoch,
        };
        return Some(start_rules::choose_truncated(&truncation, policy));
    }
    if (watermarks.start_offset..=watermarks.end_offset).contains(&position) {
        return None;
    }
    let range = OutOfRange {
        token: assignment.token,
        partition,
        topic_id,
        position,
        log_start_offset: watermarks.start_offset,
        end_offset: assignment.end_offset,
    };
    Some(start_rules::choose_out_of_range(&range, policy))
}

/// A partition as the consumer would assign it.
fn assignment(
    metadata: &Metadata,
    at: &TopicPartition,
    watermarks: Watermarks,
    partition: &PartitionInspection,
    isolation: IsolationLevel,
) -> Assignment {
    let topic = metadata.topics.iter().find(|topic| topic.name == at.topic);
    Assignment {
        // No consumer waits for a start position here.
        token: StartToken::new(0),
        partition: at.clone(),
        topic_id: topic.and_then(|topic| topic.id),
        committed: partition.committed.clone(),
        log_start_offset: watermarks.start_offset,
        end_offset: match isolation {
            IsolationLevel::ReadCommitted => watermarks.last_stable_offset,
            IsolationLevel::ReadUncommitted => watermarks.end_offset,
        },
        cluster_id: Arc::from(metadata.cluster_id.clone().unwrap_or_default()),
    }
}

/// Under `classic` an instance is known by its instance id, under `consumer` by its member id (`service/source.rs`).
fn is_this_instance(kafka: &KafkaSettings, database_id: Option<&str>, member: &MemberDescription) -> bool {
    match kafka.group_protocol {
        GroupProtocol::None => false,
        GroupProtocol::Classic => {
            let ours = kafka.group_instance_id.as_deref().or(database_id);
            // Brokers before 2.4 do not tell instance ids, but make member ids of them.
            let is_named = |ours: &str| match &member.instance_id {
                Some(theirs) => theirs == ours,
                None => member.id.strip_prefix(ours).is_some_and(|rest| rest.starts_with('-')),
            };
            ours.is_some_and(is_named)
        }
        GroupProtocol::Consumer => Some(member.id.as_str()) == database_id,
    }
}

fn stored_position<'a>(positions: &'a [StoredPosition], at: &TopicPartition) -> Option<&'a StoredPosition> {
    positions.iter().find(|stored| *stored.topic == *at.topic && stored.partition == at.partition)
}

fn missing_topic(topic: &TopicMetadata, code: ErrorCode) -> String {
    let error = Error::Topic { topic: topic.name.to_string(), code };
    let remedy = if code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION { ": create it" } else { "" };
    format!("{}{remedy}", explain(&error))
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
