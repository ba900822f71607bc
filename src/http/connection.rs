//! One connection: receives the head of a request, sends the answer, and waits until the client has closed. Each step
//! has a deadline, and no step blocks. Must not know other connections.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use super::request::{HEAD_BYTES_MAX, Head, parse};
use super::routes::Context;
use super::socket::Stream;

/// How long a client may take to send the head of its request, from its first byte to its last.
const HEAD_TIME_MAX: Duration = Duration::from_secs(5);

/// How long a client may take to receive the answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// How long a client that has received its answer may take to close. To close first, while it still sends, would discard
/// the answer ([RFC 9112, 9.6](https://www.rfc-editor.org/rfc/rfc9112#section-9.6)).
const CLOSE_TIME_MAX: Duration = Duration::from_secs(1);

/// What one step of a connection receives at most, in bytes.
const RECEIVE_BYTES: usize = 2 * 1024;

/// A connection and its step.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    step: Step,
    /// When the step has ended at the latest.
    deadline: Instant,
    since: Instant,
}

#[derive(Debug)]
enum Step {
    /// The bytes of the head so far.
    Receiving(Vec<u8>),
    /// The rest of the answer.
    Sending(Vec<u8>),
    /// The answer was sent.
    Closing,
    Closed,
}

/// What the connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wants {
    Receive,
    Send,
}

impl Connection {
    pub(super) fn new(stream: Stream, now: Instant) -> Self {
        Self { stream, step: Step::Receiving(Vec::new()), deadline: now + HEAD_TIME_MAX, since: now }
    }

    pub(super) fn stream(&self) -> &Stream {
        &self.stream
    }

    pub(super) fn wants(&self) -> Wants {
        if matches!(self.step, Step::Sending(_)) { Wants::Send } else { Wants::Receive }
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(self.step, Step::Closed)
    }

    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Which connection makes room for another one, the least first: one that has its answer, then the one that has taken longest
    /// without sending a request. `None`: it is being answered.
    pub(super) fn makes_room(&self) -> Option<(bool, Instant)> {
        match self.step {
            Step::Closing | Step::Closed => Some((false, self.since)),
            Step::Receiving(_) => Some((true, self.since)),
            Step::Sending(_) => None,
        }
    }

    /// How much of its answer is not sent, and since when it is connected.
    pub(super) fn unsent(&self) -> Option<(Instant, usize)> {
        let Step::Sending(rest) = &self.step else { return None };
        Some((self.since, rest.len()))
    }

    /// Ends the step if it is past its deadline.
    pub(super) fn expire(&mut self, context: &Context, now: Instant) {
        if now < self.deadline {
            return;
        }
        match &self.step {
            Step::Receiving(head) if !head.is_empty() => {
                self.send(context.give_up(408, "the request was not received in time"), now);
                self.advance(context, now);
            }
            Step::Receiving(_) | Step::Sending(_) | Step::Closing | Step::Closed => self.step = Step::Closed,
        }
    }

    /// Does what the socket allows. An error closes the connection: its client knows, or is no longer there.
    pub(super) fn advance(&mut self, context: &Context, now: Instant) {
        let result = match &self.step {
            Step::Receiving(_) => self.receive(context, now),
            Step::Sending(_) => Ok(()),
            Step::Closing | Step::Closed => self.discard(),
        };
        let result = result.and_then(|()| self.transmit(now));
        if result.is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock) {
            self.step = Step::Closed;
        }
    }

    fn receive(&mut self, context: &Context, now: Instant) -> io::Result<()> {
        let Step::Receiving(head) = &mut self.step else { return Ok(()) };
        let mut buffer = [0; RECEIVE_BYTES];
        let limit = RECEIVE_BYTES.min(HEAD_BYTES_MAX.saturating_sub(head.len()));
        let received = self.stream.read(buffer.get_mut(..limit).unwrap_or_default())?;
        if received == 0 {
            self.step = Step::Closed;
            return Ok(());
        }
        head.extend_from_slice(buffer.get(..received).unwrap_or_default());
        match parse(head) {
            Head::Incomplete => {}
            Head::Complete(request) => self.send(context.answer(&request), now),
            Head::Refused(refusal) => self.send(context.refuse(refusal), now),
        }
        Ok(())
    }

    fn send(&mut self, answer: Vec<u8>, now: Instant) {
        self.step = Step::Sending(answer);
        self.deadline = now + ANSWER_TIME_MAX;
    }

    /// Sends what the socket takes.
    fn transmit(&mut self, now: Instant) -> io::Result<()> {
        while let Step::Sending(rest) = &mut self.step {
            if rest.is_empty() {
                self.stream.end_sending();
                self.step = Step::Closing;
                self.deadline = now + CLOSE_TIME_MAX;
                return Ok(());
            }
            let sent = self.stream.write(rest)?;
            rest.drain(..sent.min(rest.len()));
        }
        Ok(())
    }

    /// Receives what nobody needs; the end of it closes the connection.
    fn discard(&mut self) -> io::Result<()> {
        if self.stream.read(&mut [0; RECEIVE_BYTES])? == 0 {
            self.step = Step::Closed;
        }
        Ok(())
    }

    /// Refuses a connection that there is no room for, as far as that is possible without waiting.
    pub(super) fn refuse(stream: Stream, context: &Context, now: Instant) {
        let mut connection = Self::new(stream, now);
        // What was received already would reset the connection, and with it the answer.
        let _ = connection.discard();
        connection.send(context.give_up(503, "too many connections"), now);
        let _ = connection.transmit(now);
    }
}
