//! The `meta_data` object that both events carry: kept as sent, read only for the time that orders events.

/// `meta_data` of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaData<'a> {
    /// The JSON object exactly as sent.
    pub json: &'a str,
    /// Its `last_modified` in UTC, `YYYY-MM-DDTHH:MM:SS.nnnnnnnnnZ`: of fixed width, so that it sorts as time.
    pub last_modified: Option<String>,
}
