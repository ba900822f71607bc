//! One partition of a topic: its leader, and its phase from "known" to "read". Must not know other partitions, and sends nothing.
//!
//! A phase holds what exists in it and nothing else. Its transitions:
//!
//! | phase | holds | leaves it by |
//! |---|---|---|
//! | `New` | | [`assign`](Partition::assign) → `AwaitingStart` |
//! | `AwaitingStart` | token, end of the log, committed offset, the previous claim | [`start`](Partition::start) with the token → `Claiming` |
//! | `Claiming` | claim, position | [`commit_accepted`](Partition::commit_accepted) → *reading* |
//! | `Validating` | claim, position, suspicion | [`validate`](Partition::validate) → `Probing`, `Reading`, or `AwaitingStart` after a truncation |
//! | `Probing` | claim, position | [`confirm_position`](Partition::confirm_position) → `Reading` |
//! | `Reading` | claim, position, fetched batches | |
//! | `OutOfRange` | claim, position | [`confirm_out_of_range`](Partition::confirm_out_of_range) → `AwaitingStart`, or *reading* if the position is in range |
//! | `Revoked` | the claim | removed with the acknowledgement |
//!
//! *Reading* is `Validating` if positions are validated and both leader epochs are known (the position's and the leader's), else
//! `Probing` if the position is after the known end of the log, else `Reading`. From several phases:
//! - [`set_leader`](Partition::set_leader) with another epoch: `Validating`, `Probing`, `Reading` → *reading*.
//! - [`refuse_position`](Partition::refuse_position): `Probing`, `Reading` without fetched batches → `OutOfRange`.
//! - [`lose_claim`](Partition::lose_claim), another program has set the group's offset: every phase with a claim → `New`; `Revoked` stays.
//! - [`revoke`](Partition::revoke): every phase → `Revoked`.
//!
//! Each other event leaves the phase unchanged.

mod fetched;
mod leadership;
mod outcome;
mod phase;
mod position;
#[cfg(test)]
pub(super) mod tests;

use std::time::Instant;

pub(super) use fetched::FetchedBatches;
use leadership::Leadership;
pub(super) use outcome::{Accepted, RangeCheck, Validation};
use phase::{Claim, Phase};
use position::Position;

use super::event::{OffsetPosition, OutOfRange, PartitionRecords, Truncation};
use super::message::PendingCommit;
use super::pause::{Pause, after};
use super::token::{StartToken, StartTokens};
use super::validation::{Verdict, judge, warn_suspected};
use crate::backoff::RetryPolicy;
use crate::client::divergence;
use crate::error::Result;
use crate::protocol::{EpochEnd, FetchPartition, OffsetForLeaderPartition};
use crate::record_batch::{Progress, ReadBudget};
use crate::types::{CommittedOffset, TopicId, TopicPartition};

/// One partition of a topic that is read.
pub(super) struct Partition {
    pub(super) topic_id: Option<TopicId>,
    pub(super) leadership: Leadership,
    /// Whether positions are compared with the logs of new leaders.
    validates: bool,
    retry: RetryPolicy,
    phase: Phase,
    /// Its next fetch must be for it alone and for one batch only: one with others was too large, or cut its batch off.
    pub(super) fetch_alone: bool,
    pub(super) pause: Pause,
}

impl Partition {
    pub(super) fn new(retry: RetryPolicy, validates: bool) -> Self {
        Self {
            topic_id: None,
            leadership: Leadership::default(),
            validates,
            retry,
            phase: Phase::New,
            fetch_alone: false,
            pause: Pause::new(retry),
        }
    }

    /// Takes over its leader from metadata, which the client has checked not to be stale. A failure of the old leader does not delay the
    /// fetch from the new one.
    pub(super) fn set_leader(&mut self, leader: Option<i32>, epoch: Option<i32>) {
        let before = self.leadership.clone();
        self.leadership.set(leader, epoch);
        if leader.is_some() && !before.is_by(leader, epoch) {
            self.pause.cut_short();
        }
        if before.epoch() == epoch {
            return;
        }
        self.update(|partition, phase| match phase {
            // The new leader's log may lack the batches that were fetched from the old one.
            Phase::Validating { claim, position, .. }
            | Phase::Probing { claim, position }
            | Phase::Reading { claim, position, .. } => partition.reading(claim, position),
            other => other,
        });
    }

    /// Its offsets are known. Returns the token for its start position; none if it was not new.
    pub(super) fn assign(
        &mut self,
        committed_seen: Option<CommittedOffset>,
        log_end: i64,
        tokens: &mut StartTokens,
    ) -> Option<StartToken> {
        if !self.is_new() {
            return None;
        }
        let token = tokens.next();
        self.phase = Phase::AwaitingStart { token, log_end, committed_seen, previous: None };
        self.pause.succeeded();
        Some(token)
    }

    /// Takes the user's start position; returns the commit that claims it.
    pub(super) fn start(&mut self, start: &OffsetPosition, metadata: &str) -> Option<PendingCommit> {
        let Phase::AwaitingStart { token, log_end, committed_seen, .. } = &mut self.phase else { return None };
        if *token != start.token {
            return None;
        }
        let position = Position::new(start.offset, start.leader_epoch, *log_end);
        let claim = Claim { token: *token, committed_seen: committed_seen.take() };
        self.phase = Phase::Claiming { claim, position };
        self.pending_commit(start, metadata)
    }

    /// A commit under that token was accepted.
    pub(super) fn commit_accepted(&mut self, token: StartToken) -> Accepted {
        if self.phase.claim_token() != Some(token) {
            return Accepted::Stale;
        }
        if let Some(committed_seen) = self.phase.committed_seen_mut() {
            *committed_seen = None;
        }
        let mut accepted = Accepted::Recorded;
        self.update(|partition, phase| match phase {
            Phase::Claiming { claim, position } => {
                accepted = Accepted::Started;
                partition.reading(claim, position)
            }
            other => other,
        });
        accepted
    }

    /// Another program has set the group's offset, as a commit under that token has shown. True if the partition is lost.
    pub(super) fn lose_claim(&mut self, token: StartToken) -> bool {
        if self.phase.claim_token() != Some(token) {
            return false;
        }
        self.phase = match self.phase {
            Phase::Revoked { .. } => Phase::Revoked { claim: None },
            _ => Phase::New,
        };
        self.is_new()
    }

    /// The leader has returned where an epoch ends in its log.
    pub(super) fn validate(
        &mut self,
        requested: &OffsetForLeaderPartition,
        end: Option<EpochEnd>,
        (metadata_serial, now): (u64, Instant),
        tokens: &mut StartTokens,
    ) -> Validation {
        if !self.is_validated_for(requested) {
            return Validation::Stale;
        }
        let mut validation = Validation::Stale;
        self.update(|partition, phase| {
            let Phase::Validating { claim, position, suspicion } = phase else { return phase };
            let Some(divergence) = divergence(position.offset, requested.epoch, end) else {
                if suspicion.is_some() {
                    partition.pause.cut_short();
                }
                validation = Validation::Valid;
                return Phase::fetching(claim, position);
            };
            match judge(suspicion, divergence, metadata_serial, partition.retry) {
                Verdict::Confirmed => {
                    let (phase, token) = Phase::awaiting_again(claim, divergence.end_offset, tokens);
                    validation = Validation::Truncated(Truncation {
                        token,
                        partition: requested.partition.clone(),
                        topic_id: partition.topic_id,
                        position: position.offset,
                        position_epoch: requested.epoch,
                        divergence_offset: divergence.end_offset,
                        divergence_epoch: divergence.epoch,
                    });
                    phase
                }
                Verdict::Suspected(suspicion, wait) => {
                    warn_suspected(requested, position.offset, divergence, wait);
                    partition.pause.hold(after(now, wait));
                    validation = Validation::Suspected;
                    Phase::Validating { claim, position, suspicion: Some(suspicion) }
                }
            }
        });
        validation
    }

    /// The leader has accepted a fetch from the position. True if the position was not confirmed before.
    pub(super) fn confirm_position(&mut self) -> bool {
        let mut was_probing = false;
        self.update(|_, phase| match phase {
            Phase::Probing { claim, mut position } => {
                was_probing = true;
                position.confirm();
                Phase::fetching(claim, position)
            }
            other => other,
        });
        was_probing
    }

    /// The leader has refused the position of a fetch. False while batches from before that position wait for the user: they are read
    /// first.
    pub(super) fn refuse_position(&mut self) -> bool {
        self.update(|_, phase| match phase {
            Phase::Probing { claim, position } => Phase::OutOfRange { claim, position },
            Phase::Reading { claim, position, fetched } if fetched.is_empty() => Phase::OutOfRange { claim, position },
            other => other,
        });
        self.is_out_of_range()
    }

    /// The leader has refused the position, and has then returned the offsets of its log.
    pub(super) fn confirm_out_of_range(
        &mut self,
        at: TopicPartition,
        (log_start_offset, end_offset): (i64, i64),
        now: Instant,
        tokens: &mut StartTokens,
    ) -> RangeCheck {
        let mut check = RangeCheck::Stale;
        self.update(|partition, phase| {
            let Phase::OutOfRange { claim, position } = phase else { return phase };
            if (log_start_offset..=end_offset).contains(&position.offset) {
                check = RangeCheck::InRange;
                partition.pause.hold(now + partition.retry.initial);
                return partition.reading(claim, position);
            }
            partition.pause.succeeded();
            let (phase, token) = Phase::awaiting_again(claim, end_offset, tokens);
            check = RangeCheck::OutOfRange(OutOfRange {
                token,
                partition: at,
                topic_id: partition.topic_id,
                position: position.offset,
                log_start_offset,
                end_offset,
            });
            phase
        });
        check
    }

    /// The group assigns it to another member.
    pub(super) fn revoke(&mut self) {
        self.update(|_, phase| Phase::Revoked { claim: phase.into_claim() });
    }

    fn update(&mut self, next: impl FnOnce(&mut Self, Phase) -> Phase) {
        let phase = std::mem::replace(&mut self.phase, Phase::New);
        self.phase = next(self, phase);
    }

    /// The phase that reading from a position begins with: see the head of this file.
    fn reading(&self, claim: Claim, position: Position) -> Phase {
        let can_be_validated = self.validates && position.leader_epoch.is_some() && self.leadership.epoch().is_some();
        if can_be_validated {
            Phase::Validating { claim, position, suspicion: None }
        } else {
            Phase::fetching(claim, position)
        }
    }
}

/// State, requests and records.
impl Partition {
    pub(super) fn is_new(&self) -> bool {
        matches!(self.phase, Phase::New)
    }

    pub(super) fn is_out_of_range(&self) -> bool {
        matches!(self.phase, Phase::OutOfRange { .. })
    }

    /// Whether it waits for the response to that request. The response of a replaced leader says nothing about its successor's log.
    pub(super) fn is_validated_for(&self, requested: &OffsetForLeaderPartition) -> bool {
        matches!(&self.phase, Phase::Validating { position, .. }
            if self.leadership.epoch() == Some(requested.current_leader_epoch)
                && position.leader_epoch == Some(requested.epoch))
    }

    pub(super) fn is_revoked(&self) -> bool {
        matches!(self.phase, Phase::Revoked { .. })
    }

    pub(super) fn is_reading(&self) -> bool {
        matches!(self.phase, Phase::Reading { .. })
    }

    pub(super) fn is_fetched(&self) -> bool {
        matches!(self.phase, Phase::Probing { .. } | Phase::Reading { .. })
    }

    /// Whether a commit under that token may be sent (again).
    pub(super) fn is_claimed_under(&self, token: StartToken) -> bool {
        self.phase.claim_token() == Some(token)
    }

    /// A commit of the user; none if its token is not that of the last start, or if that start is not committed yet.
    pub(super) fn commit(&self, position: &OffsetPosition, metadata: &str) -> Option<PendingCommit> {
        if matches!(self.phase, Phase::Claiming { .. }) { None } else { self.pending_commit(position, metadata) }
    }

    fn pending_commit(&self, position: &OffsetPosition, metadata: &str) -> Option<PendingCommit> {
        let (token, committed_seen) = self.phase.claim().filter(|(token, _)| *token == position.token)?;
        let &OffsetPosition { offset, leader_epoch, .. } = position;
        let offset = CommittedOffset { offset, leader_epoch, metadata: metadata.to_owned() };
        Some(PendingCommit { offset, committed_seen: committed_seen.clone(), token })
    }

    /// The request for the end of the position's epoch, if it is to be sent.
    pub(super) fn epoch_request(&self, at: &TopicPartition, metadata_serial: u64) -> Option<OffsetForLeaderPartition> {
        let Phase::Validating { position, suspicion, .. } = &self.phase else { return None };
        if suspicion.as_ref().is_some_and(|suspicion| !suspicion.may_request_again(metadata_serial)) {
            return None;
        }
        let (current_leader_epoch, epoch) = self.leadership.epoch().zip(position.leader_epoch)?;
        Some(OffsetForLeaderPartition { partition: at.clone(), current_leader_epoch, epoch })
    }

    /// Whether the next fetch from `broker` may request it.
    pub(super) fn wants_fetch(&self, broker: i32, now: Instant) -> bool {
        let has_room = match &self.phase {
            Phase::Probing { .. } => true,
            Phase::Reading { fetched, .. } => fetched.has_room(),
            _ => false,
        };
        has_room && self.leadership.fetch_broker(now) == Some(broker) && self.pause.is_over(now)
    }

    /// Its part of the next fetch request.
    pub(super) fn fetch_request(&self, at: TopicPartition, max_bytes: i32) -> Option<FetchPartition> {
        let position = self.fetch_offset()?;
        let (topic_id, leader_epoch) = (self.topic_id, self.leadership.epoch());
        Some(FetchPartition { partition: at, topic_id, position, leader_epoch, max_bytes })
    }

    /// Whether the response to a fetch is still wanted: its position, its topic id or its leader may have changed meanwhile.
    pub(super) fn still_wants(&self, requested: &FetchPartition) -> bool {
        self.fetch_offset() == Some(requested.position)
            && self.leadership.epoch() == requested.leader_epoch
            && self.topic_id == requested.topic_id
    }

    /// The next offset to fetch: batches from the position up to it have been fetched.
    fn fetch_offset(&self) -> Option<i64> {
        match &self.phase {
            Phase::Probing { position, .. } => Some(position.offset),
            Phase::Reading { position, fetched, .. } => Some(fetched.end_offset().unwrap_or(position.offset)),
            _ => None,
        }
    }

    pub(super) fn has_fetched(&self) -> bool {
        matches!(&self.phase, Phase::Reading { fetched, .. } if !fetched.is_empty())
    }

    /// Keeps the batches of a fetch that is still wanted.
    pub(super) fn add_fetched(&mut self, batches: FetchedBatches) {
        if let Phase::Reading { fetched, .. } = &mut self.phase {
            fetched.push(batches);
        }
    }

    /// The next records, perhaps none, and whether there is memory for more.
    pub(super) fn read(
        &mut self,
        at: &TopicPartition,
        read_budget: ReadBudget,
    ) -> Option<(PartitionRecords, Result<Progress>)> {
        match &mut self.phase {
            Phase::Reading { position, fetched, .. } => fetched.read(at, position, read_budget),
            _ => None,
        }
    }
}
