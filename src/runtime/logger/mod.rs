//! The logger of the process, behind the `log` crate: standard error as text or JSON, and a file of JSON lines. Must not know
//! what is logged. A log that cannot be written never stops the service.

mod file;
mod line;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::SystemTime;

use kafka::text::Escaped;
use log::{Level, LevelFilter, Log, Metadata, Record, SetLoggerError};
use serde::{Deserialize, Serialize};
use simplelog::{ColorChoice, ConfigBuilder, LevelPadding, TermLogger, TerminalMode, format_description};
use time::UtcDateTime;

use crate::runtime::permissions::FileMode;
use crate::runtime::progress_line;
use crate::runtime::timestamp;
use file::{FileStatus, LogFile};

/// The crates that are logged at the level of [`LogSettings`].
const OUR_CRATES: [&str; 2] = ["enterprise_consumer", "kafka"];

/// The least severe level that is logged of other crates.
const OTHERS_LEVEL: LevelFilter = LevelFilter::Warn;

/// What is logged, and where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// The format of standard error.
    pub console: ConsoleFormat,
    /// The least severe level that is logged.
    pub level: LevelFilter,
    /// The log file, if any.
    pub file: Option<PathBuf>,
    /// Permissions of a new log file and its directory.
    pub file_mode: FileMode,
}

/// The format of the lines on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsoleFormat {
    /// For people.
    Text,
    /// For programs: JSON lines, as in the file.
    Json,
}

/// Installs the logger. To be called once in a process.
///
/// A log file that cannot be opened is no error: the console says so once, and each line retries.
pub fn init(settings: &LogSettings) -> Result<(), LoggerError> {
    let console = match settings.console {
        ConsoleFormat::Text => Console::Text(text_console(settings.level)),
        ConsoleFormat::Json => Console::Json,
    };
    let logger = Logger::new(settings, console);
    if let Some(file) = &logger.file {
        // Later calls fail below.
        let _ = FILE.set(Arc::clone(file));
    }
    log::set_boxed_logger(Box::new(logger)).map_err(LoggerError)?;
    log::set_max_level(settings.level);
    Ok(())
}

/// Closes the log file, so that the next line creates or opens the file at its path: after a rotation the old file is
/// complete.
pub fn reopen() {
    if let Some(file) = FILE.get() {
        lock(file).close();
    }
}

/// A warning or an error that was logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// When it was logged, RFC 3339.
    pub at: String,
    /// `WARN` or `ERROR`.
    pub level: String,
    /// The message, without its fields.
    pub message: String,
}

type Observer = Box<dyn Fn(Problem) + Send + Sync>;

/// The log file of the process.
static FILE: OnceLock<Arc<Mutex<LogFile>>> = OnceLock::new();

static OBSERVER: OnceLock<Observer> = OnceLock::new();

/// Passes each logged warning and error to `observer`. To be called once in a process; later calls have no effect.
pub fn on_problem(observer: impl Fn(Problem) + Send + Sync + 'static) {
    // A second service in one process, as in tests, is not observed.
    let _ = OBSERVER.set(Box::new(observer));
}

/// The current time in the format of the log: RFC 3339 in UTC, to the millisecond.
pub fn now() -> String {
    timestamp::timestamp(UtcDateTime::now())
}

/// A time in the format of the log.
pub fn timestamp(time: SystemTime) -> String {
    timestamp::timestamp(time.into())
}

/// The process already has a logger.
#[derive(Debug)]
pub struct LoggerError(SetLoggerError);

impl fmt::Display for LoggerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot set up the log")
    }
}

impl Error for LoggerError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

/// Standard error; standard output is for the output of commands.
enum Console {
    Text(Box<dyn Log>),
    Json,
}

fn text_console(level: LevelFilter) -> Box<TermLogger> {
    let config = ConfigBuilder::new()
        .set_time_format_custom(format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
        ))
        .set_level_padding(LevelPadding::Right)
        .set_thread_level(LevelFilter::Off)
        .set_location_level(LevelFilter::Off)
        .build();
    // `ColorChoice::Auto` looks at the environment only.
    let colours = if io::stderr().is_terminal() { ColorChoice::Auto } else { ColorChoice::Never };
    TermLogger::new(level, config, TerminalMode::Stderr, colours)
}

impl Console {
    fn log(&self, record: &Record<'_>, json: &[u8]) {
        progress_line::write_above(|| self.write(record, json));
    }

    fn write(&self, record: &Record<'_>, json: &[u8]) {
        match self {
            // `simplelog` ignores fields, so they become part of the message.
            Self::Text(logger) => logger.log(
                &record
                    .to_builder()
                    .args(format_args!("{}{}", Escaped(record.args()), line::TextFields(record)))
                    .build(),
            ),
            // Without a console the error cannot be reported.
            Self::Json => drop(io::stderr().write_all(json)),
        }
    }
}

struct Logger {
    level: LevelFilter,
    console: Console,
    file: Option<Arc<Mutex<LogFile>>>,
}

impl Logger {
    fn new(settings: &LogSettings, console: Console) -> Self {
        let file = settings.file.clone().map(|path| Arc::new(Mutex::new(LogFile::new(path, settings.file_mode))));
        Self { level: settings.level, console, file }
    }

    /// Logs a change of the log file's state: a failure to the console, a recovery to both.
    fn report(&self, status: FileStatus) {
        let mut warning = Record::builder();
        warning.level(Level::Warn).target(module_path!());
        match status {
            FileStatus::Failing { path, error } => {
                let fields = [("path", path.display().to_string())];
                let message = format_args!("cannot write the log file; new lines are on the console only: {error}");
                let record = warning.key_values(&fields).args(message).build();
                if self.enabled(record.metadata()) {
                    self.console.log(&record, &line::json(&record, UtcDateTime::now()));
                }
            }
            FileStatus::Recovered { lines_lost } => {
                let fields = [("lines_lost", lines_lost)];
                self.log(&warning.key_values(&fields).args(format_args!("the log file can be written again")).build());
            }
        }
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let crate_name = metadata.target().split("::").next().unwrap_or_default();
        let level = if OUR_CRATES.contains(&crate_name) { self.level } else { self.level.min(OTHERS_LEVEL) };
        metadata.level() <= level
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let now = UtcDateTime::now();
        let json = line::json(record, now);
        self.console.log(record, &json);
        if record.level() <= Level::Warn
            && let Some(observe) = OBSERVER.get()
        {
            let (at, level) = (timestamp::timestamp(now), record.level().to_string());
            observe(Problem { at, level, message: record.args().to_string() });
        }
        // The lock ends with this statement: the report logs again.
        let status = self.file.as_ref().and_then(|file| lock(file).append(&json));
        if let Some(status) = status {
            self.report(status);
        }
    }

    /// Nothing is buffered.
    fn flush(&self) {}
}

/// A panic while the file was locked has lost at most one line.
fn lock(file: &Mutex<LogFile>) -> MutexGuard<'_, LogFile> {
    file.lock().unwrap_or_else(PoisonError::into_inner)
}
