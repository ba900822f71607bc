//! The log file of unidentified messages: a projection of their table, one JSON object a line, each message once. Must
//! not decide what is unidentified, and never stops the service.

mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod line;
mod tail;
#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use error::LogFileError;

use crate::runtime::durable_fs;
use crate::runtime::error_chain::ErrorChain;
use crate::runtime::permissions::{self, FileMode};
use crate::storage::UnidentifiedMessages;

/// Messages are written at most this often: each step ends in a sync of the file and a write transaction.
const STEP_INTERVAL: Duration = Duration::from_secs(1);

/// The most messages of one step.
const STEP_MESSAGES_MAX: u32 = 5000;

/// A step takes no further message after its keys and values have reached this many bytes.
const STEP_BYTES_MAX: usize = 8 << 20;

/// The log. A cursor in the database says up to which message the file is written.
#[derive(Debug)]
pub struct UnidentifiedLog(Option<LogFile>);

#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    mode: FileMode,
    /// When to write what may be pending; `None` if nothing is.
    due: Option<Instant>,
    state: FileState,
}

/// What is known of the end of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileState {
    /// Nothing: an earlier process may have been killed before it moved the cursor.
    Unknown,
    /// It ends with the message of the cursor.
    AtCursor,
    /// Nothing: the last step failed, and that was logged.
    Failed,
}

impl UnidentifiedLog {
    /// A log at `path`; `None` for no log. Opens nothing yet.
    pub fn new(path: Option<PathBuf>, mode: FileMode) -> Self {
        // An earlier process may have left messages to write.
        Self(path.map(|path| LogFile { path, mode, due: Some(Instant::now()), state: FileState::Unknown }))
    }

    /// The table has new messages.
    pub fn note_pending(&mut self) {
        if let Some(file) = &mut self.0 {
            file.due.get_or_insert_with(|| Instant::now() + STEP_INTERVAL);
        }
    }

    /// How long until a step is due; `None` if nothing is pending.
    pub fn due_in(&self) -> Option<Duration> {
        self.0.as_ref()?.due.map(|due| due.saturating_duration_since(Instant::now()))
    }

    /// Writes one step of pending messages, if it is due. A failure is logged once and retried.
    pub fn write_when_due(&mut self, messages: &mut dyn UnidentifiedMessages) {
        if self.due_in() == Some(Duration::ZERO)
            && let Some(file) = &mut self.0
        {
            let has_more = file.step(messages);
            file.due = match file.state {
                FileState::Failed => Some(Instant::now() + STEP_INTERVAL),
                FileState::Unknown | FileState::AtCursor => has_more.then(Instant::now),
            };
        }
    }

    /// Writes everything that is pending, but begins no step after `until`. The next process writes the rest.
    pub fn write_rest(&mut self, messages: &mut dyn UnidentifiedMessages, until: Instant) {
        if let Some(file) = &mut self.0 {
            while Instant::now() < until && file.step(messages) {}
        }
    }
}

impl LogFile {
    /// Writes at most one step. Whether there may be more.
    fn step(&mut self, messages: &mut dyn UnidentifiedMessages) -> bool {
        let path = self.path.display();
        match write(self, messages) {
            Ok(has_more) => {
                if self.state == FileState::Failed {
                    log::warn!(path:% = path; "the log of unidentified messages can be written again");
                }
                self.state = FileState::AtCursor;
                has_more
            }
            Err(error) => {
                if self.state != FileState::Failed {
                    log::warn!(
                        path:% = path, error:% = ErrorChain(&error);
                        "cannot write the log of unidentified messages; they are kept in the database and will be written later"
                    );
                }
                self.state = FileState::Failed;
                false
            }
        }
    }
}

/// One step: writes the messages after the cursor to the file, syncs the file, then moves the cursor. A crash at any
/// point leaves the file at the cursor or ahead of it, and [`tail::find_last_written`] finds how far.
fn write(log_file: &LogFile, messages: &mut dyn UnidentifiedMessages) -> Result<bool, LogFileError> {
    let LogFile { path, mode, state, .. } = log_file;
    let mut cursor = messages.log_cursor()?;
    if *state != FileState::AtCursor {
        let file = open(path, *mode)?;
        if file.metadata()?.is_file()
            && let Some(last_id) = tail::find_last_written(&file, cursor, messages)?
        {
            // The process that wrote these lines may have been killed before it synced them.
            sync(&file, path)?;
            messages.set_log_cursor(last_id)?;
            cursor = last_id;
        }
    }
    let pending = messages.messages_after(cursor, STEP_MESSAGES_MAX, STEP_BYTES_MAX)?;
    let Some(last) = pending.last() else { return Ok(false) };
    // A message that a power cut removed from the table would be read, stored and written to the file a second time.
    messages.sync_messages()?;
    let file = open(path, *mode)?;
    let mut out = BufWriter::new(&file);
    for message in &pending {
        line::write(&mut out, message)?;
    }
    out.flush()?;
    // A pipe or a terminal has nothing to sync.
    if file.metadata()?.is_file() {
        sync(&file, path)?;
    }
    messages.set_log_cursor(last.id)?;
    Ok(true)
}

/// Syncs the lines, and the name of the file, which may be new.
fn sync(file: &File, path: &Path) -> io::Result<()> {
    file.sync_data()?;
    durable_fs::sync_name(path)
}

/// Opens the file for each step, so that a file that was moved is created again; to append, so that a truncated file
/// begins at 0.
fn open(path: &Path, mode: FileMode) -> io::Result<File> {
    durable_fs::create_all(durable_fs::parent(path), mode)?;
    match permissions::open(path, OpenOptions::new().read(true).append(true), mode.file()) {
        // A file that can only be written, as the standard output may be, is not a regular file.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && path.exists() => {
            OpenOptions::new().append(true).open(path)
        }
        opened => opened,
    }
}
