//! Fetching from one broker: its connection on a thread of its own, and how much of what it sent is still in memory.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Weak};
use std::time::Instant;

use super::Answer;
use super::pause::Pause;
use crate::backoff::RetryPolicy;
use crate::connection::{Connection, ConnectionSettings};
use crate::error::Result;
use crate::protocol::{FetchRequest, FetchResponse};
use crate::types::Address;
use crate::worker::Worker;

/// Responses of one broker that may be in memory before another fetch is sent: one that is being read. The one that is then
/// on the wire is the second, so that memory is bounded by two responses for each broker.
const RESPONSES_HELD_MAX: usize = 1;

/// A broker that we fetch from.
pub(super) struct Broker {
    pub(super) address: Address,
    /// Tells answers of this connection from those of an earlier one to the same broker id.
    pub(super) serial: u64,
    pub(super) pause: Pause,
    link: Worker<Link>,
    fetch_under_way: bool,
    responses: Vec<Weak<()>>,
}

impl Broker {
    pub(super) fn new(
        id: i32,
        address: Address,
        serial: u64,
        settings: ConnectionSettings,
        retry: RetryPolicy,
    ) -> Result<Self> {
        let link = Link { address: address.clone(), settings, connection: None };
        Ok(Self {
            address,
            serial,
            pause: Pause::new(retry),
            link: Worker::spawn(&format!("kafka-fetch-{id}"), link)?,
            fetch_under_way: false,
            responses: Vec::new(),
        })
    }

    /// Whether another fetch may be sent.
    pub(super) fn is_free(&mut self, now: Instant) -> bool {
        self.responses.retain(|response| response.strong_count() > 0);
        !self.fetch_under_way && self.pause.is_over(now) && self.responses.len() <= RESPONSES_HELD_MAX
    }

    /// Whether a fetch is on the wire.
    pub(super) fn is_fetching(&self) -> bool {
        self.fetch_under_way
    }

    /// Sends a fetch; its answer arrives as [`Answer::Fetched`].
    pub(super) fn fetch(&mut self, id: i32, request: FetchRequest, answers: &Sender<Answer>) -> Result<()> {
        self.fetch_under_way = true;
        let serial = self.serial;
        self.link.run(answers, move |link| {
            let result = link.fetch(&request);
            Answer::Fetched { broker: id, serial, request, result }
        })
    }

    /// The answer of the fetch has arrived: a token that counts as long as anybody holds it.
    pub(super) fn answered(&mut self) -> Arc<()> {
        self.fetch_under_way = false;
        let token = Arc::new(());
        self.responses.push(Arc::downgrade(&token));
        token
    }
}

/// The connection of the fetching thread: made when needed, dropped when it broke.
struct Link {
    address: Address,
    settings: ConnectionSettings,
    connection: Option<Connection>,
}

impl Link {
    fn fetch(&mut self, request: &FetchRequest) -> Result<FetchResponse> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(&self.address, &self.settings)?,
        };
        let response = connection.call(request)?;
        self.connection = Some(connection);
        Ok(response)
    }
}
