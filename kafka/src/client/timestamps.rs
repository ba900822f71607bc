//! Timestamps of records at given offsets, each in a few fetches for each leader.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::routing::Client;
use crate::error::Result;
use crate::protocol::{FetchPartition, FetchRequest, Request};
use crate::record_batch::{PartitionReader, ReadBudget, first_batch_timestamp};
use crate::types::{Address, IsolationLevel, TopicPartition};

/// Size of the first fetch of each partition, in bytes: more than an ordinary batch (`batch.size` is 16 KiB by
/// default). A larger batch is fetched again with a multiple of this size.
const SAMPLE_BYTES: i32 = 64 * 1024;
const SAMPLE_GROWTH: i32 = 16;
/// The largest response, in bytes, unless a single batch is larger.
const SAMPLE_RESPONSE_BYTES: i32 = 16 * 1024 * 1024;

impl Client {
    /// The timestamp of the first record at or after an offset of each partition, in milliseconds since 1970-01-01 UTC,
    /// whether its transaction is committed, aborted or open. `None` if there is no record, or it has no timestamp.
    /// Fails if the record cannot be read.
    pub fn timestamps_at(
        &mut self,
        offsets: &BTreeMap<TopicPartition, i64>,
    ) -> Result<Vec<(TopicPartition, Result<Option<i64>>)>> {
        let partitions: Vec<TopicPartition> = offsets.keys().cloned().collect();
        self.at_leaders(&partitions, |client, leader, partitions| {
            client.timestamps_at_leader(leader, partitions, offsets)
        })
    }

    fn timestamps_at_leader(
        &mut self,
        leader: &Address,
        partitions: &[TopicPartition],
        offsets: &BTreeMap<TopicPartition, i64>,
    ) -> Result<Vec<(TopicPartition, Result<Option<i64>>)>> {
        let mut results = Vec::with_capacity(partitions.len());
        let mut remaining = partitions.to_vec();
        let mut bytes = SAMPLE_BYTES;
        // The first partition of a response with records has a complete batch (KIP-74), so that each round has one
        // result at least.
        while !remaining.is_empty() {
            let response = self.call(leader, &self.fetch_request(&remaining, offsets, bytes))?;
            let mut incomplete = Vec::new();
            for fetched in response.partitions {
                let at = fetched.partition;
                if let Some(code) = fetched.error {
                    let refusal = self.on_refusal(leader, FetchRequest::NAME, code, &at);
                    results.push((at, Err(refusal)));
                    continue;
                }
                let offset = offsets.get(&at).copied().unwrap_or_default();
                // No records below the high watermark: the response was full before this partition.
                let is_omitted = fetched.records.is_empty() && fetched.high_watermark > offset;
                match self.first_timestamp(&at, fetched.records, offset) {
                    Ok(FirstRecord::Incomplete) => incomplete.push(at),
                    Ok(FirstRecord::Timestamp(None)) if is_omitted => incomplete.push(at),
                    Ok(FirstRecord::Timestamp(timestamp)) => results.push((at, Ok(timestamp))),
                    Err(error) => results.push((at, Err(error))),
                }
            }
            if incomplete.len() >= remaining.len() {
                results.extend(incomplete.into_iter().map(|at| (at, Ok(None))));
                break;
            }
            remaining = incomplete;
            bytes = bytes.saturating_mul(SAMPLE_GROWTH).min(SAMPLE_RESPONSE_BYTES);
        }
        Ok(results)
    }

    fn fetch_request(
        &self,
        partitions: &[TopicPartition],
        offsets: &BTreeMap<TopicPartition, i64>,
        max_bytes: i32,
    ) -> FetchRequest {
        let requested = |at: &TopicPartition| {
            let location = self.partitions.get(at);
            FetchPartition {
                partition: at.clone(),
                topic_id: location.and_then(|location| location.topic_id),
                position: offsets.get(at).copied().unwrap_or_default(),
                leader_epoch: location.and_then(|location| location.leader_epoch),
                max_bytes,
            }
        };
        FetchRequest {
            isolation: IsolationLevel::ReadUncommitted,
            max_wait: Duration::ZERO,
            min_bytes: 0,
            max_bytes: SAMPLE_RESPONSE_BYTES,
            rack: None,
            partitions: partitions.iter().map(requested).collect(),
        }
    }

    fn first_timestamp(&self, at: &TopicPartition, records: Bytes, offset: i64) -> Result<FirstRecord> {
        let bytes_max = self.brokers.receive_bytes_max();
        let isolation = IsolationLevel::ReadUncommitted;
        let of_batch = first_batch_timestamp(&records);
        let mut reader = PartitionReader::new(at.clone(), records, offset, isolation, Vec::new(), bytes_max);
        let mut first = Vec::new();
        reader.read(ReadBudget::of(1), &mut first)?;
        if first.is_empty() && reader.incomplete_batch_bytes().is_some() {
            return Ok(FirstRecord::Incomplete);
        }
        // If there are only control batches, the first one has a timestamp.
        Ok(FirstRecord::Timestamp(first.first().map_or(of_batch, |record| record.timestamp_ms)))
    }
}

/// The first record of a fetched partition.
enum FirstRecord {
    Timestamp(Option<i64>),
    /// Its batch is larger than the fetch.
    Incomplete,
}
