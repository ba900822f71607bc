//! Why a call to the database failed.

use std::error::Error;
use std::fmt;

use crate::runtime::backoff::Retriable;

/// What the caller can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The environment failed: a full disk, an I/O error, a missing permission, a database that cannot be reached. The same call may succeed
    /// later, without a restart.
    Transient,
    /// Transient: another process holds a lock that the call needs.
    Locked,
    /// The database rejects the content of a record: a constraint, a size, a trigger. The same content is rejected again.
    Rejected,
    /// The stored position is not the expected one: another process writes positions of the group.
    Conflict,
    /// There is no database.
    Missing,
    /// The tables are of an older version, which `run` migrates.
    Outdated,
    /// An operator must act: the database is damaged, was replaced, has lost data, or does not belong to this program.
    Fatal,
}

/// Why a call to the database failed. Nothing of the call took effect, except as [`Attempt`](super::Attempt) says.
#[derive(Debug)]
pub struct StorageError {
    kind: ErrorKind,
    /// The engine's own error. `StorageError` displays it and has its source.
    cause: Box<dyn Error + Send + Sync>,
}

impl StorageError {
    /// An error of a kind, with what the engine says of it.
    pub fn new(kind: ErrorKind, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind, cause: cause.into() }
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl ErrorKind {
    /// Whether the same call may succeed later, without a restart.
    pub fn is_retriable(self) -> bool {
        match self {
            Self::Transient | Self::Locked => true,
            Self::Rejected | Self::Conflict | Self::Missing | Self::Outdated | Self::Fatal => false,
        }
    }
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

impl Error for StorageError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.source()
    }
}

impl Retriable for StorageError {
    fn is_retriable(&self) -> bool {
        self.kind.is_retriable()
    }
}
