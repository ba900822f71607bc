//! Everything that can go wrong in the kit, as values that tell a person what to do next.

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
    /// The machine lacks something. One line that says what to install.
    Missing(String),
    /// The caller asked for something that does not exist.
    Usage(String),
    /// The shared cluster could not be started; whoever asks later is told what the first one was told.
    Shared(String),
    /// The operating system refused.
    Io {
        /// What was being done, to which path or program.
        doing: String,
        /// Its answer.
        source: io::Error,
    },
    /// A helper program (Maven, the Java compiler, one of Kafka's tools) failed.
    Program {
        /// Which one, with its arguments.
        command: String,
        /// What it printed.
        output: String,
    },
    /// A broker did not come up, or not go down.
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
        /// What was waited for.
        what: String,
        /// For how long.
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
    /// Wraps what the operating system said, for `map_err`.
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
