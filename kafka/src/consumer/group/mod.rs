//! Membership in a consumer group: a thread that joins, gives signs of life, and hears which partitions are ours, whatever the
//! consumer's user is busy with meanwhile. Must not know positions, records or what the user does with a partition.
//!
//! The thread tells the consumer [`News`]. Some of it is a question: the partitions are not divided anew, or given up, until the
//! consumer says that its user is done ([`Order::Done`]). Signs of life go on in between.

mod assignor;
mod classic;
mod server_side;
mod subscription;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::Answer;
use super::builder::Builder;
use super::event::Retrying;
use super::pause::{Pause, after};
use crate::backoff::RetryPolicy;
use crate::client::Client;
use crate::connection::ConnectionSettings;
use crate::error::{Error, ErrorCode, Result};
use crate::types::{Member, TopicPartition};
use classic::Classic;
use server_side::ServerSide;

/// Session of a member whose time-out the broker decides on (`group.consumer.session.timeout.ms`).
const SESSION_TIMEOUT_DEFAULT: Duration = Duration::from_secs(45);
/// How long a member may take to finish with what is taken from it, before the others go on without it: a transaction and a
/// commit, on a slow disk. Kafka's own consumer takes five minutes, for whatever its user does between two polls
/// (`max.poll.interval.ms`).
const REBALANCE_TIMEOUT: Duration = Duration::from_mins(1);
/// A session has time for so many signs of life: Kafka's own consumer keeps to the same.
const BEATS_PER_SESSION: u32 = 3;

/// Time to the first sign of life after a division; it doubles from there to what the protocol takes. One division is often followed by
/// another, in which somebody gets what somebody else has given up; and a member hears of it with its next sign of life only.
const FIRST_BEAT: Duration = Duration::from_millis(100);

/// How the partitions of a group are shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupProtocol {
    /// Not at all: this consumer reads every partition of its topics, and the group has no members.
    None,
    /// Among static members, one of which divides (`JoinGroup`). Takes brokers since 2.3.
    Classic {
        /// A name that outlives the process: who comes back by it has its partitions at once
        /// ([KIP-345](https://cwiki.apache.org/confluence/display/KAFKA/KIP-345%3A+Introduce+static+membership+protocol+to+reduce+consumer+rebalances)).
        instance_id: String,
        /// A member that has not been heard of for so long is given up.
        session_timeout: Duration,
    },
    /// By the broker
    /// ([KIP-848](https://cwiki.apache.org/confluence/display/KAFKA/KIP-848%3A+The+Next+Generation+of+the+Consumer+Rebalance+Protocol)).
    /// Takes brokers since 4.0.
    Consumer {
        /// The same after a restart: who comes back by it has its partitions at once.
        member_id: String,
        /// For a static member, which stays one when it leaves.
        instance_id: Option<String>,
    },
}

/// What the thread is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// The user is done with what the question of that number was about.
    Done(u64),
    /// Leave the group, and end.
    Leave,
}

/// What the thread tells.
#[derive(Debug)]
pub(super) enum News {
    /// The partitions are about to be divided anew, and any may be gone then: a question of that number.
    Rebalancing(u64),
    /// What is ours now.
    Divided(Division),
    /// We are no longer a member, and nothing is ours: a question of that number, without whose answer we do not join again. So a user
    /// that has come to a stand does not take partitions from those who go on.
    Lost(u64),
    /// Something failed that waiting may cure.
    Retrying(Retrying),
    /// Nothing will come of it.
    Failed(Error),
    /// The group has been left.
    Left,
}

/// What is ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Division {
    /// As whom.
    pub(super) member: Member,
    pub(super) partitions: BTreeSet<TopicPartition>,
    /// What was ours before and is not among them.
    pub(super) handover: Handover,
}

/// What becomes of partitions that are taken from us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handover {
    /// Somebody else has them already.
    Gone,
    /// They stay ours until the question of that number is answered.
    InTurn(u64),
}

/// What came of a sign of life.
#[derive(Debug)]
enum Beat {
    /// All is as before.
    Steady,
    /// The partitions are to be divided anew, and we have to join again for that.
    Rebalance,
    /// The partitions are divided anew, or our epoch is another one.
    Divided(Divided),
}

/// What a protocol gives us.
#[derive(Debug)]
struct Divided {
    partitions: BTreeSet<TopicPartition>,
    /// What is no longer ours stays so until we have given it up.
    in_turn: bool,
}

/// One way to be a member: the requests that it takes. Tries each once; what a failure means is the same for all.
trait Protocol: Send {
    /// Whether all that we own may be gone after [`join`](Self::join).
    fn divides_by_joining(&self) -> bool;
    /// Becomes a member, or remains one, while we own `owned`; blocks until the partitions are divided.
    fn join(&mut self, client: &mut Client, owned: &BTreeSet<TopicPartition>) -> Result<Divided>;
    /// Gives a sign of life.
    fn beat(&mut self, client: &mut Client, owned: &BTreeSet<TopicPartition>) -> Result<Beat>;
    /// How long until the next one is due.
    fn interval(&self) -> Duration;
    /// As whom to commit.
    fn member(&self) -> Member;
    /// The coordinator does not know us any more.
    fn forget(&mut self);
    /// Takes leave.
    fn leave(&mut self, client: &mut Client) -> Result<()>;
}

/// The consumer's end of it. Dropping it ends the membership's thread, without taking leave.
pub(super) struct Membership {
    orders: Sender<Order>,
}

impl Membership {
    /// Starts to be a member, if the settings say so; [`Answer::Group`] is what comes of it.
    pub(super) fn start(config: &Builder, news: &Sender<Answer>) -> Result<Option<Self>> {
        let (protocol, session_timeout): (Box<dyn Protocol>, _) = match &config.group_protocol {
            GroupProtocol::None => return Ok(None),
            GroupProtocol::Classic { instance_id, session_timeout } => {
                (Box::new(Classic::new(config, instance_id, *session_timeout)), *session_timeout)
            }
            GroupProtocol::Consumer { member_id, instance_id } => {
                (Box::new(ServerSide::new(config, member_id, instance_id.clone())), SESSION_TIMEOUT_DEFAULT)
            }
        };
        // A coordinator that stands still must be given up while there is time to find another one.
        let patience = session_timeout / BEATS_PER_SESSION;
        let connection = ConnectionSettings {
            request_timeout: config.connection.request_timeout.min(patience),
            ..config.connection.clone()
        };
        let (orders, ordered) = channel();
        let client = Client::new(config.hosts.clone(), connection);
        let retry = RetryPolicy { max: config.retry.max.min(patience), ..config.retry };
        let task = Task::new(client, protocol, retry, ordered, news.clone());
        thread::Builder::new().name("kafka-group".to_owned()).spawn(move || task.run()).map_err(Error::Thread)?;
        Ok(Some(Self { orders }))
    }

    /// Answers a question.
    pub(super) fn done(&self, question: u64) {
        self.order(Order::Done(question));
    }

    /// Leaves the group: [`News::Left`] says that it is done. While the group is being divided that may take long.
    pub(super) fn leave(&self) {
        self.order(Order::Leave);
    }

    /// One without a thread, for tests: what it is ordered can be read there.
    #[cfg(test)]
    pub(super) fn watched() -> (Self, Receiver<Order>) {
        let (orders, ordered) = channel();
        (Self { orders }, ordered)
    }

    fn order(&self, order: Order) {
        // A thread that has ended has told why.
        let _ = self.orders.send(order);
    }
}

/// Why the thread ends.
enum End {
    /// It was told to leave.
    Leave,
    /// The consumer is gone.
    Dropped,
    /// It is of no use.
    Failed(Error),
}

/// What ended a time of waiting.
enum Heard {
    /// The answer that was waited for.
    Answer,
    /// We have to join again.
    Rebalance,
    Divided(Divided),
}

/// The thread's own.
struct Task {
    client: Client,
    protocol: Box<dyn Protocol>,
    orders: Receiver<Order>,
    news: Sender<Answer>,
    pause: Pause,
    /// What we have and have not given up.
    owned: BTreeSet<TopicPartition>,
    /// How many questions the consumer has been asked: the number of the last one.
    questions: u64,
    /// The question that has to be answered before we join again.
    unanswered: Option<u64>,
    beat_at: Instant,
    /// Time between the last sign of life and the next one.
    beat_gap: Duration,
}

impl Task {
    fn new(
        client: Client,
        protocol: Box<dyn Protocol>,
        retry: RetryPolicy,
        orders: Receiver<Order>,
        news: Sender<Answer>,
    ) -> Self {
        Self {
            client,
            protocol,
            orders,
            news,
            pause: Pause::new(retry),
            owned: BTreeSet::new(),
            questions: 0,
            unanswered: None,
            beat_at: Instant::now(),
            beat_gap: Duration::ZERO,
        }
    }

    fn run(mut self) {
        let Err(end) = self.live();
        match end {
            End::Leave => {
                if let Err(error) = self.protocol.leave(&mut self.client) {
                    log::debug!("the group was not left in order, and waits until the session times out: {error}");
                }
                self.tell(News::Left);
            }
            End::Dropped => {}
            End::Failed(error) => self.tell(News::Failed(error)),
        }
    }

    fn live(&mut self) -> Result<std::convert::Infallible, End> {
        loop {
            self.prepare()?;
            let divided = self.join()?;
            let mut stays = self.take(divided)?;
            while stays {
                stays = match self.beat_until(None)? {
                    Heard::Divided(divided) => self.take(divided)?,
                    Heard::Answer | Heard::Rebalance => false,
                };
            }
        }
    }

    /// Before we join again: what we have may be gone right after, so the user finishes with it first.
    fn prepare(&mut self) -> Result<(), End> {
        if let Some(question) = self.unanswered.take() {
            while self.wait(after(Instant::now(), Duration::MAX))? != Some(Order::Done(question)) {}
        }
        if self.protocol.divides_by_joining() && !self.owned.is_empty() {
            let question = self.next_question();
            self.tell(News::Rebalancing(question));
            self.beat_until(Some(question))?;
        }
        Ok(())
    }

    fn join(&mut self) -> Result<Divided, End> {
        loop {
            match self.protocol.join(&mut self.client, &self.owned) {
                Ok(divided) => {
                    self.pause.succeeded();
                    return Ok(divided);
                }
                // The group has changed again before it was divided.
                Err(Error::Broker { code: ErrorCode::REBALANCE_IN_PROGRESS, .. }) => drop(self.wait(Instant::now())?),
                Err(error) => {
                    if self.failed(error)? {
                        self.prepare()?;
                    }
                    while let Some(until) = self.pause.until().filter(|until| *until > Instant::now()) {
                        self.wait(until)?;
                    }
                }
            }
        }
    }

    /// Tells the consumer what is ours, and waits until what is not has been given up. False: we have to join again.
    fn take(&mut self, divided: Divided) -> Result<bool, End> {
        self.beat_gap = FIRST_BEAT;
        self.next_beat_in(self.beat_gap);
        let gives_up = !self.owned.is_subset(&divided.partitions);
        let question = self.next_question();
        let handover = if divided.in_turn { Handover::InTurn(question) } else { Handover::Gone };
        let partitions = divided.partitions.clone();
        self.tell(News::Divided(Division { member: self.protocol.member(), partitions, handover }));
        if !(divided.in_turn && gives_up) {
            self.owned = divided.partitions;
            return Ok(true);
        }
        match self.beat_until(Some(question))? {
            Heard::Answer => self.owned = divided.partitions,
            Heard::Rebalance => return Ok(false),
            Heard::Divided(newer) => {
                self.owned = divided.partitions;
                return self.take(newer);
            }
        }
        // Whoever waits for it shall have it soon.
        self.next_beat_in(Duration::ZERO);
        Ok(!self.protocol.divides_by_joining())
    }

    /// Gives signs of life until the question is answered, or, without one, until something changes. A change amid a question
    /// waits for the answer; that we are no longer a member ends it.
    fn beat_until(&mut self, question: Option<u64>) -> Result<Heard, End> {
        let mut changed = None;
        loop {
            if let Some(order) = self.wait(self.beat_at)? {
                if question.is_some_and(|question| order == Order::Done(question)) {
                    return Ok(changed.map_or(Heard::Answer, Heard::Divided));
                }
                continue;
            }
            match self.protocol.beat(&mut self.client, &self.owned) {
                Ok(beat) => {
                    self.pause.succeeded();
                    self.beat_gap = (self.beat_gap * 2).min(self.protocol.interval());
                    self.next_beat_in(self.beat_gap);
                    match beat {
                        Beat::Divided(divided) if question.is_some() => changed = Some(divided),
                        Beat::Divided(divided) => return Ok(Heard::Divided(divided)),
                        Beat::Rebalance if question.is_none() => return Ok(Heard::Rebalance),
                        Beat::Steady | Beat::Rebalance => {}
                    }
                }
                Err(error) => {
                    if self.failed(error)? {
                        return Ok(Heard::Rebalance);
                    }
                    self.beat_at = self.pause.until().unwrap_or(self.beat_at);
                }
            }
        }
    }

    /// Says what failed, and makes the next attempt wait. True: we are no longer a member.
    fn failed(&mut self, error: Error) -> Result<bool, End> {
        let is_lost = is_lost(&error);
        if is_lost {
            self.protocol.forget();
            if !self.owned.is_empty() {
                self.owned.clear();
                let question = self.next_question();
                self.unanswered = Some(question);
                self.tell(News::Lost(question));
            }
        }
        let now = Instant::now();
        // To join again is the cure.
        let failed = if is_lost { self.pause.again(error, now) } else { self.pause.failed(error, now) };
        self.tell(News::Retrying(failed.map_err(End::Failed)?));
        Ok(is_lost)
    }

    /// Waits for an order until then; told to leave, it ends.
    fn wait(&self, until: Instant) -> Result<Option<Order>, End> {
        match self.orders.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(Order::Leave) => Err(End::Leave),
            Ok(order) => Ok(Some(order)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(End::Dropped),
        }
    }

    fn next_question(&mut self) -> u64 {
        self.questions += 1;
        self.questions
    }

    fn next_beat_in(&mut self, wait: Duration) {
        self.beat_at = after(Instant::now(), wait);
    }

    fn tell(&self, news: News) {
        // Nobody listens any more once the consumer is dropped, which ends the next wait.
        let _ = self.news.send(Answer::Group(news));
    }
}

/// Whether the coordinator does not know us any more as who we are: it has given us up, or has never heard of us.
fn is_lost(error: &Error) -> bool {
    matches!(
        error,
        Error::Broker {
            code: ErrorCode::UNKNOWN_MEMBER_ID
                | ErrorCode::ILLEGAL_GENERATION
                | ErrorCode::FENCED_MEMBER_EPOCH
                | ErrorCode::GROUP_ID_NOT_FOUND,
            ..
        }
    )
}
