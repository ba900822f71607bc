//! The thread beside the writer: carries the write-ahead log over into the database and syncs it, on a connection of its own, so
//! that nothing that is written waits for the disk. Must not change what is in the database.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;

use super::error::{Context, SqliteError};
use super::files::OpenedFile;
use super::open;
use super::sync_state::SyncState;
use super::wal_file::sync_file;
use crate::runtime::error_chain::ErrorChain;

/// The thread. It ends, and its connection is closed, when this is dropped.
#[derive(Debug)]
pub(super) struct Checkpointer {
    database: PathBuf,
    /// `None` only while it ends.
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    /// Whether a checkpoint that nobody waits for has been asked for and not been made.
    asked: Arc<AtomicBool>,
}

/// What it does, one after the other.
enum Job {
    Checkpoint { made: Option<Sender<Result<(), SqliteError>>> },
    Sync { ended: Box<dyn FnOnce(Result<(), SqliteError>) + Send> },
    CloseConnection { closed: Sender<()> },
}

impl Checkpointer {
    /// Starts the thread, which notes in `sync_state` the syncs that fail, or may have.
    pub(super) fn start(database: OpenedFile, wal: &Path, sync_state: Arc<SyncState>) -> Result<Self, SqliteError> {
        let (jobs, jobs_to_do) = channel();
        let asked = Arc::new(AtomicBool::new(false));
        let path = database.path().to_owned();
        let mut side = Side {
            database,
            wal: wal.to_owned(),
            connection: None,
            sync_state,
            asked: Arc::clone(&asked),
            failing: false,
        };
        let thread =
            thread::Builder::new().name("checkpoint".to_owned()).spawn(move || side.work(&jobs_to_do)).map_err(
                |source| SqliteError::Io { action: "start the thread for checkpoints of", path: path.clone(), source },
            )?;
        Ok(Self { database: path, jobs: Some(jobs), thread: Some(thread), asked })
    }

    /// Has a checkpoint made soon, unless that has been asked for already.
    pub(super) fn checkpoint_soon(&self) {
        if !self.asked.swap(true, Ordering::SeqCst) {
            self.give(Job::Checkpoint { made: None });
        }
    }

    /// Has a checkpoint made of everything that is in the log now, and waits for it.
    pub(super) fn checkpoint(&self) -> Result<(), SqliteError> {
        let (made, answer) = channel();
        self.give(Job::Checkpoint { made: Some(made) });
        answer.recv().unwrap_or_else(|_| Err(self.ended()))
    }

    /// Has the log synced; `ended` is called on the thread.
    pub(super) fn sync(&self, ended: impl FnOnce(Result<(), SqliteError>) + Send + 'static) {
        self.give(Job::Sync { ended: Box::new(ended) });
    }

    /// Has the log synced, and waits for it.
    pub(super) fn sync_and_wait(&self) -> Result<(), SqliteError> {
        let (synced, answer) = channel();
        self.sync(move |result| {
            // It is waited for.
            let _ = synced.send(result);
        });
        answer.recv().unwrap_or_else(|_| Err(self.ended()))
    }

    /// Waits until it has done everything that it was asked for, and has the database no longer open.
    pub(super) fn close_connection(&self) {
        let (closed, answer) = channel();
        self.give(Job::CloseConnection { closed });
        // No answer: the thread has ended, and its connection with it.
        let _ = answer.recv();
    }

    fn ended(&self) -> SqliteError {
        let source = io::ErrorKind::BrokenPipe.into();
        SqliteError::Io { action: "reach the thread for checkpoints of", path: self.database.clone(), source }
    }

    fn give(&self, job: Job) {
        // Nobody takes it only if the thread has panicked, which ends the process.
        let _ = self.jobs.as_ref().map(|jobs| jobs.send(job));
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.jobs = None;
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// What the thread has.
struct Side {
    database: OpenedFile,
    wal: PathBuf,
    connection: Option<Connection>,
    sync_state: Arc<SyncState>,
    asked: Arc<AtomicBool>,
    /// Whether the last checkpoint failed, and that was logged.
    failing: bool,
}

impl Side {
    fn work(&mut self, jobs: &Receiver<Job>) {
        while let Ok(job) = jobs.recv() {
            match job {
                Job::Checkpoint { made } => {
                    self.asked.store(false, Ordering::SeqCst);
                    let result = self.checkpoint();
                    self.tell(&result);
                    // What nobody waits for is tried again when the log has grown.
                    let _ = made.map(|made| made.send(result));
                }
                Job::Sync { ended } => {
                    let result = sync_file(&self.wal);
                    if result.is_err() {
                        self.sync_state.fail();
                    }
                    ended(result);
                }
                Job::CloseConnection { closed } => {
                    self.close();
                    let _ = closed.send(());
                }
            }
        }
    }

    fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            open::close_without_checkpoint(connection);
        }
    }

    /// One that nobody waits for is not tried again at once, so this is the only word of it.
    fn tell(&mut self, result: &Result<(), SqliteError>) {
        if let Err(error) = result
            && !self.failing
        {
            log::warn!("a checkpoint failed, the next one tries again: {}", ErrorChain(error));
        }
        self.failing = result.is_err();
    }

    /// As much as readers and the writer let go: neither waits for it
    /// ([`SQLITE_CHECKPOINT_PASSIVE`](https://www.sqlite.org/c3ref/wal_checkpoint_v2.html)).
    fn checkpoint(&mut self) -> Result<(), SqliteError> {
        // What the disk may lack of the log must not reach the database before the rest of it. It may have been asked for before a
        // sync failed.
        if !self.sync_state.is_trusted() {
            return Ok(());
        }
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => open::open_second(&self.database)?,
        };
        let connection = self.connection.insert(connection);
        let result = connection
            .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
            .context("carry the write-ahead log over into the database");
        // Of the syncs in it one may have failed, and a later one would not tell of what that has lost.
        if result.as_ref().is_err_and(SqliteError::is_io_failure) {
            self.sync_state.fail();
            self.close();
        }
        result
    }
}
