//! Decodes the value of a record. Must not know the present time, so that the same record always decodes to the same event.

use std::time::Duration;

use super::fields::Fields;
use super::json;
use super::payload::Payload;
use super::registry::{Event, Kind};
use super::rejection::{Reason, Rejection};
use super::rules;

/// Decodes records: [`decode`], with the event's time compared to the record's timestamp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decoder {
    /// How far after its record's timestamp a `last_modified` may be; `None` for no limit.
    pub last_modified_max_ahead: Option<Duration>,
}

impl Decoder {
    /// Decodes the value of a record with this timestamp, in milliseconds since 1970.
    pub fn decode<'a>(&self, value: Option<&'a [u8]>, timestamp_ms: Option<i64>) -> Result<Event<'a>, Rejection> {
        let mut event = decode(value)?;
        if let (Some(last_modified), Some(max_ahead)) = (event.last_modified_mut(), self.last_modified_max_ahead) {
            last_modified.limit(timestamp_ms, max_ahead);
        }
        Ok(event)
    }
}

/// Decodes the value of one record. The same bytes always have the same outcome.
///
/// Memory is bounded by the value: besides a list of at most 10,000 fields, an event is no larger than what was sent; an ordinary event takes
/// less than 1 KiB, and nesting costs none.
pub fn decode(value: Option<&[u8]>) -> Result<Event<'_>, Rejection> {
    let bytes = match value {
        None => return Err(Rejection::new(Reason::Empty, "no value (a tombstone)")),
        Some([]) => return Err(Rejection::new(Reason::Empty, "a value of zero bytes")),
        Some(bytes) => bytes,
    };
    let payload = Payload::new(bytes);
    let text = payload.text()?;
    let fields = Fields::parse(text).map_err(|error| payload.not_json(&error.to_string()))?.ok_or_else(|| {
        let value = rules::quote(text.trim_matches(json::BLANKS));
        Rejection::new(Reason::UnknownType, format!("{value} is not a JSON object"))
    })?;
    kind_of(&fields)?.read(fields)
}

/// The type of an object; see the table at the head of `entity`.
fn kind_of(fields: &Fields<'_>) -> Result<Kind, Rejection> {
    let filled = Kind::ALL.into_iter().filter(|kind| fields.is_filled(kind.marker()));
    let marked = Kind::ALL.into_iter().filter(|kind| fields.is_set(kind.marker()));
    if let Some(only) = only(filled).or_else(|| only(marked.clone())) {
        return Ok(only);
    }
    let event_id = fields.first("event_id");
    if let Some(Ok(id)) = event_id.map(rules::text)
        && let Some(kind) = Kind::ALL.into_iter().find(|kind| id.starts_with(kind.id_prefix()))
    {
        return Ok(kind);
    }
    let how_many = if marked.count() > 0 { "more than one" } else { "none" };
    let markers = Kind::ALL.map(Kind::marker).join(", ");
    let prefixes = Kind::ALL.map(Kind::id_prefix).join(", ");
    let id = match event_id {
        None => "missing".to_owned(),
        Some(json) => format!("{}, which begins with none of {prefixes}", rules::quote(json.text())),
    };
    Err(Rejection::new(Reason::UnknownType, format!("{how_many} of {markers} is set, and event_id is {id}")))
}

/// The item, if there is exactly one.
fn only<T>(mut items: impl Iterator<Item = T>) -> Option<T> {
    items.next().filter(|_| items.next().is_none())
}
