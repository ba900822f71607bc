//! What the loop and the reader send each other.

use std::sync::mpsc::Sender;
use std::time::Duration;

use kafka::{Acknowledgement, Event, OffsetPosition, Result};

use crate::service::decode::Decoded;

/// An event of the consumer, with its records decoded.
pub(in crate::service) type ReaderEvent = Event<Vec<Decoded>>;

/// To the loop.
pub(in crate::service) enum Message {
    /// The next event of the consumer, or the error that ended it.
    Event {
        event: Result<ReaderEvent>,
        /// See [`kafka::Consumer::is_settled`].
        is_settled: bool,
    },
    /// Ends the loop's wait: a sync has ended, or the service shall stop.
    Wake,
}

/// To the reader. Commands are executed in the order in which they were sent.
pub(in crate::service) enum Command {
    /// The loop has received an event without records.
    EventReceived,
    /// The loop has stored the records of one event and dropped them. The next polls return at most `records_max`.
    RecordsStored { records_max: usize },
    /// See [`kafka::Consumer::start`].
    Start { positions: Vec<OffsetPosition>, metadata: String },
    /// See [`kafka::Consumer::commit`].
    Commit { positions: Vec<OffsetPosition>, metadata: String },
    /// See [`kafka::Consumer::acknowledge`].
    Acknowledge(Acknowledgement),
    /// See [`kafka::Consumer::flush`].
    Flush { timeout: Duration, reply: Sender<Result<bool>> },
    /// See [`kafka::Consumer::leave`]. Nothing is polled after it.
    Leave { timeout: Duration, reply: Sender<Result<bool>> },
}
