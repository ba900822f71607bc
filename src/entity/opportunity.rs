//! A sales opportunity, as sent. Knows its fields and their rules, nothing of how it is stored.

use std::borrow::Cow;

use super::MetaData;

/// One state of a sales opportunity.
#[derive(Clone, Debug, PartialEq)]
pub struct Opportunity<'a> {
    /// Identity; the greatest event of one id wins.
    pub event_id: Cow<'a, str>,
    /// Not empty.
    pub name: Cow<'a, str>,
    /// Not empty.
    pub stage: Cow<'a, str>,
    /// Finite.
    pub amount: Option<f64>,
    /// Percent, 0 to 100.
    pub probability: Option<u8>,
    /// A real calendar day, `YYYY-MM-DD`.
    pub expected_close_date: Option<Cow<'a, str>>,
    /// The account that it belongs to.
    pub account_id: Option<Cow<'a, str>>,
    /// The person who owns it.
    pub owner_id: Option<Cow<'a, str>>,
    /// Where it comes from.
    pub meta_data: Option<MetaData<'a>>,
    /// JSON object of the fields that this type does not know, as sent; `None` if there are none.
    pub extra: Option<String>,
}
