//! Messages as lines: JSON with everything or without bytes, and a table for people. Must not read the database.

use std::fmt;

use kafka::text::{Escaped, excerpt};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::RawValue;

use crate::runtime::json::serialize_bytes;
use crate::storage::{KeptMessage, ListedMessage, TopicId};

/// The most characters of an error on a line for people.
pub const ERROR_CHARS_MAX: usize = 120;

/// A message without its bytes, as a JSON line of `list`.
#[derive(Serialize)]
pub(super) struct ListLine<'a> {
    id: i64,
    received_at: &'a str,
    topic: &'a str,
    partition: i32,
    offset: i64,
    timestamp_ms: Option<i64>,
    reason: &'a str,
    error: &'a str,
    replayed_at: Option<&'a str>,
    key_bytes: Option<u64>,
    payload_bytes: Option<u64>,
}

impl<'a> From<&'a ListedMessage> for ListLine<'a> {
    fn from(message: &'a ListedMessage) -> Self {
        Self {
            id: message.id,
            received_at: &message.received_at,
            topic: &message.topic,
            partition: message.partition,
            offset: message.offset,
            timestamp_ms: message.timestamp_ms,
            reason: &message.reason,
            error: &message.error,
            replayed_at: message.replayed_at.as_deref(),
            key_bytes: message.key_bytes,
            payload_bytes: message.value_bytes,
        }
    }
}

/// A message as a line of the table of `list`.
pub(super) struct TextLine<'a>(pub(super) &'a ListedMessage);

impl TextLine<'_> {
    /// The line above the table.
    pub(super) const TITLES: &'static str =
        "received                  replayed  reason         topic partition offset: error\n";
}

impl fmt::Display for TextLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(ListedMessage { topic, partition, offset, reason, error, received_at, replayed_at, .. }) = self;
        let replayed = if replayed_at.is_some() { "yes" } else { "no" };
        writeln!(
            f,
            "{received_at:<24}  {replayed:<8}  {reason:<13}  {} {partition} {offset}: {}",
            Escaped(topic),
            excerpt(error, ERROR_CHARS_MAX)
        )
    }
}

/// A message with everything that is kept of it, as a JSON line of `export`.
pub(super) struct MessageLine<'a>(pub(super) &'a KeptMessage);

impl Serialize for MessageLine<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(KeptMessage { listed, topic_id, key, value, headers }) = self;
        let mut line = serializer.serialize_map(None)?;
        line.serialize_entry("id", &listed.id)?;
        line.serialize_entry("received_at", &listed.received_at)?;
        line.serialize_entry("topic", &listed.topic)?;
        line.serialize_entry("topic_id", &topic_id.as_ref().map(TopicId::as_str))?;
        line.serialize_entry("partition", &listed.partition)?;
        line.serialize_entry("offset", &listed.offset)?;
        line.serialize_entry("timestamp_ms", &listed.timestamp_ms)?;
        line.serialize_entry("reason", &listed.reason)?;
        line.serialize_entry("error", &listed.error)?;
        line.serialize_entry("replayed_at", &listed.replayed_at)?;
        serialize_bytes(&mut line, ["key", "key_base64"], key.as_deref())?;
        match headers_json(headers) {
            Some(json) => line.serialize_entry("headers", json)?,
            None => line.serialize_entry("headers", headers)?,
        }
        serialize_bytes(&mut line, ["payload", "payload_base64"], value.as_deref())?;
        line.end()
    }
}

/// The headers as JSON on one line. The service writes nothing else; another program may have.
fn headers_json(headers: &str) -> Option<&RawValue> {
    serde_json::from_str(headers).ok().filter(|json: &&RawValue| !json.get().contains(['\n', '\r']))
}
