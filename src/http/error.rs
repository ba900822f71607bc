//! Why the HTTP server, or a request to it, failed.

use std::error::Error;
use std::fmt;
use std::io;

/// Why the server cannot start, or does not answer.
#[derive(Debug)]
pub enum HttpError {
    /// It cannot listen.
    Listen {
        /// `HTTP_LISTEN`.
        listen: String,
        /// The cause.
        source: io::Error,
    },
    /// Its thread cannot be started.
    Thread(io::Error),
    /// A request to it failed.
    Request {
        /// `HTTP_LISTEN`.
        listen: String,
        /// The cause.
        source: io::Error,
    },
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen { listen, .. } => {
                write!(f, "HTTP_LISTEN is '{listen}', where the HTTP server cannot listen; choose a free address")
            }
            Self::Thread(_) => f.write_str("cannot start the thread of the HTTP server"),
            Self::Request { listen, .. } => write!(f, "no answer of a service at HTTP_LISTEN '{listen}'"),
        }
    }
}

impl Error for HttpError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Listen { source, .. } | Self::Thread(source) | Self::Request { source, .. } => Some(source),
        }
    }
}
