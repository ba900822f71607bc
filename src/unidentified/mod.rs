//! The log file of unidentified messages: a projection of their table, one JSON object a line, each message once.
//! Must not decide what is unidentified, and never stops the service.

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod line;
mod tail;

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::runtime::durable_fs;
use crate::runtime::permissions::{self, FileMode};
use crate::storage::{StorageError, UnidentifiedMessages};

/// Messages are written out this often at most: each step ends in a sync of the file and a write transaction.
const STEP_EVERY: Duration = Duration::from_secs(1);

/// Messages written out at a time, at most.
const STEP_MESSAGES_MAX: u32 = 5000;

/// Bytes of keys and values after which a step takes no further message.
const STEP_BYTES_MAX: usize = 8 << 20;

/// The log file. A cursor in the database says how far the table has been written out.
#[derive(Debug)]
pub struct UnidentifiedLog {
    path: Option<PathBuf>,
    mode: FileMode,
    /// When to write out what may be pending; `None` if nothing is.
    due: Option<Instant>,
    /// Whether the end of the file is known to be where the cursor stands: not at the start, nor after a failure.
    in_step: bool,
    /// Whether the last attempt failed, and that was logged.
    failing: bool,
}

impl UnidentifiedLog {
    /// A log at `path`; `None` for no log. Opens nothing yet.
    pub fn new(path: Option<PathBuf>, mode: FileMode) -> Self {
        // A run before this one may have left something.
        let due = path.is_some().then(Instant::now);
        Self { path, mode, due, in_step: false, failing: false }
    }

    /// There are new messages in the table.
    pub fn notice(&mut self) {
        if self.path.is_some() {
            self.due.get_or_insert_with(|| Instant::now() + STEP_EVERY);
        }
    }

    /// How long until something is to be written out; `None` if nothing is pending.
    pub fn due_in(&self) -> Option<Duration> {
        self.due.map(|due| due.saturating_duration_since(Instant::now()))
    }

    /// Writes out some of what is pending, if it is time. A failure is logged once and tried again.
    pub fn advance(&mut self, database: &mut dyn UnidentifiedMessages) {
        if self.due_in() != Some(Duration::ZERO) {
            return;
        }
        let more = self.step(database);
        self.due = if self.failing { Some(Instant::now() + STEP_EVERY) } else { more.then(Instant::now) };
    }

    /// Writes out all that is pending, but begins nothing after `until`. What is left is written out by the next run.
    pub fn finish(&mut self, database: &mut dyn UnidentifiedMessages, until: Instant) {
        while Instant::now() < until && self.step(database) {}
    }

    /// Writes out at most one step; whether there may be more.
    fn step(&mut self, database: &mut dyn UnidentifiedMessages) -> bool {
        let Some(path) = self.path.clone() else { return false };
        let result = write_out((&path, self.mode), self.in_step, database);
        self.in_step = result.is_ok();
        match result {
            Ok(more) => {
                if self.failing {
                    log::warn!(path:% = path.display(); "the log of unidentified messages can be written again");
                }
                self.failing = false;
                more
            }
            Err(failure) => {
                if !self.failing {
                    log::warn!(
                        path:% = path.display(), error:% = failure;
                        "cannot write the log of unidentified messages; they are kept in the database and will be written later"
                    );
                }
                self.failing = true;
                false
            }
        }
    }
}

/// Why a step failed. Only ever logged.
#[derive(Debug)]
enum Failure {
    File(io::Error),
    Database(StorageError),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(source) => source.fmt(f),
            Self::Database(error) => {
                error.fmt(f)?;
                std::error::Error::source(error).map_or(Ok(()), |source| write!(f, ": {source}"))
            }
        }
    }
}

impl From<io::Error> for Failure {
    fn from(source: io::Error) -> Self {
        Self::File(source)
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        Self::Database(error)
    }
}

/// One step: the messages behind the cursor into the file, the file to the disk, then the cursor forward. Whatever interrupts
/// it, the file is never behind the cursor, and [`tail::last_written`] finds how far it is ahead.
fn write_out(
    (path, mode): (&Path, FileMode),
    in_step: bool,
    database: &mut dyn UnidentifiedMessages,
) -> Result<bool, Failure> {
    let mut cursor = database.log_cursor()?;
    if !in_step {
        let file = open(path, mode)?;
        if file.metadata()?.is_file()
            && let Some(last_id) = tail::last_written(&file, cursor, database)?
        {
            // Who wrote these lines may have died before he synced them.
            sync(&file, path)?;
            database.set_log_cursor(last_id)?;
            cursor = last_id;
        }
    }
    let messages = database.messages_after(cursor, STEP_MESSAGES_MAX, STEP_BYTES_MAX)?;
    let Some(last) = messages.last() else { return Ok(false) };
    // A power cut must not take back from the table what the file has: it would be read again, and written a second time.
    database.sync_messages()?;
    let file = open(path, mode)?;
    let mut out = BufWriter::new(&file);
    for message in &messages {
        line::write(&mut out, message)?;
    }
    out.flush()?;
    // A pipe or a terminal has nothing to sync.
    if file.metadata()?.is_file() {
        sync(&file, path)?;
    }
    database.set_log_cursor(last.id)?;
    Ok(true)
}

/// The lines, and the name of the file, which may be new.
fn sync(file: &File, path: &Path) -> io::Result<()> {
    file.sync_data()?;
    durable_fs::sync_name(path)
}

/// Opened for each step, so that a file that was moved away is created again; to append, so that one that was truncated begins at 0.
fn open(path: &Path, mode: FileMode) -> io::Result<File> {
    durable_fs::create_all(durable_fs::parent(path), mode)?;
    match permissions::open(path, OpenOptions::new().read(true).append(true), mode.file()) {
        // What can only be written to, as the standard output may be, is no regular file either.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && path.exists() => {
            OpenOptions::new().append(true).open(path)
        }
        opened => opened,
    }
}

#[cfg(test)]
mod tests;
