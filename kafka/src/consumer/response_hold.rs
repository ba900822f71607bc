//! Counts the responses of a broker whose bytes are still in memory. Must not know what they hold.

use std::sync::{Arc, Weak};

/// Keeps one response counted for as long as it, or a clone of it, lives.
#[derive(Clone, Debug, Default)]
pub(super) struct ResponseHold(Arc<()>);

/// The responses of one broker.
#[derive(Debug, Default)]
pub(super) struct HeldResponses(Vec<Weak<()>>);

impl HeldResponses {
    /// Counts one more.
    pub(super) fn hold(&mut self) -> ResponseHold {
        let hold = ResponseHold::default();
        self.0.push(Arc::downgrade(&hold.0));
        hold
    }

    pub(super) fn count(&mut self) -> usize {
        self.0.retain(|response| response.strong_count() > 0);
        self.0.len()
    }
}
