//! Formats one log record as JSON or as text. Must not do any I/O.

use std::fmt;

use kafka::text::is_unprintable;
use log::Record;
use log::kv::{self, Key, Value, VisitSource, VisitValue};
use serde::ser::{SerializeMap, Serializer};
use time::UtcDateTime;

use crate::runtime::json;
use crate::runtime::timestamp::timestamp;

/// The keys that every JSON line begins with.
const OWN_KEYS: [&str; 4] = ["timestamp", "level", "target", "message"];

/// Prefix of a field's key that is one of [`OWN_KEYS`].
const CLASH_PREFIX: &str = "field_";

/// One JSON object and a line feed: timestamp, level, target and message, then the record's fields in their order.
pub(super) fn json(record: &Record<'_>, now: UtcDateTime) -> Vec<u8> {
    let mut line = Vec::with_capacity(256);
    if write_json(&mut line, record, now).is_err() {
        // A field's `Display` has failed: write the message without the fields.
        line.clear();
        let message = serde_json::Value::from(record.args().to_string());
        line.extend(format!(r#"{{"message":{message}}}"#).into_bytes());
    }
    let mut line = json::printable(line);
    line.push(b'\n');
    line
}

fn write_json(line: &mut Vec<u8>, record: &Record<'_>, now: UtcDateTime) -> Result<(), kv::Error> {
    let mut serializer = serde_json::Serializer::new(line);
    let mut map = serializer.serialize_map(None).map_err(unprintable)?;
    let own = [&timestamp(now), record.level().as_str(), record.target(), &record.args().to_string()];
    for (key, value) in OWN_KEYS.iter().zip(own) {
        map.serialize_entry(key, value).map_err(unprintable)?;
    }
    record.key_values().visit(&mut JsonFields(&mut map))?;
    map.end().map_err(unprintable)
}

fn unprintable<E>(_: E) -> kv::Error {
    kv::Error::msg("cannot be printed")
}

/// Writes fields into a JSON object.
struct JsonFields<'a, M>(&'a mut M);

impl<'kvs, M: SerializeMap> VisitSource<'kvs> for JsonFields<'_, M> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        let clash = OWN_KEYS.contains(&key.as_str());
        let key = if clash { format!("{CLASH_PREFIX}{key}") } else { key.as_str().to_owned() };
        value.visit(JsonValue { map: &mut *self.0, key: &key })
    }
}

/// Writes one field: numbers as numbers, types that JSON does not have as text.
struct JsonValue<'a, M> {
    map: &'a mut M,
    key: &'a str,
}

impl<M: SerializeMap> JsonValue<'_, M> {
    fn entry<T: serde::Serialize + ?Sized>(&mut self, value: &T) -> Result<(), kv::Error> {
        self.map.serialize_entry(self.key, value).map_err(unprintable)
    }
}

impl<M: SerializeMap> VisitValue<'_> for JsonValue<'_, M> {
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), kv::Error> {
        self.entry(&value.to_string())
    }

    fn visit_null(&mut self) -> Result<(), kv::Error> {
        self.entry(&())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), kv::Error> {
        self.entry(&value)
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), kv::Error> {
        self.entry(&value)
    }

    fn visit_u128(&mut self, value: u128) -> Result<(), kv::Error> {
        self.entry(&value)
    }

    fn visit_i128(&mut self, value: i128) -> Result<(), kv::Error> {
        self.entry(&value)
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), kv::Error> {
        self.entry(&value)
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), kv::Error> {
        self.entry(&value)
    }

    fn visit_str(&mut self, value: &str) -> Result<(), kv::Error> {
        self.entry(value)
    }
}

/// Finds out whether a value is null.
struct IsNull(bool);

impl VisitValue<'_> for IsNull {
    fn visit_any(&mut self, _: Value<'_>) -> Result<(), kv::Error> {
        Ok(())
    }

    fn visit_null(&mut self) -> Result<(), kv::Error> {
        self.0 = true;
        Ok(())
    }
}

/// Prints a record's fields after its message: ` key=value key="a value with spaces"`. Null fields are omitted.
pub(super) struct TextFields<'a>(pub(super) &'a Record<'a>);

impl fmt::Display for TextFields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Fields<'a, 'f>(&'a mut fmt::Formatter<'f>);

        impl<'kvs> VisitSource<'kvs> for Fields<'_, '_> {
            fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
                let mut null = IsNull(false);
                value.visit(&mut null)?;
                if null.0 {
                    return Ok(());
                }
                let text = value.to_string();
                let is_plain =
                    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || is_unprintable(c) || c == '"');
                let written =
                    if is_plain { write!(self.0, " {key}={text}") } else { write!(self.0, " {key}={text:?}") };
                Ok(written?)
            }
        }

        self.0.key_values().visit(&mut Fields(f)).map_err(|_| fmt::Error)
    }
}
