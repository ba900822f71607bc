//! A member's life, on its thread: joins, gives signs of life, tells what happened, asks and waits for answers. Must not know what
//! the requests of its protocol are.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use super::{Beat, Divided, Division, Handover, News, Order, Protocol, says_no_member};
use crate::backoff::RetryPolicy;
use crate::client::Client;
use crate::consumer::Answer;
use crate::consumer::event::{WaitReason, Waiting};
use crate::consumer::pause::{Pause, after};
use crate::error::{Error, ErrorCode};
use crate::types::TopicPartition;

/// Time to the first sign of life after a division; it doubles from there to what the protocol takes. One division is often followed by
/// another, in which somebody gets what somebody else has given up; and a member hears of it with its next sign of life only.
const FIRST_BEAT: Duration = Duration::from_millis(100);

/// How often leaving the group is tried, and the time between two attempts: together less than a stop may take.
const LEAVE_ATTEMPTS_MAX: u32 = 4;
const LEAVE_PAUSE: Duration = Duration::from_millis(100);

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

/// What the thread has.
pub(super) struct Task {
    client: Client,
    protocol: Box<dyn Protocol>,
    orders: Receiver<Order>,
    news: Sender<Answer>,
    pause: Pause,
    /// What we have and have not given up.
    owned: BTreeSet<TopicPartition>,
    /// How long the user may take to acknowledge a question.
    rebalance_timeout: Duration,
    /// How many questions the consumer has been asked: the number of the last one.
    questions: u64,
    /// The question that has to be answered before we join again.
    unanswered: Option<u64>,
    /// The consumer wants to know whether the coordinator still accepts our heartbeats.
    verification: Option<u64>,
    beat_at: Instant,
    /// Time between the last sign of life and the next one.
    beat_gap: Duration,
}

impl Task {
    pub(super) fn new(
        client: Client,
        protocol: Box<dyn Protocol>,
        (retry, rebalance_timeout): (RetryPolicy, Duration),
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
            rebalance_timeout,
            questions: 0,
            unanswered: None,
            verification: None,
            beat_at: Instant::now(),
            beat_gap: Duration::ZERO,
        }
    }

    pub(super) fn run(mut self) {
        let Err(end) = self.live();
        match end {
            End::Leave => {
                self.leave();
                self.tell(News::Left);
            }
            End::Dropped => {}
            End::Failed(error) => self.tell(News::Failed(error)),
        }
    }

    /// A coordinator that has just moved, or is loading the group, accepts it soon.
    fn leave(&mut self) {
        for attempt in 1..=LEAVE_ATTEMPTS_MAX {
            match self.protocol.leave(&mut self.client) {
                Ok(()) => return,
                // Nobody waits for one that is no member.
                Err(error) if says_no_member(&error) => return,
                Err(error) if error.is_retriable() && attempt < LEAVE_ATTEMPTS_MAX => {
                    log::debug!("the group was not left: {error}; trying again");
                    if let Err(RecvTimeoutError::Disconnected) = self.orders.recv_timeout(LEAVE_PAUSE) {
                        return;
                    }
                }
                Err(error) => {
                    log::warn!(
                        "the consumer group was not left; its partitions are reassigned when the session times out: {error}"
                    );
                    return;
                }
            }
        }
    }

    fn live(&mut self) -> Result<Infallible, End> {
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

    /// Before we join again: what we have may be gone right after, so the user finishes with it first. If all is lost meanwhile, or was
    /// before, it goes on from that first.
    fn prepare(&mut self) -> Result<(), End> {
        if self.protocol.divides_by_joining() && !self.owned.is_empty() {
            let question = self.next_question();
            self.tell(News::Rebalancing(question));
            self.beat_until(Some(question))?;
        }
        if let Some(question) = self.unanswered.take() {
            while self.wait(after(Instant::now(), Duration::MAX))? != Some(Order::Done(question)) {}
        }
        Ok(())
    }

    fn join(&mut self) -> Result<Divided, End> {
        if self.owned.is_empty() {
            self.tell_waiting(WaitReason::Rebalance);
        }
        loop {
            match self.protocol.join(&mut self.client, &self.owned) {
                Ok(divided) => {
                    self.pause.succeeded();
                    return Ok(divided);
                }
                // The group has changed again before it was divided: nothing has failed.
                Err(Error::Broker { code: ErrorCode::REBALANCE_IN_PROGRESS, .. }) => self.wait_all(FIRST_BEAT)?,
                Err(error) => {
                    if self.failed(error)? {
                        self.prepare()?;
                    }
                    if let Some(until) = self.pause.until() {
                        self.wait_all(until.saturating_duration_since(Instant::now()))?;
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
        if divided.partitions.is_empty() {
            self.tell_waiting(WaitReason::Standby);
        }
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
    /// waits for the answer; that we are no longer a member ends it, and so does the rebalance timeout, as `max.poll.interval.ms` ends the
    /// membership of Kafka's own consumer: a user that hangs must not keep partitions from members that go on.
    fn beat_until(&mut self, question: Option<u64>) -> Result<Heard, End> {
        let mut changed = None;
        let deadline = question.map(|_| after(Instant::now(), self.rebalance_timeout));
        loop {
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                log::warn!(
                    "the rebalance was not acknowledged within the rebalance timeout; the member leaves the group until the next poll"
                );
                self.lose();
                return Ok(Heard::Rebalance);
            }
            match self.wait(deadline.map_or(self.beat_at, |deadline| deadline.min(self.beat_at)))? {
                Some(Order::Done(done)) if question == Some(done) => {
                    return Ok(changed.map_or(Heard::Answer, Heard::Divided));
                }
                Some(Order::Verify(number)) => self.verify(number),
                Some(Order::Done(_) | Order::Leave) | None => {}
            }
            if self.beat_at > Instant::now() {
                continue;
            }
            match self.protocol.beat(&mut self.client, &self.owned) {
                Ok(beat) => {
                    self.pause.succeeded();
                    if let Some(number) = self.verification.take() {
                        self.tell(News::Verified(number));
                    }
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

    fn tell_waiting(&mut self, reason: WaitReason) {
        let holders = self.protocol.holders(&mut self.client);
        self.tell(News::Waiting(Waiting { reason, holders }));
    }

    /// Ends the membership: nothing is owned any more.
    fn lose(&mut self) {
        self.protocol.forget();
        self.verification = None;
        if !self.owned.is_empty() {
            self.owned.clear();
            let question = self.next_question();
            self.unanswered = Some(question);
            self.tell(News::Lost(question));
        }
    }

    /// Says what failed, and makes the next attempt wait. True: we are no longer a member.
    fn failed(&mut self, error: Error) -> Result<bool, End> {
        let is_lost = says_no_member(&error);
        if is_lost {
            self.lose();
        }
        let now = Instant::now();
        let failed =
            if is_lost || is_passing(&error) { self.pause.again(error, now) } else { self.pause.failed(error, now) };
        self.tell(News::Retrying(failed.map_err(End::Failed)?));
        Ok(is_lost)
    }

    /// The next heartbeat is due at once, unless the last one failed and has to wait. Another broker may coordinate the group by now.
    fn verify(&mut self, number: u64) {
        self.verification = Some(number);
        self.client.forget_coordinator();
        self.beat_at = self.pause.until().unwrap_or_else(Instant::now);
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

    /// Waits for so long, whatever is ordered but to leave.
    fn wait_all(&self, wait: Duration) -> Result<(), End> {
        let until = after(Instant::now(), wait);
        while self.wait(until)?.is_some() {}
        Ok(())
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

/// Whether what the group refuses is cured by the group itself: it is rebalancing, or it is full, until a member leaves or its session
/// times out, which may be that of this very member before it was killed.
fn is_passing(error: &Error) -> bool {
    let Error::Broker { code, .. } = error else { return false };
    matches!(*code, ErrorCode::REBALANCE_IN_PROGRESS | ErrorCode::GROUP_MAX_SIZE_REACHED)
}
