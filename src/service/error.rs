//! Why the service ended by itself. An operator always has to fix something. Must not log.

use std::error::Error;
use std::fmt;

use crate::runtime::backoff::RetryError;
use crate::service::start_rules::StartError;
use crate::settings::advice;
use crate::storage::StorageError;

/// Why the service ended.
#[derive(Debug)]
pub enum ServiceError {
    /// The database failed.
    Database(RetryError<StorageError>),
    /// The Kafka client failed.
    Kafka(kafka::Error),
    /// A partition must not be read before an operator has decided where.
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

/// Each variant displays its error, so its source is the source of that error.
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

/// Whether an operator has to fix something. Exhausted retries alone do not say so.
pub(super) fn is_fatal(error: &kafka::Error) -> bool {
    !error.is_retriable() && !matches!(error, kafka::Error::RetriesExhausted { .. })
}
