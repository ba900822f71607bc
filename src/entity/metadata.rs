//! The `meta_data` object of events: stored as sent, and read for the time that orders events.

use super::clock::LastModified;
use super::fields::Fields;
use super::rejection::Rejection;
use super::rules;

/// `meta_data` of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaData<'a> {
    /// The JSON object exactly as sent.
    pub json: &'a str,
    /// Its `last_modified`.
    pub last_modified: Option<LastModified>,
}

impl<'a> MetaData<'a> {
    /// Reads one JSON value as sent; the error is worded to follow the field's name.
    pub(super) fn read(json: &'a str) -> Result<Self, String> {
        let fields = Fields::parse(json).map_err(|error| format!("is {error}"))?;
        let mut fields = fields.ok_or_else(|| rules::unlike(json, "a JSON object"))?;
        let refuse = |rejection: Rejection| format!("holds an invalid field: {}", rejection.error);
        let last_modified = fields.optional("last_modified", rules::instant).map_err(refuse)?;
        Ok(Self { json, last_modified: last_modified.map(LastModified::new) })
    }
}
