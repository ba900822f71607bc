//! The `meta_data` object that both events carry: kept as sent, read only for the time that orders events.

use super::fields::Fields;
use super::{Rejection, rules};

/// `meta_data` of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaData<'a> {
    /// The JSON object exactly as sent.
    pub json: &'a str,
    /// Its `last_modified` in UTC, `YYYY-MM-DDTHH:MM:SS.nnnnnnnnnZ`: of fixed width, so that it sorts as time.
    pub last_modified: Option<String>,
}

impl<'a> MetaData<'a> {
    /// Reads one JSON value as sent; the error is worded to follow the field's name.
    pub(super) fn read(json: &'a str) -> Result<Self, String> {
        if !json.starts_with('{') {
            return Err(rules::unlike(json, "a JSON object"));
        }
        let refuse = |rejection: Rejection| format!("holds an invalid field: {}", rejection.error);
        let mut fields = Fields::parse(json).map_err(refuse)?;
        let last_modified = fields.optional("last_modified", rules::instant).map_err(refuse)?;
        Ok(Self { json, last_modified })
    }
}
