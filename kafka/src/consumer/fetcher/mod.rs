//! Fetches records: from which brokers, in which order, within which memory. Must not know offsets of the group.

mod broker;
mod delivery;
mod request;
mod response;
mod rotation;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::Sender;
use std::time::Instant;

use broker::Broker;
use delivery::Delivery;
#[cfg(test)]
pub(super) use request::fetch_bytes_max;
#[cfg(test)]
pub(super) use request::fetch_request;
use response::ResponseHandler;
#[cfg(test)]
pub(super) use rotation::rotate;

use super::config::Builder;
use super::event::PartitionRecords;
use super::event_queue::EventQueue;
use super::message::{CompletedFetch, Message};
use super::partition::Partition;
use super::partitions::Partitions;
use super::topology::Topology;
use crate::budget::Budget;
use crate::error::Result;
use crate::protocol::BrokerInfo;
use crate::record_batch::ReadBudget;
use crate::types::Address;

/// The brokers of the cluster, the memory for their responses, and the order in which records are returned.
pub(super) struct Fetcher {
    brokers: BTreeMap<i32, Broker>,
    /// The number of the last connection.
    serial: u64,
    /// The memory for responses and decompressed batches.
    budget: Budget,
    delivery: Delivery,
}

impl Fetcher {
    pub(super) fn new(budget: Budget) -> Self {
        Self { brokers: BTreeMap::new(), serial: 0, budget, delivery: Delivery::default() }
    }

    /// Takes over the brokers of metadata. One that has left the cluster takes its thread and its connection along; one at another address
    /// gets a new connection, and the response of the old one will be ignored.
    pub(super) fn update_brokers(&mut self, brokers: Vec<BrokerInfo>, config: &Builder) {
        self.brokers.retain(|id, _| brokers.iter().any(|broker| broker.id == *id));
        for info in brokers {
            if self.brokers.get(&info.id).is_some_and(|broker| broker.address == info.address) {
                continue;
            }
            self.serial += 1;
            let broker = Broker::new(info.address, self.serial, config.connection.clone(), config.retry);
            self.brokers.insert(info.id, broker);
        }
    }

    pub(super) fn has_broker(&self, id: i32) -> bool {
        self.brokers.contains_key(&id)
    }

    /// The brokers whose fetch takes too long.
    pub(super) fn late_brokers(&self, now: Instant) -> Vec<Address> {
        let late = self.brokers.values().filter(|broker| broker.is_late(now));
        late.map(|broker| broker.address.clone()).collect()
    }

    pub(super) fn is_any_late(&self, now: Instant) -> bool {
        self.brokers.values().any(|broker| broker.is_late(now))
    }

    /// Times at which there is work without a message.
    pub(super) fn timers(&self) -> impl Iterator<Item = Instant> {
        let pauses = self.brokers.values().filter(|broker| !broker.is_fetching());
        let pauses = pauses.filter_map(|broker| broker.pause.until());
        pauses.chain(self.brokers.values().filter_map(Broker::late_at))
    }

    /// Sends a fetch to each broker that is free and has partitions to fetch.
    pub(super) fn send(
        &mut self,
        config: &Builder,
        partitions: &Partitions,
        messages: &Sender<Message>,
        now: Instant,
    ) -> Result<()> {
        let fetched = partitions.values().filter(|partition| partition.is_fetched());
        let sources: BTreeSet<i32> =
            fetched.filter_map(|partition: &Partition| partition.leadership.fetch_broker(now)).collect();
        let bytes_max = request::fetch_bytes_max(config, self.budget.fetch_bytes(sources.len()));
        for (&id, broker) in &mut self.brokers {
            if !broker.is_free(now) {
                continue;
            }
            let mut wanted = partitions.select(|_, partition| partition.wants_fetch(id, now));
            if wanted.is_empty() {
                continue;
            }
            // The first partition with records gets a batch even if that is larger than all limits.
            rotation::rotate(&mut wanted, &mut broker.first);
            let request = request::fetch_request(config, partitions, wanted, bytes_max, now);
            broker.fetch(id, request, &self.budget, messages, now)?;
        }
        Ok(())
    }

    /// The most attempts in a row that have failed, of the brokers that partitions are fetched from.
    pub(super) fn failing_attempts(&self, partitions: &Partitions, now: Instant) -> u32 {
        let fetched = partitions.values().filter_map(|partition| partition.leadership.fetch_broker(now));
        let attempts = fetched.filter_map(|id| Some(self.brokers.get(&id)?.pause.attempts()));
        attempts.max().unwrap_or_default()
    }

    /// Takes the response of a fetch.
    pub(super) fn take_response(
        &mut self,
        completed: CompletedFetch,
        config: &Builder,
        partitions: &mut Partitions,
        (topology, events): (&mut Topology, &mut EventQueue),
        now: Instant,
    ) -> Result<()> {
        let (brokers, budget) = (&mut self.brokers, &self.budget);
        ResponseHandler { config, brokers, budget, partitions, topology, events, now }.handle(completed)
    }

    /// Takes up to `records_max` fetched records, and no more once they are as large as a fetch.
    pub(super) fn take_records(
        &mut self,
        (records_max, bytes_max): (usize, usize),
        partitions: &mut Partitions,
        (topology, events): (&mut Topology, &mut EventQueue),
        now: Instant,
    ) -> Vec<PartitionRecords> {
        let read_budget = ReadBudget { records: records_max, bytes: bytes_max, may_decompress: true };
        self.delivery.take_records(read_budget, partitions, (topology, events), now)
    }
}

#[cfg(test)]
impl Fetcher {
    pub(super) fn brokers(&mut self) -> &mut BTreeMap<i32, Broker> {
        &mut self.brokers
    }

    pub(super) fn serial_of(&self, broker: i32) -> u64 {
        self.brokers[&broker].serial
    }

    pub(super) fn budget(&mut self) -> &mut Budget {
        &mut self.budget
    }

    pub(super) fn without_memory(&self) -> Option<&crate::types::TopicPartition> {
        self.delivery.without_memory()
    }
}
