//! What the caller of a write holds while it repeats the write.

use super::counts::{OffsetCounts, PartitionCounts};

/// One write and how much of it has taken effect. A write that failed is repeated with the attempt that it failed with and with the same
/// batches or jumps: then nothing is stored or counted twice.
#[derive(Debug, Default)]
pub struct Attempt {
    /// What became of the offsets whose transactions have been committed.
    pub(super) done: PartitionCounts,
    /// The transaction whose COMMIT failed last, if it may have taken effect even so.
    pub(super) uncertain: Option<UncertainCommit>,
}

/// A transaction that was committed if, and only if, this position is stored.
#[derive(Clone, Debug)]
pub(super) struct UncertainCommit {
    pub(super) counts: PartitionCounts,
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) next_offset: i64,
    /// The reading that the transaction would have begun; `None` if it begins none.
    pub(super) reading: Option<i64>,
}

impl Attempt {
    /// What became of the offsets of each partition, as far as that has been committed.
    pub fn counts(&self) -> &PartitionCounts {
        &self.done
    }

    /// Whether nothing has taken effect, for certain.
    pub(super) fn is_new(&self) -> bool {
        self.done.total() == OffsetCounts::default() && self.uncertain.is_none()
    }
}
