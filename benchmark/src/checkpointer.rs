//! A thread that checkpoints the WAL on a connection of its own, so that the writer does not wait for it.

use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::Connection;

use crate::Result;

/// Between two checkpoints.
const INTERVAL: Duration = Duration::from_millis(20);

/// The thread; `end` ends it.
pub struct Checkpointer {
    end: Sender<()>,
    thread: JoinHandle<rusqlite::Result<()>>,
}

impl Checkpointer {
    pub fn start(database: &Path) -> Result<Self> {
        let connection = Connection::open(database)?;
        let (end, ended) = mpsc::channel();
        let thread = thread::spawn(move || {
            while ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                checkpoint(&connection)?;
            }
            Ok(())
        });
        Ok(Self { end, thread })
    }

    /// Ends it, before the writer closes the database; fails if a checkpoint has failed.
    pub fn stop(self) -> Result<()> {
        // Dropping the other end of the channel says the same as a message.
        drop(self.end);
        Ok(self.thread.join().map_err(|_| "the checkpoint thread has panicked")??)
    }
}

/// Checkpoints without waiting for readers ([PASSIVE](https://www.sqlite.org/pragma.html#pragma_wal_checkpoint)).
pub fn checkpoint(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}
