//! Decodes the value of one record into an [`Event`] or a [`Rejection`], without I/O. The event types are listed in `registry.rs`.
//! Must not know Kafka, SQL or the present time.
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
//! empty string, the other one decides. Of several `event_id`s the first one decides, and then the repetition is an error. A field
//! of the other type, also a null, is a field that this type does not know, and goes to `extra` as sent.
//!
//! The grammar of [RFC 8259](https://www.rfc-editor.org/rfc/rfc8259) alone decides what is JSON. So `1e400` and the lone surrogate
//! `"\ud800"` are JSON: stored as sent in fields that are not read, invalid in a field that is. Framing and byte order marks before the
//! JSON text are removed (`payload.rs`). The accepted spellings of a value are one table (`rules.rs`).

mod clock;
mod decimal;
mod decode;
mod event_type;
mod fields;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod json;
mod location;
mod metadata;
mod moment;
mod name;
mod opportunity;
mod payload;
mod project;
mod registry;
mod rejection;
mod rules;
#[cfg(test)]
mod tests;

pub use clock::LastModified;
pub use decimal::Number;
pub use decode::{Decoder, decode};
pub use event_type::{Bind, Column, ColumnType, Value};
pub use location::{Location, TextPosition, locate};
pub use metadata::MetaData;
pub use moment::UtcTime;
pub use opportunity::Opportunity;
pub use project::Project;
pub use registry::{ByKind, Event, Kind};
pub use rejection::{Reason, Rejection};
