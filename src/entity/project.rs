//! Projects: their fields, each with its rule, and their columns. Must not know SQL.

use std::borrow::Cow;

use super::clock::LastModified;
use super::decimal::Number;
use super::event_type::{EventType, columns};
use super::fields::Fields;
use super::metadata::MetaData;
use super::moment::UtcTime;
use super::rejection::Rejection;
use super::rules;

/// One state of a project.
#[derive(Clone, Debug, PartialEq)]
pub struct Project<'a> {
    /// Identity; the greatest event of an id is stored.
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
    /// Where the event comes from and when it was last modified.
    pub meta_data: Option<MetaData<'a>>,
    /// JSON object of the fields that the type does not know, as sent; `None` if there are none.
    pub extra: Option<String>,
}

impl<'a> EventType<'a> for Project<'a> {
    const TABLE: &'static str = "projects";
    const MARKER: &'static str = "status";
    const ID_PREFIX: &'static str = "proj_";
    const EXAMPLE: &'static str = r#"{"event_id":"proj_enterprise-consumer check","name":"check","status":"check"}"#;

    columns! {
        |event|
        "event_id": Text = Some(&event.event_id),
        "name": Text = Some(&event.name),
        "status": Text = Some(&event.status),
        "start_date": Text = event.start_date.as_deref(),
        "end_date": Text = event.end_date.as_deref(),
        "budget": Real = event.budget.as_ref().map(|budget| budget.value),
        "account_id": Text = event.account_id.as_deref(),
        "owner_id": Text = event.owner_id.as_deref(),
        "meta_data": Json = event.meta_data.as_ref().map(|meta_data| meta_data.json),
        "last_modified": Text = event.last_modified().map(|time| time.effective().as_str()),
        "extra": Json = event.extra.as_deref(),
        "budget_text": Text = event.budget.as_ref().and_then(|budget| budget.text.as_deref()),
        "last_modified_sent": Text = event.last_modified().and_then(LastModified::too_far_ahead).map(UtcTime::as_str),
    }

    fn read(mut fields: Fields<'a>) -> Result<Self, Rejection> {
        Ok(Self {
            event_id: fields.required("event_id")?,
            name: fields.required("name")?,
            status: fields.required(Self::MARKER)?,
            start_date: fields.optional("start_date", rules::date)?,
            end_date: fields.optional("end_date", rules::date)?,
            budget: fields.optional("budget", rules::number)?,
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
