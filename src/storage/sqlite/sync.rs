//! Makes commits durable and bounds the WAL, on the writer's connection.

use super::database::Database;
use super::error::SqliteError;

impl Database {
    /// Makes everything that was committed so far durable.
    ///
    /// # Errors
    /// [`SqliteError::FileChanged`] if what was synced is no longer at the database's path.
    pub(super) fn sync(&mut self) -> Result<(), SqliteError> {
        self.refuse_lost()?;
        let result = self.sync_files();
        self.check_synced_files(result)
    }

    /// Begins a sync; `notify` is called on the checkpoint thread when [`sync_result`](Self::sync_result) has the result.
    pub(super) fn begin_sync(&mut self, notify: impl FnOnce() + Send + 'static) -> Result<(), SqliteError> {
        self.refuse_lost()?;
        if !self.wal.is_trusted() {
            self.sync_files()?;
        }
        self.wal.begin_sync(notify)
    }

    /// The result of the sync that was begun last, once; `None` while it is under way.
    pub(super) fn sync_result(&mut self) -> Option<Result<(), SqliteError>> {
        let result = self.wal.sync_result()?;
        Some(self.check_synced_files(result))
    }

    /// Makes room in the WAL before a transaction is written.
    ///
    /// # Errors
    /// [`SqliteError::WalFull`] if a reader blocks checkpoints and the WAL has reached its limit.
    pub(super) fn bound_wal(&mut self) -> Result<(), SqliteError> {
        if !self.wal.is_trusted() && self.wal.must_shrink()? {
            match self.sync() {
                Err(SqliteError::NotSynced { .. }) if !self.wal.is_full()? => {}
                result => result?,
            }
        }
        self.connect()?;
        let Some(connection) = &self.connection else { return Ok(()) };
        let result = self.wal.keep_bounded(connection, self.growth.factor()).and_then(|frames_written| {
            let has_changed = self.growth.note_frames(frames_written);
            if has_changed { self.growth.set_cache(connection) } else { Ok(()) }
        });
        self.note_failure(result)
    }

    fn sync_files(&mut self) -> Result<(), SqliteError> {
        if self.wal.is_trusted() {
            return self.wal.sync();
        }
        self.discard_connection();
        self.connect()?;
        let Some(connection) = &self.connection else { return Ok(()) };
        let result = self.wal.recover(connection);
        self.note_failure(result)
    }

    /// The result of a sync, unless a file was removed or replaced: that is the cause of a failure then.
    fn check_synced_files(&mut self, result: Result<(), SqliteError>) -> Result<(), SqliteError> {
        match self.check_identity() {
            Err(changed @ SqliteError::FileChanged(_)) => Err(changed),
            checked => result.and(checked),
        }
    }
}
