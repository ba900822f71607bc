//! Why a record is not an event.

use std::fmt;

/// The class of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No value or zero bytes; tombstones too.
    Empty,
    /// Not UTF-8, or not exactly one JSON value.
    NotJson,
    /// JSON, but an event of none of the types.
    UnknownType,
    /// An event of a known type with a field that breaks its rules.
    InvalidField,
    /// The database rejects the row.
    Rejected,
}

impl Reason {
    /// Every reason, in the order of reports.
    pub const ALL: [Self; 5] = [Self::Empty, Self::NotJson, Self::UnknownType, Self::InvalidField, Self::Rejected];

    /// The reason as the table and the log file spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::NotJson => "not_json",
            Self::UnknownType => "unknown_type",
            Self::InvalidField => "invalid_field",
            Self::Rejected => "rejected",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a record is kept as an unidentified message: an outcome, not an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The class.
    pub reason: Reason,
    /// What exactly is wrong, for a person; never the whole payload.
    pub error: String,
}

impl Rejection {
    pub(super) fn new(reason: Reason, error: impl Into<String>) -> Self {
        Self { reason, error: error.into() }
    }
}
