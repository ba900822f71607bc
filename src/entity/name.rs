//! The name of a member of a JSON object. Names are compared by a number first: each field of an event is looked for among all that were
//! sent. Must not know which names there are.

use super::json::Json;
use super::rules;

/// The beginning of a name in its quotes, with its length in the place of the first quote. Names of at most [`NAME_BYTES_IN_KEY`] bytes are
/// equal if their keys are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key(u64);

const NAME_BYTES_IN_KEY: usize = 7;

impl Key {
    /// Of a name with a lone surrogate, which equals no name: it has bytes that no text has.
    const NOT_TEXT: Self = Self(u64::MAX);

    #[inline]
    fn of(name: &str) -> Self {
        Self::of_bytes(name.bytes().chain([b'"']), name.len())
    }

    /// Of a name in its quotes, without an escape sequence.
    #[inline]
    fn of_quoted(quoted: &str) -> Self {
        let length = quoted.len().saturating_sub("\"\"".len());
        match quoted.as_bytes().first_chunk() {
            Some(bytes) => Self::with_length(*bytes, length),
            None => Self::of_bytes(quoted.bytes().skip(1), length),
        }
    }

    #[inline]
    fn of_bytes(after_first_quote: impl Iterator<Item = u8>, length: usize) -> Self {
        let mut bytes = [0; 8];
        for (to, from) in bytes.iter_mut().skip(1).zip(after_first_quote) {
            *to = from;
        }
        Self::with_length(bytes, length)
    }

    #[cold]
    fn of_escaped(name: Json<'_>) -> Self {
        rules::text(name).map_or(Self::NOT_TEXT, |name| Self::of(&name))
    }

    #[inline]
    fn with_length(mut bytes: [u8; 8], length: usize) -> Self {
        let [first, ..] = &mut bytes;
        *first = u8::try_from(length).unwrap_or(u8::MAX);
        Self(u64::from_le_bytes(bytes))
    }
}

/// A name as sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name<'a> {
    key: Key,
    quoted: &'a str,
}

/// A name to look for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'n> {
    key: Key,
    name: &'n str,
}

impl<'n> Wanted<'n> {
    #[inline]
    pub(super) fn new(name: &'n str) -> Self {
        Self { key: Key::of(name), name }
    }

    pub(super) fn name(&self) -> &'n str {
        self.name
    }
}

impl<'a> Name<'a> {
    #[inline]
    pub(super) fn new(name: Json<'a>) -> Self {
        let quoted = name.text();
        Self { key: if name.is_escaped() { Key::of_escaped(name) } else { Key::of_quoted(quoted) }, quoted }
    }

    /// The name as sent, in its quotes.
    pub(super) fn quoted(&self) -> &'a str {
        self.quoted
    }

    #[inline]
    pub(super) fn is(&self, wanted: Wanted<'_>) -> bool {
        self.key == wanted.key && (wanted.name.len() <= NAME_BYTES_IN_KEY || self.has_text(wanted.name))
    }

    fn has_text(&self, text: &str) -> bool {
        // A quote before and after the text.
        if self.quoted.len() == text.len() + 2 && self.quoted.as_bytes().get(1..=text.len()) == Some(text.as_bytes()) {
            return true;
        }
        is_escaped_text(Json::new(self.quoted), text)
    }
}

/// Whether the name of a member is this text: a name that is looked for once needs no key.
pub(super) fn is_text(name: Json<'_>, text: &str) -> bool {
    if name.is_escaped() { is_escaped_text(name, text) } else { name.quoted() == Some(text) }
}

fn is_escaped_text(name: Json<'_>, text: &str) -> bool {
    rules::text(name).is_ok_and(|unescaped| unescaped == text)
}
