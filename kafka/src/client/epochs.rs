//! Asks leaders where epochs end in their logs, and compares that with positions.

use super::Client;
use crate::error::{Error, Result};
use crate::protocol::{EpochEnd, EpochQuestion, OffsetForLeaderEpochRequest, Request};
use crate::types::{Address, TopicPartition};

/// What is known about each partition that was asked about; `None` where nothing can be said.
pub(crate) type EpochEnds = Vec<(TopicPartition, Result<Option<EpochEnd>>)>;

impl Client {
    /// Where epochs end, asked at each partition's leader.
    pub(crate) fn epoch_ends(&mut self, questions: &[EpochQuestion]) -> Result<EpochEnds> {
        let partitions: Vec<TopicPartition> = questions.iter().map(|question| question.partition.clone()).collect();
        self.at_leaders(&partitions, |client, leader, partitions| {
            let is_led = |question: &&EpochQuestion| partitions.contains(&question.partition);
            client.epoch_ends_at(leader, questions.iter().filter(is_led).cloned().collect())
        })
    }

    fn epoch_ends_at(&mut self, leader: &Address, questions: Vec<EpochQuestion>) -> Result<EpochEnds> {
        let request = OffsetForLeaderEpochRequest { partitions: questions };
        let answers = match self.call(leader, &request) {
            // Before version 2.3 a broker tells only those who manage the cluster.
            Err(Error::UnsupportedVersion { request: OffsetForLeaderEpochRequest::NAME, .. }) => {
                return Ok(request.partitions.into_iter().map(|question| (question.partition, Ok(None))).collect());
            }
            answers => answers?,
        };
        let refused = |(at, result): (TopicPartition, Result<_, _>)| {
            let result = result.map_err(|code| self.refused(leader, OffsetForLeaderEpochRequest::NAME, code, &at));
            (at, result)
        };
        Ok(answers.into_iter().map(|answer| (answer.partition, answer.result)).map(refused).collect())
    }
}

/// Where the leader's log parts from what was read: the record before `position` was of `epoch`, and the leader has told what the
/// greatest epoch up to that one is in its log, and where it ends. Nothing can be concluded if it does not know, or names a later
/// epoch than it was asked for; then a position beyond its end is refused by the fetch.
pub(crate) fn divergence(position: i64, epoch: i32, end: Option<EpochEnd>) -> Option<EpochEnd> {
    let end = end.filter(|end| end.epoch < epoch || (end.epoch == epoch && end.end_offset < position))?;
    Some(EpochEnd { end_offset: end.end_offset.min(position), ..end })
}
