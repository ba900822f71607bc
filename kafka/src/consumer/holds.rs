//! Why records are held back from the user, and which thread ends that. Must not know partitions or records.

use std::time::Instant;

use super::group::says_no_member;
use crate::error::{Error, ErrorCode};

/// Why records are held back. Each reason exists only while a thread works on ending it.
#[derive(Debug, Default)]
pub(super) struct Holds {
    pub(super) rebalance: Option<RebalanceHold>,
    pub(super) verification: Option<Verification>,
    /// The number of the last verification.
    verifications: u64,
}

impl Holds {
    /// What holds records back now.
    pub(super) fn held_by(&self, now: Instant) -> Option<HeldBy> {
        match self.rebalance {
            _ if self.verification.is_some() => Some(HeldBy::Verification),
            Some(RebalanceHold::Until(until)) if now >= until => None,
            Some(_) => Some(HeldBy::Rebalance),
            None => None,
        }
    }

    /// Whether there is a reason, even if records are returned meanwhile.
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

    /// The number of the next verification. Records are held back for it if another member may own the partitions.
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
    /// No partition is revoked before this member has released it, so that records are returned again if the rebalance takes long.
    Until(Instant),
    UntilAssigned,
}

/// A commit was refused as if another member owned the partitions: the group thread sends a heartbeat at once. Ends with its response,
/// and with a commit that is accepted under the same membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verification {
    pub(super) number: u64,
}

/// What ends a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeldBy {
    /// A heartbeat of the group thread.
    Verification,
    /// The group thread rejoins, after the user's acknowledgement.
    Rebalance,
}

/// What a refused commit says about the membership that it was made under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There is a newer generation or epoch, or there will be; the partitions stay this member's until it receives that.
    Outdated,
    /// The coordinator does not know the member, or knows another one by its instance id: that one may own the partitions.
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
