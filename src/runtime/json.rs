//! JSON that a terminal can show safely, and bytes in it. Must not know what the JSON means.

use std::fmt::Write;

use base64::display::Base64Display;
use base64::prelude::BASE64_STANDARD;
use kafka::text::is_unprintable;
use serde::ser::{Serialize, SerializeMap, Serializer};

/// Escapes each [unprintable](is_unprintable) character of the strings as in `\u202e`, so that a terminal shows it instead of
/// interpreting it. Line feeds between the values stay.
pub fn printable(json: Vec<u8>) -> Vec<u8> {
    let is_plain = |byte: &u8| (b' '..0x7f).contains(byte) || *byte == b'\n';
    // The serializer has escaped C0 control characters; others are rare.
    if json.iter().all(is_plain) {
        return json;
    }
    match String::from_utf8(json) {
        Ok(text) if text.contains(|char: char| char != '\n' && is_unprintable(char)) => {
            text.chars().fold(String::with_capacity(text.len() + 16), push_escaped).into_bytes()
        }
        Ok(text) => text.into_bytes(),
        // Not reached: serializers write UTF-8.
        Err(error) => error.into_bytes(),
    }
}

/// Adds bytes to an object: as the text that they are, as null where there are none, or as base64 under the second name.
pub fn serialize_bytes<M: SerializeMap>(
    object: &mut M,
    [name, name_base64]: [&'static str; 2],
    bytes: Option<&[u8]>,
) -> Result<(), M::Error> {
    match bytes.map(|bytes| str::from_utf8(bytes).map_err(|_| bytes)).transpose() {
        Ok(text) => object.serialize_entry(name, &text),
        Err(bytes) => object.serialize_entry(name_base64, &Base64(bytes)),
    }
}

struct Base64<'a>(&'a [u8]);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(self.0, &BASE64_STANDARD))
    }
}

fn push_escaped(mut json: String, char: char) -> String {
    if char == '\n' || !is_unprintable(char) {
        json.push(char);
        return json;
    }
    for unit in char.encode_utf16(&mut [0; 2]) {
        // Writing to a string cannot fail.
        let _ = write!(json, "\\u{unit:04x}");
    }
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_is_the_same_and_has_no_unprintable_character() {
        for text in ["", "plain äöü", "a\nb\u{1b}[2J\u{7f}", "\u{9b}31m\u{202e}\u{2028}\u{feff}", "tag \u{e0041}!"] {
            let json = String::from_utf8(printable(serde_json::to_vec_pretty(&[text]).unwrap())).unwrap();
            assert!(!json.contains(|char: char| char != '\n' && is_unprintable(char)), "{json:?}");
            assert_eq!(serde_json::from_str::<[String; 1]>(&json).unwrap(), [text]);
        }
        let json = printable(serde_json::to_vec("\u{e0041}\u{9b}").unwrap());
        assert_eq!(json, br#""\udb40\udc41\u009b""#);
    }
}
