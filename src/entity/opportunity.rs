//! Sales opportunities: their fields, each with its rule, and their columns. Must not know SQL.

use std::borrow::Cow;

use super::clock::LastModified;
use super::decimal::Number;
use super::event_type::{EventType, columns};
use super::fields::Fields;
use super::metadata::MetaData;
use super::moment::UtcTime;
use super::rejection::Rejection;
use super::rules;

/// One state of a sales opportunity.
#[derive(Clone, Debug, PartialEq)]
pub struct Opportunity<'a> {
    /// Identity; the greatest event of an id is stored.
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
    /// Where the event comes from and when it was last modified.
    pub meta_data: Option<MetaData<'a>>,
    /// JSON object of the fields that the type does not know, as sent; `None` if there are none.
    pub extra: Option<String>,
}

impl<'a> EventType<'a> for Opportunity<'a> {
    const TABLE: &'static str = "opportunities";
    const MARKER: &'static str = "stage";
    const ID_PREFIX: &'static str = "opp_";
    const EXAMPLE: &'static str = r#"{"event_id":"opp_enterprise-consumer check","name":"check","stage":"check"}"#;

    columns! {
        |event|
        "event_id": Text = Some(&event.event_id),
        "name": Text = Some(&event.name),
        "stage": Text = Some(&event.stage),
        "amount": Real = event.amount.as_ref().map(|amount| amount.value),
        "probability": Integer = event.probability.map(i64::from),
        "expected_close_date": Text = event.expected_close_date.as_deref(),
        "account_id": Text = event.account_id.as_deref(),
        "owner_id": Text = event.owner_id.as_deref(),
        "meta_data": Json = event.meta_data.as_ref().map(|meta_data| meta_data.json),
        "last_modified": Text = event.last_modified().map(|time| time.effective().as_str()),
        "extra": Json = event.extra.as_deref(),
        "amount_text": Text = event.amount.as_ref().and_then(|amount| amount.text.as_deref()),
        "last_modified_sent": Text = event.last_modified().and_then(LastModified::too_far_ahead).map(UtcTime::as_str),
    }

    fn read(mut fields: Fields<'a>) -> Result<Self, Rejection> {
        Ok(Self {
            event_id: fields.required("event_id")?,
            name: fields.required("name")?,
            stage: fields.required(Self::MARKER)?,
            amount: fields.optional("amount", rules::number)?,
            probability: fields.optional("probability", rules::percent)?,
            expected_close_date: fields.optional("expected_close_date", rules::date)?,
            account_id: fields.optional("account_id", rules::text)?,
            owner_id: fields.optional("owner_id", rules::text)?,
            meta_data: fields.optional("meta_data", MetaData::read)?,
            extra: fields.into_extra(),
        })
    }

    fn event_id(&self) -> &str {
        &self.event_id
    }

    fn last_modified(&self) -> Option<&LastModified> {
        self.meta_data.as_ref()?.last_modified.as_ref()
    }

    fn last_modified_mut(&mut self) -> Option<&mut LastModified> {
        self.meta_data.as_mut()?.last_modified.as_mut()
    }
}
