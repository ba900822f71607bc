//! What a message is: turns the bytes of one record into an [`Event`] or a [`Rejection`], without any I/O.
//! Must not know Kafka, SQLite or the clock.

mod metadata;
mod opportunity;
mod project;

use std::fmt;

pub use metadata::MetaData;
pub use opportunity::Opportunity;
pub use project::Project;

/// One message that we understand. Borrows from the record's value where the JSON needs no unescaping.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<'a> {
    /// A sales opportunity.
    Opportunity(Opportunity<'a>),
    /// A project.
    Project(Project<'a>),
}

/// Why a record is kept as an unidentified message instead of being applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No value or zero bytes; tombstones too.
    Empty,
    /// Not UTF-8, or not exactly one JSON value.
    NotJson,
    /// JSON, but neither an opportunity nor a project.
    UnknownType,
    /// A known type with a field that breaks its rules.
    InvalidField,
    /// SQLite itself refuses the row.
    Rejected,
}

impl Reason {
    /// Every reason, in the order that they are listed to people.
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

/// A record that is not an event: an outcome, not an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The class.
    pub reason: Reason,
    /// What exactly is wrong, for a person; never the whole payload.
    pub error: String,
}
