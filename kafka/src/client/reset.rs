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
            let isolation = IsolationLevel::ReadUncommitted;
            let which = OffsetSpec::Timestamp(timestamp_ms);
            let listed = client.list_offsets_at(leader, partitions, isolation, which)?;
            let mut found = Vec::with_capacity(listed.len());
            for (at, offset) in listed {
                let result = match offset {
                    Ok(-1) => Ok(None),
                    Ok(offset) => Ok(Some(offset)),
                    Err(code) => Err(client.refused(leader, ListOffsetsRequest::NAME, code, &at)),
                };
                found.push((at, result));
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
