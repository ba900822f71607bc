//! What an event has changed in a partition. Values only.

use crate::consumer::event::{OutOfRange, Truncation};

/// What an accepted commit has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::consumer) enum Accepted {
    /// It was the claim: the partition is read.
    Started,
    Recorded,
    /// It was made under an earlier claim.
    Stale,
}

/// Whether a position that the leader has refused is outside of its log.
#[derive(Debug)]
pub(in crate::consumer) enum RangeCheck {
    OutOfRange(OutOfRange),
    /// The two responses contradict each other: something was changing between them.
    InRange,
    Stale,
}

/// Whether the leader's log still has what was read before a position.
#[derive(Debug)]
pub(in crate::consumer) enum Validation {
    Valid,
    /// The log seems to be truncated; the request is repeated after fresh metadata.
    Suspected,
    Truncated(Truncation),
    Stale,
}
