//! The events that the user has not polled yet. Must not know what they are about.

use std::collections::VecDeque;

use super::event::{Event, Retrying};
use crate::error::{Error, Result};

/// A queue of events; an error in it is final.
#[derive(Debug, Default)]
pub(super) struct EventQueue(VecDeque<Result<Event>>);

impl EventQueue {
    pub(super) fn emit(&mut self, event: Event) {
        self.0.push_back(Ok(event));
    }

    /// Emits a failure that is retried; returns one that is not, which ends the consumer.
    pub(super) fn emit_retrying(&mut self, failed: Result<Retrying>) -> Result<()> {
        self.emit(Event::Retrying(failed?));
        Ok(())
    }

    /// Keeps an error for the next poll, whatever the caller waits for.
    pub(super) fn fail(&mut self, error: Error) {
        self.0.push_back(Err(error));
    }

    pub(super) fn pop(&mut self) -> Option<Result<Event>> {
        self.0.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    #[cfg(test)]
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
