//! Bytes as text for people: any byte can be seen and none controls the terminal. Must not know what they mean.

use std::fmt::{self, Write};

use kafka::text::{Escaped, EscapedLines};

/// The most bytes of a value that are shown.
const SHOWN_BYTES_MAX: usize = 16 << 10;

/// How many bytes are shown before and after a fault.
const AROUND_BYTES: usize = 40;

/// The beginning of bytes, as lines of text. A byte that is not UTF-8 is `\xff`.
pub(super) struct Shown<'a>(pub(super) &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (shown, rest) = match self.0.split_at_checked(SHOWN_BYTES_MAX) {
            Some((_, rest)) if !rest.is_empty() => {
                let end = char_boundary(self.0, SHOWN_BYTES_MAX);
                self.0.split_at_checked(end).unwrap_or((self.0, &[]))
            }
            _ => (self.0, &[][..]),
        };
        for chunk in shown.utf8_chunks() {
            write!(f, "{}", EscapedLines(chunk.valid()))?;
            write_invalid(f, chunk.invalid())?;
        }
        if rest.is_empty() { Ok(()) } else { write!(f, "… and {} more bytes; --raw writes all of them", rest.len()) }
    }
}

/// Bytes as text on one line.
pub(super) fn on_one_line(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        // Writing to a string cannot fail.
        let _ = write!(text, "{}", Escaped(chunk.valid()));
        let _ = write_invalid(&mut text, chunk.invalid());
    }
    text
}

/// The bytes around one of them, on one line, and how many characters are before it.
pub(super) fn around(bytes: &[u8], at: usize) -> (String, usize) {
    let at = at.min(bytes.len());
    let begin = char_boundary(bytes, at.saturating_sub(AROUND_BYTES));
    let end = char_boundary(bytes, (at + AROUND_BYTES).min(bytes.len()));
    let mut shown = if begin > 0 { "…".to_owned() } else { String::new() };
    shown.push_str(&on_one_line(bytes.get(begin..at).unwrap_or_default()));
    let before = shown.chars().count();
    shown.push_str(&on_one_line(bytes.get(at..end).unwrap_or_default()));
    if end < bytes.len() {
        shown.push('…');
    }
    (shown, before)
}

/// The last place up to `at` that is not within a character of UTF-8.
fn char_boundary(bytes: &[u8], at: usize) -> usize {
    let is_boundary = |at: &usize| bytes.get(*at).is_none_or(|byte| byte & 0b1100_0000 != 0b1000_0000);
    (at.saturating_sub(3)..=at).rev().find(is_boundary).unwrap_or(at)
}

fn write_invalid(out: &mut impl Write, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(out, "\\x{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_can_be_seen() {
        assert_eq!(Shown(b"a\n\x1b[2J\xff\xc3\xa4\xe2\x82").to_string(), "a\n\\u{1b}[2J\\xffä\\xe2\\x82");
        assert_eq!(on_one_line("a\nb".as_bytes()), "a\\nb");
        let long = "ä".repeat(SHOWN_BYTES_MAX);
        let shown = Shown(&long.as_bytes()[1..]).to_string();
        assert!(
            shown.starts_with("\\xa4ä")
                && shown.ends_with(&format!(
                    "ä… and {} more bytes; --raw writes all of them",
                    long.len() - SHOWN_BYTES_MAX
                ))
        );
    }

    #[test]
    fn a_fault_is_shown_with_what_is_around_it() {
        assert_eq!(around(b"{\"a\":x}", 5), ("{\"a\":x}".to_owned(), 5));
        assert_eq!(around(b"a\nbc", 3), ("a\\nbc".to_owned(), 4));
        assert_eq!(around(b"ab", 9), ("ab".to_owned(), 2));
        let long = "ä".repeat(100);
        let (shown, before) = around(long.as_bytes(), 100);
        assert_eq!((shown.chars().count(), before), (42, 21));
        assert!(shown.starts_with("…ä") && shown.ends_with("ä…"));
    }
}
