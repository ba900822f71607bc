//! One line at the bottom of the terminal that shows progress while a long operation runs. Log lines and output go above it.
//! Nothing is shown where standard error is not a terminal. Must not know what progresses.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often a line changes at most: more is not readable.
pub const REDRAW_INTERVAL: Duration = Duration::from_millis(250);

/// An operation that takes less than this needs no progress.
const HIDDEN_TIME: Duration = Duration::from_secs(1);

/// Returns to the start of the line and erases it ([ECMA-48](https://ecma-international.org/publications-and-standards/standards/ecma-48/),
/// `EL`).
const ERASE: &str = "\r\x1b[K";

/// Without automatic wrapping (`DECAWM`) the terminal cuts a line that is too long, however wide it is.
const WRAP_OFF: &str = "\x1b[?7l";
const WRAP_ON: &str = "\x1b[?7h";

/// Whether this process has shown a line: others write without a lock.
static IS_IN_USE: AtomicBool = AtomicBool::new(false);

/// The line that is shown.
static LINE: Mutex<Option<String>> = Mutex::new(None);

/// Writes to the terminal above the progress line.
pub fn write_above<T>(write: impl FnOnce() -> T) -> T {
    if !IS_IN_USE.load(Ordering::SeqCst) {
        return write();
    }
    let line = lock();
    if line.is_some() {
        write_terminal(ERASE);
    }
    let written = write();
    draw(line.as_deref());
    written
}

/// The progress of one operation. The line disappears with it.
#[derive(Debug)]
pub struct ProgressLine {
    is_enabled: bool,
}

impl ProgressLine {
    /// A line that is empty; with `can_redraw` set to false, and if standard error is not a terminal, it stays so.
    pub fn new(can_redraw: bool) -> Self {
        Self { is_enabled: can_redraw && io::stderr().is_terminal() }
    }

    /// Whether anybody sees the line.
    pub fn is_enabled(&self) -> bool {
        self.is_enabled
    }

    /// Replaces the line.
    pub fn show(&self, text: String) {
        if self.is_enabled {
            IS_IN_USE.store(true, Ordering::SeqCst);
            let mut line = lock();
            draw(Some(&text));
            *line = Some(text);
        }
    }

    /// Removes the line, until the next one is shown.
    pub fn hide(&self) {
        if self.is_enabled && lock().take().is_some() {
            write_terminal(ERASE);
        }
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        self.hide();
    }
}

/// Shows how long an operation has been running that cannot say how far it is. Ends when it is dropped.
#[derive(Debug)]
pub struct Stopwatch(Option<(Sender<()>, JoinHandle<()>)>);

impl Stopwatch {
    /// Begins to count. Without a thread there is no line.
    pub fn start(what: &'static str, can_redraw: bool) -> Self {
        let line = ProgressLine::new(can_redraw);
        if !line.is_enabled() {
            return Self(None);
        }
        let (end, is_ended) = channel::<()>();
        let started = Instant::now();
        let run = move || {
            let mut wait = HIDDEN_TIME;
            while is_ended.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                line.show(format!("{what}: {} s", started.elapsed().as_secs()));
                wait = REDRAW_INTERVAL;
            }
        };
        let thread = thread::Builder::new().name("stopwatch".to_owned()).spawn(run);
        Self(thread.ok().map(|thread| (end, thread)))
    }
}

impl Drop for Stopwatch {
    fn drop(&mut self) {
        if let Some((end, thread)) = self.0.take() {
            drop(end);
            // It removes the line.
            let _ = thread.join();
        }
    }
}

fn draw(text: Option<&str>) {
    if let Some(text) = text {
        write_terminal(&format!("\r{WRAP_OFF}{text}\x1b[K{WRAP_ON}"));
    }
}

/// A terminal that cannot be written shows no progress.
fn write_terminal(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// A panic cannot leave the line incomplete: a change is an assignment.
fn lock() -> MutexGuard<'static, Option<String>> {
    LINE.lock().unwrap_or_else(PoisonError::into_inner)
}
