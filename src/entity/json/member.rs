//! What an object is made of, what may be between its parts, and how deep values may be nested.

/// How deep objects and arrays may be nested, the outermost one included: far deeper than in ordinary events, and about as deep as other
/// readers accept (`serde_json` 127, SQLite's JSON functions 1000).
pub(in crate::entity) const NESTING_MAX: usize = 128;

/// The [whitespace](https://www.rfc-editor.org/rfc/rfc8259#section-2) of JSON.
pub(in crate::entity) const BLANKS: [char; 4] = [' ', '\t', '\n', '\r'];

/// One member of a JSON object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::entity) struct Member<'a> {
    /// The name, a string.
    pub(in crate::entity) name: Json<'a>,
    /// The value.
    pub(in crate::entity) value: Json<'a>,
}

/// One valid JSON value, without whitespace around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::entity) struct Json<'a> {
    /// The value as sent.
    text: &'a str,
    /// Whether it is a string with an escape sequence.
    is_escaped: bool,
}

impl<'a> Json<'a> {
    /// A value as sent.
    pub(in crate::entity) fn new(text: &'a str) -> Self {
        Self::scanned(text, text.starts_with('"') && text.contains('\\'))
    }

    /// A value of which it is known whether it is a string with an escape sequence.
    #[inline]
    pub(super) fn scanned(text: &'a str, is_escaped: bool) -> Self {
        Self { text, is_escaped }
    }

    /// The value as sent.
    #[inline]
    pub(in crate::entity) fn text(self) -> &'a str {
        self.text
    }

    /// Whether it is a string with an escape sequence.
    #[inline]
    pub(in crate::entity) fn is_escaped(self) -> bool {
        self.is_escaped
    }

    /// What is between the quotes of a string; `None` of another value.
    #[inline]
    pub(in crate::entity) fn quoted(self) -> Option<&'a str> {
        self.text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'))
    }
}
