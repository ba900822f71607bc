//! Why the log of unidentified messages cannot be written. Must not decide what follows.

use std::error::Error;
use std::fmt;
use std::io;

use crate::storage::StorageError;

/// Why a step failed.
#[derive(Debug)]
pub(super) enum LogFileError {
    /// The file.
    File(io::Error),
    /// The database.
    Database(StorageError),
}

/// Each variant displays its error, so its source is the source of that error.
impl fmt::Display for LogFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::Database(error) => error.fmt(f),
        }
    }
}

impl Error for LogFileError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::File(error) => error.source(),
            Self::Database(error) => error.source(),
        }
    }
}

impl From<io::Error> for LogFileError {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

impl From<StorageError> for LogFileError {
    fn from(error: StorageError) -> Self {
        Self::Database(error)
    }
}
