//! Why a command failed. Displayed as the underlying error.

use std::error::Error;
use std::fmt;
use std::io;

use crate::commands::decode::DecodeError;
use crate::commands::reset::error::ResetError;
use crate::commands::unidentified::UnidentifiedError;
use crate::http::HttpError;
use crate::runtime::backoff::RetryError;
use crate::runtime::logger::LoggerError;
use crate::runtime::shutdown::StopError;
use crate::service::ServiceError;
use crate::settings::SettingsError;
use crate::storage::StorageError;

/// Why a command failed.
#[derive(Debug)]
pub enum CommandError {
    /// The settings are refused.
    Settings(SettingsError),
    /// The process cannot handle signals.
    Signals(StopError),
    /// The thread that limits the time of the command cannot be started.
    TimeLimit(io::Error),
    /// The logger cannot be installed.
    Log(LoggerError),
    /// The database cannot be used.
    Database(StorageError),
    /// The database cannot be used, and retries did not help.
    Retry(RetryError<StorageError>),
    /// `run` failed.
    Service(ServiceError),
    /// `reset` failed.
    Reset(ResetError),
    /// `decode` cannot read its messages.
    Decode(DecodeError),
    /// `unidentified` cannot show a message.
    Unidentified(UnidentifiedError),
    /// The HTTP server cannot listen where the settings say.
    Listen(HttpError),
    /// The HTTP server cannot start, or `health` received no answer.
    Http(HttpError),
}

impl CommandError {
    fn inner(&self) -> &(dyn Error + 'static) {
        match self {
            Self::Settings(error) => error,
            Self::Signals(error) => error,
            Self::TimeLimit(error) => error,
            Self::Log(error) => error,
            Self::Database(error) => error,
            Self::Retry(error) => error,
            Self::Service(error) => error,
            Self::Reset(error) => error,
            Self::Decode(error) => error,
            Self::Unidentified(error) => error,
            Self::Listen(error) | Self::Http(error) => error,
        }
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.inner(), f)
    }
}

impl Error for CommandError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.inner().source()
    }
}

impl From<SettingsError> for CommandError {
    fn from(error: SettingsError) -> Self {
        Self::Settings(error)
    }
}

impl From<StopError> for CommandError {
    fn from(error: StopError) -> Self {
        Self::Signals(error)
    }
}

impl From<LoggerError> for CommandError {
    fn from(error: LoggerError) -> Self {
        Self::Log(error)
    }
}

impl From<StorageError> for CommandError {
    fn from(error: StorageError) -> Self {
        Self::Database(error)
    }
}

impl From<RetryError<StorageError>> for CommandError {
    fn from(error: RetryError<StorageError>) -> Self {
        Self::Retry(error)
    }
}

impl From<ServiceError> for CommandError {
    fn from(error: ServiceError) -> Self {
        Self::Service(error)
    }
}

impl From<ResetError> for CommandError {
    fn from(error: ResetError) -> Self {
        Self::Reset(error)
    }
}
