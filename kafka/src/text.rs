//! Escapes text from outside of the process for terminals, logs and errors: the only place that decides which
//! characters are escaped. Must not know who sent the text or where it is shown.

use std::fmt::{self, Write};

/// The most characters of a text that an error of this crate quotes.
const QUOTED_CHARS_MAX: usize = 200;

/// Whether a character moves the cursor, ends a line, reorders the text around it or is invisible, so that the shown
/// text differs from the actual one: control characters (C0, DEL, C1), line and paragraph separators, and [format
/// characters](https://www.unicode.org/reports/tr44/#General_Category_Values) such as bidirectional overrides and
/// isolates ([Trojan Source](https://trojansource.codes)), zero-width characters and tags.
pub fn is_unprintable(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// Displays its content on one line, with each [unprintable](is_unprintable) character as in a Rust literal: `\n`,
/// `\u{202e}`. Escaped text is not changed by a second escape.
#[derive(Clone, Copy, Debug)]
pub struct Escaped<T>(pub T);

/// The same for text of several lines: line feeds are not escaped.
#[derive(Clone, Copy, Debug)]
pub struct EscapedLines<T>(pub T);

impl<T: fmt::Display> fmt::Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escape { out: f, is_kept: |_| false }, "{}", self.0)
    }
}

impl<T: fmt::Display> fmt::Display for EscapedLines<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escape { out: f, is_kept: |char| char == '\n' }, "{}", self.0)
    }
}

/// A writer that escapes its input.
struct Escape<W, K> {
    out: W,
    is_kept: K,
}

impl<W: Write, K: Fn(char) -> bool> Write for Escape<W, K> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some((at, char)) =
            rest.char_indices().find(|(_, char)| is_unprintable(*char) && !(self.is_kept)(*char))
        {
            self.out.write_str(rest.get(..at).unwrap_or_default())?;
            write!(self.out, "{}", char.escape_default())?;
            rest = rest.get(at + char.len_utf8()..).unwrap_or_default();
        }
        self.out.write_str(rest)
    }
}

/// The beginning of a text, [escaped](Escaped): at most `chars_max` characters, and `…` if there is more.
pub fn excerpt(text: &str, chars_max: usize) -> String {
    let mut shown = String::new();
    let mut left = chars_max;
    for char in text.chars() {
        let escape = char.escape_default();
        let chars = if is_unprintable(char) { escape.len() } else { 1 };
        if chars > left {
            shown.push('…');
            break;
        }
        left -= chars;
        if is_unprintable(char) { shown.extend(escape) } else { shown.push(char) }
    }
    shown
}

/// The beginning of a text, for an error of this crate.
pub(crate) fn shorten(text: &str) -> String {
    excerpt(text, QUOTED_CHARS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unprintable_characters_are_escaped() {
        let check = |text: &str, expected: &str| {
            assert_eq!(Escaped(text).to_string(), expected, "{text:?}");
            assert_eq!(Escaped(Escaped(text)).to_string(), expected, "again: {text:?}");
            assert_eq!(excerpt(text, 1000), expected, "{text:?}");
            assert_eq!(EscapedLines(text).to_string(), expected.replace("\\n", "\n"), "{text:?}");
        };
        check("", "");
        check("plain 'text' \"quoted\" \\ äöü 漢字 العربية ❤️ €", "plain 'text' \"quoted\" \\ äöü 漢字 العربية ❤️ €");
        check("one\ntwo\r\n\tthree", "one\\ntwo\\r\\n\\tthree");
        check("\0\u{7}\u{8}\u{1b}[2J\u{7f}", "\\u{0}\\u{7}\\u{8}\\u{1b}[2J\\u{7f}");
        check("\u{80}\u{85}\u{9b}31m\u{9d}\u{9f}", "\\u{80}\\u{85}\\u{9b}31m\\u{9d}\\u{9f}");
        check("a\u{202a}b\u{202b}\u{202c}\u{202d}\u{202e}c", "a\\u{202a}b\\u{202b}\\u{202c}\\u{202d}\\u{202e}c");
        check("\u{2066}\u{2067}\u{2068}\u{2069}\u{61c}", "\\u{2066}\\u{2067}\\u{2068}\\u{2069}\\u{61c}");
        check("\u{200b}\u{200c}\u{200d}\u{200e}\u{200f}", "\\u{200b}\\u{200c}\\u{200d}\\u{200e}\\u{200f}");
        check("\u{2028}\u{2029}\u{2060}\u{206f}\u{feff}", "\\u{2028}\\u{2029}\\u{2060}\\u{206f}\\u{feff}");
        check("\u{ad}\u{180e}\u{3164}\u{fff9}", "\\u{ad}\\u{180e}\\u{3164}\\u{fff9}");
        check("\u{e0001}\u{e0041}\u{e007f}", "\\u{e0001}\\u{e0041}\\u{e007f}");
    }

    #[test]
    fn an_excerpt_is_no_longer_than_its_limit() {
        assert_eq!(excerpt("abc", 3), "abc");
        assert_eq!(excerpt("abcd", 3), "abc…");
        // An escape is never cut.
        assert_eq!(excerpt("a\u{202e}b", 8), "a…");
        assert_eq!(excerpt("a\u{202e}b", 9), "a\\u{202e}…");
        assert_eq!(excerpt("äöü\n", 5), "äöü\\n");
        assert_eq!(excerpt("äöü\n", 4), "äöü…");
        assert_eq!(shorten(&"\u{1}".repeat(1000)).chars().count(), 201);
    }
}
