//! A project, as sent. Knows its fields and their rules, nothing of how it is stored.

use std::borrow::Cow;

use super::MetaData;

/// One state of a project.
#[derive(Clone, Debug, PartialEq)]
pub struct Project<'a> {
    /// Identity; the greatest event of one id wins.
    pub event_id: Cow<'a, str>,
    /// Not empty.
    pub name: Cow<'a, str>,
    /// Not empty.
    pub status: Cow<'a, str>,
    /// A real calendar day, `YYYY-MM-DD`.
    pub start_date: Option<Cow<'a, str>>,
    /// A real calendar day, `YYYY-MM-DD`.
    pub end_date: Option<Cow<'a, str>>,
    /// Finite.
    pub budget: Option<f64>,
    /// The account that it belongs to.
    pub account_id: Option<Cow<'a, str>>,
    /// The person who owns it.
    pub owner_id: Option<Cow<'a, str>>,
    /// Where it comes from.
    pub meta_data: Option<MetaData<'a>>,
    /// JSON object of the fields that this type does not know, as sent; `None` if there are none.
    pub extra: Option<String>,
}
