//! Locks what is published. Must not know what that is.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Each change under these locks is one assignment or insertion: a panic leaves none of them incomplete.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
