//! The service loop: poll, decode, store, commit. The only place that knows Kafka, events and the database at once.
//!
//! Order is everything here: a position is stored in SQLite before it is claimed, claimed before it is read from, and a group
//! offset is committed only after the WAL that holds it has been synced.

mod consumer;
mod decode;
mod error;
mod positions;
mod progress;

use std::time::{Duration, Instant};

use kafka::{
    Assignment, Backoff, Consumer, Event, OutOfRange, PartitionRecords, Retrying, Start, TopicId, TopicPartition,
    Truncation,
};
use log::{debug, info, warn};

use consumer::consumer;
use decode::decode;
pub use error::ServiceError;
use positions::Positions;
use progress::Progress;

use crate::backoff::{self, RetryError};
use crate::database::{Database, DatabaseError, DatabaseLock};
use crate::error_chain::ErrorChain;
use crate::repository::PartitionBatch;
use crate::repository::position_change::PositionMove;
use crate::settings::{GroupProtocol, Settings, advice};
use crate::shutdown::{Slept, Stop};
use crate::start::{self, Choice, Claim, Policy, Stored};
use crate::unidentified::UnidentifiedLog;

/// Group offsets are synced and committed at most this often.
const COMMIT_INTERVAL: Duration = Duration::from_secs(1);
/// Idle partitions are committed again this often, as Kafka's own consumer does (`auto.commit.interval.ms`): so a reset of the
/// group's offset is noticed soon, also where no records come, and Kafka never forgets the offsets of a group that seems empty
/// (`offsets.retention.minutes`). It is also the longest time without looking at the clock.
const COMMIT_AGAIN: Duration = Duration::from_secs(5);

/// How long others wait at most for what we have stored of the partitions that they get: then they read it again.
const HANDOVER_PATIENCE: Duration = Duration::from_secs(10);
const HANDOVER_STEP: Duration = Duration::from_millis(200);
const NOT_HANDED_OVER: &str =
    "group offsets were not committed before the partitions are given up, which others may read again";
const NOT_LEFT: &str = "the group was not left in order; others take over when the session times out";

/// Runs the service until it is stopped, fails for good, or, with `exit_at_end`, has reached the end of every partition as
/// first seen.
pub fn run(settings: &Settings, security: kafka::Security, exit_at_end: bool, stop: &Stop) -> Result<(), ServiceError> {
    match Service::open(settings, security, exit_at_end, stop).and_then(Service::read_until_stopped) {
        Err(ServiceError::Database(RetryError::Stopped)) => Ok(()),
        result => result,
    }
}

struct Service<'a> {
    settings: &'a Settings,
    stop: &'a Stop,
    exit_at_end: bool,
    database: Database,
    consumer: Consumer,
    unidentified: UnidentifiedLog,
    positions: Positions,
    progress: Progress,
    /// Text that marks our commits; known once a partition has been assigned.
    claim: String,
    /// When the next commit may be made.
    commit_at: Instant,
    sync_backoff: Backoff,
    /// Given back after the database has been closed.
    _lock: DatabaseLock,
}

impl<'a> Service<'a> {
    fn open(
        settings: &'a Settings,
        security: kafka::Security,
        exit_at_end: bool,
        stop: &'a Stop,
    ) -> Result<Self, ServiceError> {
        let lock = || DatabaseLock::acquire(&settings.database.path);
        let lock = backoff::retry("taking the lock of the database", &settings.retry, stop, lock)?;
        let open = || Database::open(&settings.database, &settings.kafka.group_id);
        let database = backoff::retry("opening the database", &settings.retry, stop, open)?;
        let consumer = consumer(settings, security, database.id())?;
        let waker = consumer.waker();
        stop.on_stop(Box::new(move || waker.wake()));
        for warning in &settings.warnings {
            warn!("{warning}");
        }
        info!(
            database = settings.database.path.display().to_string(), database_id = database.id(),
            group = settings.kafka.group_id; "service started"
        );
        Ok(Self {
            settings,
            stop,
            exit_at_end,
            database,
            consumer,
            unidentified: UnidentifiedLog::new(settings.unidentified_log_file.clone()),
            positions: Positions::default(),
            progress: Progress::new(),
            claim: String::new(),
            commit_at: Instant::now(),
            sync_backoff: Backoff::new(settings.retry),
            _lock: lock,
        })
    }

    fn read_until_stopped(mut self) -> Result<(), ServiceError> {
        let result = self.read();
        // Whatever ended the loop: what is stored may be committed, and what is kept may be written out.
        self.finish();
        result
    }

    fn read(&mut self) -> Result<(), ServiceError> {
        let records_max = self.settings.batch_records_max.get();
        while !self.stop.is_requested() {
            let event = self.consumer.poll(self.patience(), records_max)?;
            self.handle(event)?;
            self.unidentified.advance(&mut self.database);
            self.commit_when_due();
            self.progress.tell_when_due();
            if self.exit_at_end && self.consumer.is_settled() && self.positions.have_reached_ends() {
                info!("reached the end of every partition");
                break;
            }
        }
        Ok(())
    }

    fn handle(&mut self, event: Event) -> Result<(), ServiceError> {
        match event {
            Event::Records(batches) => self.store(&batches)?,
            Event::Assigned(assignments) => self.start(assignments)?,
            Event::Started(partitions) => {
                for at in &partitions {
                    let offset = self.positions.next_offset(at);
                    info!(topic = &*at.topic, partition = at.partition, offset = offset; "partition is being read");
                }
            }
            Event::OutOfRange(range) => self.jump_into_range(&range)?,
            Event::Rebalancing => {
                info!("the group divides its partitions anew");
                self.commit_for_others();
            }
            Event::Truncated(truncation) => self.jump_to_divergence(&truncation)?,
            Event::Revoked(partitions) => self.give_back(&partitions),
            Event::Lost(partitions) => self.forget(&partitions),
            Event::Retrying(Retrying { error, attempt, wait }) => {
                let advice = advice(&error).map(|advice| format!("; {advice}")).unwrap_or_default();
                warn!(attempt = attempt, wait_ms = millis(wait); "{}{advice}; trying again", ErrorChain(&error));
            }
            Event::Idle => {}
        }
        Ok(())
    }

    /// Stores records: one transaction, tried until it succeeds.
    fn store(&mut self, batches: &[PartitionRecords]) -> Result<(), ServiceError> {
        let begun = Instant::now();
        let decoded: Vec<PartitionBatch<'_>> = batches.iter().map(|batch| decode(batch, &self.positions)).collect();
        let database = &mut self.database;
        let applied = backoff::retry("storing a batch", &self.settings.retry, self.stop, || database.apply(&decoded))?;
        for batch in batches {
            self.positions.advance(batch);
        }
        if applied.unidentified > 0 {
            self.unidentified.notice();
        }
        debug!(
            records = batches.iter().map(|batch| batch.records.len()).sum::<usize>(), applied = applied.applied,
            stale = applied.stale, unidentified = applied.unidentified, absent = applied.absent,
            elapsed_ms = millis(begun.elapsed()); "batch stored"
        );
        self.progress.add(applied);
        Ok(())
    }

    /// Chooses where newly assigned partitions start, stores that, claims them.
    fn start(&mut self, assignments: Vec<Assignment>) -> Result<(), ServiceError> {
        let policy = self.policy();
        let mut starts = Vec::with_capacity(assignments.len());
        let mut moves = Vec::new();
        for assignment in assignments {
            let at = &assignment.partition;
            let claim = Claim {
                database_id: self.database.id().to_owned(),
                cluster_id: assignment.cluster_id.as_ref().to_owned(),
            };
            let database = &mut self.database;
            let (stored, topic_known) = backoff::retry("reading positions", &self.settings.retry, self.stop, || {
                Ok::<_, DatabaseError>((database.position(&at.topic, at.partition)?, database.knows_topic(&at.topic)?))
            })?;
            let known = stored.as_ref().map(|row| Stored {
                next_offset: row.next_offset,
                topic_id: &row.topic_id,
                leader_epoch: row.leader_epoch,
            });
            let choice = start::choose(&assignment, known, topic_known, &claim, policy)?;
            self.claim = claim.to_string();
            let topic_id = assignment.topic_id.map(|id| id.to_string()).unwrap_or_default();
            let from = stored.as_ref().map(|row| row.next_offset);
            let (start, change) = choice.act(at, &topic_id, from);
            moves.extend(change);
            self.positions.insert(&start, topic_id, assignment.end_offset);
            starts.push(start);
        }
        self.move_positions(&moves)?;
        self.sync_and_claim(starts)
    }

    /// A position that the leader does not have: an end, or the nearest surviving offset.
    fn jump_into_range(&mut self, range: &OutOfRange) -> Result<(), ServiceError> {
        let choice = start::choose_out_of_range(range, self.policy())?;
        self.jump(choice, &range.partition, range.topic_id, range.position, range.end_offset)
    }

    /// A log that was truncated and written anew: an end, or the point from which on it has other records.
    fn jump_to_divergence(&mut self, truncation: &Truncation) -> Result<(), ServiceError> {
        let choice = start::choose_truncated(truncation, self.policy())?;
        let Truncation { partition, topic_id, position, .. } = truncation;
        self.jump(choice, partition, *topic_id, *position, *position)
    }

    /// Leaves the position where a partition was read.
    fn jump(
        &mut self,
        choice: Choice,
        at: &TopicPartition,
        topic_id: Option<TopicId>,
        from: i64,
        end_offset: i64,
    ) -> Result<(), ServiceError> {
        let topic_id = topic_id.map(|id| id.to_string()).unwrap_or_default();
        let (start, change) = choice.act(at, &topic_id, Some(from));
        self.move_positions(change.as_slice())?;
        self.positions.insert(&start, topic_id, end_offset);
        self.sync_and_claim(vec![start])
    }

    fn move_positions(&mut self, moves: &[PositionMove]) -> Result<(), ServiceError> {
        if moves.is_empty() {
            return Ok(());
        }
        let database = &mut self.database;
        backoff::retry("storing a position", &self.settings.retry, self.stop, || database.move_positions(moves))?;
        for change in moves {
            let level = if start::is_warning(change.reason) { log::Level::Warn } else { log::Level::Info };
            log::log!(
                level, topic = change.topic, partition = change.partition, from_offset = change.from, to_offset = change.to,
                reason = change.reason.as_str(); "position set: {}", change.detail
            );
        }
        Ok(())
    }

    /// What is claimed must survive a power cut, as what is committed.
    fn sync_and_claim(&mut self, starts: Vec<Start>) -> Result<(), ServiceError> {
        let database = &mut self.database;
        backoff::retry("syncing the database", &self.settings.retry, self.stop, || database.sync_wal())?;
        self.consumer.start(starts, &self.claim);
        Ok(())
    }

    /// Partitions that another member gets next: it shall begin where we ended. A stop finishes with them in its own way.
    fn give_back(&mut self, partitions: &[TopicPartition]) {
        self.commit_for_others();
        if !self.stop.is_requested() {
            self.consumer.release(partitions);
            self.forget(partitions);
        }
    }

    /// Commits what is stored, since another member may read on from there; tries again what waiting may cure, unless the service shall
    /// stop.
    fn commit_for_others(&mut self) {
        let deadline = Instant::now() + HANDOVER_PATIENCE;
        loop {
            self.commit();
            // In short steps, as a stop must not wait for it.
            let problem = match self.consumer.flush(HANDOVER_STEP) {
                Ok(true) if !self.positions.have_changed() => return,
                flushed => flushed.err(),
            };
            let is_hopeless = problem.as_ref().is_some_and(|error| !error.is_retriable());
            if is_hopeless || Instant::now() >= deadline {
                let why = problem.map_or("not confirmed in time".to_owned(), |error| ErrorChain(&error).to_string());
                return warn!("{NOT_HANDED_OVER}: {why}");
            }
            if self.stop.sleep(HANDOVER_STEP) == Slept::Stopped {
                return;
            }
        }
    }

    fn forget(&mut self, partitions: &[TopicPartition]) {
        for at in partitions {
            info!(topic = &*at.topic, partition = at.partition; "partition is no longer read");
            self.positions.remove(at);
        }
    }

    /// How long the next poll may wait.
    fn patience(&self) -> Duration {
        let commit = self.positions.have_changed().then(|| self.commit_at.saturating_duration_since(Instant::now()));
        [commit, self.progress.due_in(), self.unidentified.due_in()].into_iter().flatten().min().unwrap_or(COMMIT_AGAIN)
    }

    fn commit_when_due(&mut self) {
        if self.positions.have_changed() && Instant::now() >= self.commit_at {
            self.commit();
        }
        // Nobody else can commit for a group that has members, and it forgets nothing of what they read.
        if self.settings.kafka.group_protocol == GroupProtocol::None {
            let idle = self.positions.take_idle(COMMIT_AGAIN);
            if !idle.is_empty() {
                self.consumer.commit(idle, &self.claim);
            }
        }
    }

    /// Syncs what is stored, then hands its offsets to the consumer.
    fn commit(&mut self) {
        let wait = match self.database.sync_wal() {
            Ok(()) => {
                self.consumer.commit(self.positions.take_changed(), &self.claim);
                self.sync_backoff.reset();
                COMMIT_INTERVAL
            }
            // Nothing is lost: the offsets stay marked as changed.
            Err(error) => {
                let wait = self.sync_backoff.next_wait().unwrap_or(self.settings.retry.max).max(COMMIT_INTERVAL);
                warn!(
                    attempt = self.sync_backoff.attempt(), wait_ms = millis(wait);
                    "group offsets wait, since the database cannot be synced: {}", ErrorChain(&error)
                );
                wait
            }
        };
        self.commit_at = Instant::now() + wait;
    }

    fn commit_and_wait(&mut self) {
        self.commit();
        // Half of the time to stop: the rest is for whoever waits for us to end.
        match self.consumer.flush(self.settings.shutdown_timeout / 2) {
            Ok(true) => {}
            Ok(false) => {
                warn!("the broker did not confirm the group offsets in time; the next start commits them again");
            }
            Err(error) => warn!("group offsets were not committed, the next start does: {}", ErrorChain(&error)),
        }
    }

    fn finish(&mut self) {
        self.commit_and_wait();
        self.leave_group();
        self.unidentified.finish(&mut self.database, Instant::now() + self.settings.shutdown_timeout / 4);
        self.progress.tell();
        info!("service stopped");
    }

    /// Others take over at once, and an operator can reset the offsets of a group that is empty then. A static member that was named as one
    /// stays a member until its session times out.
    fn leave_group(&mut self) {
        let kafka = &self.settings.kafka;
        if kafka.group_protocol == GroupProtocol::Classic && kafka.group_instance_id.is_some() {
            return;
        }
        match self.consumer.leave(self.settings.shutdown_timeout / 8) {
            Ok(true) => {}
            Ok(false) => warn!("{NOT_LEFT}: the broker did not answer in time"),
            Err(error) => warn!("{NOT_LEFT}: {}", ErrorChain(&error)),
        }
    }

    fn policy(&self) -> Policy {
        Policy {
            reset: self.settings.kafka.auto_offset_reset,
            fail_on_data_loss: self.settings.fail_on_data_loss,
            exclusive: self.settings.kafka.group_protocol == GroupProtocol::None,
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
