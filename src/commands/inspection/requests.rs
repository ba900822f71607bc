//! The requests of `check`, `status` and `reset` to the brokers: their time limits, their retries, and the text of their failures.
//! Must not judge responses.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use kafka::{
    Client, CommittedOffset, ConnectionSettings, Error, ErrorCode, GroupDescription, Metadata, TopicMetadata,
    TopicPartition, Truncated, Watermarks,
};

use crate::commands::inspection::view::{Failure, Inspection};
use crate::runtime::error_chain::ErrorChain;
use crate::settings::{GroupProtocol, KafkaSettings, advice};

/// Greatest time of a request: an operator waits for the command.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Time between two attempts of a request that a broker cannot serve yet.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// A client with short timeouts.
pub fn client(kafka: &KafkaSettings, security: kafka::Security) -> Client {
    let connection = ConnectionSettings {
        client_id: kafka.client_id.clone(),
        connect_timeout: REQUEST_TIMEOUT,
        connect_timeout_max: REQUEST_TIMEOUT,
        request_timeout: REQUEST_TIMEOUT,
        receive_bytes_max: kafka.receive_max_bytes.get(),
        security: security.into(),
        ..ConnectionSettings::default()
    };
    Client::new(kafka.bootstrap_servers.clone(), connection)
}

/// Retries a request while its failure is retriable. On a new cluster the first request about a group makes the brokers create the
/// topic `__consumer_offsets`.
pub fn with_retry<T>(mut request: impl FnMut() -> kafka::Result<T>) -> kafka::Result<T> {
    let deadline = Instant::now() + REQUEST_TIMEOUT;
    loop {
        match request() {
            Err(error) if error.is_retriable() && Instant::now() < deadline => thread::sleep(RETRY_INTERVAL),
            result => return result,
        }
    }
}

/// The partitions of all topics.
pub fn partitions_of(metadata: &Metadata) -> Vec<TopicPartition> {
    let of_topic = |topic: &TopicMetadata| {
        let name = Arc::clone(&topic.name);
        let numbers: Vec<i32> = topic.partitions.iter().map(|partition| partition.partition).collect();
        numbers.into_iter().map(move |number| TopicPartition::new(Arc::clone(&name), number))
    };
    metadata.topics.iter().flat_map(of_topic).collect()
}

/// Sends requests and collects their failures.
pub(super) struct Requests<'a> {
    client: &'a mut Client,
    kafka: &'a KafkaSettings,
    pub(super) failures: Failures,
}

/// The failures of an inspection.
#[derive(Default)]
pub(super) struct Failures {
    list: Vec<Failure>,
    /// The first failure of each partition.
    partitions: BTreeMap<TopicPartition, String>,
}

impl Failures {
    fn add(&mut self, subject: &'static str, text: String) {
        self.list.push(Failure { subject, text });
    }

    /// Notes the failure of a partition. Partitions with the same cause share one entry of the list.
    fn add_partition(&mut self, at: TopicPartition, error: &Error) {
        let text = explain(error);
        if !self.list.iter().any(|failure| failure.text.ends_with(&text)) {
            self.add("topic", format!("{at}: {text}"));
        }
        self.partitions.entry(at).or_insert(text);
    }

    pub(super) fn into_inspection(self, mut inspection: Inspection) -> Inspection {
        for (at, text) in self.partitions {
            if let Some(partition) = inspection.partitions.get_mut(&at) {
                partition.error = Some(text);
            }
        }
        Inspection { failures: self.list, ..inspection }
    }
}

impl<'a> Requests<'a> {
    pub(super) fn new(client: &'a mut Client, kafka: &'a KafkaSettings) -> Self {
        Self { client, kafka, failures: Failures::default() }
    }

    /// Cluster, brokers and topics; a missing topic is a failure. `None` if no broker responds.
    pub(super) fn metadata(&mut self) -> Option<Metadata> {
        let topics = self.kafka.topics.iter().map(|topic| Arc::from(topic.as_str())).collect();
        match self.client.metadata(topics) {
            Err(error) => {
                self.failures.add("brokers", explain_unreachable(self.kafka, &error));
                None
            }
            Ok(metadata) => {
                for (topic, code) in metadata.topics.iter().filter_map(|topic| Some((topic, topic.error?))) {
                    self.failures.add("topic", explain_topic(topic, code));
                }
                Some(metadata)
            }
        }
    }

    pub(super) fn watermarks(&mut self, partitions: &[TopicPartition]) -> Vec<(TopicPartition, Watermarks)> {
        let responses = self.client.watermarks(partitions);
        self.collect(responses)
    }

    /// The group's committed offsets; `None` if the group cannot be used.
    pub(super) fn committed(
        &mut self,
        partitions: &[TopicPartition],
    ) -> Option<Vec<(TopicPartition, CommittedOffset)>> {
        let (client, kafka) = (&mut *self.client, self.kafka);
        let committed = with_retry(|| {
            match kafka.group_protocol {
                GroupProtocol::None => {}
                GroupProtocol::Classic { .. } => client.may_join_classic(&kafka.group_id)?,
                GroupProtocol::Consumer { .. } => client.may_join_consumer(&kafka.group_id)?,
            }
            client.committed(&kafka.group_id, partitions)
        });
        match committed {
            Ok(committed) => Some(committed.into_iter().collect()),
            Err(error) => {
                self.failures.add("group", format!("'{}' cannot be used: {}", kafka.group_id, explain(&error)));
                None
            }
        }
    }

    /// The group's members. `None` if the coordinator does not describe the group: READ includes DESCRIBE, but some brokers require
    /// more.
    pub(super) fn group(&mut self) -> Option<GroupDescription> {
        self.client.describe_group(&self.kafka.group_id).ok()
    }

    /// Compares positions and their leader epochs with the leaders' logs, as the consumer does before it fetches.
    pub(super) fn truncations(&mut self, positions: &[(TopicPartition, i64, i32)]) -> Vec<(TopicPartition, Truncated)> {
        if positions.is_empty() {
            return Vec::new();
        }
        match self.client.truncations(positions) {
            Ok(truncations) => truncations.into_iter().collect(),
            Err(error) => {
                self.failures.add("brokers", explain(&error));
                Vec::new()
            }
        }
    }

    /// Fetches one batch of each partition from an offset on, and returns the timestamp of its first record. This also shows whether
    /// the partition can be read.
    pub(super) fn timestamps(&mut self, offsets: &BTreeMap<TopicPartition, i64>) -> Vec<(TopicPartition, Option<i64>)> {
        if offsets.is_empty() {
            return Vec::new();
        }
        let responses = self.client.timestamps_at(offsets);
        self.collect(responses)
    }

    /// The successful responses; the others are noted as failures.
    fn collect<T>(
        &mut self,
        responses: kafka::Result<Vec<(TopicPartition, kafka::Result<T>)>>,
    ) -> Vec<(TopicPartition, T)> {
        let responses = responses.unwrap_or_else(|error| {
            self.failures.add("brokers", explain(&error));
            Vec::new()
        });
        let mut values = Vec::with_capacity(responses.len());
        for (at, response) in responses {
            match response {
                Ok(value) => values.push((at, value)),
                Err(error) => self.failures.add_partition(at, &error),
            }
        }
        values
    }
}

/// An error of the client with its causes and advice.
fn explain(error: &Error) -> String {
    let chain = ErrorChain(error);
    advice(error).map_or_else(|| chain.to_string(), |advice| format!("{chain}; {advice}"))
}

/// A broker that refuses a request is reachable, so only a retriable error blames the bootstrap servers.
fn explain_unreachable(kafka: &KafkaSettings, error: &Error) -> String {
    if !error.is_retriable() {
        return explain(error);
    }
    let servers: Vec<String> = kafka.bootstrap_servers.iter().map(ToString::to_string).collect();
    format!("none of KAFKA_BOOTSTRAP_SERVERS ({}) responds: {}", servers.join(", "), explain(error))
}

fn explain_topic(topic: &TopicMetadata, code: ErrorCode) -> String {
    let error = Error::Topic { topic: topic.name.to_string(), code };
    let remedy = if code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION { ": create it" } else { "" };
    format!("{}{remedy}", explain(&error))
}
