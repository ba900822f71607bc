//! JSON that a terminal can show safely. Must not know what the JSON means.

use std::fmt::Write;

use kafka::text::is_unprintable;

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
