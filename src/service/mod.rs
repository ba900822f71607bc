//! The service loop, the only place that knows Kafka, events and the database at once. Each round takes one event of
//! the reader:
//!
//! ```text
//! poll, decode ──► store ──► advance ──► sync ──► commit
//! reader/          this file  offsets.rs  committer.rs
//! ```
//!
//! An offset is stored in the database before the consumer reads from it, and synced before it is committed to the
//! group.

mod catch_up;
mod committer;
mod context;
mod decode;
mod display;
mod error;
pub mod expiry;
mod failures;
mod offsets;
mod producer_clocks;
mod progress;
mod publisher;
mod reader;
pub mod record;
mod reload;
mod retention;
mod retrying_writer;
#[cfg(test)]
mod simulation;
mod start_positions;
pub mod start_rules;
mod supervision;

use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka::{Assignment, Event, Revocation, TopicPartition};
use log::{debug, info, warn};

use committer::{CommitTimings, Committer};
pub use context::Context;
use decode::Decoded;
use display::ServiceDisplay;
pub use error::ServiceError;
use error::is_fatal;
use failures::Failures;
use offsets::PartitionStart;
use producer_clocks::ProducerClocks;
use progress::Progress;
use publisher::Publisher;
use reader::{Reader, ReaderEvent, ReaderRunner};
use retention::Retention;
use retrying_writer::RetryingWriter;
use start_positions::StartPositions;
use supervision::Supervision;

use crate::observability::Metrics;
use crate::runtime::backoff::{self, RetryError};
use crate::runtime::error_chain::ErrorChain;
use crate::runtime::millis::millis;
use crate::runtime::progress_line::ProgressLine;
use crate::runtime::shutdown::Stop;
use crate::runtime::stages::WORK_TIME_MAX;
use crate::service::record::ServiceRecord;
use crate::service::start_rules::CommitMetadata;
use crate::settings::{GroupProtocol, Settings};
use crate::storage::{self, Attempt, Outcome, PartitionBatch, Writer};
use crate::unidentified::UnidentifiedLog;

/// Runs the service until it is stopped or fails for good. With `exit_at_end` also until every partition has been
/// stored up to its end as first seen.
pub fn run(settings: &Settings, exit_at_end: bool, stop: &Stop, context: Context) -> Result<(), ServiceError> {
    match open_and_read(settings, exit_at_end, stop, context) {
        Err(ServiceError::Database(RetryError::Stopped)) => Ok(()),
        result => result,
    }
}

fn open_and_read(settings: &Settings, exit_at_end: bool, stop: &Stop, context: Context) -> Result<(), ServiceError> {
    let metrics = Arc::clone(&context.metrics);
    let supervision = Supervision::begin(&context.notifier, settings.service_manager.watchdog, &metrics.stages)?;
    // No stage has a deadline yet: a migration takes as long as the database is large.
    let lock = || storage::acquire_lock(&settings.database);
    // Released after the database has been closed.
    let lock = backoff::retry("taking the lock of the database", &settings.retry, stop, lock)?;
    let _record = ServiceRecord::begin(lock.path(), Arc::clone(&metrics));
    let open = || storage::open(&settings.database, &settings.kafka.group_id);
    let database = backoff::retry("opening the database", &settings.retry, stop, open)?;
    metrics.note_database(database.statistics());
    let database_id = database.id().to_owned();
    let consumer = reader::create_consumer(settings, context.security.clone(), &database_id, &metrics)?;
    let records_max = decode::poll_records_max(settings, database.growth());
    let reader = reader::start_reader(consumer, records_max, settings.decoder(), metrics.stages.reader.clone())?;
    stop.on_stop(Box::new(reader.waker()));
    for warning in &settings.warnings {
        warn!("{warning}");
    }
    info!(
        database = settings.database.path.display().to_string(), database_id = &*database_id,
        group = settings.kafka.group_id; "service started"
    );
    supervision.started();
    let display = ServiceDisplay::new(context.notifier.clone(), ProgressLine::new(settings.can_redraw));
    reload::start(settings, context)?;
    Service::new(settings, CommitTimings::DEFAULT, (stop, metrics), reader, database, display)
        .run_until_stopped(exit_at_end)
}

struct Service<'a, R> {
    settings: &'a Settings,
    stop: &'a Stop,
    metrics: Arc<Metrics>,
    publisher: Publisher,
    reader: Reader<R>,
    writer: RetryingWriter<'a>,
    start_positions: StartPositions,
    committer: Committer,
    unidentified: UnidentifiedLog,
    retention: Retention,
    progress: Progress,
    display: ServiceDisplay,
    clocks: ProducerClocks,
    failures: Failures,
}

impl<'a, R: ReaderRunner> Service<'a, R> {
    fn new(
        settings: &'a Settings,
        timings: CommitTimings,
        (stop, metrics): (&'a Stop, Arc<Metrics>),
        reader: Reader<R>,
        writer: Box<dyn Writer>,
        display: ServiceDisplay,
    ) -> Self {
        Self {
            settings,
            stop,
            reader,
            writer: RetryingWriter::new(writer, settings.retry, stop, Arc::clone(&metrics)),
            start_positions: StartPositions::new(settings),
            committer: Committer::new(settings, timings, Arc::clone(&metrics)),
            unidentified: UnidentifiedLog::new(settings.unidentified_log_file.clone(), settings.log.file_mode),
            retention: Retention::new(settings),
            progress: Progress::new(),
            display,
            clocks: ProducerClocks::default(),
            failures: Failures::default(),
            publisher: Publisher::default(),
            metrics,
        }
    }

    fn run_until_stopped(mut self, exit_at_end: bool) -> Result<(), ServiceError> {
        let result = self.run(exit_at_end);
        // Whatever ended the loop: what is stored may be committed, and unidentified messages may be written to their
        // log.
        let finished = self.finish();
        match result {
            Ok(()) | Err(ServiceError::Database(RetryError::Stopped)) => finished,
            Err(error) => {
                // The first error ended the service; the second one is usually its consequence.
                if let Err(second) = finished {
                    warn!("the shutdown failed too: {}", ErrorChain(&second));
                }
                Err(error)
            }
        }
    }

    fn run(&mut self, exit_at_end: bool) -> Result<(), ServiceError> {
        while !self.stop.is_requested() {
            self.step()?;
            if exit_at_end && self.is_at_end() {
                info!("reached the end of every partition");
                break;
            }
        }
        Ok(())
    }

    /// Handles one event, then does what is due.
    fn step(&mut self) -> Result<(), ServiceError> {
        let timeout = self.poll_timeout();
        self.metrics.stages.writer.wait(timeout);
        let event = self.reader.poll(timeout)?;
        self.metrics.stages.writer.work(WORK_TIME_MAX);
        self.handle(event)?;
        self.unidentified.write_when_due(self.writer.writer.unidentified());
        self.committer.commit_when_due(self.writer.writer.as_mut(), &self.reader)?;
        self.retention.prune_when_due(self.writer.writer.pruner());
        self.progress.log_when_due();
        self.publisher.publish_when_due(&self.metrics, self.writer.writer.as_ref());
        self.display.update(self.committer.offsets());
        Ok(())
    }

    fn is_at_end(&self) -> bool {
        self.reader.is_settled() && self.committer.offsets().are_stored_to_end()
    }

    fn poll_timeout(&self) -> Duration {
        let due = [
            Some(self.committer.due_in()),
            self.progress.due_in(),
            self.unidentified.due_in(),
            self.retention.due_in(),
        ];
        due.into_iter().flatten().min().unwrap_or_default()
    }

    fn handle(&mut self, event: ReaderEvent) -> Result<(), ServiceError> {
        match event {
            Event::Records(decoded) => {
                self.store(&decoded)?;
                drop(decoded);
                self.reader.records_stored(decode::poll_records_max(self.settings, self.writer.writer.growth()));
            }
            Event::Assigned(assignments) => self.start_assigned(&assignments)?,
            Event::OutOfRange(range) => {
                let start = self.start_positions.of_out_of_range(&range, &mut self.writer)?;
                self.start(vec![start]);
            }
            Event::Truncated(truncation) => {
                let start = self.start_positions.of_truncation(&truncation, &mut self.writer)?;
                self.start(vec![start]);
            }
            Event::Started(partitions) => self.log_started(&partitions),
            Event::Rebalancing(acknowledgement) => {
                info!("consumer group is rebalancing");
                self.commit_before_revocation()?;
                if !self.stop.is_requested() {
                    self.reader.acknowledge(acknowledgement);
                }
            }
            Event::Revoked(revocation) => self.revoke(revocation)?,
            Event::Lost(partitions) => self.remove(&partitions, "partition lost"),
            Event::Waiting(waiting) => info!("waiting for partitions: {waiting}"),
            Event::Retrying(retrying) => {
                self.metrics.kafka_retries.increment();
                self.failures.log(&retrying);
            }
            Event::Idle => {}
        }
        Ok(())
    }

    /// Stores records in one transaction, and advances the offsets.
    fn store(&mut self, decoded: &[Decoded]) -> Result<(), ServiceError> {
        let begun = Instant::now();
        let offsets = self.committer.offsets();
        let batches = decoded.iter().map(|batch| batch.to_store(offsets.topic_id(&batch.records().partition)));
        let batches: Vec<PartitionBatch<'_>> = batches.collect();
        let mut attempt = Attempt::default();
        let metrics = &self.metrics;
        let counts = self.writer.retry("storing a batch", |writer| {
            let begun = Instant::now();
            let result = writer.apply(&batches, &mut attempt);
            metrics.transactions.note(begun.elapsed(), result.is_ok());
            result
        })?;
        publisher::publish_stored(metrics, decoded, attempt.counts());
        self.committer.advance(decoded);
        if counts.get(Outcome::Unidentified) > 0 {
            self.unidentified.note_pending();
        }
        debug!(
            records = decoded.iter().map(|batch| batch.records().records.len()).sum::<usize>(),
            applied = counts.get(Outcome::Applied), stale = counts.get(Outcome::Stale),
            unidentified = counts.get(Outcome::Unidentified), absent = counts.get(Outcome::Absent),
            elapsed_ms = millis(begun.elapsed()); "batch stored"
        );
        self.progress.add(counts);
        self.display.add(counts.records());
        self.clocks.check(decoded);
        Ok(())
    }

    fn start_assigned(&mut self, assignments: &[Assignment]) -> Result<(), ServiceError> {
        let Some(Assignment { cluster_id, .. }) = assignments.first() else { return Ok(()) };
        let metadata = CommitMetadata {
            database_id: self.writer.writer.id().to_owned(),
            cluster_id: cluster_id.as_ref().to_owned(),
        };
        let starts = self.start_positions.of_assignments(assignments, &metadata, &mut self.writer)?;
        self.committer.set_metadata(&metadata);
        self.start(starts);
        Ok(())
    }

    fn start(&mut self, starts: Vec<PartitionStart>) {
        for PartitionStart { position, .. } in &starts {
            self.metrics.partitions.start(&position.partition, position.offset);
        }
        self.committer.start(starts, &self.reader);
    }

    fn log_started(&self, partitions: &[TopicPartition]) {
        for at in partitions {
            let offset = self.committer.offsets().stored_offset(at);
            info!(topic = &*at.topic, partition = at.partition, offset = offset; "partition assigned");
        }
    }

    fn commit_before_revocation(&mut self) -> Result<(), ServiceError> {
        self.committer.commit_before_revocation(self.writer.writer.as_mut(), &mut self.reader, self.stop)
    }

    /// Commits, then releases the partitions to their next owner. During a stop the last commit and the leave do both.
    fn revoke(&mut self, revocation: Revocation) -> Result<(), ServiceError> {
        self.commit_before_revocation()?;
        if !self.stop.is_requested() {
            self.remove(&revocation.partitions, "partition revoked");
            self.reader.acknowledge(revocation.acknowledgement);
        }
        Ok(())
    }

    fn remove(&mut self, partitions: &[TopicPartition], event: &str) {
        for at in partitions {
            info!(topic = &*at.topic, partition = at.partition; "{event}");
        }
        self.committer.remove(partitions);
        self.metrics.partitions.remove(partitions);
    }

    /// Commits, leaves the group, and writes unidentified messages to their log, as far as each can be done in time.
    /// Returns the first error that an operator has to fix; brokers or a disk that cannot be reached for now are a
    /// WARN.
    fn finish(&mut self) -> Result<(), ServiceError> {
        self.display.stop();
        // The deadline of the stop ends the process.
        self.metrics.stages.writer.wait(self.settings.shutdown_timeout);
        // Half of the time to stop: the rest is for the steps after it.
        let timeout = self.settings.shutdown_timeout / 2;
        let committed = self.committer.commit_at_end(self.writer.writer.as_mut(), &mut self.reader, timeout);
        let left = self.leave_group();
        if committed.is_ok() {
            let until = Instant::now() + self.settings.shutdown_timeout / 4;
            self.unidentified.write_rest(self.writer.writer.unidentified(), until);
        }
        self.progress.log();
        info!("service stopped");
        committed.and(left)
    }

    /// Leaves the group, so that other members take over at once, and the offsets of a group without members can be
    /// reset. A static member with a configured id stays a member until its session times out.
    fn leave_group(&mut self) -> Result<(), ServiceError> {
        if matches!(self.settings.kafka.group_protocol, GroupProtocol::Classic { instance_id: Some(_), .. }) {
            return Ok(());
        }
        let reason = match self.reader.leave(self.settings.shutdown_timeout / 8) {
            Ok(true) => return Ok(()),
            Ok(false) => "the broker did not respond in time".to_owned(),
            Err(error) if is_fatal(&error) => return Err(error.into()),
            Err(error) => ErrorChain(&error).to_string(),
        };
        warn!("consumer group not left, other members take over when the session times out: {reason}");
        Ok(())
    }
}
