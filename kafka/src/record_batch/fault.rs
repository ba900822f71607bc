//! Why a record batch cannot be read. Must not know partitions.

use super::compression::DecompressError;
use super::header::HeaderFault;
use crate::protocol::Malformed;

/// Why a batch cannot be read.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    /// Base offset of the batch, or the position if that cannot be read.
    pub(super) offset: i64,
    pub(super) kind: FaultKind,
}

/// The kinds of faults.
#[derive(Debug, Clone)]
pub(super) enum FaultKind {
    /// Its bytes are damaged, as described.
    Corrupt(String),
    /// It is a message of format v0 or v1.
    OldFormat(i8),
    /// Its decompressed records exceed the limit.
    TooLarge,
}

impl From<Malformed> for FaultKind {
    fn from(malformed: Malformed) -> Self {
        Self::Corrupt(malformed.0)
    }
}

impl From<HeaderFault> for FaultKind {
    fn from(fault: HeaderFault) -> Self {
        match fault {
            HeaderFault::Damaged(detail) => Self::Corrupt(detail),
            HeaderFault::OldFormat(format) => Self::OldFormat(format),
        }
    }
}

impl From<DecompressError> for FaultKind {
    fn from(error: DecompressError) -> Self {
        match error {
            DecompressError::Damaged(detail) => Self::Corrupt(format!("its records cannot be decompressed: {detail}")),
            DecompressError::TooLarge => Self::TooLarge,
        }
    }
}
