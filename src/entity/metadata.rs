//! The `meta_data` object of events: stored as sent, and read for the time that orders events.

use super::clock::LastModified;
use super::json::Json;
use super::{fields, rules};

/// The beginning of the problem of an object with a field that breaks its rule. The field's own error follows.
pub(super) const INVALID_INSIDE: &str = "holds an invalid field: ";

/// `meta_data` of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaData<'a> {
    /// The JSON object exactly as sent.
    pub json: &'a str,
    /// Its `last_modified`.
    pub last_modified: Option<LastModified>,
}

impl<'a> MetaData<'a> {
    /// Reads one valid JSON value as sent; the error is worded to follow the field's name.
    pub(super) fn read(value: Json<'a>) -> Result<Self, String> {
        let json = value.text();
        if !json.starts_with('{') {
            return Err(rules::unlike(json, "a JSON object"));
        }
        let last_modified = fields::optional_member(json, "last_modified", rules::instant)
            .map_err(|rejection| format!("{INVALID_INSIDE}{}", rejection.error))?;
        Ok(Self { json, last_modified: last_modified.map(LastModified::new) })
    }
}
