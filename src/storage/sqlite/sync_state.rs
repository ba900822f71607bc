//! Whether a sync of the `-wal` file can be believed: one state, shared by the writer and the checkpoint thread, with all of its
//! transitions. Must not do I/O.
//!
//! After a failed `fsync` the kernel may drop what it could not write and report the next one as done
//! (<https://wiki.postgresql.org/wiki/Fsync_Errors>). So after one failure no later success counts, until the whole WAL has been
//! checkpointed from its first frame on, which writes its content a second time, and the emptied WAL was synced.
//!
//! | state | a sync succeeds | a sync fails, or may have | checkpoint, truncate | recovery begins | recovery succeeds |
//! |-|-|-|-|-|-|
//! | trusted | durable | in doubt | allowed | not needed | |
//! | in doubt | not believed | in doubt | refused | recovering, if no frame has been checkpointed | |
//! | recovering | not believed | in doubt | refused | goes on | trusted |

use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No sync has failed since all was durable.
    Trusted,
    /// One has failed, or may have.
    InDoubt,
    /// The same, and the WAL was seen to be checkpointed from its first frame on: what is in it reaches the database as a whole.
    Recovering,
}

impl State {
    fn begin_recovery(self, frames_checkpointed: i64) -> Option<Self> {
        match self {
            // Frames that were checkpointed before would be passed over, and that they reached the disk is in doubt.
            Self::InDoubt if frames_checkpointed > 0 => None,
            Self::InDoubt | Self::Recovering => Some(Self::Recovering),
            Self::Trusted => Some(Self::Trusted),
        }
    }

    fn recovered(self) -> Self {
        match self {
            // Something failed during the recovery.
            Self::InDoubt => Self::InDoubt,
            Self::Recovering | Self::Trusted => Self::Trusted,
        }
    }
}

/// The state of one database's WAL.
#[derive(Debug)]
pub(super) struct SyncState(Mutex<State>);

impl SyncState {
    pub(super) fn new() -> Self {
        Self(Mutex::new(State::Trusted))
    }

    /// Whether a sync that has succeeded makes durable what was written before it, and a checkpoint may be made.
    pub(super) fn is_trusted(&self) -> bool {
        *self.lock() == State::Trusted
    }

    /// A sync failed, or something that may have been one. Ends a recovery too.
    pub(super) fn fail(&self) {
        *self.lock() = State::InDoubt;
    }

    /// Before the WAL is checkpointed as a whole, by a connection that was opened after the failure. `false` if that would pass over
    /// frames: those that were checkpointed before.
    pub(super) fn begin_recovery(&self, frames_checkpointed: i64) -> bool {
        let mut state = self.lock();
        let next = state.begin_recovery(frames_checkpointed);
        *state = next.unwrap_or(*state);
        next.is_some()
    }

    /// All of the WAL is in the database, both are synced. `false` if something failed meanwhile.
    pub(super) fn recovered(&self) -> bool {
        let mut state = self.lock();
        *state = state.recovered();
        *state == State::Trusted
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A state is one word: no panic leaves half of it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_transition_is_that_of_the_table() {
        use State::{InDoubt, Recovering, Trusted};
        let check = |from: State, act: &dyn Fn(&SyncState) -> bool, expected: bool, to: State| {
            let state = SyncState(Mutex::new(from));
            assert_eq!(act(&state), expected, "{from:?}");
            assert_eq!(*state.lock(), to, "{from:?}");
        };
        let fail = |state: &SyncState| {
            state.fail();
            state.is_trusted()
        };
        for (from, is_trusted) in [(Trusted, true), (InDoubt, false), (Recovering, false)] {
            check(from, &SyncState::is_trusted, is_trusted, from);
            check(from, &fail, false, InDoubt);
        }
        check(Trusted, &|state| state.begin_recovery(0), true, Trusted);
        check(Trusted, &|state| state.begin_recovery(7), true, Trusted);
        check(InDoubt, &|state| state.begin_recovery(0), true, Recovering);
        check(InDoubt, &|state| state.begin_recovery(7), false, InDoubt);
        // Frames that the recovery itself has checkpointed.
        check(Recovering, &|state| state.begin_recovery(7), true, Recovering);
        check(Recovering, &|state| state.begin_recovery(0), true, Recovering);
        check(Trusted, &SyncState::recovered, true, Trusted);
        check(Recovering, &SyncState::recovered, true, Trusted);
        check(InDoubt, &SyncState::recovered, false, InDoubt);
    }

    #[test]
    fn a_new_database_is_trusted() {
        assert!(SyncState::new().is_trusted());
    }
}
