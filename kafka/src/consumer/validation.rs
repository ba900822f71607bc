//! Whether a partition's log still has what was read of it: before records come from a leader that we have not read from yet,
//! it is asked where the epoch of the last record ends in its log
//! ([KIP-320](https://cwiki.apache.org/confluence/display/KAFKA/KIP-320%3A+Allow+fetchers+to+detect+and+handle+log+truncation)).
//! An offset alone would not tell: a log that was truncated may have grown past it again, with other records.
//!
//! What holds: each fetch names the epoch of the leader that was asked, and another one refuses it. So no record of a new leader is
//! given out before its log has been compared, and none of an old one after its successor has become known. What does not:
//! a leader that has lost its post to an unclean election, and has not heard of that, still gives what will be gone. Its records are
//! given out until metadata tells; then the comparison finds them.
//!
//! One answer that shows a truncation is not believed. Event Hubs has given wrong ones, and a Redpanda leader that has just been
//! elected may lag behind the high watermark. The leader that fresh metadata names is asked again, until an answer repeats the last
//! one or shows no truncation.

use std::time::Instant;

use super::partition::Phase;
use super::pause::after;
use super::{Answer, Consumer, Event, Truncation};
use crate::backoff::{Backoff, RetryPolicy};
use crate::client::{EpochEnds, divergence};
use crate::error::Result;
use crate::protocol::{EpochEnd, OffsetForLeaderPartition};
use crate::types::TopicPartition;

/// What an answer has shown that is to be repeated.
#[derive(Debug)]
pub(super) struct Suspicion {
    divergence: EpochEnd,
    /// The metadata that was known then: the leader is asked again after the next.
    metadata_serial: u64,
    backoff: Backoff,
}

impl Consumer {
    /// Asks where epochs end, for the partitions whose position is to be validated.
    pub(super) fn ask_epoch_ends(&mut self, now: Instant) -> Result<bool> {
        let question = |partition| {
            let state = self.partitions.get(&partition)?;
            let is_old = |suspicion: &Suspicion| suspicion.metadata_serial == self.metadata_serial;
            let (current_leader_epoch, epoch) = state.leader_epoch.zip(state.position_epoch)?;
            let question = OffsetForLeaderPartition { partition, current_leader_epoch, epoch };
            (!state.suspicion.as_ref().is_some_and(is_old)).then_some(question)
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

    pub(super) fn take_epoch_ends(
        &mut self,
        questions: &[OffsetForLeaderPartition],
        ends: EpochEnds,
        now: Instant,
    ) -> Result<()> {
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
                    None => {
                        if partition.suspicion.take().is_some() {
                            partition.pause.cut_short();
                        }
                        partition.phase = Phase::Reading;
                    }
                    Some(divergence) => self.take_divergence(at, asked.epoch, divergence, now),
                },
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        if self.is_settled() {
            self.events.push_back(Ok(Event::Idle)); // Nothing else would tell who waits for that.
        }
        self.facts_taken(failure, now)
    }

    /// Counts if it is the same as the last one; if not, the leader is asked again, after fresh metadata and a pause.
    fn take_divergence(&mut self, at: TopicPartition, position_epoch: i32, divergence: EpochEnd, now: Instant) {
        let Some(partition) = self.partitions.get_mut(&at) else { return };
        let last = partition.suspicion.take();
        if last.as_ref().is_some_and(|last| last.divergence == divergence) {
            partition.phase = Phase::Assigned;
            self.events.push_back(Ok(Event::Truncated(Truncation {
                token: *partition.asked.insert(self.tokens.next()),
                topic_id: partition.topic_id,
                position: partition.position,
                position_epoch,
                divergence_offset: divergence.end_offset,
                divergence_epoch: divergence.epoch,
                partition: at,
            })));
            return;
        }
        // However long it takes: the setting is about failures, and may be as low as one.
        let retry = RetryPolicy { attempts_max: None, ..self.config.retry };
        let mut backoff = last.map_or_else(|| Backoff::new(retry), |last| last.backoff);
        let wait = backoff.next_wait().unwrap_or(retry.max);
        log::warn!(
            position = partition.position,
            position_epoch = position_epoch,
            end_offset = divergence.end_offset,
            end_epoch = divergence.epoch,
            wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            "the leader's log of {at} seems to be truncated; asking again after fresh metadata"
        );
        partition.suspicion = Some(Suspicion { divergence, metadata_serial: self.metadata_serial, backoff });
        partition.pause.hold(after(now, wait));
        self.metadata_due = now;
    }
}
