//! The reader without its thread: one step executes a command or polls the consumer. It polls ahead of the loop, and
//! bounds how far. Must not wait for anything but the consumer.

use std::time::Duration;

use kafka::{Event, Stage};

use super::consumer::PollConsumer;
use super::message::{Command, Message};
use crate::entity::Decoder;
use crate::runtime::stages::WORK_TIME_MAX;
use crate::service::decode::decode;

/// How many polls of records may be in memory: the one that the loop stores, and the one that it stores next. Each is
/// bounded in bytes and records.
const RECORD_EVENTS_MAX: usize = 2;

/// How many other events may wait for the loop. They are small; the bound is for a loop that makes no progress for
/// long.
const OTHER_EVENTS_MAX: usize = 16;

/// The longest wait of one poll. A command ends it.
const POLL_TIMEOUT: Duration = Duration::from_secs(5);

/// The reader's state.
pub(in crate::service) struct ReaderCore<C> {
    pub(in crate::service) consumer: C,
    records_max: usize,
    decoder: Decoder,
    /// Before each wait, what the reader is about to do.
    stage: Stage,
    state: State,
    /// Polls of records that the loop has not yet stored.
    record_events: usize,
    /// Other events that the loop has not yet received.
    other_events: usize,
    /// What the loop knows of [`PollConsumer::is_settled`].
    was_settled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Polling,
    /// The membership was lost. To poll is to rejoin, which waits until the loop has received the event: a loop that
    /// makes no progress must not get partitions again, which other members could read.
    Lost,
    /// The consumer has failed for good, or has left the group: it is not polled any more.
    Ended,
}

impl<C: PollConsumer> ReaderCore<C> {
    /// A reader that polls for at most `records_max` records at once.
    pub(in crate::service) fn new(consumer: C, records_max: usize, decoder: Decoder, stage: Stage) -> Self {
        Self {
            consumer,
            records_max,
            decoder,
            stage,
            state: State::Polling,
            record_events: 0,
            other_events: 0,
            was_settled: false,
        }
    }

    /// Whether a step without a command polls.
    pub(in crate::service) fn may_poll(&self) -> bool {
        self.state == State::Polling && self.record_events < RECORD_EVENTS_MAX && self.other_events < OTHER_EVENTS_MAX
    }

    /// Waits for the loop, which has no limit of its own.
    pub(in crate::service) fn rest_for<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.stage.rest();
        let received = wait();
        self.stage.work(WORK_TIME_MAX);
        received
    }

    /// Executes a command, or polls if there is none. Gives the message for the loop, if there is one.
    pub(in crate::service) fn step(&mut self, command: Option<Command>) -> Option<Message> {
        match command {
            Some(command) => {
                self.execute(command);
                None
            }
            None if self.may_poll() => self.poll(),
            None => None,
        }
    }

    fn execute(&mut self, command: Command) {
        match command {
            Command::EventReceived => {
                self.other_events = self.other_events.saturating_sub(1);
                if self.state == State::Lost && self.other_events == 0 {
                    self.state = State::Polling;
                }
            }
            Command::RecordsStored => self.record_events = self.record_events.saturating_sub(1),
            Command::Start { positions, metadata } => self.consumer.start(positions, &metadata),
            Command::Commit { positions, metadata } => self.consumer.commit(positions, &metadata),
            Command::Acknowledge(acknowledgement) => self.consumer.acknowledge(acknowledgement),
            // A loop that has ended does not wait for the reply.
            Command::Flush { timeout, reply } => {
                self.stage.wait(timeout);
                drop(reply.send(self.consumer.flush(timeout)));
            }
            Command::Leave { timeout, reply } => {
                self.state = State::Ended;
                self.stage.wait(timeout);
                let _ = reply.send(self.consumer.leave(timeout));
            }
        }
    }

    fn poll(&mut self) -> Option<Message> {
        self.stage.wait(POLL_TIMEOUT);
        let event = self.consumer.poll(POLL_TIMEOUT, self.records_max);
        self.stage.work(WORK_TIME_MAX);
        let is_settled = self.consumer.is_settled();
        match &event {
            // A command has ended the poll, or nothing has happened.
            Ok(Event::Idle) if is_settled == self.was_settled => return None,
            Ok(Event::Records(_)) => self.record_events += 1,
            Ok(Event::Lost(_)) => {
                self.state = State::Lost;
                self.other_events += 1;
            }
            Ok(_) => self.other_events += 1,
            Err(_) => {
                self.state = State::Ended;
                self.other_events += 1;
            }
        }
        self.was_settled = is_settled;
        let event = event.map(|event| event.map_records(|records| decode(records, self.decoder)));
        Some(Message::Event { event, is_settled })
    }
}
