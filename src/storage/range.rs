//! Ranges of offsets of one partition.

use std::fmt;

/// The offsets from `from` to before `next`. Empty if both are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetRange {
    /// The first offset.
    pub from: i64,
    /// The offset after the last one.
    pub next: i64,
}

impl OffsetRange {
    /// Whether the range holds no offset.
    pub fn is_empty(self) -> bool {
        self.from == self.next
    }
}

impl fmt::Display for OffsetRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to before {}", self.from, self.next)
    }
}
