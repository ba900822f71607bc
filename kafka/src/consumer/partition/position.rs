//! The position of a partition, and whether the leader's log is known to reach it. Must not know phases.

/// The next offset that the user reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) offset: i64,
    /// Epoch of the leader that wrote the record before it, if known.
    pub(super) leader_epoch: Option<i32>,
    /// The greatest offset that the leader is known to have had as the end of its log.
    log_end: i64,
}

impl Position {
    pub(super) fn new(offset: i64, leader_epoch: Option<i32>, log_end: i64) -> Self {
        Self { offset, leader_epoch, log_end }
    }

    /// Whether it lies beyond the known end of the log, so that the leader has to confirm it.
    pub(super) fn is_beyond_log_end(&self) -> bool {
        self.offset > self.log_end
    }

    /// The leader has accepted a fetch from it.
    pub(super) fn confirm(&mut self) {
        self.log_end = self.log_end.max(self.offset);
    }

    /// Records have been read up to `next_offset`.
    pub(super) fn advance(&mut self, next_offset: i64, leader_epoch: Option<i32>) {
        if next_offset > self.offset {
            (self.offset, self.leader_epoch) = (next_offset, leader_epoch);
            self.confirm();
        }
    }
}
