//! The thread beside the writer: carries the write-ahead log over into the database and syncs it, on a connection of its own, so
//! that nothing that is written waits for the disk. Must not change what is in the database.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use rusqlite::{Connection, ErrorCode};

use super::error::{DatabaseError, Doing};
use super::open;
use super::wal::sync_file;

/// The thread. It ends, and its connection is closed, when this is dropped.
#[derive(Debug)]
pub(super) struct Checkpointer {
    /// `None` only while it ends.
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    /// Whether a checkpoint that nobody waits for has been asked for and not been made.
    asked: Arc<AtomicBool>,
}

/// What it does, one after the other.
enum Job {
    Checkpoint { made: Option<Sender<Result<(), DatabaseError>>> },
    Sync { ended: Box<dyn FnOnce(Result<(), DatabaseError>) + Send> },
    CloseConnection { closed: Sender<()> },
}

impl Checkpointer {
    /// Starts the thread. `in_doubt` is set if a sync fails, or may have.
    pub(super) fn start(database: &Path, wal: &Path, in_doubt: Arc<AtomicBool>) -> Result<Self, DatabaseError> {
        let (jobs, jobs_to_do) = channel();
        let asked = Arc::new(AtomicBool::new(false));
        let mut side = Side {
            database: database.to_owned(),
            wal: wal.to_owned(),
            connection: None,
            in_doubt,
            asked: Arc::clone(&asked),
        };
        let thread = thread::Builder::new()
            .name("checkpoint".to_owned())
            .spawn(move || side.work(&jobs_to_do))
            .map_err(|source| DatabaseError::Io {
                action: "start the thread for checkpoints of",
                path: database.to_owned(),
                source,
            })?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread), asked })
    }

    /// Has a checkpoint made soon, unless that has been asked for already.
    pub(super) fn checkpoint_soon(&self) {
        if !self.asked.swap(true, Ordering::SeqCst) {
            self.give(Job::Checkpoint { made: None });
        }
    }

    /// Has a checkpoint made of everything that is in the log now, and waits for it.
    pub(super) fn checkpoint(&self) -> Result<(), DatabaseError> {
        let (made, answer) = channel();
        self.give(Job::Checkpoint { made: Some(made) });
        answer.recv().unwrap_or(Ok(()))
    }

    /// Has the log synced; `ended` is called on the thread.
    pub(super) fn sync(&self, ended: impl FnOnce(Result<(), DatabaseError>) + Send + 'static) {
        self.give(Job::Sync { ended: Box::new(ended) });
    }

    /// Waits until it has done everything that it was asked for, and has the database no longer open.
    pub(super) fn close_connection(&self) {
        let (closed, answer) = channel();
        self.give(Job::CloseConnection { closed });
        // No answer: the thread has ended, and its connection with it.
        let _ = answer.recv();
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
    database: PathBuf,
    wal: PathBuf,
    connection: Option<Connection>,
    in_doubt: Arc<AtomicBool>,
    asked: Arc<AtomicBool>,
}

impl Side {
    fn work(&mut self, jobs: &Receiver<Job>) {
        while let Ok(job) = jobs.recv() {
            match job {
                Job::Checkpoint { made } => {
                    self.asked.store(false, Ordering::SeqCst);
                    let result = self.checkpoint();
                    // What nobody waits for is tried again when the log has grown.
                    let _ = made.map(|made| made.send(result));
                }
                Job::Sync { ended } => {
                    let result = sync_file(&self.wal);
                    if result.is_err() {
                        self.in_doubt.store(true, Ordering::SeqCst);
                    }
                    ended(result);
                }
                Job::CloseConnection { closed } => {
                    self.connection = None;
                    let _ = closed.send(());
                }
            }
        }
    }

    /// As much as readers and the writer let go: neither waits for it
    /// ([`SQLITE_CHECKPOINT_PASSIVE`](https://www.sqlite.org/c3ref/wal_checkpoint_v2.html)).
    fn checkpoint(&mut self) -> Result<(), DatabaseError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => open::open_beside(&self.database)?,
        };
        let result = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        // It begins with a sync of the log, and a later one would not tell of what that has lost.
        if let Err(error) = &result
            && error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure)
        {
            self.in_doubt.store(true, Ordering::SeqCst);
            return result.doing("carry the write-ahead log over into the database");
        }
        self.connection = Some(connection);
        result.doing("carry the write-ahead log over into the database")
    }
}
