//! Asking brokers for records and handing them out: which partitions a fetch asks for, what its answer means for each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::builder::Builder;
use super::partition::{Fetched, Partition, Phase};
use super::pause::Pause;
use super::{Consumer, Event, PartitionRecords, to_usize};
use crate::backoff::RetryPolicy;
use crate::error::{Error, ErrorCode, Result};
use crate::protocol::{FetchPartition, FetchRequest, FetchResponse, FetchedPartition, Request};
use crate::record_batch::{PartitionReader, Progress, ReadBudget};
use crate::types::{IsolationLevel, TopicPartition};

/// Least share of a fetch that one partition gets, in bytes: Kafka's own default (`max.partition.fetch.bytes`).
const PARTITION_BYTES_MIN: u32 = 1024 * 1024;
/// Longest that a broker may ask us to stay away. Its quotas look back over eleven seconds by default (`quota.window.num`,
/// `quota.window.size.seconds`), so it has no reason for more.
const THROTTLE_MAX: Duration = Duration::from_mins(1);

impl Consumer {
    /// Sends a fetch to each broker that is free and leads something to fetch.
    pub(super) fn send_fetches(&mut self, now: Instant) -> Result<()> {
        let sources: BTreeSet<i32> = self
            .partitions
            .values()
            .filter(|partition| partition.phase == Phase::Reading)
            .filter_map(|partition| partition.source(now))
            .collect();
        let bytes_max = fetch_bytes_max(&self.config, self.budget.fetch_bytes(sources.len()));
        for (&id, broker) in &mut self.brokers {
            if !broker.is_free(now) {
                continue;
            }
            let wants_fetch = |(_, partition): &(_, &Partition)| partition.wants_fetch(id, now);
            let mut wanted: Vec<TopicPartition> =
                self.partitions.iter().filter(wants_fetch).map(|(at, _)| at.clone()).collect();
            if wanted.is_empty() {
                continue;
            }
            // The first partition with records gets a batch even if that is larger than all limits.
            take_turns(&mut wanted, &mut broker.first);
            let request = fetch_request(&self.config, &self.partitions, wanted, bytes_max, now);
            broker.fetch(id, request, &self.budget, &self.answers_to, now)?;
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
        // A new connection begins with another request: what is too large there is no batch, and perhaps no broker.
        if let Error::ResponseTooLarge { request: FetchRequest::NAME, limit_bytes, .. } = error {
            return self.narrow_fetch(request, limit_bytes);
        }
        self.metadata_due = now;
        let mut is_needed = false;
        for asked in &request.partitions {
            if let Some(partition) = self.partitions.get_mut(&asked.partition)
                && partition.source(now) == Some(id)
            {
                is_needed |= !partition.leave_replica(now);
            }
        }
        let Some(broker) = self.brokers.get_mut(&id) else { return Ok(()) };
        // Where the leaders can do without it, it is not asked again: that ends nothing, and need not use up the attempts.
        let failed = if is_needed {
            broker.pause.failed(error, now)
        } else {
            Pause::new(RetryPolicy { attempts_max: None, ..self.config.retry }).again(error, now)
        };
        self.tell_retrying(failed)
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
        // Whatever comes, it does not keep the others waiting.
        let was_alone = std::mem::take(&mut partition.alone);
        // It may have been sought, assigned anew, or led by another, while the fetch was under way.
        let is_current = partition.phase == Phase::Reading
            && partition.fetch_position == asked.position
            && partition.leader_epoch == asked.leader_epoch
            && partition.topic_id == asked.topic_id;
        if !is_current {
            return Ok(());
        }
        if let Some(code) = fetched.error {
            return self.partition_refused(id, asked, code, now);
        }
        if std::mem::take(&mut partition.is_beyond_end) {
            // Perhaps the last thing that somebody who waits for the end has waited for.
            self.events.push_back(Ok(Event::Idle));
        }
        if let Some(replica) = fetched.preferred_read_replica {
            if Some(replica) != partition.leader && self.brokers.contains_key(&replica) {
                partition.prefer(replica, now);
            } else {
                partition.stay_with_leader(now);
            }
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
        let reader = PartitionReader::new(at, fetched.records, asked.position, isolation, fetched.aborted, limit_bytes)
            .within(self.budget.clone());
        if reader.incomplete_batch_bytes().is_some() {
            return self.batch_cut_off(asked, was_alone, now);
        }
        // Not yet a success that would end the growth of its pauses: the batches may turn out to be damaged.
        partition.fetch_position = reader.end_position();
        partition.fetched.push_back(Fetched { reader, end_offset, response: Arc::clone(response) });
        Ok(())
    }

    /// Not one whole batch came: another partition was first. It comes whole when asked for alone; if not, the broker is wrong.
    fn batch_cut_off(&mut self, asked: &FetchPartition, was_alone: bool, now: Instant) -> Result<()> {
        let Some(partition) = self.partitions.get_mut(&asked.partition) else { return Ok(()) };
        partition.alone = true;
        if !was_alone {
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
        if partition.source(now) != Some(id) {
            // The leader has moved meanwhile.
            return Ok(());
        }
        if partition.leave_replica(now) {
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

    /// Takes up to `records_max` records that are on hand, from each partition in its turn, and no more once they are as large as a
    /// fetch: however well they were compressed, memory stays bounded.
    pub(super) fn take_records(&mut self, records_max: usize, now: Instant) -> Vec<PartitionRecords> {
        if self.sharing.held_by(now).is_some() {
            return Vec::new();
        }
        let mut on_hand: Vec<TopicPartition> = self
            .partitions
            .iter()
            .filter(|(_, partition)| partition.phase == Phase::Reading && !partition.fetched.is_empty())
            .map(|(at, _)| at.clone())
            .collect();
        if on_hand.is_empty() {
            return Vec::new();
        }
        let last_turn = self.read_first.clone();
        take_turns(&mut on_hand, &mut self.read_first);
        if let Some(at) = self.without_memory.take()
            && let Some(turn) = on_hand.iter().position(|other| *other == at)
        {
            on_hand.get_mut(..=turn).unwrap_or_default().rotate_right(1);
        }
        let mut taken = Vec::new();
        let mut room =
            ReadBudget { records: records_max, bytes: to_usize(self.config.fetch_bytes_max), may_decompress: true };
        for at in on_hand {
            if room.is_full() {
                break;
            }
            let Some((records, progress)) = self.take_from(&at, room, now) else { continue };
            if progress == Progress::NoMemory && room.may_decompress {
                // The others may go on with what they have: that frees memory. If they got more, there might never be enough.
                room.may_decompress = false;
                self.without_memory = Some(at);
            }
            if records.next_offset > records.from_offset {
                records.records.iter().for_each(|record| room.fill(record));
                taken.push(records);
            }
        }
        if taken.is_empty() {
            self.read_first = last_turn;
        }
        taken
    }

    /// What comes next of a partition, perhaps nothing; and whether there is no memory for more.
    fn take_from(
        &mut self,
        at: &TopicPartition,
        room: ReadBudget,
        now: Instant,
    ) -> Option<(PartitionRecords, Progress)> {
        let partition = self.partitions.get_mut(at)?;
        let fetched = partition.fetched.front_mut()?;
        let mut records = Vec::new();
        let from_offset = partition.position;
        let result = fetched.reader.read(room, &mut records);
        let taken = PartitionRecords {
            partition: at.clone(),
            leader_epoch: fetched.reader.leader_epoch(),
            from_offset,
            next_offset: fetched.reader.position(),
            end_offset: fetched.end_offset,
            records,
            _response: Arc::clone(&fetched.response),
        };
        if taken.next_offset > from_offset {
            partition.position = taken.next_offset;
            partition.position_epoch = taken.leader_epoch;
        }
        if fetched.reader.is_empty() {
            partition.fetched.pop_front();
        }
        let progress = match result {
            Ok(progress) => {
                // What is fetched next may be failing already, and waits then.
                if partition.pause.is_over(now) {
                    partition.pause.succeeded();
                }
                progress
            }
            Err(error) => {
                // What was read before the damage counts; the rest is fetched again, from there.
                partition.drop_fetched();
                let failed = self.partition_failed(at, error, now);
                self.events.extend(failed.err().map(Err));
                Progress::Done
            }
        };
        Some((taken, progress))
    }
}

/// Asks one broker for some of its partitions; for one alone where one has to be.
pub(super) fn fetch_request(
    config: &Builder,
    partitions: &BTreeMap<TopicPartition, Partition>,
    wanted: Vec<TopicPartition>,
    bytes_max: u32,
    now: Instant,
) -> FetchRequest {
    let state = |at: &TopicPartition| partitions.get(at);
    let alone = wanted.iter().position(|at| state(at).is_some_and(|partition| partition.alone));
    let (wanted, bytes_max) = match alone {
        Some(index) => (wanted.into_iter().skip(index).take(1).collect(), 1),
        None => (wanted, bytes_max),
    };
    let may_be_redirected = wanted.iter().filter_map(state).all(|partition| partition.may_be_redirected(now));
    let share = bytes_max / u32::try_from(wanted.len()).unwrap_or(u32::MAX).max(1);
    let partition_bytes_max = share.max(PARTITION_BYTES_MIN).min(bytes_max);
    let partitions = wanted.into_iter().filter_map(|at| {
        let partition = partitions.get(&at)?;
        Some(FetchPartition {
            topic_id: partition.topic_id,
            position: partition.fetch_position,
            leader_epoch: partition.leader_epoch,
            max_bytes: to_i32(partition_bytes_max),
            partition: at,
        })
    });
    FetchRequest {
        isolation: config.isolation,
        max_wait: config.fetch_wait,
        min_bytes: 1,
        max_bytes: to_i32(bytes_max),
        rack: config.rack.clone().filter(|_| may_be_redirected),
        partitions: partitions.collect(),
    }
}

/// The soft limit of a fetch: what is set, or less if its share of the memory is less.
pub(super) fn fetch_bytes_max(config: &Builder, share: usize) -> u32 {
    config.fetch_bytes_max.min(u32::try_from(share).unwrap_or(u32::MAX)).max(1)
}

/// Turns sorted partitions so that the one after `first` is the first now: each has its turn, whichever come and go.
pub(super) fn take_turns(partitions: &mut [TopicPartition], first: &mut Option<TopicPartition>) {
    let passed = first.as_ref().map_or(0, |first| partitions.partition_point(|at| at <= first));
    partitions.rotate_left(passed);
    *first = partitions.first().cloned();
}

/// Sizes go over the wire as `i32`; the limit of 2 GiB is far above what is meant.
fn to_i32(bytes: u32) -> i32 {
    i32::try_from(bytes).unwrap_or(i32::MAX)
}
