//! Detects truncated logs: compares positions with the end offsets of leader epochs
//! ([KIP-320](https://cwiki.apache.org/confluence/display/KAFKA/KIP-320%3A+Allow+fetchers+to+detect+and+handle+log+truncation)).

use super::routing::Client;
use crate::error::{Error, Result};
use crate::protocol::{EpochEnd, OffsetForLeaderEpochRequest, OffsetForLeaderPartition, Request};
use crate::types::{Address, TopicPartition};

/// Where a leader's log diverges from the records that were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truncated {
    /// The first offset with another record, or with none.
    pub divergence_offset: i64,
    /// The leader epoch that ends at this offset.
    pub divergence_epoch: i32,
}

/// The end of the requested epoch of each partition; `None` if the leader does not return it.
pub(crate) type EpochEnds = Vec<(TopicPartition, Result<Option<EpochEnd>>)>;

impl Client {
    /// Requests the ends of leader epochs from each partition's leader.
    pub(crate) fn epoch_ends(&mut self, requested: &[OffsetForLeaderPartition]) -> Result<EpochEnds> {
        let partitions: Vec<TopicPartition> = requested.iter().map(|requested| requested.partition.clone()).collect();
        self.at_leaders(&partitions, |client, leader, partitions| {
            let is_led = |requested: &&OffsetForLeaderPartition| partitions.contains(&requested.partition);
            client.epoch_ends_at(leader, requested.iter().filter(is_led).cloned().collect())
        })
    }

    fn epoch_ends_at(&mut self, leader: &Address, partitions: Vec<OffsetForLeaderPartition>) -> Result<EpochEnds> {
        let request = OffsetForLeaderEpochRequest { partitions };
        let ends = match self.call(leader, &request) {
            // Brokers before 2.3 require CLUSTER_ACTION on the cluster.
            Err(Error::UnsupportedVersion { request: OffsetForLeaderEpochRequest::NAME, .. }) => {
                return Ok(request.partitions.into_iter().map(|requested| (requested.partition, Ok(None))).collect());
            }
            ends => ends?,
        };
        let with_error = |(at, result): (TopicPartition, Result<_, _>)| {
            let result = result.map_err(|code| self.on_refusal(leader, OffsetForLeaderEpochRequest::NAME, code, &at));
            (at, result)
        };
        Ok(ends.into_iter().map(with_error).collect())
    }

    /// The partitions whose log was truncated before their position. Takes each position and the leader epoch of the
    /// record before it. As in the consumer, a truncation counts only if the leader confirms it after new metadata.
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
        let request = |(at, _, epoch): &(TopicPartition, i64, i32)| {
            let current_leader_epoch = self.partitions.get(at)?.leader_epoch?;
            Some(OffsetForLeaderPartition { partition: at.clone(), current_leader_epoch, epoch: *epoch })
        };
        let requested: Vec<OffsetForLeaderPartition> = positions.iter().filter_map(request).collect();
        let mut truncated = Vec::new();
        for (at, end) in self.epoch_ends(&requested)? {
            let Some((_, position, epoch)) = positions.iter().find(|(of, _, _)| *of == at) else { continue };
            if let Some(end) = divergence(*position, *epoch, end?) {
                truncated.push((at, Truncated { divergence_offset: end.end_offset, divergence_epoch: end.epoch }));
            }
        }
        Ok(truncated)
    }
}

/// Where the leader's log diverges from the records that were read. `epoch` is the leader epoch of the record before
/// `position`; `end` is the greatest epoch in the leader's log that is not greater, and its end offset. `None` if the
/// log does not diverge, or the leader does not return an end, or returns a later epoch; a fetch at a position after
/// the log's end is refused with `OFFSET_OUT_OF_RANGE`.
pub(crate) fn divergence(position: i64, epoch: i32, end: Option<EpochEnd>) -> Option<EpochEnd> {
    let end = end.filter(|end| end.epoch < epoch || (end.epoch == epoch && end.end_offset < position))?;
    Some(EpochEnd { end_offset: end.end_offset.min(position), ..end })
}
