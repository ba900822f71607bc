//! Which errors of a coordinator refuse a member. Must not know what follows from that.

use crate::error::{Error, ErrorCode};

/// Codes by which a coordinator refuses a member.
const MEMBER_CODES: [ErrorCode; 7] = [
    ErrorCode::ILLEGAL_GENERATION,
    ErrorCode::UNKNOWN_MEMBER_ID,
    ErrorCode::REBALANCE_IN_PROGRESS,
    ErrorCode::GROUP_ID_NOT_FOUND,
    ErrorCode::FENCED_INSTANCE_ID,
    ErrorCode::FENCED_MEMBER_EPOCH,
    ErrorCode::STALE_MEMBER_EPOCH,
];

/// Whether a code refuses a member of a group. In a response that is not about a member, it is a fault of the broker that a retry may cure.
pub(in crate::consumer) fn refuses_member(code: ErrorCode) -> bool {
    MEMBER_CODES.contains(&code)
}

/// Whether the coordinator does not know this member (any more).
pub(in crate::consumer) fn says_no_member(error: &Error) -> bool {
    matches!(
        error,
        Error::Broker {
            code: ErrorCode::UNKNOWN_MEMBER_ID
                | ErrorCode::ILLEGAL_GENERATION
                | ErrorCode::FENCED_MEMBER_EPOCH
                | ErrorCode::STALE_MEMBER_EPOCH
                | ErrorCode::GROUP_ID_NOT_FOUND,
            ..
        }
    )
}
