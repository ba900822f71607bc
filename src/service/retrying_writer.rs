//! The database as the loop uses it: a call that fails for now is retried until it succeeds or the service shall stop.
//! Must not know what is stored.

use kafka::RetryPolicy;

use crate::runtime::backoff::{self, RetryError};
use crate::runtime::shutdown::Stop;
use crate::storage::{StorageError, Writer};

/// The writer, and how its calls are retried.
pub(super) struct RetryingWriter<'a> {
    pub(super) writer: Box<dyn Writer>,
    policy: RetryPolicy,
    stop: &'a Stop,
}

impl<'a> RetryingWriter<'a> {
    pub(super) fn new(writer: Box<dyn Writer>, policy: RetryPolicy, stop: &'a Stop) -> Self {
        Self { writer, policy, stop }
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
        backoff::retry(action, &self.policy, self.stop, || call(self.writer.as_mut()))
    }
}
