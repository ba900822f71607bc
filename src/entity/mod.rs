//! What a message is: turns the bytes of one record into an [`Event`] or a [`Rejection`], without any I/O.
//! Must not know Kafka, SQLite or the clock.
//!
//! Which type an object is of ("set" means: there, and not null):
//!
//! | `stage` | `status` | `event_id` begins with | it is |
//! |---|---|---|---|
//! | set | not set | anything, or is missing | an opportunity |
//! | not set | set | anything, or is missing | a project |
//! | set | set | `opp_` | an opportunity; `status` goes to `extra` |
//! | set | set | `proj_` | a project; `stage` goes to `extra` |
//! | not set | not set | `opp_`, `proj_` | an opportunity or a project, whose `stage` or `status` is missing: `invalid_field` |
//! | set | set | anything else, or is missing or not a string | `unknown_type` |
//! | not set | not set | anything else, or is missing or not a string | `unknown_type` |
//!
//! A field is set whatever its value is: `"stage": 5` makes an opportunity with an invalid field. If both are set and one is the
//! empty string, the other one decides. Of several `event_id`s the first one decides, and the type then refuses the second. A field
//! of the other type (a null one too) is a field that this type does not know, and goes to `extra` as it was sent.
//!
//! What is JSON is decided by the grammar of [RFC 8259](https://www.rfc-editor.org/rfc/rfc8259) alone. So `1e400` and the
//! lone surrogate `"\ud800"` are JSON: kept as sent where nobody reads them, invalid in a field that has a meaning. What producers
//! put before the JSON text is taken off (`payload.rs`). In which spellings a value is taken is one table (`rules.rs`).

mod clock;
mod decimal;
mod fields;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod metadata;
mod moment;
mod opportunity;
mod payload;
mod project;
mod rules;
#[cfg(test)]
mod tests;

use std::fmt;

pub use clock::{Decoder, LastModified};
pub use decimal::Number;
use fields::Fields;
pub use metadata::MetaData;
pub use moment::UtcTime;
pub use opportunity::Opportunity;
use payload::Payload;
pub use project::Project;

/// One message that we understand. Borrows from the record's value where the JSON needs no unescaping.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<'a> {
    /// A sales opportunity.
    Opportunity(Opportunity<'a>),
    /// A project.
    Project(Project<'a>),
}

impl Event<'_> {
    /// The time that it carries.
    pub fn last_modified(&self) -> Option<&LastModified> {
        let meta_data = match self {
            Self::Opportunity(event) => &event.meta_data,
            Self::Project(event) => &event.meta_data,
        };
        meta_data.as_ref()?.last_modified.as_ref()
    }

    fn last_modified_mut(&mut self) -> Option<&mut LastModified> {
        let meta_data = match self {
            Self::Opportunity(event) => &mut event.meta_data,
            Self::Project(event) => &mut event.meta_data,
        };
        meta_data.as_mut()?.last_modified.as_mut()
    }
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

impl Rejection {
    fn new(reason: Reason, error: impl Into<String>) -> Self {
        Self { reason, error: error.into() }
    }
}

/// Reads the value of one record. The same bytes always have the same outcome.
///
/// Memory is bounded by the value: besides a list of at most 10,000 fields, what is kept is no larger than what was sent; an
/// ordinary event takes less than 1 KiB, and nesting costs none.
pub fn decode(value: Option<&[u8]>) -> Result<Event<'_>, Rejection> {
    let bytes = match value {
        None => return Err(Rejection::new(Reason::Empty, "no value (a tombstone)")),
        Some([]) => return Err(Rejection::new(Reason::Empty, "a value of zero bytes")),
        Some(bytes) => bytes,
    };
    let payload = Payload::new(bytes);
    let text = payload.text()?;
    let fields = Fields::parse(text).map_err(|error| payload.not_json(&error))?.ok_or_else(|| {
        let value = rules::quote(text.trim_matches(rules::BLANKS));
        Rejection::new(Reason::UnknownType, format!("{value} is not a JSON object"))
    })?;
    match Kind::of(&fields)? {
        Kind::Opportunity => Opportunity::read(fields).map(Event::Opportunity),
        Kind::Project => Project::read(fields).map(Event::Project),
    }
}

/// An event type, before its fields are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Opportunity,
    Project,
}

impl Kind {
    const ALL: [Self; 2] = [Self::Opportunity, Self::Project];

    /// The field that only this type has.
    fn mark(self) -> &'static str {
        match self {
            Self::Opportunity => Opportunity::MARK,
            Self::Project => Project::MARK,
        }
    }

    /// What an `event_id` of this type begins with.
    fn prefix(self) -> &'static str {
        match self {
            Self::Opportunity => Opportunity::PREFIX,
            Self::Project => Project::PREFIX,
        }
    }

    /// See the table at the head of this module.
    fn of(fields: &Fields<'_>) -> Result<Self, Rejection> {
        let filled = Self::ALL.into_iter().filter(|kind| fields.is_filled(kind.mark()));
        let marked = Self::ALL.into_iter().filter(|kind| fields.is_set(kind.mark()));
        if let Some(only) = only(filled).or_else(|| only(marked.clone())) {
            return Ok(only);
        }
        let event_id = fields.first("event_id");
        if let Some(Ok(id)) = event_id.map(rules::text)
            && let Some(kind) = Self::ALL.into_iter().find(|kind| id.starts_with(kind.prefix()))
        {
            return Ok(kind);
        }
        let how_many = if marked.count() > 0 { "more than one" } else { "none" };
        let marks = Self::ALL.map(Self::mark).join(", ");
        let prefixes = Self::ALL.map(Self::prefix).join(", ");
        let id = match event_id {
            None => "missing".to_owned(),
            Some(json) => format!("{}, which begins with none of {prefixes}", rules::quote(json)),
        };
        Err(Rejection::new(Reason::UnknownType, format!("{how_many} of {marks} is set, and event_id is {id}")))
    }
}

/// The item, if there is exactly one.
fn only<T>(mut items: impl Iterator<Item = T>) -> Option<T> {
    items.next().filter(|_| items.next().is_none())
}
