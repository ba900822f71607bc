//! A secret that can be replaced while threads use it. Must not know what it is for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kafka::Secret;

/// A secret, or none. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct SharedSecret(Arc<Mutex<Option<Secret>>>);

impl SharedSecret {
    /// With this secret at first.
    pub fn new(secret: Option<Secret>) -> Self {
        Self(Arc::new(Mutex::new(secret)))
    }

    /// The secret now.
    pub fn current(&self) -> Option<Secret> {
        self.lock().clone()
    }

    /// Replaces the secret; returns whether it was another one.
    pub fn replace(&self, secret: Option<Secret>) -> bool {
        let mut current = self.lock();
        let is_new = *current != secret;
        *current = secret;
        is_new
    }

    fn lock(&self) -> MutexGuard<'_, Option<Secret>> {
        // A change is one assignment, which a panic cannot leave incomplete.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
