//! Why records are held back from the user, and who is working on ending that. Must not know partitions or records.

use std::time::Instant;

use super::group::says_no_member;
use crate::error::{Error, ErrorCode};

/// Why records are held back. Each reason is there only while somebody is working on ending it, and says who.
#[derive(Debug, Default)]
pub(super) struct Holds {
    pub(super) rebalance: Option<RebalanceHold>,
    pub(super) verification: Option<Verification>,
    /// How many verifications there have been: the number of the last one.
    verifications: u64,
}

impl Holds {
    /// Who ends what holds records back now.
    pub(super) fn held_by(&self, now: Instant) -> Option<HeldBy> {
        match self.rebalance {
            _ if self.verification.is_some() => Some(HeldBy::Verification),
            Some(RebalanceHold::Until(until)) if now >= until => None,
            Some(_) => Some(HeldBy::Rebalance),
            None => None,
        }
    }

    /// Whether the group is at work, even if records are given out meanwhile.
    pub(super) fn are_any(&self) -> bool {
        self.rebalance.is_some() || self.verification.is_some()
    }

    /// When a hold ends by itself.
    pub(super) fn until(&self) -> Option<Instant> {
        match self.rebalance {
            Some(RebalanceHold::Until(until)) => Some(until),
            Some(RebalanceHold::UntilAssigned) | None => None,
        }
    }

    /// The number of the next verification. Records are held back for it if somebody else may have our partitions.
    pub(super) fn begin_verification(&mut self, refusal: Refusal) -> u64 {
        self.verifications += 1;
        let number = self.verifications;
        if refusal == Refusal::NotMember {
            self.verification = Some(Verification { number });
        }
        number
    }

    /// The membership is another one now, or none.
    pub(super) fn end(&mut self) {
        self.rebalance = None;
        self.verification = None;
    }
}

/// The group is rebalancing: the group thread rejoins, once the user has committed. Ends with the next assignment, or with the loss of
/// the membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RebalanceHold {
    /// Nothing is taken from us before we have released it, so that records are given out again if the rebalance takes so long.
    Until(Instant),
    UntilAssigned,
}

/// A commit was refused as if somebody else had our partitions: the group thread sends a heartbeat at once. Ends with its answer,
/// whatever that is, and with a commit that is accepted under the same membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verification {
    pub(super) number: u64,
}

/// Who ends a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeldBy {
    /// The group thread, by a heartbeat.
    Verification,
    /// The group thread, by rejoining; the user, where it has to commit first.
    Rebalance,
}

/// What a refused commit says about the membership that it was made under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// A newer generation or epoch is there, or about to be; what is ours stays ours until we hear of it.
    Outdated,
    /// The coordinator does not know the member, or knows another one by its name: somebody else may have our partitions.
    NotMember,
}

impl Refusal {
    pub(super) fn of(error: &Error) -> Option<Self> {
        let Error::Broker { code, .. } = error else { return None };
        match *code {
            ErrorCode::REBALANCE_IN_PROGRESS | ErrorCode::STALE_MEMBER_EPOCH => Some(Self::Outdated),
            ErrorCode::FENCED_INSTANCE_ID => Some(Self::NotMember),
            _ => says_no_member(error).then_some(Self::NotMember),
        }
    }
}
