//! What was stored lately, as `tail` reads it.

use std::collections::BTreeSet;

use super::kept::ListedMessage;
use crate::entity::ByKind;

/// How far a tail has come.
#[derive(Clone, Debug, Default)]
pub struct TailCursor {
    /// The version of the data that it has read completely; `None` if there may be more of that version.
    pub(super) data_version: Option<i64>,
    /// The last unidentified message.
    pub(super) message_id: i64,
    pub(super) events: ByKind<EventCursor>,
}

/// The same of one table of events.
#[derive(Clone, Debug, Default)]
pub(super) struct EventCursor {
    /// The greatest row.
    pub(super) row_id: i64,
    /// The latest time of storing.
    pub(super) stored_at: String,
    /// The rows of that time, with partition and offset of their events.
    pub(super) rows: BTreeSet<(i64, i32, i64)>,
}

/// What was stored since.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TailStep {
    /// By the time of storing.
    pub items: Vec<TailItem>,
    /// Tables with so many rows that only new rows are found, and not those that an event has replaced.
    pub only_new_rows: Vec<&'static str>,
}

/// One thing that was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TailItem {
    /// An event.
    Event(StoredEvent),
    /// An unidentified message.
    Message(ListedMessage),
}

impl TailItem {
    /// When it was stored, RFC 3339.
    pub fn stored_at(&self) -> &str {
        match self {
            Self::Event(event) => &event.stored_at,
            Self::Message(message) => &message.received_at,
        }
    }
}

/// An event as its row says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// The table.
    pub table: &'static str,
    /// The event's id.
    pub event_id: String,
    /// The topic's name.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// The record's offset.
    pub offset: i64,
    /// When it was stored, RFC 3339.
    pub stored_at: String,
    /// Whether it is the first event of its id.
    pub is_first: bool,
}
