//! What a line of the log looks like. The same message always gives the same line. Must not do anything but write it.

use std::io::{self, Write};

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::runtime::json::{self, serialize_bytes};
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
