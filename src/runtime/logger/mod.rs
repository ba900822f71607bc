//! The process's logger, behind the `log` crate: a console for people or for programs, and a file of JSON lines. Must not
//! know what is logged; a log that cannot be written never stops the service.

mod file;
mod line;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use kafka::text::Escaped;
use log::{Level, LevelFilter, Log, Metadata, Record, SetLoggerError};
use serde::{Deserialize, Serialize};
use simplelog::{ColorChoice, ConfigBuilder, LevelPadding, TermLogger, TerminalMode, format_description};
use time::UtcDateTime;

use crate::settings::{AppEnv, LogSettings};
use file::{LogFile, News};

/// The crates whose lines are logged at every level that is asked for.
const OUR_CRATES: [&str; 2] = ["enterprise_consumer", "kafka"];

/// From anybody else's crates only what is at least this severe.
const OTHERS_LEVEL: LevelFilter = LevelFilter::Warn;

/// Sets up the logger. To be called once in a process.
///
/// A log file that cannot be opened is no error: the console says so once, and each line tries again.
pub fn init(settings: &LogSettings) -> Result<(), LoggerError> {
    let console = match settings.app_env {
        AppEnv::Development => Console::Text(text_console(settings.level)),
        AppEnv::Production => Console::Json,
    };
    let logger = Logger::new(settings, console);
    log::set_boxed_logger(Box::new(logger)).map_err(LoggerError)?;
    log::set_max_level(settings.level);
    Ok(())
}

/// A warning or an error of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// When, RFC 3339.
    pub at: String,
    /// `WARN` or `ERROR`.
    pub level: String,
    /// The message, without its fields.
    pub message: String,
}

type Observer = Box<dyn Fn(Problem) + Send + Sync>;

static OBSERVER: OnceLock<Observer> = OnceLock::new();

/// Has each warning and error of our own shown to `observer`, as far as it is logged. Once in a process; later calls change nothing.
pub fn on_problem(observer: impl Fn(Problem) + Send + Sync + 'static) {
    // A second service in one process, as in tests, has no record of its own.
    let _ = OBSERVER.set(Box::new(observer));
}

/// The present time as the log writes it: RFC 3339 in UTC, to the millisecond.
pub fn now() -> String {
    line::timestamp(UtcDateTime::now())
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

/// Standard error: standard output is for what commands print.
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
    // Its own "auto" only looks at the environment.
    let colours = if io::stderr().is_terminal() { ColorChoice::Auto } else { ColorChoice::Never };
    TermLogger::new(level, config, TerminalMode::Stderr, colours)
}

impl Console {
    fn log(&self, record: &Record<'_>, json: &[u8]) {
        match self {
            // It knows nothing of fields, so they become a part of the message.
            Self::Text(logger) => logger.log(
                &record
                    .to_builder()
                    .args(format_args!("{}{}", Escaped(record.args()), line::TextFields(record)))
                    .build(),
            ),
            // A console that is gone leaves nobody to tell.
            Self::Json => drop(io::stderr().write_all(json)),
        }
    }
}

struct Logger {
    level: LevelFilter,
    console: Console,
    file: Option<Mutex<LogFile>>,
}

impl Logger {
    fn new(settings: &LogSettings, console: Console) -> Self {
        let file = settings.file.clone().map(|path| Mutex::new(LogFile::new(path, settings.file_mode)));
        Self { level: settings.level, console, file }
    }

    /// Tells what has become of the log file: the console at once, the file when it works again.
    fn tell(&self, news: News) {
        let mut warning = Record::builder();
        warning.level(Level::Warn).target(module_path!());
        match news {
            News::Failing { path, error } => {
                let fields = [("path", path.display().to_string())];
                let message = format_args!("cannot write the log file; what it misses is on the console only: {error}");
                let record = warning.key_values(&fields).args(message).build();
                if self.enabled(record.metadata()) {
                    self.console.log(&record, &line::json(&record, UtcDateTime::now()));
                }
            }
            News::Recovered { lines_lost } => {
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
            let (at, level) = (line::timestamp(now), record.level().to_string());
            observe(Problem { at, level, message: record.args().to_string() });
        }
        // The lock ends with this line: telling the news logs again.
        let news = self.file.as_ref().and_then(|file| lock(file).append(&json));
        if let Some(news) = news {
            self.tell(news);
        }
    }

    /// Nothing to do: every line goes to the system at once.
    fn flush(&self) {}
}

/// Whoever panicked with the lock left at worst a line out.
fn lock(file: &Mutex<LogFile>) -> MutexGuard<'_, LogFile> {
    file.lock().unwrap_or_else(PoisonError::into_inner)
}
