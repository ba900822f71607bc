//! Offsets to commit while reading goes on: which are pending, whether a request is in flight, and whether the user waits for it. Must
//! not know how a commit is sent.

use std::time::Instant;

use super::event::Retrying;
use super::event_queue::EventQueue;
use super::message::{CommitBatch, CommitOutcome, PendingCommit};
use super::partition::{Accepted, Partition};
use super::partitions::Partitions;
use super::pause::Pause;
use crate::backoff::RetryPolicy;
use crate::error::{Error, Result};
use crate::types::TopicPartition;

/// The commits of a consumer.
pub(super) struct Commits {
    pending: CommitBatch,
    is_in_flight: bool,
    flush: Flush,
    pub(super) pause: Pause,
}

/// Whether the user waits for commits.
#[derive(Debug)]
enum Flush {
    Inactive,
    Active,
    /// A commit has failed meanwhile.
    Failed(Error),
}

/// What the outcomes of a commit request have changed.
#[derive(Default)]
pub(super) struct CommitEffects {
    /// Partitions whose claim was accepted.
    pub(super) started: Vec<TopicPartition>,
    /// Partitions whose offset another program has set.
    pub(super) lost: Vec<TopicPartition>,
    pub(super) is_any_accepted: bool,
    /// The last refusal.
    pub(super) refused: Option<Error>,
}

impl Commits {
    pub(super) fn new(retry: RetryPolicy) -> Self {
        Self { pending: CommitBatch::new(), is_in_flight: false, flush: Flush::Inactive, pause: Pause::new(retry) }
    }

    /// The newest offset of a partition replaces one that is not in flight yet.
    pub(super) fn add(&mut self, at: TopicPartition, commit: PendingCommit) {
        self.pending.insert(at, commit);
    }

    /// Drops the pending commit of a removed partition.
    pub(super) fn remove(&mut self, at: &TopicPartition) {
        self.pending.remove(at);
    }

    /// Whether all commits have been accepted.
    pub(super) fn are_done(&self) -> bool {
        !self.is_in_flight && self.pending.is_empty()
    }

    /// Takes the pending commits of the partitions that `is_picked` picks, for a request; `None` if there are none.
    pub(super) fn begin_request(
        &mut self,
        partitions: &Partitions,
        is_picked: impl Fn(&Partition) -> bool,
    ) -> Option<CommitBatch> {
        let is_picked = |at: &TopicPartition, _: &mut PendingCommit| partitions.get(at).is_some_and(&is_picked);
        let batch: CommitBatch = self.pending.extract_if(.., is_picked).collect();
        self.is_in_flight |= !batch.is_empty();
        (!batch.is_empty()).then_some(batch)
    }

    /// The request as a whole has failed.
    pub(super) fn request_failed(&mut self, batch: CommitBatch, partitions: &Partitions) {
        self.is_in_flight = false;
        self.restore(batch, partitions);
    }

    /// The coordinator has responded, with an outcome for each partition.
    pub(super) fn take_outcomes(
        &mut self,
        mut batch: CommitBatch,
        outcomes: Vec<(TopicPartition, CommitOutcome)>,
        partitions: &mut Partitions,
    ) -> CommitEffects {
        self.is_in_flight = false;
        let mut effects = CommitEffects::default();
        for (at, outcome) in outcomes {
            let Some(token) = batch.get(&at).map(|commit| commit.token) else { continue };
            let Some(partition) = partitions.get_mut(&at).filter(|partition| partition.is_claimed_under(token)) else {
                continue;
            };
            match outcome {
                CommitOutcome::Committed => {
                    batch.remove(&at);
                    effects.is_any_accepted = true;
                    if partition.commit_accepted(token) == Accepted::Started {
                        effects.started.push(at);
                    }
                }
                CommitOutcome::Foreign => {
                    batch.remove(&at);
                    self.pending.remove(&at);
                    if partition.lose_claim(token) {
                        effects.lost.push(at);
                    }
                }
                CommitOutcome::Refused(error) => effects.refused = Some(error),
            }
        }
        self.restore(batch, partitions);
        effects
    }

    /// Keeps what was not committed for the next request, unless a newer offset waits already or it was made under an earlier claim.
    fn restore(&mut self, batch: CommitBatch, partitions: &Partitions) {
        for (at, commit) in batch {
            if partitions.get(&at).is_some_and(|partition| partition.is_claimed_under(commit.token)) {
                self.pending.entry(at).or_insert(commit);
            }
        }
    }

    /// A commit failed, for all of its partitions or for some: they wait. A flush returns the error; without a flush it becomes an event.
    pub(super) fn failed(&mut self, error: Error, now: Instant, events: &mut EventQueue) -> Result<()> {
        let failed = self.pause.failed(error, now);
        match self.flush {
            Flush::Inactive => events.emit_retrying(failed),
            Flush::Active | Flush::Failed(_) => {
                let Retrying { error, .. } = failed?;
                self.flush = Flush::Failed(error);
                Ok(())
            }
        }
    }

    /// The user waits until all commits are accepted, or one fails.
    pub(super) fn begin_flush(&mut self) {
        self.flush = Flush::Active;
        self.pause.cut_short();
    }

    /// The failure that ends the flush.
    pub(super) fn take_flush_failure(&mut self) -> Option<Error> {
        match std::mem::replace(&mut self.flush, Flush::Active) {
            Flush::Failed(error) => Some(error),
            Flush::Inactive | Flush::Active => None,
        }
    }

    pub(super) fn end_flush(&mut self) {
        self.flush = Flush::Inactive;
    }
}

#[cfg(test)]
impl Commits {
    pub(super) fn pending(&self) -> &CommitBatch {
        &self.pending
    }

    /// As if they were in flight.
    pub(super) fn take_pending(&mut self) -> CommitBatch {
        std::mem::take(&mut self.pending)
    }

    pub(super) fn is_in_flight(&self) -> bool {
        self.is_in_flight
    }

    pub(super) fn set_in_flight(&mut self) {
        self.is_in_flight = true;
    }
}
