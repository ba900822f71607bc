//! Fetching from one broker: its connection on a thread of its own, and how much of what it sent is still in memory.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Weak};
use std::time::Instant;

use super::Answer;
use super::pause::{Pause, after};
use crate::backoff::RetryPolicy;
use crate::connection::ConnectionSettings;
use crate::error::Result;
use crate::link::Link;
use crate::protocol::FetchRequest;
use crate::types::{Address, TopicPartition};
use crate::worker::Worker;

/// Responses of one broker that may be in memory before another fetch is sent: one that is being read, here or by the user. The
/// one that is then on the wire is the second, so that memory is bounded by two responses for each broker.
const RESPONSES_HELD_MAX: usize = 1;

/// A broker that we fetch from.
pub(super) struct Broker {
    pub(super) address: Address,
    /// Tells answers of this connection from those of an earlier one to the same broker id.
    pub(super) serial: u64,
    pub(super) pause: Pause,
    /// The partition that its last fetch asked for first.
    pub(super) first: Option<TopicPartition>,
    settings: ConnectionSettings,
    /// Started with the first fetch: most brokers of a large cluster lead nothing that we read.
    link: Option<Worker<Link>>,
    /// When the fetch that is under way is late.
    late_at: Option<Instant>,
    responses: Vec<Weak<()>>,
}

impl Broker {
    pub(super) fn new(address: Address, serial: u64, settings: ConnectionSettings, retry: RetryPolicy) -> Self {
        Self {
            address,
            serial,
            pause: Pause::new(retry),
            first: None,
            settings,
            link: None,
            late_at: None,
            responses: Vec::new(),
        }
    }

    /// Whether another fetch may be sent.
    pub(super) fn is_free(&mut self, now: Instant) -> bool {
        self.responses.retain(|response| response.strong_count() > 0);
        !self.is_fetching() && self.pause.is_over(now) && self.responses.len() <= RESPONSES_HELD_MAX
    }

    /// Whether a fetch is on the wire.
    pub(super) fn is_fetching(&self) -> bool {
        self.late_at.is_some()
    }

    /// When the fetch that is on the wire is late: then the broker may stand still, and others may lead its partitions.
    pub(super) fn late_at(&self) -> Option<Instant> {
        self.late_at
    }

    pub(super) fn is_late(&self, now: Instant) -> bool {
        self.late_at.is_some_and(|at| now >= at)
    }

    /// Sends a fetch; its answer arrives as [`Answer::Fetched`].
    pub(super) fn fetch(
        &mut self,
        id: i32,
        request: FetchRequest,
        answers: &Sender<Answer>,
        now: Instant,
    ) -> Result<()> {
        let late_at = after(now, self.settings.patience().saturating_add(request.max_wait));
        let link = match self.link.take() {
            Some(link) => link,
            None => {
                Worker::spawn(&format!("kafka-fetch-{id}"), Link::new(self.address.clone(), self.settings.clone()))?
            }
        };
        let serial = self.serial;
        self.link.insert(link).run(answers, move |link| {
            let result = link.call(&request);
            Answer::Fetched { broker: id, serial, request, result }
        })?;
        self.late_at = Some(late_at);
        Ok(())
    }

    /// The answer of the fetch has arrived: a token that counts as long as anybody holds it.
    pub(super) fn answered(&mut self) -> Arc<()> {
        self.late_at = None;
        let token = Arc::new(());
        self.responses.push(Arc::downgrade(&token));
        token
    }
}
