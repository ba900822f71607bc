//! The only place that prints to standard output and standard error, except for the log and the progress line. Must not know
//! what is printed.
//!
//! A failed write is kept until [`take_error`] returns it at the end of the process, like the error flag of a C stream
//! ([close_stdout](https://www.gnu.org/software/gnulib/manual/html_node/Closed-standard-fds.html)): no command can forget to check.

use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};

use kafka::text::EscapedLines;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::runtime::error_chain::ErrorChain;
use crate::runtime::json;
use crate::runtime::progress_line;

/// The first write to standard output that failed.
static FIRST_FAILURE: Mutex<Option<io::Error>> = Mutex::new(None);

/// Bytes that a [`Stream`] collects before it writes them.
const STREAM_BUFFER_BYTES: usize = 64 << 10;

/// Prints text of one or several lines to standard output; unprintable characters are [escaped](EscapedLines).
pub fn print(text: impl fmt::Display) {
    let _ = write_stdout(EscapedLines(text).to_string().as_bytes());
}

/// Prints a value as indented JSON and a line feed to standard output.
pub fn print_json(value: &impl serde::Serialize) {
    match serde_json::to_vec_pretty(value).map(json::printable) {
        Ok(json) => {
            let _ = write_stdout(&[json.as_slice(), b"\n"].concat());
        }
        Err(error) => note_failure(error.into()),
    }
}

/// Prints a line about something that was left out of the output to standard error.
pub fn print_note(note: impl fmt::Display) {
    let line = EscapedLines(format_args!("enterprise-consumer: {note}\n")).to_string();
    let _ = progress_line::write_above(|| io::stderr().write_all(line.as_bytes()));
}

/// Standard output for any number of lines, which are collected and written together. Every call says whether to continue: not if
/// the reader has closed the pipe, nor after a failed write. What was collected last must be [flushed](Self::flush).
#[derive(Debug, Default)]
pub struct Stream {
    collected: Vec<u8>,
}

impl Stream {
    /// Prints text as [`print()`] does.
    pub fn print(&mut self, text: impl fmt::Display) -> ControlFlow<()> {
        self.write(EscapedLines(text).to_string().as_bytes())
    }

    /// Prints a value as JSON on one line.
    pub fn print_json_line(&mut self, value: &impl serde::Serialize) -> ControlFlow<()> {
        match serde_json::to_vec(value).map(json::printable) {
            Ok(mut json) => {
                json.push(b'\n');
                self.write(&json)
            }
            Err(error) => {
                note_failure(error.into());
                ControlFlow::Break(())
            }
        }
    }

    /// Writes bytes without any change, for programs.
    pub fn write(&mut self, bytes: &[u8]) -> ControlFlow<()> {
        if bytes.len() > STREAM_BUFFER_BYTES {
            self.flush()?;
            return write_stdout(bytes);
        }
        self.collected.extend_from_slice(bytes);
        if self.collected.len() > STREAM_BUFFER_BYTES { self.flush() } else { ControlFlow::Continue(()) }
    }

    /// Writes what was collected.
    pub fn flush(&mut self) -> ControlFlow<()> {
        if self.collected.is_empty() {
            return ControlFlow::Continue(());
        }
        let written = write_stdout(&self.collected);
        self.collected.clear();
        written
    }
}

/// Whether somebody may still read standard output: a pipe whose reader has closed it has an error condition
/// ([poll](https://pubs.opengroup.org/onlinepubs/9799919799/functions/poll.html)).
pub fn is_read() -> bool {
    let stdout = io::stdout();
    let mut polled = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
    let Ok(ready) = poll(&mut polled, PollTimeout::ZERO) else { return true };
    let [polled] = polled;
    ready == 0 || !polled.revents().is_some_and(|found| found.contains(PollFlags::POLLERR))
}

/// Prints an error with its causes to standard error, in one line. If that fails, only the exit code reports the error.
pub fn print_error(error: &dyn Error) {
    let line = format!("enterprise-consumer: {}\n", ErrorChain(error));
    let _ = progress_line::write_above(|| io::stderr().write_all(line.as_bytes()));
}

/// The first failed write to standard output; to be called once, after everything has been printed.
pub fn take_error() -> Option<OutputError> {
    FIRST_FAILURE.lock().unwrap_or_else(PoisonError::into_inner).take().map(OutputError)
}

/// Standard output does not have everything that was printed.
#[derive(Debug)]
pub struct OutputError(io::Error);

impl fmt::Display for OutputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot write to standard output")
    }
}

impl Error for OutputError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

fn write_stdout(bytes: &[u8]) -> ControlFlow<()> {
    // Not through `Stdout`, which ignores EBADF and buffers the last incomplete line.
    let out = io::stdout().as_fd().try_clone_to_owned().map(File::from);
    match out.and_then(|mut out| progress_line::write_above(|| out.write_all(bytes))) {
        // The reader has closed the pipe (`| head`): it has what it needs.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => ControlFlow::Break(()),
        Err(error) => {
            note_failure(error);
            ControlFlow::Break(())
        }
        Ok(()) => ControlFlow::Continue(()),
    }
}

fn note_failure(error: io::Error) {
    FIRST_FAILURE.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
}
