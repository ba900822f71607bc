//! Why the service ended by itself: always something that an operator has to look at.

use std::error::Error;
use std::fmt;

use kafka::ErrorCode;

use crate::backoff::{Retriable, RetryError};
use crate::database::DatabaseError;
use crate::start::StartError;

/// Why the service ended.
#[derive(Debug)]
pub enum ServiceError {
    /// The database cannot be used.
    Database(RetryError<DatabaseError>),
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

/// What an operator can do, in the names of our settings, which the client does not know.
pub(super) fn advice(error: &kafka::Error) -> Option<&'static str> {
    match error {
        kafka::Error::BatchTooLarge { .. } => Some("a greater KAFKA_RECEIVE_MAX_BYTES lets it in"),
        kafka::Error::UnsupportedVersion { request: "ConsumerGroupHeartbeat", .. }
        | kafka::Error::Broker { request: "ConsumerGroupHeartbeat", code: ErrorCode::UNSUPPORTED_VERSION, .. } => {
            Some("KAFKA_GROUP_PROTOCOL=consumer needs brokers since Kafka 4.0 that allow it: choose classic")
        }
        kafka::Error::Broker { code: ErrorCode::FENCED_INSTANCE_ID, .. } => Some(
            "another process has become this member of the group: no two may have the same KAFKA_GROUP_INSTANCE_ID, and a \
             copied database needs an id of its own ('check' says how)",
        ),
        kafka::Error::Broker { code: ErrorCode::FENCED_MEMBER_EPOCH, .. } => Some(
            "the group has done without this member, or another process uses a copy of this database, which needs an id of \
             its own ('check' says how)",
        ),
        kafka::Error::Broker { code: ErrorCode::UNRELEASED_INSTANCE_ID, .. } => {
            Some("another member has the same KAFKA_GROUP_INSTANCE_ID, or had it and its session has not timed out yet")
        }
        kafka::Error::Broker { code: ErrorCode::INCONSISTENT_GROUP_PROTOCOL, .. } => Some(
            "the group's other members share partitions in another way: choose KAFKA_GROUP_PROTOCOL as they do, or another \
             KAFKA_GROUP_ID",
        ),
        kafka::Error::Broker { code: ErrorCode::INVALID_SESSION_TIMEOUT, .. } => Some(
            "KAFKA_SESSION_TIMEOUT_MS must lie between group.min.session.timeout.ms and group.max.session.timeout.ms of the \
             brokers",
        ),
        _ => None,
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

impl From<RetryError<DatabaseError>> for ServiceError {
    fn from(error: RetryError<DatabaseError>) -> Self {
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

impl Retriable for DatabaseError {
    fn is_retriable(&self) -> bool {
        DatabaseError::is_retriable(self)
    }
}
