//! The database as the loop uses it: a call that fails for now is retried until it succeeds or the service shall stop.
//! Must not know what is stored.

use std::sync::Arc;

use kafka::RetryPolicy;

use super::publisher::publish_sizes;
use crate::observability::Metrics;
use crate::runtime::backoff::{self, Retriable, RetryError};
use crate::runtime::shutdown::Stop;
use crate::runtime::stages::WORK_TIME_MAX;
use crate::storage::{StorageError, Writer};

/// The writer, and how its calls are retried.
pub(super) struct RetryingWriter<'a> {
    pub(super) writer: Box<dyn Writer>,
    policy: RetryPolicy,
    stop: &'a Stop,
    pub(super) metrics: Arc<Metrics>,
}

impl<'a> RetryingWriter<'a> {
    pub(super) fn new(writer: Box<dyn Writer>, policy: RetryPolicy, stop: &'a Stop, metrics: Arc<Metrics>) -> Self {
        Self { writer, policy, stop, metrics }
    }

    /// Calls until a call succeeds. `action` says in log lines what failed.
    ///
    /// # Errors
    /// A fatal error, too many failures in a row, or the stop.
    pub(super) fn retry<T>(
        &mut self,
        action: &str,
        mut call: impl FnMut(&mut dyn Writer) -> Result<T, StorageError>,
    ) -> Result<T, RetryError<StorageError>> {
        let sleep = |wait| {
            self.metrics.stages.writer.wait(wait);
            self.stop.sleep(wait)
        };
        let attempt = || {
            self.metrics.stages.writer.work(WORK_TIME_MAX);
            let result = call(self.writer.as_mut());
            match &result {
                Ok(_) => self.metrics.database_attempts.note_success(),
                Err(error) if error.is_retriable() => {
                    self.metrics.database_attempts.note_failure();
                    // The loop does not publish them meanwhile.
                    publish_sizes(&self.metrics, self.writer.as_ref());
                }
                Err(_) => {}
            }
            result
        };
        backoff::retry_with_sleep(action, &self.policy, self.stop, sleep, attempt)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::{Duration, Instant};

    use kafka::Activity;

    use super::*;
    use crate::observability::Description;
    use crate::settings::Settings;
    use crate::storage::{self, ErrorKind};

    #[test]
    fn a_locked_database_makes_no_stage_late_however_long_the_backoff_is() {
        const HOUR: Duration = Duration::from_hours(1);
        let directory = tempfile::tempdir().unwrap();
        let mut settings = Settings::load(Vec::new(), None).unwrap().database;
        settings.path = directory.path().join("e.db");
        let metrics = Arc::new(Metrics::new(Description::of(&Settings::load(Vec::new(), None).unwrap())));
        let (stage, stop) = (metrics.stages.writer.clone(), Stop::manual());
        let policy = RetryPolicy { initial: HOUR, max: HOUR, attempts_max: NonZeroU32::new(3) };
        let database = storage::open(&settings, "g").unwrap();
        let mut writer = RetryingWriter::new(database, policy, &stop, Arc::clone(&metrics));
        let mut attempts = Vec::new();
        let seen = std::thread::scope(|scope| {
            let sleeper = scope.spawn(|| {
                loop {
                    if let Activity::Waiting { until } = stage.activity() {
                        stop.request();
                        break until;
                    }
                    std::thread::yield_now();
                }
            });
            let locked = |_: &mut dyn Writer| -> Result<(), StorageError> {
                attempts.push(stage.activity());
                Err(StorageError::new(ErrorKind::Locked, "locked"))
            };
            writer.retry("testing", locked).unwrap_err();
            sleeper.join().unwrap()
        });
        assert!(matches!(attempts[..], [Activity::Working { .. }]));
        assert_eq!(metrics.database_attempts.failing(), 1);
        assert!(seen > Instant::now() + HOUR / 3, "the stage waits until the end of the backoff");
    }
}
