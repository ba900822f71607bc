//! Whether a partition's log still has what was read of it: before records come from a leader that we have not read from yet,
//! it is asked where the epoch of the last record ends in its log
//! ([KIP-320](https://cwiki.apache.org/confluence/display/KAFKA/KIP-320%3A+Allow+fetchers+to+detect+and+handle+log+truncation)).
//! An offset alone would not tell: a log that was truncated may have grown past it again, with other records.
//!
//! What holds: each fetch names the epoch of the leader that was asked, and another one refuses it. So no record of a new leader is
//! given out before its log has been compared, and none of an old one after its successor has become known. What does not:
//! a leader that has lost its post to an unclean election, and has not heard of that, still gives what will be gone. Its records are
//! given out until metadata tells; then the comparison finds them.

use std::time::Instant;

use super::partition::Phase;
use super::{Answer, Consumer, Event, Truncation};
use crate::client::{EpochEnds, divergence};
use crate::error::Result;
use crate::protocol::EpochQuestion;

impl Consumer {
    /// Asks where epochs end, for the partitions whose position is to be validated.
    pub(super) fn ask_epoch_ends(&mut self, now: Instant) -> Result<bool> {
        let question = |partition| {
            let state = self.partitions.get(&partition)?;
            let (current_leader_epoch, epoch) = state.leader_epoch.zip(state.position_epoch)?;
            Some(EpochQuestion { partition, current_leader_epoch, epoch })
        };
        let questions: Vec<_> = self.in_phase(Phase::Validating, now).into_iter().filter_map(question).collect();
        if questions.is_empty() {
            return Ok(false);
        }
        self.ask(move |control| {
            let result = control.epoch_ends(&questions);
            Answer::EpochEnds { questions, result }
        })
    }

    pub(super) fn take_epoch_ends(&mut self, questions: &[EpochQuestion], ends: EpochEnds, now: Instant) -> Result<()> {
        let mut failure = None;
        for (at, end) in ends {
            let Some(partition) = self.partitions.get_mut(&at) else { continue };
            let asked = questions.iter().find(|question| question.partition == at);
            let Some(asked) = asked.filter(|asked| {
                // The answer of a leader that has been replaced meanwhile says nothing of its successor.
                partition.phase == Phase::Validating
                    && partition.leader_epoch == Some(asked.current_leader_epoch)
                    && partition.position_epoch == Some(asked.epoch)
            }) else {
                continue;
            };
            match end {
                Ok(end) => match divergence(partition.position, asked.epoch, end) {
                    None => partition.phase = Phase::Reading,
                    Some(divergence) => {
                        partition.phase = Phase::Assigned;
                        self.events.push_back(Ok(Event::Truncated(Truncation {
                            topic_id: partition.topic_id,
                            position: partition.position,
                            position_epoch: asked.epoch,
                            divergence_offset: divergence.end_offset,
                            divergence_epoch: divergence.epoch,
                            partition: at,
                        })));
                    }
                },
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        if self.is_settled() {
            self.events.push_back(Ok(Event::Idle)); // Nothing else would tell who waits for that.
        }
        self.facts_taken(failure, now)
    }
}
