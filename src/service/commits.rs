//! When the group is told how far we are. Never before the WAL that holds it has been synced.

use std::time::{Duration, Instant};

use kafka::OffsetPosition;
use log::warn;

use super::source::Source;
use super::{Service, ServiceError, is_fatal, millis};
use crate::runtime::backoff::{Retriable, RetryError};
use crate::runtime::error_chain::ErrorChain;
use crate::runtime::shutdown::Slept;
use crate::settings::GroupProtocol;
use crate::storage::StorageError;

/// How often, and how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Group offsets are synced and committed at most this often.
    pub(super) commit_interval: Duration,
    /// Idle partitions are committed again this often, as Kafka's own consumer does (`auto.commit.interval.ms`): so a reset of
    /// the group's offset is noticed soon, also where no records come, and Kafka never forgets the offsets of a group that seems
    /// empty (`offsets.retention.minutes`). It is also the longest time without looking at the clock.
    pub(super) commit_again: Duration,
    /// How long others wait at most for what we have stored of the partitions that they get: then they read it again.
    pub(super) handover_patience: Duration,
    /// How long until that is tried once more.
    pub(super) handover_step: Duration,
}

impl Pace {
    pub(super) const DEFAULT: Self = Self {
        commit_interval: Duration::from_secs(1),
        commit_again: Duration::from_secs(5),
        handover_patience: Duration::from_secs(10),
        handover_step: Duration::from_millis(200),
    };
}

const NOT_HANDED_OVER: &str =
    "group offsets were not committed before the partitions are given up, which others may read again";

impl<S: Source> Service<'_, S> {
    /// # Errors
    /// What no retry helps against, such as a database that was replaced. So all functions here.
    pub(super) fn commit_when_due(&mut self) -> Result<(), ServiceError> {
        if let Some(synced) = self.store.sync_result() {
            self.commit_synced(synced)?;
        }
        if self.positions.want_sync() && Instant::now() >= self.commit_at {
            self.begin_commit()?;
        }
        // Also while nothing is read: what is stored may be gone.
        if Instant::now() >= self.verify_at {
            self.verify_at = Instant::now() + self.pace.commit_interval;
            match self.store.check_identity() {
                // The next sync says more.
                Err(error) if error.is_retriable() => return Ok(()),
                verified => verified.map_err(RetryError::Fatal)?,
            }
        }
        // Nobody else can commit for a group that has members, and it forgets nothing of what they read.
        if self.settings.kafka.group_protocol == GroupProtocol::None {
            let idle = self.positions.take_idle(self.pace.commit_again);
            if !idle.is_empty() {
                self.store.check_identity().map_err(RetryError::Fatal)?;
                self.source.commit(idle, &self.claim);
            }
        }
        Ok(())
    }

    /// Commits what is stored, since another member may read on from there; tries again what waiting may cure, unless the service
    /// shall stop.
    pub(super) fn commit_for_others(&mut self) -> Result<(), ServiceError> {
        let deadline = Instant::now() + self.pace.handover_patience;
        loop {
            self.commit()?;
            // In short steps, as a stop must not wait for it.
            let problem = match self.source.flush(self.pace.handover_step) {
                Ok(true) if !self.positions.have_changed() => return Ok(()),
                Err(error) if is_fatal(&error) => return Err(error.into()),
                flushed => flushed.err(),
            };
            let is_hopeless = problem.as_ref().is_some_and(|error| !error.is_retriable());
            if is_hopeless || Instant::now() >= deadline {
                let why = problem.map_or("not confirmed in time".to_owned(), |error| ErrorChain(&error).to_string());
                warn!("{NOT_HANDED_OVER}: {why}");
                return Ok(());
            }
            if self.stop.sleep(self.pace.handover_step) == Slept::Stopped {
                return Ok(());
            }
        }
    }

    /// The last commit.
    pub(super) fn commit_and_wait(&mut self) -> Result<(), ServiceError> {
        // What was synced before is committed even if this fails.
        let synced = self.commit();
        // Half of the time to stop: the rest is for whoever waits for us to end.
        match self.source.flush(self.settings.shutdown_timeout / 2) {
            Ok(true) => {}
            Ok(false) => {
                warn!("the broker did not confirm the group offsets in time; the next start commits them again");
            }
            Err(error) if is_fatal(&error) => return synced.and(Err(error.into())),
            Err(error) => warn!("group offsets were not committed, the next start does: {}", ErrorChain(&error)),
        }
        synced
    }

    /// Begins to sync what is stored, so that its offsets can be committed; meanwhile more is stored.
    fn begin_commit(&mut self) -> Result<(), ServiceError> {
        if let Err(error) = self.store.begin_sync(Box::new(self.source.waker())) {
            return self.sync_failed(error);
        }
        self.positions.begin_sync();
        self.commit_at = Instant::now() + self.pace.commit_interval;
        Ok(())
    }

    fn commit_synced(&mut self, synced: Result<(), StorageError>) -> Result<(), ServiceError> {
        if let Err(error) = synced {
            self.positions.sync_failed();
            return self.sync_failed(error);
        }
        let positions = self.positions.take_synced();
        self.hand_over(positions);
        Ok(())
    }

    /// Syncs what is stored, then hands its offsets to the consumer.
    fn commit(&mut self) -> Result<(), ServiceError> {
        if let Err(error) = self.store.sync() {
            return self.sync_failed(error);
        }
        let positions = self.positions.take_changed();
        self.hand_over(positions);
        self.commit_at = Instant::now() + self.pace.commit_interval;
        Ok(())
    }

    fn hand_over(&mut self, synced: Vec<OffsetPosition>) {
        self.sync_backoff.reset();
        if !synced.is_empty() {
            self.source.commit(synced, &self.claim);
        }
    }

    /// Nothing is lost: the offsets stay marked as changed. Waiting is for what waiting can cure.
    fn sync_failed(&mut self, error: StorageError) -> Result<(), ServiceError> {
        if !error.is_retriable() {
            return Err(RetryError::Fatal(error).into());
        }
        let wait = self.sync_backoff.next_wait().unwrap_or(self.settings.retry.max).max(self.pace.commit_interval);
        warn!(
            attempt = self.sync_backoff.attempt(), wait_ms = millis(wait);
            "group offsets wait, since the database cannot be synced: {}", ErrorChain(&error)
        );
        self.commit_at = Instant::now() + wait;
        Ok(())
    }
}
