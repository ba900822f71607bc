//! Asking brokers for records and handing them out: which partitions a fetch asks for, what its answer means for each.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::partition::{Fetched, Phase};
use super::{Consumer, PartitionRecords};
use crate::error::{Error, ErrorCode, Result};
use crate::protocol::{FetchPartition, FetchRequest, FetchResponse, FetchedPartition};
use crate::record_batch::PartitionReader;
use crate::types::{IsolationLevel, TopicPartition};

/// Least share of a fetch that one partition gets, in bytes: Kafka's own default (`max.partition.fetch.bytes`).
const PARTITION_BYTES_MIN: u32 = 1024 * 1024;
/// Longest that a broker may ask us to stay away. Its quotas look back over eleven seconds by default (`quota.window.num`,
/// `quota.window.size.seconds`), so it has no reason for more.
const THROTTLE_MAX: Duration = Duration::from_mins(1);

impl Consumer {
    /// Sends a fetch to each broker that is free and leads something to fetch.
    pub(super) fn send_fetches(&mut self, now: Instant) -> Result<()> {
        for (&id, broker) in &mut self.brokers {
            if !broker.is_free(now) {
                continue;
            }
            let mut wanted: Vec<TopicPartition> = self
                .partitions
                .iter()
                .filter(|(_, partition)| partition.wants_fetch(id, now))
                .map(|(at, _)| at.clone())
                .collect();
            if wanted.is_empty() {
                continue;
            }
            // The first partition of a fetch gets a batch even if that is larger than all limits: each has its turn to be first.
            let turn = self.fetch_turn % wanted.len();
            wanted.rotate_left(turn);
            self.fetch_turn = self.fetch_turn.wrapping_add(1);
            let alone = wanted.iter().position(|at| self.partitions.get(at).is_some_and(|partition| partition.alone));
            let (wanted, bytes_max) = match alone {
                Some(index) => (wanted.into_iter().skip(index).take(1).collect(), 1),
                None => (wanted, self.config.fetch_bytes_max),
            };
            let share = bytes_max / u32::try_from(wanted.len()).unwrap_or(u32::MAX).max(1);
            let partition_bytes_max = share.max(PARTITION_BYTES_MIN).min(bytes_max);
            let partitions = wanted
                .into_iter()
                .filter_map(|at| {
                    let partition = self.partitions.get(&at)?;
                    Some(FetchPartition {
                        topic_id: partition.topic_id,
                        position: partition.fetch_position,
                        leader_epoch: partition.leader_epoch,
                        max_bytes: to_i32(partition_bytes_max),
                        partition: at,
                    })
                })
                .collect();
            let request = FetchRequest {
                isolation: self.config.isolation,
                max_wait: self.config.fetch_wait,
                min_bytes: 1,
                max_bytes: to_i32(bytes_max),
                rack: self.config.rack.clone(),
                partitions,
            };
            broker.fetch(id, request, &self.answers_to)?;
        }
        Ok(())
    }

    pub(super) fn take_fetch(
        &mut self,
        id: i32,
        serial: u64,
        request: &FetchRequest,
        result: Result<FetchResponse>,
        now: Instant,
    ) -> Result<()> {
        let Some(broker) = self.brokers.get_mut(&id).filter(|broker| broker.serial == serial) else { return Ok(()) };
        let token = broker.answered();
        let response = match result {
            Ok(response) => response,
            Err(error) => return self.fetch_failed(id, request, error, now),
        };
        broker.pause.succeeded();
        if !response.throttle.is_zero() {
            // The broker is already late with this answer or mutes the connection (KIP-219): asking earlier would gain nothing.
            broker.pause.hold(now + response.throttle.min(THROTTLE_MAX));
        }
        for fetched in response.partitions {
            let asked = request.partitions.iter().find(|asked| asked.partition == fetched.partition);
            if let Some(asked) = asked {
                self.take_fetched(id, asked, fetched, &token, now)?;
            }
        }
        Ok(())
    }

    fn fetch_failed(&mut self, id: i32, request: &FetchRequest, error: Error, now: Instant) -> Result<()> {
        if let Error::ResponseTooLarge { limit_bytes, .. } = error {
            return self.narrow_fetch(request, limit_bytes);
        }
        self.metadata_due = now;
        for asked in &request.partitions {
            if let Some(partition) = self.partitions.get_mut(&asked.partition) {
                partition.back_to_leader();
            }
        }
        if let Some(broker) = self.brokers.get_mut(&id) {
            let failed = broker.pause.failed(error, now);
            self.tell_retrying(failed)?;
        }
        Ok(())
    }

    /// A response was too large to be received: ask for one partition at a time and for its next batch only. If even
    /// that is too large, the batch itself is, and we can name it.
    fn narrow_fetch(&mut self, request: &FetchRequest, limit_bytes: u64) -> Result<()> {
        if let [only] = request.partitions.as_slice()
            && only.max_bytes == 1
        {
            return Err(Error::BatchTooLarge { partition: only.partition.clone(), offset: only.position, limit_bytes });
        }
        for asked in &request.partitions {
            if let Some(partition) = self.partitions.get_mut(&asked.partition) {
                partition.alone = true;
            }
        }
        Ok(())
    }

    fn take_fetched(
        &mut self,
        id: i32,
        asked: &FetchPartition,
        fetched: FetchedPartition,
        response: &Arc<()>,
        now: Instant,
    ) -> Result<()> {
        let isolation = self.config.isolation;
        let limit_bytes = self.config.connection.receive_bytes_max;
        let Some(partition) = self.partitions.get_mut(&asked.partition) else { return Ok(()) };
        // It may have been sought, or assigned anew, while the fetch was under way.
        let is_current = partition.phase == Phase::Reading
            && partition.fetch_position == asked.position
            && partition.topic_id == asked.topic_id;
        if !is_current {
            return Ok(());
        }
        if let Some(code) = fetched.error {
            return self.partition_refused(id, asked, code, now);
        }
        if let Some(replica) = fetched.preferred_read_replica {
            partition.prefer(replica, now);
        }
        if fetched.records.is_empty() {
            partition.pause.succeeded();
            return Ok(());
        }
        let end_offset = match isolation {
            IsolationLevel::ReadUncommitted => fetched.high_watermark,
            IsolationLevel::ReadCommitted => fetched.last_stable_offset,
        };
        let at = asked.partition.clone();
        let reader = PartitionReader::new(at, fetched.records, asked.position, isolation, fetched.aborted, limit_bytes);
        if reader.incomplete_batch_bytes().is_some() {
            return self.batch_cut_off(asked, now);
        }
        partition.alone = false;
        partition.pause.succeeded();
        partition.fetch_position = reader.end_position();
        partition.fetched.push_back(Fetched { reader, end_offset, _response: Arc::clone(response) });
        Ok(())
    }

    /// Not one whole batch came: another partition was first. It comes whole when asked for alone; if not, the broker is wrong.
    fn batch_cut_off(&mut self, asked: &FetchPartition, now: Instant) -> Result<()> {
        let Some(partition) = self.partitions.get_mut(&asked.partition) else { return Ok(()) };
        if !partition.alone {
            partition.alone = true;
            return Ok(());
        }
        let detail = "the broker sends only a part of it, though asked for nothing else".to_owned();
        let error = Error::CorruptBatch { partition: asked.partition.clone(), offset: asked.position, detail };
        self.partition_failed(&asked.partition, error, now)
    }

    /// The broker refused one partition of a fetch.
    fn partition_refused(&mut self, id: i32, asked: &FetchPartition, code: ErrorCode, now: Instant) -> Result<()> {
        let (Some(partition), Some(broker)) = (self.partitions.get_mut(&asked.partition), self.brokers.get(&id)) else {
            return Ok(());
        };
        if partition.back_to_leader() {
            // A follower may lag behind or have gone; only the leader's word counts.
            return Ok(());
        }
        let address = broker.address.clone();
        let error = Error::Broker { address, request: "Fetch", code, subject: asked.partition.to_string() };
        if code == ErrorCode::OFFSET_OUT_OF_RANGE {
            if partition.fetched.is_empty() {
                partition.phase = Phase::OutOfRange;
                return Ok(());
            }
            // The user has not come to that position yet: what is on hand first.
            partition.pause.hold(now + self.config.retry.initial);
            return Ok(());
        }
        self.partition_failed(&asked.partition, error, now)
    }

    /// Takes up to `records_max` records that are on hand, from each partition in its turn.
    pub(super) fn take_records(&mut self, records_max: usize) -> Vec<PartitionRecords> {
        let mut on_hand: Vec<TopicPartition> = self
            .partitions
            .iter()
            .filter(|(_, partition)| partition.phase == Phase::Reading && !partition.fetched.is_empty())
            .map(|(at, _)| at.clone())
            .collect();
        if on_hand.is_empty() {
            return Vec::new();
        }
        let turn = self.read_turn % on_hand.len();
        on_hand.rotate_left(turn);
        self.read_turn = self.read_turn.wrapping_add(1);
        let mut taken = Vec::new();
        let mut left = records_max;
        for at in on_hand {
            if left == 0 {
                break;
            }
            if let Some(records) = self.take_from(&at, left) {
                left = left.saturating_sub(records.records.len());
                taken.push(records);
            }
        }
        taken
    }

    fn take_from(&mut self, at: &TopicPartition, records_max: usize) -> Option<PartitionRecords> {
        let partition = self.partitions.get_mut(at)?;
        let fetched = partition.fetched.front_mut()?;
        let mut records = Vec::new();
        let from_offset = partition.position;
        let result = fetched.reader.read(records_max, &mut records);
        let taken = PartitionRecords {
            partition: at.clone(),
            leader_epoch: fetched.reader.leader_epoch(),
            from_offset,
            next_offset: fetched.reader.position(),
            end_offset: fetched.end_offset,
            records,
        };
        partition.position = taken.next_offset;
        if fetched.reader.is_empty() {
            partition.fetched.pop_front();
        }
        if let Err(error) = result {
            // What was read before the damage counts; the rest is fetched again, from there.
            partition.drop_fetched();
            let failed = self.partition_failed(at, error, Instant::now());
            self.events.extend(failed.err().map(Err));
        }
        (taken.next_offset > from_offset).then_some(taken)
    }
}

/// Sizes go over the wire as `i32`; the limit of 2 GiB is far above what is meant.
fn to_i32(bytes: u32) -> i32 {
    i32::try_from(bytes).unwrap_or(i32::MAX)
}
