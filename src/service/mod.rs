//! The service loop: poll, store, commit, while `reader.rs` reads ahead. The only place that knows Kafka, events and the database at once.
//!
//! Order is everything here: a position is stored in SQLite before it is claimed, claimed before it is read from, and a group
//! offset is committed only after the WAL that holds it has been synced.

mod clocks;
mod commits;
mod decode;
mod error;
mod failures;
mod positions;
mod progress;
mod reader;
pub mod record;
#[cfg(test)]
mod simulation;
mod source;
pub mod start_rules;
mod starts;

use std::time::{Duration, Instant};

use kafka::{Backoff, Event, Revocation, TopicPartition};
use log::{debug, info, warn};

use clocks::Clocks;
use commits::Pace;
use decode::Decoded;
pub use error::ServiceError;
use failures::Failures;
use positions::Positions;
use progress::Progress;
use reader::Reader;
use source::{News, Source, consumer};

use crate::runtime::backoff::{self, RetryError};
use crate::runtime::error_chain::ErrorChain;
use crate::runtime::shutdown::Stop;
use crate::service::record::ServiceRecord;
use crate::settings::{GroupProtocol, Settings};
use crate::storage::{self, Attempt, Outcome, PartitionBatch, StorageError, Writer};
use crate::unidentified::UnidentifiedLog;

const NOT_LEFT: &str = "the group was not left in order; others take over when the session times out";

/// Runs the service until it is stopped, fails for good, or, with `exit_at_end`, has reached the end of every partition as
/// first seen.
pub fn run(settings: &Settings, security: kafka::Security, exit_at_end: bool, stop: &Stop) -> Result<(), ServiceError> {
    match open_and_read(settings, security, exit_at_end, stop) {
        Err(ServiceError::Database(RetryError::Stopped)) => Ok(()),
        result => result,
    }
}

fn open_and_read(
    settings: &Settings,
    security: kafka::Security,
    exit_at_end: bool,
    stop: &Stop,
) -> Result<(), ServiceError> {
    let lock = || storage::acquire_lock(&settings.database);
    // Given back after the database has been closed.
    let lock = backoff::retry("taking the lock of the database", &settings.retry, stop, lock)?;
    let _record = ServiceRecord::begin(lock.path());
    let open = || storage::open(&settings.database, &settings.kafka.group_id);
    let database = backoff::retry("opening the database", &settings.retry, stop, open)?;
    let consumer = consumer(settings, security, database.id())?;
    let records_max = decode::poll_records_max(settings.batch_records_max.get(), settings.kafka.buffer_max_bytes);
    let reader = Reader::start(consumer, records_max, settings.decoder())?;
    stop.on_stop(reader.waker());
    for warning in &settings.warnings {
        warn!("{warning}");
    }
    info!(
        database = settings.database.path.display().to_string(), database_id = database.id(),
        group = settings.kafka.group_id; "service started"
    );
    Service::new(settings, Pace::DEFAULT, stop, reader, database).read_until_stopped(exit_at_end)
}

struct Service<'a, S> {
    settings: &'a Settings,
    pace: Pace,
    stop: &'a Stop,
    source: S,
    store: Box<dyn Writer>,
    unidentified: UnidentifiedLog,
    positions: Positions,
    /// Whether the database had no position when the first partitions came.
    new_database: Option<bool>,
    progress: Progress,
    clocks: Clocks,
    /// Text that marks our commits; known once a partition has been assigned.
    claim: String,
    /// When the next commit may be made.
    commit_at: Instant,
    /// When the files of the database are compared with what is open.
    verify_at: Instant,
    sync_backoff: Backoff,
    failures: Failures,
}

impl<'a, S: Source> Service<'a, S> {
    fn new(settings: &'a Settings, pace: Pace, stop: &'a Stop, source: S, store: Box<dyn Writer>) -> Self {
        Self {
            settings,
            pace,
            stop,
            source,
            store,
            unidentified: UnidentifiedLog::new(settings.unidentified_log_file.clone(), settings.log.file_mode),
            positions: Positions::default(),
            new_database: None,
            progress: Progress::new(),
            clocks: Clocks::default(),
            claim: String::new(),
            commit_at: Instant::now(),
            verify_at: Instant::now(),
            sync_backoff: Backoff::new(settings.retry),
            failures: Failures::default(),
        }
    }

    fn read_until_stopped(mut self, exit_at_end: bool) -> Result<(), ServiceError> {
        let result = self.read(exit_at_end);
        // Whatever ended the loop: what is stored may be committed, and what is kept may be written out.
        let finished = self.finish();
        match result {
            Ok(()) | Err(ServiceError::Database(RetryError::Stopped)) => finished,
            Err(error) => {
                // The first error is the one that ended the service; the next one is its consequence as a rule.
                if let Err(next) = finished {
                    warn!("stopping the service failed too: {}", ErrorChain(&next));
                }
                Err(error)
            }
        }
    }

    fn read(&mut self, exit_at_end: bool) -> Result<(), ServiceError> {
        while !self.stop.is_requested() {
            self.step()?;
            if exit_at_end && self.is_at_end() {
                info!("reached the end of every partition");
                break;
            }
        }
        Ok(())
    }

    /// One event, and what is due after it.
    fn step(&mut self) -> Result<(), ServiceError> {
        let news = self.source.poll(self.patience())?;
        self.handle(news)?;
        self.unidentified.advance(self.store.unidentified());
        self.commit_when_due()?;
        self.progress.tell_when_due();
        Ok(())
    }

    fn is_at_end(&self) -> bool {
        self.source.is_settled() && self.positions.have_reached_ends()
    }

    fn handle(&mut self, news: News) -> Result<(), ServiceError> {
        match news {
            Event::Records(batches) => self.store(&batches)?,
            Event::Assigned(assignments) => self.start(assignments)?,
            Event::Started(partitions) => {
                for at in &partitions {
                    let offset = self.positions.next_offset(at);
                    info!(topic = &*at.topic, partition = at.partition, offset = offset; "partition is being read");
                }
            }
            Event::OutOfRange(range) => self.jump_into_range(&range)?,
            Event::Rebalancing(acknowledgement) => {
                info!("the group divides its partitions anew");
                self.commit_for_others()?;
                self.source.acknowledge(acknowledgement);
            }
            Event::Truncated(truncation) => self.jump_to_divergence(&truncation)?,
            Event::Revoked(revocation) => self.give_back(revocation)?,
            Event::Lost(partitions) => self.forget(&partitions),
            Event::Waiting(waiting) => info!("waiting for partitions: {waiting}"),
            Event::Retrying(retrying) => self.failures.log(&retrying),
            Event::Idle => {}
        }
        Ok(())
    }

    /// Stores records: one transaction, tried until it succeeds.
    fn store(&mut self, decoded: &[Decoded]) -> Result<(), ServiceError> {
        let begun = Instant::now();
        let positions = &self.positions;
        let batches = decoded.iter().map(|of| of.batch(positions.topic_id(&of.records().partition)));
        let batches: Vec<PartitionBatch<'_>> = batches.collect();
        let store = &mut self.store;
        let mut attempt = Attempt::default();
        let apply = || store.apply(&batches, &mut attempt);
        let counts = backoff::retry("storing a batch", &self.settings.retry, self.stop, apply)?;
        for of in decoded {
            self.positions.advance(of.records());
        }
        if counts.get(Outcome::Unidentified) > 0 {
            self.unidentified.notice();
        }
        debug!(
            records = decoded.iter().map(|of| of.records().records.len()).sum::<usize>(), applied = counts.get(Outcome::Applied),
            stale = counts.get(Outcome::Stale), unidentified = counts.get(Outcome::Unidentified),
            absent = counts.get(Outcome::Absent), elapsed_ms = millis(begun.elapsed()); "batch stored"
        );
        self.progress.add(counts);
        self.clocks.look_at(decoded);
        Ok(())
    }

    /// Partitions that another member gets next: it shall begin where we ended. A stop finishes with them in its own way.
    fn give_back(&mut self, revocation: Revocation) -> Result<(), ServiceError> {
        self.commit_for_others()?;
        if !self.stop.is_requested() {
            self.source.acknowledge(revocation.acknowledgement);
            self.forget(&revocation.partitions);
        }
        Ok(())
    }

    fn forget(&mut self, partitions: &[TopicPartition]) {
        for at in partitions {
            info!(topic = &*at.topic, partition = at.partition; "partition is no longer read");
            self.positions.remove(at);
        }
    }

    /// How long the next poll may wait.
    fn patience(&self) -> Duration {
        // Of the end of a sync we are told.
        let commit = self.positions.want_sync().then(|| self.commit_at.saturating_duration_since(Instant::now()));
        [commit, self.progress.due_in(), self.unidentified.due_in()]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(self.pace.commit_again)
    }

    /// Commits, leaves the group and writes out what is left, as far as each can be done. Gives the first error that an operator has
    /// to look at; that brokers or the disk are away for now is a WARN.
    fn finish(&mut self) -> Result<(), ServiceError> {
        let committed = self.commit_and_wait();
        let left = self.leave_group();
        if committed.is_ok() {
            self.unidentified.finish(self.store.unidentified(), Instant::now() + self.settings.shutdown_timeout / 4);
        }
        self.progress.tell();
        info!("service stopped");
        committed.and(left)
    }

    /// Others take over at once, and an operator can reset the offsets of a group that is empty then. A static member that was named as one
    /// stays a member until its session times out.
    fn leave_group(&mut self) -> Result<(), ServiceError> {
        if matches!(self.settings.kafka.group_protocol, GroupProtocol::Classic { instance_id: Some(_), .. }) {
            return Ok(());
        }
        match self.source.leave(self.settings.shutdown_timeout / 8) {
            Ok(true) => {}
            Ok(false) => warn!("{NOT_LEFT}: the broker did not answer in time"),
            Err(error) if is_fatal(&error) => return Err(error.into()),
            Err(error) => warn!("{NOT_LEFT}: {}", ErrorChain(&error)),
        }
        Ok(())
    }

    /// Does something with the database, tried until it works.
    fn patiently<T>(
        &mut self,
        what: &str,
        mut act: impl FnMut(&mut dyn Writer) -> Result<T, StorageError>,
    ) -> Result<T, ServiceError> {
        let store = &mut self.store;
        Ok(backoff::retry(what, &self.settings.retry, self.stop, || act(&mut **store))?)
    }
}

/// Whether somebody has to fix something. That the attempts are used up says nothing of that.
fn is_fatal(error: &kafka::Error) -> bool {
    !error.is_retriable() && !matches!(error, kafka::Error::RetriesExhausted { .. })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
