//! The committer: owns the offsets and decides when they are synced and committed. No offset is committed before the
//! database is synced up to it. Must not know how records are stored.
//!
//! A commit has two steps, between which the loop goes on: the database begins a sync of what is stored; when that has
//! succeeded, the synced offsets are handed to the consumer. Before partitions are given to another member, and at the
//! end, both steps are waited for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka::{Backoff, TopicPartition};
use log::warn;

use super::decode::Decoded;
use super::error::{ServiceError, is_fatal};
use super::offsets::{Offsets, PartitionStart, SyncPoint};
use super::reader::{Reader, ReaderRunner};
use crate::observability::Metrics;
use crate::runtime::backoff::{Retriable, RetryError};
use crate::runtime::error_chain::ErrorChain;
use crate::runtime::millis::millis;
use crate::runtime::shutdown::{Slept, Stop};
use crate::service::start_rules::CommitMetadata;
use crate::settings::{GroupProtocol, Settings};
use crate::storage::{StorageError, Writer};

/// Intervals and timeouts of commits.
#[derive(Clone, Copy, Debug)]
pub(super) struct CommitTimings {
    /// Group offsets are synced and committed at most this often.
    pub(super) commit_interval: Duration,
    /// How often idle partitions are committed again, as Kafka's own consumer does (`auto.commit.interval.ms`): so a
    /// reset of the group's offset is noticed soon although no records come, and the offsets of a group that has no
    /// members do not expire (`offsets.retention.minutes`).
    pub(super) idle_commit_interval: Duration,
    /// How long a commit may take before the partitions go to another member, which reads the rest again.
    pub(super) revocation_timeout: Duration,
    /// How long one attempt of that commit may take, and the wait until the next.
    pub(super) revocation_retry_interval: Duration,
}

impl CommitTimings {
    pub(super) const DEFAULT: Self = Self {
        commit_interval: Duration::from_secs(1),
        idle_commit_interval: Duration::from_secs(5),
        revocation_timeout: Duration::from_secs(10),
        revocation_retry_interval: Duration::from_millis(200),
    };
}

/// Commits the offsets of the assigned partitions.
pub(super) struct Committer {
    offsets: Offsets,
    timings: CommitTimings,
    /// The metadata of each commit; empty before the first partition is assigned.
    metadata: String,
    sync: CommitSync,
    /// When the next sync may begin.
    sync_at: Instant,
    sync_backoff: Backoff,
    retry_wait_max: Duration,
    /// When the database is next checked to be the one that was opened.
    check_identity_at: Instant,
    /// No member commits for the group, and its offsets may be reset while it is read.
    commits_idle: bool,
    metrics: Arc<Metrics>,
}

/// The sync of the current commit.
#[derive(Debug)]
enum CommitSync {
    Idle,
    /// It has begun, and makes everything up to the point durable.
    Running(SyncPoint),
}

impl Committer {
    pub(super) fn new(settings: &Settings, timings: CommitTimings, metrics: Arc<Metrics>) -> Self {
        Self {
            offsets: Offsets::default(),
            timings,
            metadata: String::new(),
            sync: CommitSync::Idle,
            sync_at: Instant::now(),
            sync_backoff: Backoff::new(settings.retry),
            retry_wait_max: settings.retry.max,
            check_identity_at: Instant::now(),
            metrics,
            commits_idle: settings.kafka.group_protocol == GroupProtocol::None,
        }
    }

    pub(super) fn offsets(&self) -> &Offsets {
        &self.offsets
    }

    /// The metadata of all commits from now on.
    pub(super) fn set_metadata(&mut self, metadata: &CommitMetadata) {
        self.metadata = metadata.to_string();
    }

    /// Starts partitions at positions that are stored and synced: the consumer commits the position and then reads from
    /// there.
    pub(super) fn start(&mut self, starts: Vec<PartitionStart>, reader: &Reader<impl ReaderRunner>) {
        for start in &starts {
            self.offsets.start(start);
        }
        let positions = starts.into_iter().map(|start| start.position).collect();
        reader.start(positions, self.metadata.clone());
    }

    /// Batches have been stored.
    pub(super) fn advance(&mut self, stored: &[Decoded]) {
        for batch in stored {
            self.offsets.advance(batch.records());
        }
    }

    /// Partitions were revoked or lost: nothing of them is committed any more.
    pub(super) fn remove(&mut self, partitions: &[TopicPartition]) {
        for partition in partitions {
            self.offsets.remove(partition);
        }
        if !self.offsets.need_sync() {
            // Nothing waits for a sync that failed.
            self.sync_backoff.reset();
            self.metrics.sync_attempts.note_success();
        }
    }

    /// How long the loop may wait for an event; the end of a sync wakes it.
    pub(super) fn due_in(&self) -> Duration {
        if self.wants_sync() {
            self.sync_at.saturating_duration_since(Instant::now())
        } else {
            self.timings.idle_commit_interval
        }
    }

    /// Does what is due: ends or begins a sync, commits what is synced, commits idle partitions again.
    ///
    /// # Errors
    /// Errors that no retry helps against, such as a database that was replaced. This holds for all functions here.
    pub(super) fn commit_when_due(
        &mut self,
        writer: &mut dyn Writer,
        reader: &Reader<impl ReaderRunner>,
    ) -> Result<(), ServiceError> {
        if let Some(result) = writer.sync_result() {
            self.end_sync(result, reader)?;
        }
        if self.wants_sync() && Instant::now() >= self.sync_at {
            self.begin_sync(writer, reader)?;
        }
        if !self.check_identity_when_due(writer)? {
            return Ok(());
        }
        if self.commits_idle {
            let idle = self.offsets.take_idle(self.timings.idle_commit_interval);
            if !idle.is_empty() {
                writer.check_identity().map_err(RetryError::Fatal)?;
                reader.commit(idle, self.metadata.clone());
            }
        }
        Ok(())
    }

    /// Syncs and commits everything before other members read on, and waits for the commit. A failure that a retry may
    /// cure is retried, until the timeout or the stop.
    pub(super) fn commit_before_revocation(
        &mut self,
        writer: &mut dyn Writer,
        reader: &mut Reader<impl ReaderRunner>,
        stop: &Stop,
    ) -> Result<(), ServiceError> {
        let deadline = Instant::now() + self.timings.revocation_timeout;
        loop {
            self.sync_and_commit(writer, reader)?;
            // In short steps, so that a stop does not wait for the broker.
            let failure = match reader.flush(self.timings.revocation_retry_interval) {
                Ok(true) if !self.offsets.need_commit() => return Ok(()),
                Err(error) if is_fatal(&error) => return Err(error.into()),
                flushed => flushed.err(),
            };
            let cannot_succeed = failure.as_ref().is_some_and(|error| !error.is_retriable());
            if cannot_succeed || Instant::now() >= deadline {
                let reason = failure.map_or("not confirmed in time".to_owned(), |error| ErrorChain(&error).to_string());
                warn!("group offsets not committed before a rebalance, other members may read records again: {reason}");
                return Ok(());
            }
            if stop.sleep(self.timings.revocation_retry_interval) == Slept::Stopped {
                return Ok(());
            }
        }
    }

    /// The last commit: syncs and commits everything, and waits for the commit at most for `timeout`.
    pub(super) fn commit_at_end(
        &mut self,
        writer: &mut dyn Writer,
        reader: &mut Reader<impl ReaderRunner>,
        timeout: Duration,
    ) -> Result<(), ServiceError> {
        // What was synced before is committed even if this sync fails.
        let synced = self.sync_and_commit(writer, reader);
        match reader.flush(timeout) {
            Ok(true) => {}
            Ok(false) => warn!("group offsets not confirmed by the broker in time; the next start commits them again"),
            Err(error) if is_fatal(&error) => return synced.and(Err(error.into())),
            Err(error) => warn!("group offsets not committed, the next start commits them: {}", ErrorChain(&error)),
        }
        synced
    }

    fn wants_sync(&self) -> bool {
        matches!(self.sync, CommitSync::Idle) && self.offsets.need_sync()
    }

    fn begin_sync(&mut self, writer: &mut dyn Writer, reader: &Reader<impl ReaderRunner>) -> Result<(), ServiceError> {
        let point = self.offsets.sync_point();
        if let Err(error) = writer.begin_sync(Box::new(reader.waker())) {
            return self.sync_failed(error);
        }
        self.sync = CommitSync::Running(point);
        self.sync_at = Instant::now() + self.timings.commit_interval;
        Ok(())
    }

    fn end_sync(
        &mut self,
        result: Result<(), StorageError>,
        reader: &Reader<impl ReaderRunner>,
    ) -> Result<(), ServiceError> {
        let sync = std::mem::replace(&mut self.sync, CommitSync::Idle);
        match (result, sync) {
            (Err(error), _) => self.sync_failed(error),
            (Ok(()), CommitSync::Running(point)) => {
                self.commit_synced(point, reader);
                Ok(())
            }
            (Ok(()), CommitSync::Idle) => Ok(()),
        }
    }

    fn sync_and_commit(
        &mut self,
        writer: &mut dyn Writer,
        reader: &Reader<impl ReaderRunner>,
    ) -> Result<(), ServiceError> {
        let point = self.offsets.sync_point();
        if let Err(error) = writer.sync() {
            return self.sync_failed(error);
        }
        self.commit_synced(point, reader);
        self.sync_at = Instant::now() + self.timings.commit_interval;
        Ok(())
    }

    fn commit_synced(&mut self, point: SyncPoint, reader: &Reader<impl ReaderRunner>) {
        self.offsets.note_synced(point);
        self.sync_backoff.reset();
        self.metrics.sync_attempts.note_success();
        let uncommitted = self.offsets.take_uncommitted();
        if !uncommitted.is_empty() {
            reader.commit(uncommitted, self.metadata.clone());
        }
    }

    /// The offsets stay uncommitted and are synced again later, unless a retry cannot help.
    fn sync_failed(&mut self, error: StorageError) -> Result<(), ServiceError> {
        if !error.is_retriable() {
            return Err(RetryError::Fatal(error).into());
        }
        self.metrics.sync_attempts.note_failure();
        let wait = self.sync_backoff.next_wait().unwrap_or(self.retry_wait_max).max(self.timings.commit_interval);
        warn!(
            attempt = self.sync_backoff.attempt(), wait_ms = millis(wait);
            "group offsets not committed, the database cannot be synced: {}", ErrorChain(&error)
        );
        self.sync_at = Instant::now() + wait;
        Ok(())
    }

    /// Checks each commit interval that the database is the one that was opened, also while nothing is read. False if
    /// the check failed for now: the next sync reports that.
    fn check_identity_when_due(&mut self, writer: &mut dyn Writer) -> Result<bool, ServiceError> {
        if Instant::now() < self.check_identity_at {
            return Ok(true);
        }
        self.check_identity_at = Instant::now() + self.timings.commit_interval;
        match writer.check_identity() {
            Err(error) if error.is_retriable() => Ok(false),
            checked => Ok(checked.map(|()| true).map_err(RetryError::Fatal)?),
        }
    }
}
