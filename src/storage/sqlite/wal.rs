//! Bounds the `-wal` file, which a reader that never ends makes grow, and syncs it. Must not know what is in it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};

use rusqlite::Connection;

use super::checkpointer::Checkpointer;
use super::error::{Context, SqliteError};
use super::files::OpenedFile;
use super::paths::side_file;
use super::sync_state::SyncState;
use super::wal_file::{sync_file, wal_bytes};

/// Size from which on growth is worth a warning, in bytes: four times the size at which the log is carried over if nobody holds
/// on to it, which leaves room for a large transaction.
const WARN_FROM_BYTES: u64 = 256 << 20;

/// Frames, of a page of 4 KiB each, that are in the log and not yet in the database when they are carried over beside the writer: 8 MiB.
const CHECKPOINT_FRAMES: i64 = 2_048;

/// Frames at which the writer waits until all of them are carried over, so that the log begins anew: 64 MiB. A page that is written
/// again before is carried over once. (Measured with random ids: 1.2 to 1.5 times the rows per second of 16 MiB.)
const WAIT_FRAMES: i64 = 16_384;

/// By how much the log has to grow until the writer waits again, where a reader has kept it from beginning anew.
const WAIT_AGAIN_FRAMES: i64 = WAIT_FRAMES / 8;

/// The `-wal` file of one database.
#[derive(Debug)]
pub(super) struct Wal {
    database: OpenedFile,
    path: PathBuf,
    /// From [`wal_bytes_max`](crate::settings::DatabaseSettings::wal_bytes_max).
    limit_bytes: u64,
    /// Size at which the next warning is due.
    warn_at_bytes: u64,
    /// Frames at which the writer waits for the next checkpoint.
    wait_at_frames: i64,
    /// Whether syncs can be believed. Shared with the checkpoint thread.
    sync_state: Arc<SyncState>,
    /// Whether the disk was full at the last attempt to write. The log may be what fills it.
    disk_was_full: bool,
    /// Started when it is first needed.
    checkpointer: Option<Checkpointer>,
    /// The sync that is under way on its thread.
    syncing: Option<Receiver<Result<(), SqliteError>>>,
}

impl Wal {
    pub(super) fn new(database: OpenedFile, limit_bytes: u64) -> Self {
        Self {
            path: side_file(database.path(), "-wal"),
            database,
            limit_bytes,
            warn_at_bytes: WARN_FROM_BYTES,
            wait_at_frames: WAIT_FRAMES,
            sync_state: Arc::new(SyncState::new()),
            disk_was_full: false,
            checkpointer: None,
            syncing: None,
        }
    }

    /// Remembers that there was no space left to write.
    pub(super) fn note_disk_full(&mut self) {
        self.disk_was_full = true;
    }

    /// Something failed that may have been a sync.
    pub(super) fn note_io_failure(&self) {
        self.sync_state.fail();
    }

    /// Whether the log has to shrink before more is written.
    pub(super) fn must_shrink(&self) -> Result<bool, SqliteError> {
        Ok(self.disk_was_full || self.is_full()?)
    }

    /// Whether the log has reached its limit.
    pub(super) fn is_full(&self) -> Result<bool, SqliteError> {
        Ok(wal_bytes(&self.path)? >= self.limit_bytes)
    }

    /// The writer's connection is closed: with this nobody of this process has the database open any more.
    pub(super) fn close(&self) {
        if let Some(checkpointer) = &self.checkpointer {
            checkpointer.close_connection();
        }
    }

    /// Keeps the log small, as far as readers let it. Warns each time that the file has doubled. At the limit, or after the disk was
    /// full, tries to empty it; fails if a reader keeps it at the limit. After a failed sync only [`recover`](Self::recover) may do that.
    pub(super) fn keep_bounded(&mut self, connection: &Connection) -> Result<(), SqliteError> {
        self.carry_over_beside(connection)?;
        let bytes = wal_bytes(&self.path)?;
        if bytes < WARN_FROM_BYTES {
            self.warn_at_bytes = WARN_FROM_BYTES;
        } else if bytes >= self.warn_at_bytes {
            self.warn_at_bytes = bytes.saturating_mul(2);
            log::warn!(
                wal_bytes = bytes, limit_bytes = self.limit_bytes;
                "the write-ahead log grows: another process holds a read transaction of the database open"
            );
        }
        if !self.is_trusted() || bytes < self.limit_bytes && !self.disk_was_full {
            return Ok(());
        }
        let busy = self.empty(connection)?;
        self.disk_was_full = false;
        if busy && bytes >= self.limit_bytes {
            return Err(SqliteError::WalFull { bytes, limit_bytes: self.limit_bytes });
        }
        Ok(())
    }

    /// Has the log carried over by the other thread, and waits for that only if it has become long.
    fn carry_over_beside(&mut self, connection: &Connection) -> Result<(), SqliteError> {
        // Of what the disk may not have of the log, nothing may get into the database before all of it does.
        if !self.is_trusted() {
            return Ok(());
        }
        let (frames, carried_over) = frames(connection)?;
        if frames < WAIT_FRAMES {
            self.wait_at_frames = WAIT_FRAMES;
        }
        if frames >= self.wait_at_frames {
            self.checkpointer()?.checkpoint()?;
            self.wait_at_frames = frames + WAIT_AGAIN_FRAMES;
        } else if frames - carried_over >= CHECKPOINT_FRAMES {
            self.checkpointer()?.checkpoint_soon();
        }
        Ok(())
    }

    pub(super) fn checkpointer(&mut self) -> Result<&Checkpointer, SqliteError> {
        let checkpointer = match self.checkpointer.take() {
            Some(checkpointer) => checkpointer,
            None => Checkpointer::start(self.database.clone(), &self.path, Arc::clone(&self.sync_state))?,
        };
        Ok(self.checkpointer.insert(checkpointer))
    }

    /// Makes every transaction committed so far survive a power cut. Nothing is to be done for what is no longer in the file:
    /// a checkpoint syncs the log before, and the database after it writes there.
    pub(super) fn sync(&mut self) -> Result<(), SqliteError> {
        // All on one thread, one after the other: the kernel reports a failure to the first who asks, and the next one must know of it.
        self.checkpointer()?.sync_and_wait()?;
        if self.is_trusted() { Ok(()) } else { Err(self.unsure()) }
    }

    /// Begins the same on the other thread, which calls `notify` when it has ended.
    pub(super) fn begin_sync(&mut self, notify: impl FnOnce() + Send + 'static) -> Result<(), SqliteError> {
        let (answer, ended) = channel();
        self.checkpointer()?.sync(move |result| {
            // Nobody may want to know any more.
            let _ = answer.send(result);
            notify();
        });
        self.syncing = Some(ended);
        Ok(())
    }

    /// What came of the sync that was begun last, once it has ended.
    pub(super) fn sync_result(&mut self) -> Option<Result<(), SqliteError>> {
        let result = match self.syncing.as_ref()?.try_recv() {
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => Err(self.unsure()),
            // What it has synced may have been lost before.
            Ok(Ok(())) if !self.is_trusted() => Err(self.unsure()),
            Ok(result) => result,
        };
        self.syncing = None;
        Some(result)
    }

    /// Whether no sync has failed, so that a sync that succeeds makes commits durable; see [`SyncState`].
    pub(super) fn is_trusted(&self) -> bool {
        self.sync_state.is_trusted()
    }

    /// After a failed sync: checkpoints the whole log into the database file, which is synced with that, and truncates the log.
    /// `connection` must have been opened since: SQLite remembers for all that have the database open how much of the log it has
    /// checkpointed before, without a sync that could be trusted, and would not checkpoint that again.
    pub(super) fn recover(&mut self, connection: &Connection) -> Result<(), SqliteError> {
        let not_synced = || SqliteError::NotSynced { path: self.path.clone() };
        if !self.sync_state.begin_recovery(frames(connection)?.1) || self.empty(connection)? {
            return Err(not_synced());
        }
        // What the disk has of the log must be gone too: after a power cut SQLite would write those older pages over the database.
        sync_file(&self.path).inspect_err(|_| self.sync_state.fail())?;
        self.disk_was_full = false;
        if self.sync_state.recovered() { Ok(()) } else { Err(self.unsure()) }
    }

    fn unsure(&self) -> SqliteError {
        SqliteError::InDoubt { path: self.path.clone() }
    }

    /// Carries the whole log over into the database and truncates it. Waits for readers as long as the busy timeout; true if they
    /// prevent it even so.
    fn empty(&self, connection: &Connection) -> Result<bool, SqliteError> {
        // Two checkpoints at once are refused.
        if let Some(checkpointer) = &self.checkpointer {
            checkpointer.close_connection();
        }
        connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
            .context("empty the write-ahead log")
    }
}

/// How many frames are in the log, and how many of them in the database already.
fn frames(connection: &Connection) -> Result<(i64, i64), SqliteError> {
    let frames = || {
        connection.prepare_cached("PRAGMA wal_checkpoint(NOOP)")?.query_row([], |row| Ok((row.get(1)?, row.get(2)?)))
    };
    frames().context("look at the write-ahead log")
}
