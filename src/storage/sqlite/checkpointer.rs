//! The checkpoint thread: checkpoints and syncs the WAL on a connection of its own, so that the writer does not wait for the disk. Must not
//! change what is in the database.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use rusqlite::Connection;

use super::error::{Context, SqliteError};
use super::files::OpenedFile;
use super::open;
use super::sync_state::SyncState;
use super::wal_file::sync_file;
use crate::runtime::error_chain::ErrorChain;
use crate::runtime::stages::WORK_TIME_MAX;
use crate::storage::statistics::DatabaseStatistics;

/// The thread. It ends, and closes its connection, when this is dropped.
#[derive(Debug)]
pub(super) struct Checkpointer {
    database: PathBuf,
    /// `None` only while it ends.
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    sync_state: Arc<SyncState>,
}

/// What the thread does, one job after the other.
enum Job {
    Checkpoint { result: Option<Sender<Result<(), SqliteError>>> },
    Sync { on_result: Box<dyn FnOnce(Result<(), SqliteError>) + Send> },
    CloseConnection { closed: Sender<()> },
}

impl Checkpointer {
    /// Starts the thread, which notes failed syncs in `sync_state`.
    pub(super) fn start(
        database: OpenedFile,
        wal: &Path,
        (sync_state, statistics): (Arc<SyncState>, Arc<DatabaseStatistics>),
    ) -> Result<Self, SqliteError> {
        let (jobs, received) = channel();
        let path = database.path().to_owned();
        let mut worker = Worker {
            database,
            wal: wal.to_owned(),
            connection: None,
            sync_state: Arc::clone(&sync_state),
            statistics,
            has_logged_failure: false,
        };
        let thread =
            thread::Builder::new().name("checkpoint".to_owned()).spawn(move || worker.run(&received)).map_err(
                |source| SqliteError::Io { action: "start the checkpoint thread of", path: path.clone(), source },
            )?;
        Ok(Self { database: path, jobs: Some(jobs), thread: Some(thread), sync_state })
    }

    /// Requests a checkpoint and does not wait for it.
    pub(super) fn request_checkpoint(&self) {
        if self.sync_state.request_checkpoint() {
            self.send(Job::Checkpoint { result: None });
        }
    }

    /// Checkpoints everything that is in the WAL now, and waits for that.
    pub(super) fn checkpoint(&self) -> Result<(), SqliteError> {
        let (result, received) = channel();
        self.send(Job::Checkpoint { result: Some(result) });
        received.recv().unwrap_or_else(|_| Err(self.ended()))
    }

    /// Syncs the WAL and calls `on_result` on the thread.
    pub(super) fn begin_sync(&self, on_result: impl FnOnce(Result<(), SqliteError>) + Send + 'static) {
        self.send(Job::Sync { on_result: Box::new(on_result) });
    }

    /// Syncs the WAL and waits for that.
    pub(super) fn sync(&self) -> Result<(), SqliteError> {
        let (result, received) = channel();
        self.begin_sync(move |synced| {
            // `recv` below waits for it.
            let _ = result.send(synced);
        });
        received.recv().unwrap_or_else(|_| Err(self.ended()))
    }

    /// Waits until all jobs are done and the thread's connection is closed.
    pub(super) fn close_connection(&self) {
        let (closed, received) = channel();
        self.send(Job::CloseConnection { closed });
        // An error says that the thread has ended, and its connection with it.
        let _ = received.recv();
    }

    fn ended(&self) -> SqliteError {
        let source = io::ErrorKind::BrokenPipe.into();
        SqliteError::Io { action: "reach the checkpoint thread of", path: self.database.clone(), source }
    }

    fn send(&self, job: Job) {
        // The thread receives it unless it has panicked, which ends the process.
        let _ = self.jobs.as_ref().map(|jobs| jobs.send(job));
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.jobs = None;
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// What the thread owns.
struct Worker {
    database: OpenedFile,
    wal: PathBuf,
    connection: Option<Connection>,
    sync_state: Arc<SyncState>,
    statistics: Arc<DatabaseStatistics>,
    /// Whether the last checkpoint failed: the first failure of several in a row is logged.
    has_logged_failure: bool,
}

impl Worker {
    fn run(&mut self, jobs: &Receiver<Job>) {
        while let Ok(job) = jobs.recv() {
            self.statistics.checkpoint_stage.work(WORK_TIME_MAX);
            let begun = Instant::now();
            match job {
                Job::Checkpoint { result } => {
                    self.sync_state.note_checkpoint_begun();
                    let checkpointed = self.checkpoint();
                    self.statistics.checkpoints.note(begun.elapsed(), checkpointed.is_ok());
                    self.log_failure(&checkpointed);
                    let _ = result.map(|result| result.send(checkpointed));
                }
                Job::Sync { on_result } => {
                    let result = sync_file(&self.wal);
                    self.statistics.syncs.note(begun.elapsed(), result.is_ok());
                    if result.is_err() {
                        self.sync_state.note_sync_failure();
                    }
                    on_result(result);
                }
                Job::CloseConnection { closed } => {
                    self.close();
                    let _ = closed.send(());
                }
            }
            self.statistics.checkpoint_stage.rest();
        }
    }

    fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            open::close_without_checkpoint(connection);
        }
    }

    fn log_failure(&mut self, result: &Result<(), SqliteError>) {
        if let Err(error) = result
            && !self.has_logged_failure
        {
            log::warn!("WAL checkpoint failed, the next one tries again: {}", ErrorChain(error));
        }
        self.has_logged_failure = result.is_err();
    }

    /// Checkpoints as much as readers and the writer allow, without blocking them
    /// ([`SQLITE_CHECKPOINT_PASSIVE`](https://www.sqlite.org/c3ref/wal_checkpoint_v2.html)).
    fn checkpoint(&mut self) -> Result<(), SqliteError> {
        // A part of a WAL that may not be on the disk must not reach the database before the rest of it. The checkpoint may have been
        // requested before a sync failed.
        if !self.sync_state.is_trusted() {
            return Ok(());
        }
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => open::open_second(&self.database)?,
        };
        let connection = self.connection.insert(connection);
        let result =
            connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).context("checkpoint the WAL");
        // One of the syncs of a checkpoint may have failed, and a later sync would not report what that has lost.
        if result.as_ref().is_err_and(SqliteError::is_io_failure) {
            self.sync_state.note_sync_failure();
            self.close();
        }
        result
    }
}
