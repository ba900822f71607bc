//! The consumer: reads topics, alone or as a member of a group, and returns one event at a time.
//!
//! All network I/O is done by threads that own their connections: one for each broker that is fetched from, one for the membership in the
//! group, one for everything else (`control`). They send [messages](message) to the consumer, which runs on its user's thread, blocks only
//! in [`Consumer::poll`], [`Consumer::flush`] and [`Consumer::leave`], and makes all decisions. Each of its parts owns its state:
//!
//! | part | owns |
//! |---|---|
//! | [`partitions`] | the partitions and their [phases](partition) |
//! | [`topology`] | metadata, and when it is requested |
//! | [`fetcher`] | brokers, memory, order of fetching and delivery |
//! | [`commits`] | offsets that wait to be committed |
//! | [`membership`] | the assignment, and which acknowledgements the group waits for |
//!
//! Must not know what records mean or where they are stored.

mod commits;
mod config;
mod control;
mod dispatch;
mod event;
mod event_queue;
mod fetcher;
mod group;
mod holds;
mod membership;
mod message;
mod partition;
mod partitions;
mod pause;
mod publish;
mod response_hold;
#[cfg(test)]
mod tests;
mod token;
mod topology;
mod validation;
mod waiting;

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

pub use config::{BUFFER_BYTES_MAX_DEFAULT, Builder, FETCH_BYTES_MAX_DEFAULT, GroupProtocol};
pub use event::{
    Assignment, Event, Holder, OffsetPosition, OutOfRange, PartitionRecords, Retrying, Revocation, Truncation,
    WaitReason, Waiting,
};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use group::fuzzing;
pub use token::{Acknowledgement, StartToken};

use commits::Commits;
use control::ControlThread;
use event_queue::EventQueue;
use fetcher::Fetcher;
use membership::{Acknowledged, Membership};
use message::Message;
use partition::Partition;
use partitions::Partitions;
use pause::{Pause, after};
use topology::Topology;

use crate::budget::Budget;
use crate::error::Result;
use crate::types::{Address, TopicPartition};

/// The bytes of an ordinary record: a poll for many records returns as many bytes for each, up to twice those of a fetch.
const RECORD_BYTES_ORDINARY: usize = 400;

/// How long the group's thread may take to leave, before the control thread does it in its place.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);

impl Builder {
    /// Checks the settings and starts the consumer; it connects to no broker before the first [`poll`](Consumer::poll).
    pub fn create(self) -> Result<Consumer> {
        Consumer::new(self.checked()?)
    }
}

/// Reads topics. See [`Event`] for what it returns, and the module for how it works.
pub struct Consumer {
    config: Builder,
    received: Receiver<Message>,
    messages: Sender<Message>,
    events: EventQueue,
    control: ControlThread,
    topology: Topology,
    partitions: Partitions,
    fetcher: Fetcher,
    commits: Commits,
    membership: Membership,
    /// When the statistics were stored last.
    published_at: Option<Instant>,
}

impl Consumer {
    /// Starts to describe a consumer that finds its cluster through any of these brokers.
    pub fn from_hosts(hosts: Vec<Address>) -> Builder {
        Builder::new(hosts)
    }

    fn new(config: Builder) -> Result<Self> {
        let (messages, received) = channel();
        let freed = messages.clone();
        // A dropped consumer needs no memory.
        let budget = Budget::new(to_usize(config.buffer_bytes_max), move || drop(freed.send(Message::Nudge)));
        Ok(Self {
            received,
            messages,
            events: EventQueue::default(),
            control: ControlThread::start(&config)?,
            topology: Topology::new(config.metadata_age_max, config.retry),
            partitions: Partitions::new(config.retry, config.validates_leader_epochs),
            fetcher: Fetcher::new(budget),
            commits: Commits::new(config.retry),
            membership: Membership::new(&config.group_protocol, config.retry),
            published_at: None,
            config,
        })
    }

    /// A handle that ends a [`poll`](Self::poll) from another thread.
    pub fn waker(&self) -> Waker {
        Waker(self.messages.clone())
    }

    /// Waits for the next event, at most for `timeout`. Returns at most `records_max` records at once, fewer if they are
    /// large; the next fetch is sent before they are returned. The consumer may be polled before the user has handled the
    /// events of earlier polls: no records are returned of a partition that waits for its start position or that has been revoked.
    ///
    /// An error is final: a failure that a retry may cure is an [`Event::Retrying`].
    pub fn poll(&mut self, timeout: Duration, records_max: usize) -> Result<Event> {
        let deadline = after(Instant::now(), timeout);
        if self.events.is_empty() {
            self.membership.rejoin_after_loss();
        }
        loop {
            while let Ok(message) = self.received.try_recv() {
                self.handle(message)?;
            }
            let now = Instant::now();
            self.publish_when_due(now);
            if let Some(waiting) = self.membership.take_reminder(now) {
                self.events.emit(Event::Waiting(waiting));
            }
            if let Some(event) = self.events.pop() {
                return event;
            }
            let records = self.take_records(records_max, now);
            self.fetcher.send(&self.config, &self.partitions, &self.messages, now)?;
            self.send_requests(now)?;
            if !records.is_empty() {
                return Ok(Event::Records(records));
            }
            if now >= deadline {
                return Ok(Event::Idle);
            }
            self.handle_next(self.next_timer(now).map_or(deadline, |timer| timer.min(deadline)))?;
        }
    }

    /// Whether every assigned partition is read from a position that its leader has: only new partitions, or another assignment, can
    /// change what is read.
    pub fn is_settled(&self) -> bool {
        self.config.topics.iter().all(|topic| self.topology.has_seen(topic))
            && self.membership.is_settled(|at| self.partitions.contains(at))
            && self.partitions.values().all(Partition::is_reading)
    }

    /// Starts assigned partitions. The consumer first claims each by a commit of its offset with `metadata`. It reads the partition once
    /// the coordinator has accepted that commit, and the leader has confirmed the leader epoch, if one is given. If another program commits
    /// in between, the partition is [lost](Event::Lost) and [assigned](Event::Assigned) again. A position has no effect unless its token is
    /// that of the partition's last event with one.
    pub fn start(&mut self, starts: Vec<OffsetPosition>, metadata: &str) {
        for start in starts {
            if let Some(claim) = self.partitions.start(&start, metadata) {
                self.commits.add(start.partition, claim);
            }
        }
    }

    /// Commits positions, each the next offset to read, with a text that marks the commits of this program. Does not wait: the newest
    /// position of a partition replaces one that is not in flight yet. A position has no effect unless its token is that of the partition's
    /// last start.
    ///
    /// In a group without members, the committed offset is requested before each commit. If its metadata is another text, another program
    /// has set it on purpose: it is not overwritten, and the partition is [lost](Event::Lost) and [assigned](Event::Assigned) again.
    pub fn commit(&mut self, positions: Vec<OffsetPosition>, metadata: &str) {
        for position in positions {
            let partition = self.partitions.get(&position.partition);
            if let Some(commit) = partition.and_then(|partition| partition.commit(&position, metadata)) {
                self.commits.add(position.partition, commit);
            }
        }
    }

    /// Waits until all [commits](Self::commit) have been accepted, at most for `timeout`; true if they have. A failure is returned at
    /// once, not retried. Events that happen meanwhile are kept for [`poll`](Self::poll).
    pub fn flush(&mut self, timeout: Duration) -> Result<bool> {
        self.commits.begin_flush();
        let flushed = self.flush_until(after(Instant::now(), timeout));
        self.commits.end_flush();
        flushed
    }

    fn flush_until(&mut self, deadline: Instant) -> Result<bool> {
        while !self.commits.are_done() {
            let now = Instant::now();
            if now >= deadline {
                return Ok(false);
            }
            if !self.control.is_busy() && self.commits.pause.is_over(now) {
                self.request_commit(|_| true)?;
            }
            let retry_at = self.commits.pause.until().filter(|until| *until > now);
            self.handle_next(retry_at.map_or(deadline, |retry_at| retry_at.min(deadline)))?;
            if let Some(failure) = self.commits.take_flush_failure() {
                return Err(failure);
            }
        }
        Ok(true)
    }

    /// Says that the user has finished with an event. After [`Event::Rebalancing`] the member rejoins; after [`Event::Revoked`] the
    /// partitions are released to their next owner, and their commits that are not accepted yet are dropped. An
    /// acknowledgement that the group no longer waits for, as after the membership was lost, has no effect.
    ///
    /// Heartbeats go on until the acknowledgement comes, for as long as a rebalance may take (one minute, the member's rebalance timeout).
    /// After that the member stops them, as Kafka's own consumer does after `max.poll.interval.ms`: all its partitions are
    /// [lost](Event::Lost), and it rejoins with the next [`poll`](Self::poll) after that event. So a user that hangs does not keep
    /// partitions from members that go on.
    pub fn acknowledge(&mut self, acknowledgement: Acknowledgement) {
        if self.membership.acknowledge(acknowledgement) == Acknowledged::Revocation {
            let revoked = self.partitions.select(|_, partition| partition.is_revoked());
            self.remove(&revoked);
        }
    }

    /// Leaves the group, so that others take over at once; a static member of the consumer protocol stays one until its session times
    /// out. Called after the last commit: none can follow. True if the group was left in time.
    pub fn leave(&mut self, timeout: Duration) -> Result<bool> {
        if !self.membership.leave() {
            return Ok(true);
        }
        let deadline = after(Instant::now(), timeout);
        let has_left = |consumer: &Self| consumer.membership.has_ended();
        self.handle_until(has_left, deadline.min(after(Instant::now(), LEAVE_TIMEOUT)))?;
        // The thread may be waiting for other members to join, which only ends when this one is removed.
        if let GroupProtocol::Classic { instance_id, .. } = self.config.group_protocol.clone() {
            self.handle_until(|consumer| has_left(consumer) || !consumer.control.is_busy(), deadline)?;
            if !has_left(self) && !self.control.is_busy() {
                self.request_leave(instance_id)?;
            }
        }
        self.handle_until(has_left, deadline)?;
        Ok(has_left(self))
    }

    /// Handles messages until `is_done`, at most until the deadline.
    fn handle_until(&mut self, is_done: impl Fn(&Self) -> bool, deadline: Instant) -> Result<()> {
        while !is_done(self) && Instant::now() < deadline {
            self.handle_next(deadline)?;
        }
        Ok(())
    }

    /// Waits for one message, at most until the deadline, and handles it.
    fn handle_next(&mut self, deadline: Instant) -> Result<()> {
        match self.received.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(message) => self.handle(message),
            // The consumer has a sender itself, so there is always one.
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Ok(()),
        }
    }

    fn take_records(&mut self, records_max: usize, now: Instant) -> Vec<PartitionRecords> {
        if self.membership.held_by(now).is_some() {
            return Vec::new();
        }
        let fetch = to_usize(self.config.fetch_bytes_max);
        // The memory for fetched data holds two such reads and the responses that they come from.
        let most = fetch.saturating_mul(2).min(to_usize(self.config.buffer_bytes_max) / 4);
        let limits = (records_max, records_max.saturating_mul(RECORD_BYTES_ORDINARY).min(most).max(fetch));
        self.fetcher.take_records(limits, &mut self.partitions, (&mut self.topology, &mut self.events), now)
    }

    /// The next time at which there is work without a message.
    fn next_timer(&self, now: Instant) -> Option<Instant> {
        let partitions = self.partitions.values().map(|partition| &partition.pause);
        let parts = [&self.commits.pause, &self.partitions.pause, &self.topology.pause];
        let pauses = partitions.chain(parts).filter_map(Pause::until);
        let timers = pauses.chain(self.fetcher.timers()).chain(self.membership.timers());
        timers.chain([self.metadata_due_at(now)]).filter(|at| *at > now).min()
    }

    fn metadata_due_at(&self, now: Instant) -> Instant {
        self.topology.due_at(self.fetcher.is_any_late(now))
    }

    fn remove(&mut self, partitions: &[TopicPartition]) {
        for at in partitions {
            self.partitions.remove(at);
            self.commits.remove(at);
            self.config.connection.statistics.remove(at);
        }
    }
}

fn to_usize(bytes: u32) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// Ends a [`Consumer::poll`] from another thread; cheap to clone.
#[derive(Clone, Debug)]
pub struct Waker(Sender<Message>);

impl Waker {
    /// Has the running poll, or else the next one, return [`Event::Idle`].
    pub fn wake(&self) {
        // A dropped consumer does not wait either.
        let _ = self.0.send(Message::Wake);
    }

    /// Has the running poll, or else the next one, check for work. Called after records were dropped on another thread than the
    /// consumer's: until then their response delays the next fetch.
    pub fn nudge(&self) {
        // As above.
        let _ = self.0.send(Message::Nudge);
    }
}
