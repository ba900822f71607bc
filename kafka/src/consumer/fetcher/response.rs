//! What the response of a fetch means for each of its partitions. Must not send anything.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::broker::Broker;
use crate::backoff::RetryPolicy;
use crate::budget::Budget;
use crate::consumer::config::Builder;
use crate::consumer::event::Event;
use crate::consumer::event_queue::EventQueue;
use crate::consumer::message::CompletedFetch;
use crate::consumer::partition::FetchedBatches;
use crate::consumer::partitions::Partitions;
use crate::consumer::pause::Pause;
use crate::consumer::response_hold::ResponseHold;
use crate::consumer::topology::Topology;
use crate::error::{Error, ErrorCode, Result};
use crate::protocol::{FetchPartition, FetchRequest, FetchedPartition, Request};
use crate::record_batch::PartitionReader;
use crate::statistics::LogEnd;
use crate::types::IsolationLevel;

/// Longest throttle time that the client keeps. A broker's quotas cover eleven seconds by default (`quota.window.num`,
/// `quota.window.size.seconds`), so it has no reason for more.
const THROTTLE_MAX: Duration = Duration::from_mins(1);

/// The state that a response changes.
pub(super) struct ResponseHandler<'a> {
    pub(super) config: &'a Builder,
    pub(super) brokers: &'a mut BTreeMap<i32, Broker>,
    pub(super) budget: &'a Budget,
    pub(super) partitions: &'a mut Partitions,
    pub(super) topology: &'a mut Topology,
    pub(super) events: &'a mut EventQueue,
    pub(super) now: Instant,
}

impl ResponseHandler<'_> {
    pub(super) fn handle(&mut self, completed: CompletedFetch) -> Result<()> {
        let CompletedFetch { broker: id, serial, request, result } = completed;
        let Some(broker) = self.brokers.get_mut(&id).filter(|broker| broker.serial == serial) else { return Ok(()) };
        let hold = broker.responded();
        let response = match result {
            Ok(response) => response,
            Err(error) => return self.request_failed(id, &request, error),
        };
        broker.pause.succeeded();
        if !response.throttle.is_zero() {
            // The broker is already late with this response or mutes the connection (KIP-219): an earlier request gains nothing.
            broker.pause.hold(self.now + response.throttle.min(THROTTLE_MAX));
        }
        for fetched in response.partitions {
            let requested = request.partitions.iter().find(|requested| requested.partition == fetched.partition);
            if let Some(requested) = requested {
                self.handle_partition(id, requested, fetched, &hold)?;
            }
        }
        Ok(())
    }

    fn request_failed(&mut self, id: i32, request: &FetchRequest, error: Error) -> Result<()> {
        // A new connection begins with another request: what is too large there is no batch, and perhaps no broker.
        if let Error::ResponseTooLarge { request: FetchRequest::NAME, limit_bytes, .. } = error {
            return self.narrow(request, limit_bytes);
        }
        self.topology.request_soon(self.now);
        let mut is_needed = false;
        for requested in &request.partitions {
            if let Some(partition) = self.partitions.get_mut(&requested.partition)
                && partition.leadership.fetch_broker(self.now) == Some(id)
            {
                self.config.connection.statistics.update(&requested.partition, |known| known.log_end = None);
                is_needed |= !partition.leadership.leave_replica(self.now);
            }
        }
        let Some(broker) = self.brokers.get_mut(&id) else { return Ok(()) };
        // If other brokers lead its partitions by now, no request is repeated: the failure does not use up the attempts.
        let failed = if is_needed {
            broker.pause.failed(error, self.now)
        } else {
            Pause::new(RetryPolicy { attempts_max: None, ..self.config.retry }).again(error, self.now)
        };
        self.events.emit_retrying(failed)
    }

    /// A response exceeds the limit: the next fetches request one partition at a time, and its next batch only. If that exceeds the limit
    /// too, the batch itself is too large, and its offset is known.
    fn narrow(&mut self, request: &FetchRequest, limit_bytes: u64) -> Result<()> {
        if let [only] = request.partitions.as_slice()
            && only.max_bytes == 1
        {
            return Err(Error::BatchTooLarge { partition: only.partition.clone(), offset: only.position, limit_bytes });
        }
        for requested in &request.partitions {
            if let Some(partition) = self.partitions.get_mut(&requested.partition) {
                partition.fetch_alone = true;
            }
        }
        Ok(())
    }

    fn handle_partition(
        &mut self,
        id: i32,
        requested: &FetchPartition,
        fetched: FetchedPartition,
        hold: &ResponseHold,
    ) -> Result<()> {
        let Some(partition) = self.partitions.get_mut(&requested.partition) else { return Ok(()) };
        // For one fetch only: the next one is for the other partitions, too.
        let was_alone = std::mem::take(&mut partition.fetch_alone);
        if !partition.still_wants(requested) {
            return Ok(());
        }
        let statistics = &self.config.connection.statistics;
        if let Some(code) = fetched.error {
            statistics.update(&requested.partition, |known| known.log_end = None);
            return self.partition_refused(id, requested, code);
        }
        let isolation = self.config.isolation;
        let end_offset = match isolation {
            IsolationLevel::ReadUncommitted => fetched.high_watermark,
            IsolationLevel::ReadCommitted => fetched.last_stable_offset,
        };
        let log_end = LogEnd { end_offset, high_watermark: fetched.high_watermark, seen_at: self.now };
        statistics.update(&requested.partition, |known| known.log_end = Some(log_end));
        if partition.confirm_position() {
            // A user that waits until the consumer is settled checks again.
            self.events.emit(Event::Idle);
        }
        if let Some(replica) = fetched.preferred_read_replica {
            if Some(replica) != partition.leadership.leader() && self.brokers.contains_key(&replica) {
                partition.leadership.prefer_replica(replica, self.now);
            } else {
                partition.leadership.stay_with_leader(self.now);
            }
        }
        if fetched.records.is_empty() {
            partition.pause.succeeded();
            return Ok(());
        }
        statistics.note_fetched(fetched.records.len());
        let FetchPartition { partition: at, position, .. } = requested.clone();
        let limit_bytes = self.config.connection.receive_bytes_max;
        let reader = PartitionReader::new(at, fetched.records, position, isolation, fetched.aborted, limit_bytes)
            .within(self.budget.clone());
        if reader.incomplete_batch_bytes().is_some() {
            return self.batch_cut_off(requested, was_alone);
        }
        // The pause is reset only when they have been read: they may be damaged.
        partition.add_fetched(FetchedBatches { reader, end_offset, response: hold.clone() });
        Ok(())
    }

    /// The response has only the beginning of a batch: another partition was first. Fetched alone, the batch must be complete.
    fn batch_cut_off(&mut self, requested: &FetchPartition, was_alone: bool) -> Result<()> {
        let Some(partition) = self.partitions.get_mut(&requested.partition) else { return Ok(()) };
        partition.fetch_alone = true;
        if !was_alone {
            return Ok(());
        }
        let detail = "the broker sends only a part of it, though asked for nothing else".to_owned();
        let (partition, offset) = (requested.partition.clone(), requested.position);
        self.partition_failed(requested, Error::CorruptBatch { partition, offset, detail })
    }

    /// The broker refused one partition of a fetch.
    fn partition_refused(&mut self, id: i32, requested: &FetchPartition, code: ErrorCode) -> Result<()> {
        let (Some(partition), Some(broker)) = (self.partitions.get_mut(&requested.partition), self.brokers.get(&id))
        else {
            return Ok(());
        };
        if partition.leadership.fetch_broker(self.now) != Some(id) {
            // The leader has moved meanwhile.
            return Ok(());
        }
        if partition.leadership.leave_replica(self.now) {
            // A follower may lag, or no longer be a replica; only the leader decides.
            return Ok(());
        }
        if code == ErrorCode::OFFSET_OUT_OF_RANGE {
            if !partition.refuse_position() {
                partition.pause.hold(self.now + self.config.retry.initial);
            }
            return Ok(());
        }
        let (address, subject) = (broker.address.clone(), requested.partition.to_string());
        self.partition_failed(requested, Error::Broker { address, request: FetchRequest::NAME, code, subject })
    }

    fn partition_failed(&mut self, requested: &FetchPartition, error: Error) -> Result<()> {
        self.partitions.fail(&requested.partition, error, self.now, self.topology, self.events)
    }
}
