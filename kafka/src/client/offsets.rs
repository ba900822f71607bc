//! Offsets of partitions and of groups: log start, end, by timestamp, committed.

use std::collections::{BTreeMap, HashMap};

use super::routing::Client;
use crate::error::{Error, ErrorCode, Result};
use crate::protocol::{ListOffsetsRequest, OffsetCommitRequest, OffsetFetchRequest, OffsetSpec, Request};
use crate::types::{Address, CommittedOffset, IsolationLevel, Member, TopicPartition};

/// Log start offset of a partition, and its end offset for an isolation level; or why the leader does not return them.
pub type LogOffsets = Result<(i64, i64)>;

/// The offsets that bound a partition's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermarks {
    /// The log start offset.
    pub start_offset: i64,
    /// The first offset that an open transaction may still change; the end offset if there is none
    /// ([KIP-98](https://cwiki.apache.org/confluence/display/KAFKA/KIP-98+-+Exactly+Once+Delivery+and+Transactional+Messaging)).
    pub last_stable_offset: i64,
    /// The high watermark: the offset of the next record. Kafka's tools show it as `LOG-END-OFFSET`.
    pub end_offset: i64,
}

impl Client {
    /// Log start offset and end offset of each partition. The result has every partition; `Err` only if metadata is not
    /// available. If a leader does not respond, the first of its partitions has the cause.
    pub fn log_offsets(
        &mut self,
        partitions: &[TopicPartition],
        isolation: IsolationLevel,
    ) -> Result<Vec<(TopicPartition, LogOffsets)>> {
        self.at_leaders(partitions, |client, leader, partitions| client.log_offsets_at(leader, partitions, isolation))
    }

    fn log_offsets_at(
        &mut self,
        leader: &Address,
        partitions: &[TopicPartition],
        isolation: IsolationLevel,
    ) -> Result<Vec<(TopicPartition, LogOffsets)>> {
        let starts = self.list_offsets_at(leader, partitions, isolation, OffsetSpec::Earliest)?;
        let ends = self.list_offsets_at(leader, partitions, isolation, OffsetSpec::Latest)?;
        let mut results = Vec::with_capacity(partitions.len());
        for at in partitions {
            let (Some(start), Some(end)) = (starts.get(at), ends.get(at)) else { continue };
            let offsets = match (*start, *end) {
                (Ok(start), Ok(end)) => Ok((start, end)),
                (Err(code), _) | (_, Err(code)) => Err(self.on_refusal(leader, ListOffsetsRequest::NAME, code, at)),
            };
            results.push((at.clone(), offsets));
        }
        Ok(results)
    }

    /// The watermarks of each partition. `Err` only if metadata is not available; if a leader does not respond, the
    /// first of its partitions has the cause.
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
        let mut results = Vec::with_capacity(partitions.len());
        for at in partitions {
            let (Some(start), Some(stable), Some(end)) = (starts.get(at), stable.get(at), ends.get(at)) else {
                continue;
            };
            let watermarks = match (*start, *stable, *end) {
                (Ok(start_offset), Ok(last_stable_offset), Ok(end_offset)) => {
                    // Records may have been appended between the requests.
                    Ok(Watermarks { start_offset, last_stable_offset, end_offset: end_offset.max(last_stable_offset) })
                }
                (Err(code), _, _) | (_, Err(code), _) | (_, _, Err(code)) => {
                    Err(self.on_refusal(leader, ListOffsetsRequest::NAME, code, at))
                }
            };
            results.push((at.clone(), watermarks));
        }
        Ok(results)
    }

    /// The offset of the first record of each partition whose timestamp, in milliseconds since 1970-01-01 UTC, is not
    /// less; `None` if there is none. Records of open and aborted transactions count, as for Kafka's tools.
    pub fn offsets_for_time(
        &mut self,
        partitions: &[TopicPartition],
        timestamp_ms: i64,
    ) -> Result<Vec<(TopicPartition, Result<Option<i64>>)>> {
        self.at_leaders(partitions, |client, leader, partitions| {
            let isolation = IsolationLevel::ReadUncommitted;
            let which = OffsetSpec::Timestamp(timestamp_ms);
            let listed = client.list_offsets_at(leader, partitions, isolation, which)?;
            let mut results = Vec::with_capacity(listed.len());
            for (at, offset) in listed {
                let result = match offset {
                    Ok(-1) => Ok(None),
                    Ok(offset) => Ok(Some(offset)),
                    Err(code) => Err(client.on_refusal(leader, ListOffsetsRequest::NAME, code, &at)),
                };
                results.push((at, result));
            }
            Ok(results)
        })
    }

    fn list_offsets_at(
        &mut self,
        leader: &Address,
        partitions: &[TopicPartition],
        isolation: IsolationLevel,
        which: OffsetSpec,
    ) -> Result<HashMap<TopicPartition, Result<i64, ErrorCode>>> {
        let epoch = |at| self.partitions.get(at).and_then(|location| location.leader_epoch);
        let partitions = partitions.iter().map(|at| (at.clone(), epoch(at))).collect();
        let listed = self.call(leader, &ListOffsetsRequest { isolation, which, partitions })?;
        Ok(listed.into_iter().collect())
    }

    /// The committed offsets of a group, for the partitions that have one.
    pub fn committed(
        &mut self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, CommittedOffset>> {
        let request = OffsetFetchRequest { group: group.to_owned(), partitions: partitions.to_vec() };
        let (coordinator, response) = self.call_coordinator(group, &request)?;
        let mut committed = BTreeMap::new();
        for (at, result) in response {
            match result {
                Ok(Some(offset)) => drop(committed.insert(at, offset)),
                Ok(None) => {}
                Err(code) => return Err(self.on_refusal(&coordinator, OffsetFetchRequest::NAME, code, &at)),
            }
        }
        Ok(committed)
    }

    /// Commits offsets, as a member of the group or not. The result has every partition, with the error if it was
    /// refused.
    pub(crate) fn commit(
        &mut self,
        group: &str,
        member: Option<Member>,
        offsets: Vec<(TopicPartition, CommittedOffset)>,
    ) -> Result<Vec<(TopicPartition, Option<Error>)>> {
        let is_member = member.is_some();
        let request = OffsetCommitRequest { group: group.to_owned(), member, offsets };
        let (coordinator, response) = self.call_coordinator(group, &request)?;
        let mut results = Vec::with_capacity(response.len());
        for (at, code) in response {
            let mut refusal = code.map(|code| self.on_refusal(&coordinator, OffsetCommitRequest::NAME, code, &at));
            if let Some(Error::Broker { code: ErrorCode::UNKNOWN_MEMBER_ID, subject, .. }) = &mut refusal
                && !is_member
            {
                // The code alone would mislead: this client is not a member.
                *subject = format!("{at} (another program is a member of group '{group}')");
            }
            results.push((at, refusal));
        }
        Ok(results)
    }

    /// Commits offsets not as a member and without metadata, as Kafka's tools reset them. The coordinator accepts that
    /// while the group has no members. The result has every partition, with the error if it was refused.
    pub fn reset_offsets(
        &mut self,
        group: &str,
        offsets: &[(TopicPartition, i64)],
    ) -> Result<Vec<(TopicPartition, Option<Error>)>> {
        let committed = |offset| CommittedOffset { offset, leader_epoch: None, metadata: String::new() };
        self.commit(group, None, offsets.iter().map(|(at, offset)| (at.clone(), committed(*offset))).collect())
    }
}
