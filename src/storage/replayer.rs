//! The replayer: stores events of unidentified messages that a later version of the program can decode.

use super::error::StorageError;
use super::message::PendingMessage;
use crate::entity::Event;

/// A database in which messages are replayed, also while a service runs.
pub trait Replayer {
    /// The messages after the one with this id that have not been replayed, in the order of ids: at most `messages_max`, and none after their
    /// values have reached `bytes_max`.
    fn pending_after(
        &mut self,
        id: i64,
        messages_max: u32,
        bytes_max: usize,
    ) -> Result<Vec<PendingMessage>, StorageError>;

    /// Stores all of the events in one transaction, or none; gives the outcome of each. The counters of positions stay: they say what became
    /// of the offsets when they were read.
    ///
    /// # Errors
    /// [`Rejected`](super::ErrorKind::Rejected) if the database rejects the transaction as a whole because of one of the events.
    fn replay(&mut self, recovered: &[Recovered<'_>]) -> Result<Vec<ReplayOutcome>, StorageError>;
}

/// An unidentified message that is an event.
#[derive(Debug)]
pub struct Recovered<'a> {
    /// The message.
    pub message: &'a PendingMessage,
    /// Its event.
    pub event: Event<'a>,
}

/// What became of a replayed message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayOutcome {
    /// The event is stored.
    Applied,
    /// A newer event of its id is stored; the message counts as replayed.
    Stale,
    /// The database rejects the event; the message stays.
    Rejected,
    /// Another process has replayed or deleted the message since it was read.
    Gone,
}
