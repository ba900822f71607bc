//! The errors of the kit, with the information that a person needs to fix them.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// The result of a call into the kit.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a broker, a tool or a request failed.
///
/// `Debug` prints the same text as `Display`, so that a test's `unwrap()` shows it as written, with its line breaks.
pub enum Error {
    /// A program is missing: one line that says what to install.
    Missing(String),
    /// The caller's request is invalid.
    Usage(String),
    /// The shared cluster could not be started; later callers get the first caller's error.
    Shared(String),
    /// The operating system refused.
    Io {
        /// The operation, with its path or program.
        doing: String,
        /// The system's error.
        source: io::Error,
    },
    /// A helper program (Maven, the Java compiler, one of Kafka's tools) failed.
    Program {
        /// The program with its arguments.
        command: String,
        /// Its output.
        output: String,
    },
    /// A broker did not start, or did not stop.
    Broker {
        /// Node id.
        node: u16,
        /// What happened to it.
        what: String,
        /// Its log.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// Something did not happen before its deadline.
    TimedOut {
        /// The awaited event.
        what: String,
        /// The time limit.
        waited: Duration,
    },
    /// The Java client refused a request.
    Client {
        /// The request.
        request: &'static str,
        /// Java's exception, as text.
        detail: String,
    },
}

impl Error {
    /// Wraps an error of the operating system, for `map_err`.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(what) | Self::Usage(what) | Self::Shared(what) => f.write_str(what),
            Self::Io { doing, source } => write!(f, "{doing}: {source}"),
            Self::Program { command, output } => write!(f, "'{command}' failed:\n{output}"),
            Self::Broker { node, what, log, tail } => {
                write!(f, "Kafka node {node} {what}; the end of {}:\n{tail}", log.display())
            }
            Self::TimedOut { what, waited } => write!(f, "{what} did not happen within {} ms", waited.as_millis()),
            Self::Client { request, detail } => write!(f, "Kafka's Java client failed to {request}: {detail}"),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {}
