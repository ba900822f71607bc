//! The loop's end of the reader: receives events in order, sends commands. Must not know who runs the reader.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use kafka::{Acknowledgement, Event, OffsetPosition, Result};

use super::message::{Command, Message, ReaderEvent};

/// Runs the reader: a thread, or the simulation, step by step.
pub(in crate::service) trait ReaderRunner {
    /// A command was sent that shall not wait until the poll ends by itself.
    fn notify_command(&self);
    /// Records have been dropped: their memory may be what the next fetch waits for.
    fn notify_memory_freed(&self);
    /// Waits for the reader's next message.
    fn receive<T>(&mut self, from: &Receiver<T>, timeout: Duration) -> Option<T>;
    /// Waits for the reply to a command; `None` if the reader has ended.
    fn receive_reply<T>(&mut self, from: &Receiver<T>) -> Option<T>;
}

/// The reader as the loop sees it.
pub(in crate::service) struct Reader<R> {
    // Dropped before the runner, which ends with it.
    commands: Sender<Command>,
    messages: Receiver<Message>,
    messages_to: Sender<Message>,
    pub(in crate::service) runner: R,
    is_settled: bool,
}

impl<R: ReaderRunner> Reader<R> {
    pub(in crate::service) fn new(
        commands: Sender<Command>,
        (messages, messages_to): (Receiver<Message>, Sender<Message>),
        runner: R,
    ) -> Self {
        Self { commands, messages, messages_to, runner, is_settled: false }
    }

    /// Waits for the next event, at most for `timeout`. After records the loop calls
    /// [`records_stored`](Self::records_stored).
    pub(in crate::service) fn poll(&mut self, timeout: Duration) -> Result<ReaderEvent> {
        match self.runner.receive(&self.messages, timeout) {
            Some(Message::Event { event, is_settled }) => {
                self.is_settled = is_settled;
                if !matches!(event, Ok(Event::Records(_))) {
                    self.send(Command::EventReceived);
                }
                event
            }
            Some(Message::Wake) | None => Ok(Event::Idle),
        }
    }

    /// The records of one event have been stored and dropped: the reader may read on, at most `records_max` records at once.
    pub(in crate::service) fn records_stored(&self, records_max: usize) {
        self.send(Command::RecordsStored { records_max });
        self.runner.notify_memory_freed();
    }

    /// Whether all events up to the last one that [`poll`](Self::poll) gave leave the consumer
    /// [settled](kafka::Consumer::is_settled).
    pub(in crate::service) fn is_settled(&self) -> bool {
        self.is_settled
    }

    /// A function that ends [`poll`](Self::poll) from another thread.
    pub(in crate::service) fn waker(&self) -> impl Fn() + Send + Sync + 'static {
        let messages = self.messages_to.clone();
        // A loop that has ended does not wait.
        move || drop(messages.send(Message::Wake))
    }

    /// See [`kafka::Consumer::start`].
    pub(in crate::service) fn start(&self, positions: Vec<OffsetPosition>, metadata: String) {
        self.send_now(Command::Start { positions, metadata });
    }

    /// See [`kafka::Consumer::commit`].
    pub(in crate::service) fn commit(&self, positions: Vec<OffsetPosition>, metadata: String) {
        self.send_now(Command::Commit { positions, metadata });
    }

    /// See [`kafka::Consumer::acknowledge`].
    pub(in crate::service) fn acknowledge(&self, acknowledgement: Acknowledgement) {
        self.send_now(Command::Acknowledge(acknowledgement));
    }

    /// See [`kafka::Consumer::flush`].
    pub(in crate::service) fn flush(&mut self, timeout: Duration) -> Result<bool> {
        let (reply, result) = channel();
        self.send_now(Command::Flush { timeout, reply });
        self.runner.receive_reply(&result).unwrap_or(Ok(false))
    }

    /// See [`kafka::Consumer::leave`].
    pub(in crate::service) fn leave(&mut self, timeout: Duration) -> Result<bool> {
        let (reply, result) = channel();
        self.send_now(Command::Leave { timeout, reply });
        self.runner.receive_reply(&result).unwrap_or(Ok(false))
    }

    fn send_now(&self, command: Command) {
        self.send(command);
        self.runner.notify_command();
    }

    fn send(&self, command: Command) {
        // The reader has ended only if its thread has panicked, which ends the process.
        let _ = self.commands.send(command);
    }
}
