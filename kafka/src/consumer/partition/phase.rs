//! The phase of a partition and the data that exists in it. Its transitions are the partition's.

use super::fetched::FetchQueue;
use super::position::Position;
use crate::consumer::token::{StartToken, StartTokens};
use crate::consumer::validation::Suspicion;
use crate::types::CommittedOffset;

/// How far a partition has come from "known" to "read".
pub(super) enum Phase {
    /// Its offsets are being requested.
    New,
    /// The user chooses its start position.
    AwaitingStart {
        token: StartToken,
        log_end: i64,
        committed_seen: Option<CommittedOffset>,
        /// The token that it was read under before, if the user has to choose again.
        previous: Option<StartToken>,
    },
    /// The start position is being committed.
    Claiming { claim: Claim, position: Position },
    /// The end of the position's epoch in the leader's log is being requested.
    Validating { claim: Claim, position: Position, suspicion: Option<Suspicion> },
    /// It is fetched from an offset after the known end of the log.
    Probing { claim: Claim, position: Position },
    /// Records come.
    Reading { claim: Claim, position: Position, fetched: FetchQueue },
    /// The leader has refused the position; the offsets of its log are being requested.
    OutOfRange { claim: Claim, position: Position },
    /// The group assigns it to another member; the user commits.
    Revoked { claim: Option<Claim> },
}

/// The claim that a partition is read and committed under.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    /// The token that it was started with.
    pub(super) token: StartToken,
    /// What the group had committed when it was assigned, until a commit under this claim is accepted.
    pub(super) committed_seen: Option<CommittedOffset>,
}

impl Phase {
    pub(super) fn fetching(claim: Claim, position: Position) -> Self {
        if position.is_beyond_log_end() {
            Self::Probing { claim, position }
        } else {
            Self::Reading { claim, position, fetched: FetchQueue::default() }
        }
    }

    /// The user has to choose another position; what was read before may still be committed.
    pub(super) fn awaiting_again(claim: Claim, log_end: i64, tokens: &mut StartTokens) -> (Self, StartToken) {
        let token = tokens.next();
        let Claim { token: previous, committed_seen } = claim;
        (Self::AwaitingStart { token, log_end, committed_seen, previous: Some(previous) }, token)
    }

    /// The token that commits are made under now, and the offset of another program that they may replace.
    pub(super) fn claim(&self) -> Option<(StartToken, &Option<CommittedOffset>)> {
        match self {
            Self::New => None,
            Self::AwaitingStart { previous, committed_seen, .. } => previous.map(|token| (token, committed_seen)),
            Self::Claiming { claim, .. }
            | Self::Validating { claim, .. }
            | Self::Probing { claim, .. }
            | Self::Reading { claim, .. }
            | Self::OutOfRange { claim, .. } => Some((claim.token, &claim.committed_seen)),
            Self::Revoked { claim } => claim.as_ref().map(|claim| (claim.token, &claim.committed_seen)),
        }
    }

    pub(super) fn claim_token(&self) -> Option<StartToken> {
        self.claim().map(|(token, _)| token)
    }

    pub(super) fn into_claim(self) -> Option<Claim> {
        let (token, committed_seen) = self.claim()?;
        Some(Claim { token, committed_seen: committed_seen.clone() })
    }

    pub(super) fn committed_seen_mut(&mut self) -> Option<&mut Option<CommittedOffset>> {
        match self {
            Self::New => None,
            Self::AwaitingStart { committed_seen, .. } => Some(committed_seen),
            Self::Claiming { claim, .. }
            | Self::Validating { claim, .. }
            | Self::Probing { claim, .. }
            | Self::Reading { claim, .. }
            | Self::OutOfRange { claim, .. } => Some(&mut claim.committed_seen),
            Self::Revoked { claim } => claim.as_mut().map(|claim| &mut claim.committed_seen),
        }
    }
}
