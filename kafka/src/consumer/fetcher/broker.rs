//! Fetches from one broker: its connection on a thread of its own, and how many of its responses are still in memory. Must not know
//! partitions' phases.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use bytes::BytesMut;

use crate::backoff::RetryPolicy;
use crate::budget::{Budget, ResponseShare};
use crate::connection::ConnectionSettings;
use crate::consumer::message::{CompletedFetch, Message};
use crate::consumer::pause::{Pause, after};
use crate::consumer::response_hold::{HeldResponses, ResponseHold};
use crate::error::Result;
use crate::link::Link;
use crate::protocol::{Admission, Failure, FetchRequest, FetchResponse, Reader, Request, Unencodable};
use crate::types::{Address, TopicPartition};
use crate::worker::Worker;

/// Responses of one broker that may be in memory before another fetch is sent: one that is being read, here or by the user. The
/// next one, on the wire, is the second, so that memory is bounded by two responses for each broker.
const RESPONSES_HELD_MAX: usize = 1;

/// A broker that is fetched from.
pub(in crate::consumer) struct Broker {
    pub(in crate::consumer) address: Address,
    /// Distinguishes responses of this connection from those of an earlier one to the same broker id.
    pub(in crate::consumer) serial: u64,
    pub(in crate::consumer) pause: Pause,
    /// The first partition of its last fetch.
    pub(in crate::consumer) first: Option<TopicPartition>,
    settings: ConnectionSettings,
    /// Started with the first fetch: most brokers of a large cluster lead none of the partitions.
    link: Option<Worker<Link>>,
    /// The fetch that is under way.
    fetching: Option<Fetching>,
    responses: HeldResponses,
}

impl Broker {
    pub(in crate::consumer) fn new(
        address: Address,
        serial: u64,
        settings: ConnectionSettings,
        retry: RetryPolicy,
    ) -> Self {
        Self {
            address,
            serial,
            pause: Pause::new(retry),
            first: None,
            settings,
            link: None,
            fetching: None,
            responses: HeldResponses::default(),
        }
    }

    /// Whether another fetch may be sent.
    pub(in crate::consumer) fn is_free(&mut self, now: Instant) -> bool {
        !self.is_fetching() && self.pause.is_over(now) && self.responses.count() <= RESPONSES_HELD_MAX
    }

    /// Whether a fetch is on the wire.
    pub(in crate::consumer) fn is_fetching(&self) -> bool {
        self.fetching.is_some()
    }

    /// When the fetch that is on the wire is late: then the broker may be down, and others may lead its partitions.
    pub(in crate::consumer) fn late_at(&self) -> Option<Instant> {
        let fetching = self.fetching.as_ref()?;
        // The broker has responded then: the response is not received before there is memory for it.
        (!fetching.waited_for_memory.load(Ordering::Relaxed)).then_some(fetching.late_at)
    }

    pub(in crate::consumer) fn is_late(&self, now: Instant) -> bool {
        self.late_at().is_some_and(|at| now >= at)
    }

    /// Sends a fetch; its response comes as [`Message::Fetched`]. The requested bytes are taken from the budget.
    pub(in crate::consumer) fn fetch(
        &mut self,
        id: i32,
        request: FetchRequest,
        budget: &Budget,
        messages: &Sender<Message>,
        now: Instant,
    ) -> Result<()> {
        let late_at = after(now, self.settings.late_after().saturating_add(request.max_wait));
        let link = match self.link.take() {
            Some(link) => link,
            None => {
                Worker::spawn(&format!("kafka-fetch-{id}"), Link::new(self.address.clone(), self.settings.clone()))?
            }
        };
        let serial = self.serial;
        let waited_for_memory = Arc::new(AtomicBool::new(false));
        let fetch = CountedFetch::new(request, budget, Arc::downgrade(&waited_for_memory));
        self.link.insert(link).run(messages, move |link| {
            let result = link.call(&fetch);
            Message::Fetched(CompletedFetch { broker: id, serial, request: fetch.request, result })
        })?;
        self.fetching = Some(Fetching { late_at, waited_for_memory });
        Ok(())
    }

    /// The response has come; it counts as held for as long as the hold lives.
    pub(in crate::consumer) fn responded(&mut self) -> ResponseHold {
        self.fetching = None;
        self.responses.hold()
    }
}

/// A fetch that is under way.
struct Fetching {
    /// When it is late.
    late_at: Instant,
    /// Whether its response had to wait for memory. The response is wanted for as long as this exists.
    waited_for_memory: Arc<AtomicBool>,
}

/// A fetch whose response is counted in a budget.
struct CountedFetch {
    request: FetchRequest,
    budget: Budget,
    /// The share of the response that is expected, until that comes.
    share: Mutex<Option<ResponseShare>>,
    waited_for_memory: Weak<AtomicBool>,
}

impl CountedFetch {
    fn new(request: FetchRequest, budget: &Budget, waited_for_memory: Weak<AtomicBool>) -> Self {
        let share = budget.response(usize::try_from(request.max_bytes).unwrap_or(0));
        Self { request, budget: budget.clone(), share: Mutex::new(Some(share)), waited_for_memory }
    }
}

/// Delegates to the request, but for the memory.
impl Request for CountedFetch {
    const NAME: &'static str = FetchRequest::NAME;
    const KEY: i16 = FetchRequest::KEY;
    const VERSIONS: (i16, i16) = FetchRequest::VERSIONS;
    const FLEXIBLE_SINCE: i16 = FetchRequest::FLEXIBLE_SINCE;
    const RESPONSE_HEADER_FLEXIBLE: bool = FetchRequest::RESPONSE_HEADER_FLEXIBLE;
    type Response = FetchResponse;
    const RESPONSE_BYTES_MAX: u32 = FetchRequest::RESPONSE_BYTES_MAX;

    fn version_max(&self) -> i16 {
        self.request.version_max()
    }

    fn encode(&self, version: i16, to: &mut BytesMut) -> std::result::Result<(), Unencodable> {
        self.request.encode(version, to)
    }

    fn decode(&self, version: i16, from: &mut Reader) -> std::result::Result<FetchResponse, Failure> {
        self.request.decode(version, from)
    }

    fn wait(&self) -> Duration {
        self.request.wait()
    }

    fn admit(&self, bytes: usize) -> Admission {
        let expected = self.share.lock().unwrap_or_else(PoisonError::into_inner).take();
        // There is none if the request is repeated over another connection.
        let mut share = expected.unwrap_or_else(|| self.budget.response(0));
        let is_wanted = || match self.waited_for_memory.upgrade() {
            Some(waited) => {
                waited.store(true, Ordering::Relaxed);
                true
            }
            None => false,
        };
        if share.resize(bytes, is_wanted) { Admission::Counted(share) } else { Admission::Unwanted }
    }
}
