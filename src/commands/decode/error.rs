//! Why messages cannot be read.

use std::error::Error;
use std::fmt;
use std::io;

use super::input::MESSAGE_BYTES_MAX;
use super::options::Source;

/// Why messages cannot be read.
#[derive(Debug)]
pub enum DecodeError {
    /// A source cannot be read.
    Read {
        /// The source.
        source: Source,
        /// The system's error.
        error: io::Error,
    },
    /// A message is longer than any that the service reads.
    TooLong {
        /// The source.
        source: Source,
        /// The line; `None` of a source that is one message.
        line: Option<u64>,
    },
    /// There is no message.
    NoMessage,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { source: Source::StandardInput, .. } => f.write_str("cannot read standard input"),
            Self::Read { source, .. } => write!(f, "cannot read '{source}'"),
            Self::TooLong { source, line } => {
                match line {
                    Some(line) => write!(f, "line {line} of '{source}'")?,
                    None => write!(f, "'{source}'")?,
                }
                write!(f, " is longer than {MESSAGE_BYTES_MAX} bytes, the most that decode takes for a message")
            }
            Self::NoMessage => f.write_str("there is no message in the input"),
        }
    }
}

impl Error for DecodeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Read { error, .. } => Some(error),
            Self::TooLong { .. } | Self::NoMessage => None,
        }
    }
}
