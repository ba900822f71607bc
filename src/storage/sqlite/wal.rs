//! Bounds the `-wal` file, which grows while a long-running reader blocks checkpoints, and makes it durable. Must not know what is in it.

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
use crate::storage::statistics::DatabaseStatistics;

/// Size of the WAL from which on its growth is logged, in bytes: twice what [`wait_frames`] allows, which leaves room for a large transaction.
const WARN_FROM_BYTES: u64 = 256 << 20;

/// Frames that are not yet in the database when a checkpoint is requested, in pages of 4 KiB: 8 MiB.
const CHECKPOINT_FRAMES: i64 = 2_048;

/// Frames in the WAL at which the writer waits for a checkpoint of all of them, so that SQLite restarts the WAL: 64 MiB. A page that is
/// written several times before is checkpointed once. (Measured with random ids: 1.2 to 1.5 times the rows per second of 16 MiB.)
const WAIT_FRAMES: i64 = 16_384;

/// Twice as many while transactions have grown: a single one may write 60 MiB, and the writer would wait for the checkpoint of each. (Measured
/// with random ids: 1.03 to 1.18 times the rows per second of 64 MiB; four times as many are not faster.)
const WAIT_FRAMES_GROWN: i64 = 2 * WAIT_FRAMES;

/// The frames at which the writer waits, by the [growth](super::growth) of transactions.
fn wait_frames(growth: u32) -> i64 {
    if growth > 1 { WAIT_FRAMES_GROWN } else { WAIT_FRAMES }
}

/// By how many frames the WAL grows until the writer waits again, if a reader has blocked the restart.
const WAIT_AGAIN_FRAMES: i64 = WAIT_FRAMES / 8;

/// The `-wal` file of one database.
#[derive(Debug)]
pub(super) struct Wal {
    database: OpenedFile,
    path: PathBuf,
    /// From [`wal_bytes_max`](crate::settings::DatabaseSettings::wal_bytes_max).
    limit_bytes: u64,
    /// The size at which the next warning is logged.
    warn_at_bytes: u64,
    /// The frames at which the writer waits for the next checkpoint.
    wait_at_frames: i64,
    /// The frames when they were last counted.
    frames_before: i64,
    /// Shared with the checkpoint thread.
    sync_state: Arc<SyncState>,
    /// Shared with the checkpoint thread, and with whoever watches the service.
    statistics: Arc<DatabaseStatistics>,
    /// Started when it is first needed.
    checkpointer: Option<Checkpointer>,
    /// The result of the sync that is under way.
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
            frames_before: 0,
            sync_state: Arc::new(SyncState::new()),
            statistics: Arc::default(),
            checkpointer: None,
            syncing: None,
        }
    }

    /// Notes that the disk was full.
    pub(super) fn note_disk_full(&self) {
        self.sync_state.note_disk_full();
    }

    /// Notes an error that may have been a failed sync.
    pub(super) fn note_io_failure(&self) {
        self.sync_state.note_sync_failure();
    }

    /// Whether no sync has failed, so that a successful one makes commits durable; see [`SyncState`].
    pub(super) fn is_trusted(&self) -> bool {
        self.sync_state.is_trusted()
    }

    /// Whether the WAL must be truncated before more is written.
    pub(super) fn must_shrink(&self) -> Result<bool, SqliteError> {
        Ok(self.sync_state.is_disk_full() || self.is_full()?)
    }

    pub(super) fn statistics(&self) -> Arc<DatabaseStatistics> {
        Arc::clone(&self.statistics)
    }

    /// Its size.
    pub(super) fn bytes(&self) -> Result<u64, SqliteError> {
        wal_bytes(&self.path)
    }

    /// Whether the WAL has reached its limit.
    pub(super) fn is_full(&self) -> Result<bool, SqliteError> {
        Ok(self.bytes()? >= self.limit_bytes)
    }

    /// Closes the connection of the checkpoint thread. If the writer's connection is closed too, this process no longer has the database
    /// open.
    pub(super) fn close(&self) {
        if let Some(checkpointer) = &self.checkpointer {
            checkpointer.close_connection();
        }
    }

    /// Keeps the WAL small, as far as readers allow. Logs a warning each time that the file has doubled. At the limit, or after a full disk,
    /// truncates the WAL; fails if a reader blocks that at the limit. After a failed sync only [`recover`](Self::recover) may truncate it.
    ///
    /// Gives how many frames were written since the last call.
    pub(super) fn keep_bounded(&mut self, connection: &Connection, growth: u32) -> Result<u64, SqliteError> {
        let frames = frames(connection)?;
        let written = self.count_written(frames);
        self.request_checkpoint(frames, wait_frames(growth))?;
        let bytes = wal_bytes(&self.path)?;
        if bytes < WARN_FROM_BYTES {
            self.warn_at_bytes = WARN_FROM_BYTES;
        } else if bytes >= self.warn_at_bytes {
            self.warn_at_bytes = bytes.saturating_mul(2);
            log::warn!(
                wal_bytes = bytes, limit_bytes = self.limit_bytes;
                "the WAL grows: a long-running reader blocks checkpoints"
            );
        }
        if !self.is_trusted() || bytes < self.limit_bytes && !self.sync_state.is_disk_full() {
            return Ok(written);
        }
        let is_blocked = self.truncate(connection)?;
        self.sync_state.note_truncated();
        if is_blocked && bytes >= self.limit_bytes {
            return Err(SqliteError::WalFull { bytes, limit_bytes: self.limit_bytes });
        }
        Ok(written)
    }

    /// How many frames were written since the last call. SQLite has restarted the WAL if there are fewer than then.
    fn count_written(&mut self, Frames { all, .. }: Frames) -> u64 {
        let before = std::mem::replace(&mut self.frames_before, all);
        let written = if all < before { all } else { all - before };
        u64::try_from(written).unwrap_or_default()
    }

    /// Requests a checkpoint if the WAL has grown, and waits for it only if the WAL is long.
    fn request_checkpoint(
        &mut self,
        Frames { all, checkpointed }: Frames,
        wait_frames: i64,
    ) -> Result<(), SqliteError> {
        // A part of a WAL that may not be on the disk must not reach the database before the rest of it.
        if !self.is_trusted() {
            return Ok(());
        }
        if all < wait_frames {
            self.wait_at_frames = wait_frames;
        }
        if all >= self.wait_at_frames {
            self.checkpointer()?.checkpoint()?;
            self.wait_at_frames = all + WAIT_AGAIN_FRAMES;
        } else if all - checkpointed >= CHECKPOINT_FRAMES {
            self.checkpointer()?.request_checkpoint();
        }
        Ok(())
    }

    pub(super) fn checkpointer(&mut self) -> Result<&Checkpointer, SqliteError> {
        if let Some(checkpointer) = self.checkpointer.take() {
            return Ok(self.checkpointer.insert(checkpointer));
        }
        let shared = (Arc::clone(&self.sync_state), Arc::clone(&self.statistics));
        let checkpointer = Checkpointer::start(self.database.clone(), &self.path, shared)?;
        Ok(self.checkpointer.insert(checkpointer))
    }

    /// Makes every transaction that was committed so far durable. Frames that are no longer in the file are durable already: a checkpoint
    /// syncs the WAL before it, and the database after it.
    pub(super) fn sync(&mut self) -> Result<(), SqliteError> {
        // All syncs run on one thread: the kernel reports a failure to the first caller only, and the next one must know of it.
        self.checkpointer()?.sync()?;
        self.if_trusted()
    }

    /// Begins the same; the checkpoint thread calls `notify` when [`sync_result`](Self::sync_result) has the result.
    pub(super) fn begin_sync(&mut self, notify: impl FnOnce() + Send + 'static) -> Result<(), SqliteError> {
        let (result, received) = channel();
        self.checkpointer()?.begin_sync(move |synced| {
            // The writer may have ended.
            let _ = result.send(synced);
            notify();
        });
        self.syncing = Some(received);
        Ok(())
    }

    /// The result of the sync that was begun last, once; `None` while it is under way.
    pub(super) fn sync_result(&mut self) -> Option<Result<(), SqliteError>> {
        let result = match self.syncing.as_ref()?.try_recv() {
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => Err(self.untrusted()),
            // What it has synced may have been lost before.
            Ok(Ok(())) => self.if_trusted(),
            Ok(Err(error)) => Err(error),
        };
        self.syncing = None;
        Some(result)
    }

    /// Recovers after a failed sync: checkpoints the whole WAL into the database file, which that syncs, and truncates the WAL. `connection`
    /// must have been opened after the failure: SQLite remembers, for all connections of a process, how many frames it has checkpointed,
    /// and would not checkpoint them a second time, though no sync of them can be trusted.
    pub(super) fn recover(&mut self, connection: &Connection) -> Result<(), SqliteError> {
        let not_synced = || SqliteError::NotSynced { path: self.path.clone() };
        if !self.sync_state.begin_recovery(frames(connection)?.checkpointed) || self.truncate(connection)? {
            return Err(not_synced());
        }
        // The frames on the disk must go too: after a power cut SQLite would write those older pages over the database.
        sync_file(&self.path).inspect_err(|_| self.sync_state.note_sync_failure())?;
        self.sync_state.note_truncated();
        if self.sync_state.end_recovery() { Ok(()) } else { Err(self.untrusted()) }
    }

    fn if_trusted(&self) -> Result<(), SqliteError> {
        if self.is_trusted() { Ok(()) } else { Err(self.untrusted()) }
    }

    fn untrusted(&self) -> SqliteError {
        SqliteError::SyncUntrusted { path: self.path.clone() }
    }

    /// Checkpoints the whole WAL and truncates it. Waits for readers as long as the busy timeout; true if they still block it.
    fn truncate(&self, connection: &Connection) -> Result<bool, SqliteError> {
        // SQLite refuses two checkpoints at the same time.
        if let Some(checkpointer) = &self.checkpointer {
            checkpointer.close_connection();
        }
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).context("truncate the WAL")
    }
}

/// How many frames there are.
#[derive(Clone, Copy, Debug)]
struct Frames {
    /// In the WAL.
    all: i64,
    /// In the database already.
    checkpointed: i64,
}

fn frames(connection: &Connection) -> Result<Frames, SqliteError> {
    let frames = || {
        connection
            .prepare_cached("PRAGMA wal_checkpoint(NOOP)")?
            .query_row([], |row| Ok(Frames { all: row.get(1)?, checkpointed: row.get(2)? }))
    };
    frames().context("read the state of the WAL")
}
