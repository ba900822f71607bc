//! A project, as sent. Knows its fields and their rules, nothing of how it is stored.

use std::borrow::Cow;

use super::fields::Fields;
use super::{MetaData, Number, Rejection, rules};

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
    pub budget: Option<Number<'a>>,
    /// The account that it belongs to.
    pub account_id: Option<Cow<'a, str>>,
    /// The person who owns it.
    pub owner_id: Option<Cow<'a, str>>,
    /// Where it comes from.
    pub meta_data: Option<MetaData<'a>>,
    /// JSON object of the fields that this type does not know, as sent; `None` if there are none.
    pub extra: Option<String>,
}

impl<'a> Project<'a> {
    /// The field that only this type has.
    pub(super) const MARK: &'static str = "status";
    /// What an `event_id` of this type begins with.
    pub(super) const PREFIX: &'static str = "proj_";

    /// Takes what it knows; what is left is extra.
    pub(super) fn read(mut fields: Fields<'a>) -> Result<Self, Rejection> {
        Ok(Self {
            event_id: fields.required("event_id")?,
            name: fields.required("name")?,
            status: fields.required(Self::MARK)?,
            start_date: fields.optional("start_date", rules::date)?,
            end_date: fields.optional("end_date", rules::date)?,
            budget: fields.optional("budget", rules::number)?,
            account_id: fields.optional("account_id", rules::text)?,
            owner_id: fields.optional("owner_id", rules::text)?,
            meta_data: fields.optional("meta_data", MetaData::read)?,
            extra: fields.into_extra(),
        })
    }
}
