//! What the reader needs of the Kafka consumer, and the consumer that the settings describe. Must not know what is done
//! with records.

use std::time::Duration;

use kafka::{Acknowledgement, Consumer, Event, OffsetPosition, SharedSecurity};

use crate::observability::Metrics;
use crate::settings::{GroupProtocol, Settings};

/// The part of [`Consumer`] that the reader uses. The simulation has a model of it.
pub(in crate::service) trait PollConsumer {
    /// See [`Consumer::poll`].
    fn poll(&mut self, timeout: Duration, records_max: usize) -> kafka::Result<Event>;
    /// See [`Consumer::start`].
    fn start(&mut self, positions: Vec<OffsetPosition>, metadata: &str);
    /// See [`Consumer::commit`].
    fn commit(&mut self, positions: Vec<OffsetPosition>, metadata: &str);
    /// See [`Consumer::acknowledge`].
    fn acknowledge(&mut self, acknowledgement: Acknowledgement);
    /// See [`Consumer::flush`].
    fn flush(&mut self, timeout: Duration) -> kafka::Result<bool>;
    /// See [`Consumer::leave`].
    fn leave(&mut self, timeout: Duration) -> kafka::Result<bool>;
    /// See [`Consumer::is_settled`].
    fn is_settled(&self) -> bool;
}

impl PollConsumer for Consumer {
    fn poll(&mut self, timeout: Duration, records_max: usize) -> kafka::Result<Event> {
        Self::poll(self, timeout, records_max)
    }

    fn start(&mut self, positions: Vec<OffsetPosition>, metadata: &str) {
        Self::start(self, positions, metadata);
    }

    fn commit(&mut self, positions: Vec<OffsetPosition>, metadata: &str) {
        Self::commit(self, positions, metadata);
    }

    fn acknowledge(&mut self, acknowledgement: Acknowledgement) {
        Self::acknowledge(self, acknowledgement);
    }

    fn flush(&mut self, timeout: Duration) -> kafka::Result<bool> {
        Self::flush(self, timeout)
    }

    fn leave(&mut self, timeout: Duration) -> kafka::Result<bool> {
        Self::leave(self, timeout)
    }

    fn is_settled(&self) -> bool {
        Self::is_settled(self)
    }
}

/// Creates the consumer of a database. It connects when it is polled.
pub(in crate::service) fn create_consumer(
    settings: &Settings,
    security: SharedSecurity,
    database_id: &str,
    metrics: &Metrics,
) -> kafka::Result<Consumer> {
    let kafka = &settings.kafka;
    let mut builder = Consumer::from_hosts(kafka.bootstrap_servers.clone())
        .with_group(kafka.group_id.clone())
        .with_client_id(kafka.client_id.clone())
        .with_isolation_level(kafka.isolation_level)
        .with_group_protocol(group_protocol(&kafka.group_protocol, database_id))
        .with_rack(kafka.client_rack.clone())
        .with_leader_epoch_validation(kafka.validate_leader_epochs)
        .with_fetch_max_bytes(kafka.fetch_max_bytes)
        .with_buffer_max_bytes(kafka.buffer_max_bytes)
        .with_receive_max_bytes(kafka.receive_max_bytes)
        .with_security(security)
        .with_retry_policy(settings.retry)
        .with_membership_stage(metrics.stages.group.clone())
        .with_statistics(metrics.consumer.clone());
    for topic in &kafka.topics {
        builder = builder.with_topic(topic.as_str());
    }
    builder.create()
}

/// The member is named by the database's id, so that a service that was killed gets its partitions back at once after a
/// restart.
fn group_protocol(protocol: &GroupProtocol, database_id: &str) -> kafka::GroupProtocol {
    match protocol.clone() {
        GroupProtocol::None => kafka::GroupProtocol::None,
        GroupProtocol::Classic { instance_id, session_timeout } => kafka::GroupProtocol::Classic {
            instance_id: instance_id.unwrap_or_else(|| database_id.to_owned()),
            session_timeout,
        },
        GroupProtocol::Consumer { instance_id } => {
            kafka::GroupProtocol::Consumer { member_id: database_id.to_owned(), instance_id }
        }
    }
}
