//! Why a message cannot be shown.

use std::error::Error;
use std::fmt;

/// Why a message cannot be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnidentifiedError {
    /// There is none at the offset.
    NotFound {
        /// The topic's name.
        topic: String,
        /// The partition's number.
        partition: i32,
        /// The record's offset.
        offset: i64,
    },
    /// Its value was to be written, and it has none.
    NoValue,
}

impl fmt::Display for UnidentifiedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { topic, partition, offset } => {
                write!(f, "no unidentified message is kept of '{topic}', partition {partition}, offset {offset}")
            }
            Self::NoValue => f.write_str("the message has no value (a tombstone)"),
        }
    }
}

impl Error for UnidentifiedError {}
