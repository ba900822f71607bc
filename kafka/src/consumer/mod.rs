//! The consumer: takes part in reading topics and says what happened, one event at a time.
//!
//! All network I/O is done by threads that own their connections: one for each broker that is fetched from, one for everything
//! else (`control`). The consumer itself runs on its user's thread, never blocks but in [`Consumer::poll`] and
//! [`Consumer::flush`], and decides everything. Knows nothing of what records mean or where they are kept.

mod assignment;
mod broker;
mod builder;
mod commits;
mod control;
mod event;
mod fetching;
mod group;
mod holds;
mod membership;
mod partition;
mod pause;
#[cfg(test)]
mod tests;
mod token;
mod validation;
mod waiting;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

pub use builder::{BUFFER_BYTES_MAX_DEFAULT, Builder, FETCH_BYTES_MAX_DEFAULT};
pub use event::{
    Assignment, Event, Holder, OffsetPosition, OutOfRange, PartitionRecords, Retrying, Revocation, Truncation,
    WaitReason, Waiting,
};
pub use group::GroupProtocol;
pub use token::{Acknowledgement, StartToken};

use broker::Broker;
use commits::Commit;
use control::{CommitOutcome, Control, Facts};
use group::News;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use group::fuzzing;
use membership::Sharing;
use partition::{Partition, Phase};
use pause::{Pause, after};
use token::StartTokens;

use crate::budget::Budget;
use crate::client::EpochEnds;
use crate::error::{Error, Result};
use crate::protocol::{FetchRequest, FetchResponse, Metadata, OffsetForLeaderPartition};
use crate::types::{Address, Member, TopicPartition};
use crate::worker::Worker;

/// What the threads, and wakers, send to the consumer.
enum Answer {
    /// A waker was called.
    Wake,
    /// A waker was called that ends no wait: there may be something to do.
    Nudge,
    /// The cluster as it is now.
    Metadata(Result<Metadata>),
    /// What is known of partitions of [`Phase::New`].
    Facts(Result<Vec<Facts>>),
    /// What the leaders hold of partitions of [`Phase::OutOfRange`].
    LogOffsets(Result<Vec<Facts>>),
    /// What the leaders hold of what was read of partitions of [`Phase::Validating`].
    EpochEnds { questions: Vec<OffsetForLeaderPartition>, result: Result<EpochEnds> },
    /// What came of a commit.
    Committed {
        commits: BTreeMap<TopicPartition, Commit>,
        /// As whom they were made.
        member: Option<Member>,
        result: Result<Vec<(TopicPartition, CommitOutcome)>>,
    },
    /// What happened in the group.
    Group(News),
    /// The control thread has left the group in our name.
    Left(Result<()>),
    /// A fetch has ended.
    Fetched { broker: i32, serial: u64, request: FetchRequest, result: Result<FetchResponse> },
}

/// Reads topics. See [`Event`] for what it tells, and the module for how it works.
pub struct Consumer {
    config: Builder,
    answers: Receiver<Answer>,
    answers_to: Sender<Answer>,
    events: VecDeque<Result<Event>>,

    control: Worker<Control>,
    /// The control thread does one thing at a time, so that a commit never queues behind what became useless meanwhile.
    control_under_way: bool,
    metadata_pause: Pause,
    facts_pause: Pause,
    commit_pause: Pause,

    /// Who else reads, and what is ours.
    sharing: Sharing,
    cluster_id: Arc<str>,
    metadata_asked: Instant,
    metadata_due: Instant,
    /// How often metadata has come.
    metadata_serial: u64,
    /// Topics that metadata has shown, with all their partitions.
    topics_seen: BTreeSet<Arc<str>>,
    /// Topics that metadata refuses, or whose partitions have no leader, and when that is worth another word.
    topics_failing: BTreeMap<Arc<str>, Pause>,
    partitions: BTreeMap<TopicPartition, Partition>,
    brokers: BTreeMap<i32, Broker>,
    broker_serial: u64,
    /// The memory for responses and decompressed batches.
    budget: Budget,
    /// The partition whose next batch there was no memory for: it is the first to get some.
    without_memory: Option<TopicPartition>,
    tokens: StartTokens,
    /// The partition that the last records were first taken from.
    read_first: Option<TopicPartition>,

    /// Commits that wait for the control thread.
    commits_pending: BTreeMap<TopicPartition, Commit>,
    /// Whether the control thread is at a commit.
    commits_under_way: bool,
    /// Whether somebody waits for commits, and why one of them failed meanwhile.
    flushing: bool,
    flush_failure: Option<Error>,
}

impl Consumer {
    /// Starts to describe a consumer that finds its cluster through any of these brokers.
    pub fn from_hosts(hosts: Vec<Address>) -> Builder {
        Builder::new(hosts)
    }

    fn new(config: Builder) -> Result<Self> {
        let (answers_to, answers) = channel();
        let freed = answers_to.clone();
        Ok(Self {
            // A consumer that is gone needs no memory.
            budget: Budget::new(to_usize(config.buffer_bytes_max), move || drop(freed.send(Answer::Nudge))),
            without_memory: None,
            control: Worker::spawn("kafka-control", Control::new(&config))?,
            sharing: Sharing::new(&config.group_protocol, config.retry),
            control_under_way: false,
            metadata_pause: Pause::new(config.retry),
            facts_pause: Pause::new(config.retry),
            commit_pause: Pause::new(config.retry),
            answers,
            answers_to,
            events: VecDeque::new(),
            cluster_id: Arc::from(""),
            metadata_asked: Instant::now(),
            metadata_due: Instant::now(),
            metadata_serial: 0,
            topics_seen: BTreeSet::new(),
            topics_failing: BTreeMap::new(),
            partitions: BTreeMap::new(),
            brokers: BTreeMap::new(),
            broker_serial: 0,
            tokens: StartTokens::default(),
            read_first: None,
            commits_pending: BTreeMap::new(),
            commits_under_way: false,
            flushing: false,
            flush_failure: None,
            config,
        })
    }

    /// A handle that ends a [`poll`](Self::poll) from another thread.
    pub fn waker(&self) -> Waker {
        Waker(self.answers_to.clone())
    }

    /// Waits until something happens, at most for `timeout`. Gives at most `records_max` records at once, fewer if they are
    /// large; while the user is busy with them, the next fetch is on the wire. The consumer may be polled before the user has handled the
    /// events of earlier polls: no records come of a partition that waits for its start position or that has been revoked.
    ///
    /// An error is final: what waiting may cure is an [`Event::Retrying`].
    pub fn poll(&mut self, timeout: Duration, records_max: usize) -> Result<Event> {
        let deadline = after(Instant::now(), timeout);
        self.rejoin_after_loss();
        loop {
            while let Ok(answer) = self.answers.try_recv() {
                self.handle(answer)?;
            }
            let now = Instant::now();
            let reminder = self.sharing.take_reminder(now);
            self.events.extend(reminder.map(|waiting| Ok(Event::Waiting(waiting))));
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            let records = self.take_records(records_max, now);
            self.send_fetches(now)?;
            self.give_control_work(now)?;
            if !records.is_empty() {
                return Ok(Event::Records(records));
            }
            if now >= deadline {
                return Ok(Event::Idle);
            }
            let wait =
                self.next_timer(now).map_or(deadline, |timer| timer.min(deadline)).saturating_duration_since(now);
            match self.answers.recv_timeout(wait) {
                Ok(answer) => self.handle(answer)?,
                // We hold a sender ourselves, so there is always one.
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
    }

    /// Whether every partition of every topic has been assigned and started, where the leader has such a position: nothing more is
    /// to come but new partitions.
    pub fn is_settled(&self) -> bool {
        self.config.topics.iter().all(|topic| self.topics_seen.contains(topic))
            && self.is_division_settled()
            && self.partitions.values().all(|partition| partition.phase == Phase::Reading && !partition.is_beyond_end)
    }

    fn handle(&mut self, answer: Answer) -> Result<()> {
        let now = Instant::now();
        match answer {
            Answer::Wake => self.events.push_back(Ok(Event::Idle)),
            Answer::Nudge => {}
            Answer::Metadata(result) => match self.control_answered(result) {
                Ok(metadata) => {
                    self.metadata_pause.succeeded();
                    self.take_metadata(metadata, now)?;
                }
                Err(error) => {
                    self.metadata_due = now;
                    let failed = self.metadata_pause.failed(error, now);
                    self.tell_retrying(failed)?;
                }
            },
            Answer::Facts(result) => match self.control_answered(result) {
                Ok(facts) => self.announce(facts, now)?,
                Err(error) => self.facts_failed(error, now)?,
            },
            Answer::LogOffsets(result) => match self.control_answered(result) {
                Ok(facts) => self.confirm_out_of_range(facts, now)?,
                Err(error) => self.facts_failed(error, now)?,
            },
            Answer::EpochEnds { questions, result } => match self.control_answered(result) {
                Ok(ends) => self.take_epoch_ends(&questions, ends, now)?,
                Err(error) => self.facts_failed(error, now)?,
            },
            Answer::Committed { commits, member, result } => {
                self.commits_under_way = false;
                match self.control_answered(result) {
                    Ok(outcomes) => self.take_outcomes(commits, outcomes, member.as_ref(), now)?,
                    Err(error) => {
                        self.commit_again(commits);
                        self.commit_failed(error, now)?;
                    }
                }
            }
            Answer::Group(news) => self.take_news(news, now),
            Answer::Left(result) => self.left_by_control(result),
            Answer::Fetched { broker, serial, request, result } => {
                self.take_fetch(broker, serial, &request, result, now)?;
            }
        }
        Ok(())
    }

    /// The control thread is free again.
    fn control_answered<T>(&mut self, result: T) -> T {
        self.control_under_way = false;
        result
    }

    fn facts_failed(&mut self, error: Error, now: Instant) -> Result<()> {
        self.metadata_due = now;
        let failed = self.facts_pause.failed(error, now);
        self.tell_retrying(failed)
    }

    /// A failure that waiting may cure becomes an event.
    fn tell_retrying(&mut self, failed: Result<Retrying>) -> Result<()> {
        self.events.push_back(Ok(Event::Retrying(failed?)));
        Ok(())
    }

    /// Gives the control thread the most urgent thing to do, if it is free.
    fn give_control_work(&mut self, now: Instant) -> Result<()> {
        if !self.control_under_way {
            // A partition without leader may belong to a topic that was deleted: its commit would be refused, and hold up others.
            self.control_under_way = (self.commit_pause.is_over(now)
                && self.ask_commit(|partition| partition.leader.is_some())?)
                || (self.facts_pause.is_over(now) && (self.ask_log_offsets(now)? || self.ask_epoch_ends(now)?))
                || (self.metadata_due(now) <= now && self.metadata_pause.is_over(now) && self.ask_metadata(now)?)
                || (self.facts_pause.is_over(now) && self.ask_facts(now)?);
        }
        Ok(())
    }

    /// Runs a job on the control thread.
    fn ask(&self, job: impl FnOnce(&mut Control) -> Answer + Send + 'static) -> Result<bool> {
        self.control.run(&self.answers_to, job)?;
        Ok(true)
    }

    /// When something is to be done that no answer will remind us of.
    fn next_timer(&self, now: Instant) -> Option<Instant> {
        let brokers = self.brokers.values().filter(|broker| !broker.is_fetching()).map(|broker| &broker.pause);
        let partitions = self.partitions.values().map(|partition| &partition.pause);
        let control = [&self.commit_pause, &self.facts_pause, &self.metadata_pause];
        let pauses = brokers.chain(partitions).chain(control).filter_map(Pause::until);
        let late = self.brokers.values().filter_map(Broker::late_at);
        pauses.chain(late).chain([self.metadata_due(now)]).chain(self.sharing.timers()).filter(|at| *at > now).min()
    }

    /// A failure of one partition: it waits, and metadata is asked again, for its leader may have moved.
    fn partition_failed(&mut self, partition: &TopicPartition, error: Error, now: Instant) -> Result<()> {
        if let Some(state) = self.partitions.get_mut(partition) {
            let failed = state.pause.failed(error, now);
            self.metadata_due = now;
            self.tell_retrying(failed)?;
        }
        Ok(())
    }
}

fn to_usize(bytes: u32) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// Ends a [`Consumer::poll`] from another thread; cheap to clone.
#[derive(Clone, Debug)]
pub struct Waker(Sender<Answer>);

impl Waker {
    /// Makes the running poll, or else the next one, return [`Event::Idle`].
    pub fn wake(&self) {
        // A consumer that is gone does not sleep either.
        let _ = self.0.send(Answer::Wake);
    }

    /// Lets the running poll, or else the next one, look around, as after records have been dropped on another thread than the consumer's:
    /// until then their response holds up the next fetch.
    pub fn nudge(&self) {
        // As above.
        let _ = self.0.send(Answer::Nudge);
    }
}
