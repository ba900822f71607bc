//! The state of the `-wal` file that the writer and the checkpoint thread share, with all of its transitions. Must not do I/O.
//!
//! After a failed `fsync` the kernel may drop the pages that it could not write and report the next `fsync` as successful
//! (<https://wiki.postgresql.org/wiki/Fsync_Errors>). So after one failure no later success counts, until the whole WAL has been
//! checkpointed from its first frame on, which writes its content a second time, and the truncated WAL has been synced.
//!
//! | trust | a sync succeeds | a sync fails, or may have failed | checkpoint, truncate | recovery begins | recovery succeeds |
//! |-|-|-|-|-|-|
//! | trusted | durable | untrusted | allowed | not needed | |
//! | untrusted | not durable | untrusted | refused | recovering, if no frame has been checkpointed | |
//! | recovering | not durable | untrusted | refused | continues | trusted |
//!
//! After `SQLITE_FULL` the next transaction truncates the WAL first: the WAL may be what fills the disk. Of the checkpoints that no caller
//! waits for, one at a time is requested.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Whether a successful sync makes commits durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// No sync has failed since the whole WAL was durable.
    Trusted,
    /// A sync has failed, or may have failed.
    Untrusted,
    /// The same, and no frame of the WAL had been checkpointed when the recovery began: its whole content reaches the database.
    Recovering,
}

impl Trust {
    fn begin_recovery(self, frames_checkpointed: i64) -> Option<Self> {
        match self {
            // A checkpoint would skip the frames that were checkpointed before, and these may not have reached the disk.
            Self::Untrusted if frames_checkpointed > 0 => None,
            Self::Untrusted | Self::Recovering => Some(Self::Recovering),
            Self::Trusted => Some(Self::Trusted),
        }
    }

    fn end_recovery(self) -> Self {
        match self {
            // A sync failed during the recovery.
            Self::Untrusted => Self::Untrusted,
            Self::Recovering | Self::Trusted => Self::Trusted,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct State {
    trust: Trust,
    is_disk_full: bool,
    is_checkpoint_requested: bool,
}

/// The state of one `-wal` file.
#[derive(Debug)]
pub(super) struct SyncState(Mutex<State>);

impl SyncState {
    /// The state of a WAL that was just opened.
    pub(super) fn new() -> Self {
        Self::with(Trust::Trusted)
    }

    fn with(trust: Trust) -> Self {
        Self(Mutex::new(State { trust, is_disk_full: false, is_checkpoint_requested: false }))
    }

    /// Whether a successful sync makes durable what was written before it, and a checkpoint is allowed.
    pub(super) fn is_trusted(&self) -> bool {
        self.lock().trust == Trust::Trusted
    }

    /// Notes that a sync failed, or that an error may have been a failed sync. Ends a recovery too.
    pub(super) fn note_sync_failure(&self) {
        self.lock().trust = Trust::Untrusted;
    }

    /// Begins a recovery, before the whole WAL is checkpointed by a connection that was opened after the failure. `false` if the checkpoint
    /// would skip frames.
    pub(super) fn begin_recovery(&self, frames_checkpointed: i64) -> bool {
        let mut state = self.lock();
        let next = state.trust.begin_recovery(frames_checkpointed);
        state.trust = next.unwrap_or(state.trust);
        next.is_some()
    }

    /// Ends a recovery: the whole WAL is in the database, and both are synced. `false` if a sync failed in the meantime.
    pub(super) fn end_recovery(&self) -> bool {
        let mut state = self.lock();
        state.trust = state.trust.end_recovery();
        state.trust == Trust::Trusted
    }

    /// Notes that the disk was full (`SQLITE_FULL`).
    pub(super) fn note_disk_full(&self) {
        self.lock().is_disk_full = true;
    }

    /// Notes that the WAL was truncated as far as readers allow, so that a full disk is full for another reason.
    pub(super) fn note_truncated(&self) {
        self.lock().is_disk_full = false;
    }

    /// Whether the disk was full and the WAL has not been truncated since.
    pub(super) fn is_disk_full(&self) -> bool {
        self.lock().is_disk_full
    }

    /// Requests a checkpoint; `false` if one is requested already.
    pub(super) fn request_checkpoint(&self) -> bool {
        !std::mem::replace(&mut self.lock().is_checkpoint_requested, true)
    }

    /// Notes that the requested checkpoint begins.
    pub(super) fn note_checkpoint_begun(&self) {
        self.lock().is_checkpoint_requested = false;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is one assignment: a panic leaves no half of it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_transition_is_that_of_the_table() {
        use Trust::{Recovering, Trusted, Untrusted};
        let check = |from: Trust, act: &dyn Fn(&SyncState) -> bool, expected: bool, to: Trust| {
            let state = SyncState::with(from);
            assert_eq!(act(&state), expected, "{from:?}");
            assert_eq!(state.lock().trust, to, "{from:?}");
        };
        let fail = |state: &SyncState| {
            state.note_sync_failure();
            state.is_trusted()
        };
        for (from, is_trusted) in [(Trusted, true), (Untrusted, false), (Recovering, false)] {
            check(from, &SyncState::is_trusted, is_trusted, from);
            check(from, &fail, false, Untrusted);
        }
        check(Trusted, &|state| state.begin_recovery(0), true, Trusted);
        check(Trusted, &|state| state.begin_recovery(7), true, Trusted);
        check(Untrusted, &|state| state.begin_recovery(0), true, Recovering);
        check(Untrusted, &|state| state.begin_recovery(7), false, Untrusted);
        // The recovery itself has checkpointed these frames.
        check(Recovering, &|state| state.begin_recovery(7), true, Recovering);
        check(Recovering, &|state| state.begin_recovery(0), true, Recovering);
        check(Trusted, &SyncState::end_recovery, true, Trusted);
        check(Recovering, &SyncState::end_recovery, true, Trusted);
        check(Untrusted, &SyncState::end_recovery, false, Untrusted);
    }

    #[test]
    fn a_new_wal_is_trusted_and_needs_nothing() {
        let state = SyncState::new();
        assert!(state.is_trusted() && !state.is_disk_full());
    }

    #[test]
    fn a_full_disk_is_remembered_until_the_wal_was_truncated() {
        let state = SyncState::new();
        state.note_disk_full();
        state.note_sync_failure();
        assert!(state.is_disk_full());
        state.note_truncated();
        assert!(!state.is_disk_full() && !state.is_trusted());
    }

    #[test]
    fn a_checkpoint_is_requested_once_until_it_begins() {
        let state = SyncState::new();
        assert_eq!([state.request_checkpoint(), state.request_checkpoint()], [true, false]);
        state.note_checkpoint_begun();
        assert!(state.request_checkpoint());
    }
}
