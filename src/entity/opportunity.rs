//! A sales opportunity, as sent. Knows its fields and their rules, nothing of how it is stored.

use std::borrow::Cow;

use super::fields::Fields;
use super::{MetaData, Number, Rejection, rules};

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
    pub amount: Option<Number<'a>>,
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

impl<'a> Opportunity<'a> {
    /// The field that only this type has.
    pub(super) const MARK: &'static str = "stage";
    /// What an `event_id` of this type begins with.
    pub(super) const PREFIX: &'static str = "opp_";

    /// Takes what it knows; what is left is extra.
    pub(super) fn read(mut fields: Fields<'a>) -> Result<Self, Rejection> {
        Ok(Self {
            event_id: fields.required("event_id")?,
            name: fields.required("name")?,
            stage: fields.required(Self::MARK)?,
            amount: fields.optional("amount", rules::number)?,
            probability: fields.optional("probability", rules::percent)?,
            expected_close_date: fields.optional("expected_close_date", rules::date)?,
            account_id: fields.optional("account_id", rules::text)?,
            owner_id: fields.optional("owner_id", rules::text)?,
            meta_data: fields.optional("meta_data", MetaData::read)?,
            extra: fields.into_extra(),
        })
    }
}
