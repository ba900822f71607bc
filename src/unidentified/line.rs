//! What a line of the log looks like. The same message always gives the same line. Must not do anything but write it.

use std::io::{self, Write};

use base64::display::Base64Display;
use base64::prelude::BASE64_STANDARD;
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::runtime::json;
use crate::storage::StoredMessage;

/// How each line begins.
pub(super) const BEGINNING: &[u8] = b"{\"timestamp\":\"";

/// Writes the line of a message, and its end.
pub(super) fn write(out: &mut impl Write, message: &StoredMessage) -> io::Result<()> {
    out.write_all(&json::printable(serde_json::to_vec(&Line(message))?))?;
    out.write_all(b"\n")
}

struct Line<'a>(&'a StoredMessage);

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(message) = self;
        let mut line = serializer.serialize_map(None)?;
        line.serialize_entry("timestamp", &message.received_at)?;
        line.serialize_entry("topic", &message.topic)?;
        line.serialize_entry("partition", &message.partition)?;
        line.serialize_entry("offset", &message.offset)?;
        serialize_bytes(&mut line, ["key", "key_base64"], message.key.as_deref())?;
        line.serialize_entry("reason", &message.reason)?;
        line.serialize_entry("error", &message.error)?;
        serialize_bytes(&mut line, ["payload", "payload_base64"], message.value.as_deref())?;
        line.end()
    }
}

/// Bytes as the text that they are, null where there are none, or as base64 under the other name.
fn serialize_bytes<M: SerializeMap>(
    line: &mut M,
    [name, name_base64]: [&'static str; 2],
    bytes: Option<&[u8]>,
) -> Result<(), M::Error> {
    match bytes.map(|bytes| str::from_utf8(bytes).map_err(|_| bytes)).transpose() {
        Ok(text) => line.serialize_entry(name, &text),
        Err(bytes) => line.serialize_entry(name_base64, &Base64(bytes)),
    }
}

struct Base64<'a>(&'a [u8]);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(self.0, &BASE64_STANDARD))
    }
}
