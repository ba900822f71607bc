//! What a reset of a group's offsets takes: offsets by time, and a commit from outside of the group. Decides nothing.

use super::Client;
use crate::error::{Error, Result};
use crate::protocol::{ListOffsetsRequest, OffsetSpec, Request};
use crate::types::{CommittedOffset, IsolationLevel, TopicPartition};

impl Client {
    /// The offset of the first record of each partition whose timestamp is not less, in milliseconds since 1970; `None` if there is
    /// none. Records of open and aborted transactions count, as they do for Kafka's own tools.
    pub fn offsets_for_time(
        &mut self,
        partitions: &[TopicPartition],
        timestamp_ms: i64,
    ) -> Result<Vec<(TopicPartition, Result<Option<i64>>)>> {
        self.at_leaders(partitions, |client, leader, partitions| {
            let epoch = |at| client.partitions.get(at).and_then(|place| place.leader_epoch);
            let request = ListOffsetsRequest {
                isolation: IsolationLevel::ReadUncommitted,
                which: OffsetSpec::Timestamp(timestamp_ms),
                partitions: partitions.iter().map(|at| (at.clone(), epoch(at))).collect(),
            };
            let listed = client.call(leader, &request)?;
            let mut found = Vec::with_capacity(listed.len());
            for offset in listed {
                let result = match offset.result {
                    Ok(-1) => Ok(None),
                    Ok(offset) => Ok(Some(offset)),
                    Err(code) => Err(client.refused(leader, ListOffsetsRequest::NAME, code, &offset.partition)),
                };
                found.push((offset.partition, result));
            }
            Ok(found)
        })
    }

    /// Commits offsets from outside of the group and without metadata, as Kafka's own tools reset them. The coordinator accepts that
    /// while the group has no members. For each partition, why it was refused, if it was.
    pub fn reset_offsets(
        &mut self,
        group: &str,
        offsets: &[(TopicPartition, i64)],
    ) -> Result<Vec<(TopicPartition, Option<Error>)>> {
        let committed = |offset| CommittedOffset { offset, leader_epoch: None, metadata: String::new() };
        self.commit(group, None, offsets.iter().map(|(at, offset)| (at.clone(), committed(*offset))).collect())
    }
}
