//! Why the service ended by itself: always something that an operator has to look at.

use std::error::Error;
use std::fmt;

use crate::runtime::backoff::RetryError;
use crate::service::start::StartError;
use crate::settings::advice;
use crate::storage::StorageError;

/// Why the service ended.
#[derive(Debug)]
pub enum ServiceError {
    /// The database cannot be used.
    Database(RetryError<StorageError>),
    /// Kafka cannot be read.
    Kafka(kafka::Error),
    /// A partition must not be read until somebody has decided something.
    Start(StartError),
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(error) => error.fmt(f),
            Self::Kafka(error) => match advice(error) {
                Some(advice) => write!(f, "{error}; {advice}"),
                None => error.fmt(f),
            },
            Self::Start(error) => error.fmt(f),
        }
    }
}

/// Each variant stands for its error itself, whose cause is the cause.
impl Error for ServiceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Database(error) => error.source(),
            Self::Kafka(error) => error.source(),
            Self::Start(error) => error.source(),
        }
    }
}

impl From<RetryError<StorageError>> for ServiceError {
    fn from(error: RetryError<StorageError>) -> Self {
        Self::Database(error)
    }
}

impl From<kafka::Error> for ServiceError {
    fn from(error: kafka::Error) -> Self {
        Self::Kafka(error)
    }
}

impl From<StartError> for ServiceError {
    fn from(error: StartError) -> Self {
        Self::Start(error)
    }
}
