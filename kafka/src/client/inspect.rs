//! Requests of the commands that look at a cluster: offsets, timestamps, truncations and members of many partitions, each in as
//! many requests as there are brokers, not partitions. Must not change anything in the cluster.

use std::collections::{BTreeMap, HashMap};

use super::{Client, divergence};
use crate::error::{Error, ErrorCode, Result};
use crate::protocol::consumer_protocol::decode_assignment;
use crate::protocol::{
    ConsumerGroupDescribeRequest, ConsumerGroupHeartbeatRequest, DescribeGroupsRequest, EpochQuestion, FetchPartition,
    FetchRequest, HeartbeatRequest, ListOffsetsRequest, OffsetSpec, Request,
};
use crate::record_batch::{PartitionReader, Room, first_batch_timestamp};
use crate::types::{Address, GroupDescription, IsolationLevel, Member, MemberDescription, TopicPartition};

/// What is fetched of each partition to find a record's timestamp, in bytes: an ordinary batch (`batch.size` is 16 KiB by default). A
/// larger batch takes another request, for this many times as much.
const SAMPLE_BYTES: i32 = 64 * 1024;
const SAMPLE_GROWTH: i32 = 16;
/// What one response holds at most, in bytes, unless a single batch is larger.
const SAMPLE_RESPONSE_BYTES: i32 = 16 * 1024 * 1024;

/// The offsets that bound a partition's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermarks {
    /// The first offset that is kept.
    pub start_offset: i64,
    /// The first offset that an open transaction may still change; the end offset if there is none
    /// ([KIP-98](https://cwiki.apache.org/confluence/display/KAFKA/KIP-98+-+Exactly+Once+Delivery+and+Transactional+Messaging)).
    pub last_stable_offset: i64,
    /// The high watermark: the offset of the next record. Kafka's tools show it as `LOG-END-OFFSET`.
    pub end_offset: i64,
}

/// Where a leader's log diverges from what was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truncated {
    /// The first offset that holds another record, or none.
    pub divergence_offset: i64,
    /// The leader epoch that ends there.
    pub divergence_epoch: i32,
}

impl Client {
    /// The watermarks of each partition. `Err` only if not even metadata can be had; where a leader does not answer, the first of its
    /// partitions has the cause.
    pub fn watermarks(&mut self, partitions: &[TopicPartition]) -> Result<Vec<(TopicPartition, Result<Watermarks>)>> {
        self.at_leaders(partitions, Self::watermarks_at)
    }

    fn watermarks_at(
        &mut self,
        leader: &Address,
        partitions: &[TopicPartition],
    ) -> Result<Vec<(TopicPartition, Result<Watermarks>)>> {
        let starts = self.list_offsets_at(leader, partitions, IsolationLevel::ReadUncommitted, OffsetSpec::Earliest)?;
        let stable = self.list_offsets_at(leader, partitions, IsolationLevel::ReadCommitted, OffsetSpec::Latest)?;
        let ends = self.list_offsets_at(leader, partitions, IsolationLevel::ReadUncommitted, OffsetSpec::Latest)?;
        let mut found = Vec::with_capacity(partitions.len());
        for at in partitions {
            let (Some(start), Some(stable), Some(end)) = (starts.get(at), stable.get(at), ends.get(at)) else {
                continue;
            };
            let watermarks = match (*start, *stable, *end) {
                (Ok(start_offset), Ok(last_stable_offset), Ok(end_offset)) => {
                    // Records may have come between the requests.
                    Ok(Watermarks { start_offset, last_stable_offset, end_offset: end_offset.max(last_stable_offset) })
                }
                (Err(code), _, _) | (_, Err(code), _) | (_, _, Err(code)) => {
                    Err(self.refused(leader, ListOffsetsRequest::NAME, code, at))
                }
            };
            found.push((at.clone(), watermarks));
        }
        Ok(found)
    }

    /// One end of the log of each partition, asked at their leader.
    pub(super) fn list_offsets_at(
        &mut self,
        leader: &Address,
        partitions: &[TopicPartition],
        isolation: IsolationLevel,
        which: OffsetSpec,
    ) -> Result<HashMap<TopicPartition, Result<i64, ErrorCode>>> {
        let epoch = |at| self.partitions.get(at).and_then(|place| place.leader_epoch);
        let partitions = partitions.iter().map(|at| (at.clone(), epoch(at))).collect();
        let listed = self.call(leader, &ListOffsetsRequest { isolation, which, partitions })?;
        Ok(listed.into_iter().map(|listed| (listed.partition, listed.result)).collect())
    }

    /// The timestamp of the first record at or after an offset of each partition, in milliseconds since 1970, whether its transaction
    /// is committed, aborted or open. `None` if there is no record, or if it has no timestamp. That the record can be read is
    /// thereby known.
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
        let mut found = Vec::with_capacity(partitions.len());
        let mut open = partitions.to_vec();
        let mut bytes = SAMPLE_BYTES;
        // The first partition of a response with data has a whole batch (KIP-74), so that each round finds one at least.
        while !open.is_empty() {
            let response = self.call(leader, &self.sample(&open, offsets, bytes))?;
            let mut incomplete = Vec::new();
            for fetched in response.partitions {
                let at = fetched.partition;
                if let Some(code) = fetched.error {
                    let refused = self.refused(leader, FetchRequest::NAME, code, &at);
                    found.push((at, Err(refused)));
                    continue;
                }
                let offset = offsets.get(&at).copied().unwrap_or_default();
                // Empty though there are records: the response was full before it.
                let is_cut = fetched.records.is_empty() && fetched.high_watermark > offset;
                match self.first_timestamp(&at, fetched.records, offset) {
                    Ok(Sample::Incomplete) => incomplete.push(at),
                    Ok(Sample::Timestamp(None)) if is_cut => incomplete.push(at),
                    Ok(Sample::Timestamp(timestamp)) => found.push((at, Ok(timestamp))),
                    Err(error) => found.push((at, Err(error))),
                }
            }
            if incomplete.len() >= open.len() {
                found.extend(incomplete.into_iter().map(|at| (at, Ok(None))));
                break;
            }
            open = incomplete;
            bytes = bytes.saturating_mul(SAMPLE_GROWTH).min(SAMPLE_RESPONSE_BYTES);
        }
        Ok(found)
    }

    fn sample(
        &self,
        partitions: &[TopicPartition],
        offsets: &BTreeMap<TopicPartition, i64>,
        max_bytes: i32,
    ) -> FetchRequest {
        let wanted = |at: &TopicPartition| {
            let place = self.partitions.get(at);
            FetchPartition {
                partition: at.clone(),
                topic_id: place.and_then(|place| place.topic_id),
                position: offsets.get(at).copied().unwrap_or_default(),
                leader_epoch: place.and_then(|place| place.leader_epoch),
                max_bytes,
            }
        };
        FetchRequest {
            isolation: IsolationLevel::ReadUncommitted,
            max_wait: std::time::Duration::ZERO,
            min_bytes: 0,
            max_bytes: SAMPLE_RESPONSE_BYTES,
            rack: None,
            partitions: partitions.iter().map(wanted).collect(),
        }
    }

    fn first_timestamp(&self, at: &TopicPartition, records: bytes::Bytes, offset: i64) -> Result<Sample> {
        let bytes_max = self.brokers.receive_bytes_max();
        let isolation = IsolationLevel::ReadUncommitted;
        let of_batch = first_batch_timestamp(&records);
        let mut reader = PartitionReader::new(at.clone(), records, offset, isolation, Vec::new(), bytes_max);
        let mut first = Vec::new();
        reader.read(Room::of(1), &mut first)?;
        if first.is_empty() && reader.incomplete_batch_bytes().is_some() {
            return Ok(Sample::Incomplete);
        }
        // Where there are only markers of transactions, their batch has a timestamp.
        Ok(Sample::Timestamp(first.first().map_or(of_batch, |record| record.timestamp_ms)))
    }

    /// Which positions lie behind the end of their epoch in the leader's log: what was read of these partitions is no longer there, or
    /// other records are ([KIP-320](https://cwiki.apache.org/confluence/display/KAFKA/KIP-320%3A+Allow+fetchers+to+detect+and+handle+log+truncation)).
    /// Takes each position and the leader epoch of the record before it. As in the consumer, a truncation counts only if the leader
    /// repeats it after fresh metadata.
    pub fn truncations(
        &mut self,
        positions: &[(TopicPartition, i64, i32)],
    ) -> Result<Vec<(TopicPartition, Truncated)>> {
        let suspected = self.truncations_once(positions)?;
        if suspected.is_empty() {
            return Ok(suspected);
        }
        let is_suspected = |at: &TopicPartition| suspected.iter().any(|(of, _)| of == at);
        let again: Vec<_> = positions.iter().filter(|(at, _, _)| is_suspected(at)).cloned().collect();
        self.forget(&again.iter().map(|(at, _, _)| at.clone()).collect::<Vec<_>>());
        let repeated = self.truncations_once(&again)?;
        Ok(repeated.into_iter().filter(|found| suspected.contains(found)).collect())
    }

    fn truncations_once(
        &mut self,
        positions: &[(TopicPartition, i64, i32)],
    ) -> Result<Vec<(TopicPartition, Truncated)>> {
        let partitions: Vec<TopicPartition> = positions.iter().map(|(at, _, _)| at.clone()).collect();
        self.locate(&partitions)?;
        let question = |(at, _, epoch): &(TopicPartition, i64, i32)| {
            let current_leader_epoch = self.partitions.get(at)?.leader_epoch?;
            Some(EpochQuestion { partition: at.clone(), current_leader_epoch, epoch: *epoch })
        };
        let questions: Vec<EpochQuestion> = positions.iter().filter_map(question).collect();
        let mut truncated = Vec::new();
        for (at, end) in self.epoch_ends(&questions)? {
            let Some((_, position, epoch)) = positions.iter().find(|(of, _, _)| *of == at) else { continue };
            if let Some(end) = divergence(*position, *epoch, end?) {
                truncated.push((at, Truncated { divergence_offset: end.end_offset, divergence_epoch: end.epoch }));
            }
        }
        Ok(truncated)
    }

    /// State and members of a group, of either protocol. A group that does not exist has no members.
    pub fn describe_group(&mut self, group: &str) -> Result<GroupDescription> {
        // As Kafka's own tools do: a broker describes by this request only groups of the consumer protocol.
        match self.call_coordinator(group, &ConsumerGroupDescribeRequest { group: group.to_owned() }) {
            Ok((_, described)) => return Ok(described),
            Err(
                Error::UnsupportedVersion { .. }
                | Error::Broker { code: ErrorCode::GROUP_ID_NOT_FOUND | ErrorCode::UNSUPPORTED_VERSION, .. },
            ) => {}
            Err(error) => return Err(error),
        }
        match self.describe_classic_group(group) {
            Err(Error::Broker { code: ErrorCode::GROUP_ID_NOT_FOUND, .. }) => Ok(GroupDescription::default()),
            described => described,
        }
    }

    /// State and members of a group of the classic protocol.
    pub(crate) fn describe_classic_group(&mut self, group: &str) -> Result<GroupDescription> {
        let request = DescribeGroupsRequest { group: group.to_owned() };
        let (coordinator, described) = self.call_coordinator(group, &request)?;
        let mut members = Vec::with_capacity(described.members.len());
        for member in described.members {
            let partitions = decode_assignment(member.assignment).map_err(|malformed| Error::Malformed {
                address: coordinator.clone(),
                request: DescribeGroupsRequest::NAME,
                detail: malformed.0,
            })?;
            let (id, instance_id, client_id, host) = (member.id, member.instance_id, member.client_id, member.host);
            members.push(MemberDescription { id, instance_id, client_id, host, partitions });
        }
        Ok(GroupDescription { state: described.state, members })
    }

    /// Whether the group may be read in: a heartbeat of a member that does not exist, which changes nothing. `Err` with
    /// `GROUP_AUTHORIZATION_FAILED` if not.
    pub fn may_join_classic(&mut self, group: &str) -> Result<()> {
        self.refuses_a_stranger(group, &HeartbeatRequest { group: group.to_owned(), member: stranger() })
    }

    /// The same for the consumer protocol; `Err` with [`Error::UnsupportedVersion`] where the brokers do not have it.
    pub fn may_join_consumer(&mut self, group: &str) -> Result<()> {
        let member = Member { id: "check".to_owned(), epoch: 1, instance_id: None };
        let request =
            ConsumerGroupHeartbeatRequest { group: group.to_owned(), member, rack: None, wish: None, owned: None };
        self.refuses_a_stranger(group, &request)
    }

    fn refuses_a_stranger<R: Request>(&mut self, group: &str, heartbeat: &R) -> Result<()> {
        match self.call_coordinator(group, heartbeat) {
            Ok(_) | Err(Error::Broker { code: ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::GROUP_ID_NOT_FOUND, .. }) => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

/// What one fetch tells of a partition.
enum Sample {
    Timestamp(Option<i64>),
    /// The batch did not fit.
    Incomplete,
}

/// A member that no group has.
fn stranger() -> Member {
    Member { id: String::new(), epoch: -1, instance_id: None }
}
