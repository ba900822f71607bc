//! What the loop needs of Kafka, and the Kafka consumer as the settings want it. Must not know what is done with records.

use std::time::Duration;

use kafka::{Acknowledgement, Consumer, Event, OffsetPosition};

use super::decode::Decoded;
use crate::settings::{GroupProtocol, KafkaSettings, Settings};

/// What happened, records decoded.
pub(super) type News = Event<Vec<Decoded>>;

/// Ends a [`Source::poll`] from another thread.
pub(super) type Waker = Box<dyn Fn() + Send + Sync>;

/// Tells what happens to partitions and gives their records: a [`Consumer`] that is [read ahead](super::reader), or in tests a model of
/// a cluster.
pub(super) trait Source {
    /// See [`Consumer::poll`].
    fn poll(&mut self, timeout: Duration) -> kafka::Result<News>;
    /// See [`Consumer::waker`].
    fn waker(&self) -> Waker;
    /// See [`Consumer::start`].
    fn start(&mut self, starts: Vec<OffsetPosition>, metadata: &str);
    /// See [`Consumer::acknowledge`].
    fn acknowledge(&mut self, acknowledgement: Acknowledgement);
    /// See [`Consumer::commit`].
    fn commit(&mut self, positions: Vec<OffsetPosition>, metadata: &str);
    /// See [`Consumer::flush`].
    fn flush(&mut self, timeout: Duration) -> kafka::Result<bool>;
    /// See [`Consumer::leave`].
    fn leave(&mut self, timeout: Duration) -> kafka::Result<bool>;
    /// See [`Consumer::is_settled`].
    fn is_settled(&self) -> bool;
}

/// Makes the consumer of a database. Reads nothing yet.
pub(super) fn consumer(
    settings: &Settings,
    security: kafka::Security,
    database_id: &str,
) -> Result<Consumer, kafka::Error> {
    let kafka = &settings.kafka;
    let mut builder = Consumer::from_hosts(kafka.bootstrap_servers.clone())
        .with_group(kafka.group_id.clone())
        .with_client_id(kafka.client_id.clone())
        .with_isolation_level(kafka.isolation_level)
        .with_group_protocol(membership(kafka, database_id))
        .with_rack(kafka.client_rack.clone())
        .with_leader_epoch_validation(kafka.validate_leader_epochs)
        .with_fetch_max_bytes(kafka.fetch_max_bytes)
        .with_buffer_max_bytes(kafka.buffer_max_bytes)
        .with_receive_max_bytes(kafka.receive_max_bytes)
        .with_security(security)
        .with_retry_policy(settings.retry);
    for topic in &kafka.topics {
        builder = builder.with_topic(topic.as_str());
    }
    builder.create()
}

/// As whom we join the group: by a name that the database keeps, so that a crashed service has its partitions back at once.
fn membership(kafka: &KafkaSettings, database_id: &str) -> kafka::GroupProtocol {
    match &kafka.group_protocol {
        GroupProtocol::None => kafka::GroupProtocol::None,
        GroupProtocol::Classic { instance_id, session_timeout } => kafka::GroupProtocol::Classic {
            instance_id: instance_id.clone().unwrap_or_else(|| database_id.to_owned()),
            session_timeout: *session_timeout,
        },
        GroupProtocol::Consumer { instance_id } => {
            kafka::GroupProtocol::Consumer { member_id: database_id.to_owned(), instance_id: instance_id.clone() }
        }
    }
}
