//! Reads the members of an object with `serde_json`, and says what is wrong with a text that is not JSON. Must not know the scanner.

use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::member::{BLANKS, Json, Member, NESTING_MAX};

/// Why a text is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::entity) enum SyntaxProblem {
    /// Brackets are nested deeper than [`NESTING_MAX`].
    Nesting,
    /// Anything else, at this line and this byte of it, both from 1 on.
    At { line: usize, column: usize },
}

/// The error of a text that is not JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::entity) struct SyntaxError {
    pub(in crate::entity) problem: SyntaxProblem,
    text: String,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Calls a function with each member of an object, in the order sent. Returns whether the text is an object or any other JSON value. The
/// error says why it is not JSON; the function may have been called before.
pub(in crate::entity) fn read_members<'a>(text: &'a str, each: impl FnMut(Member<'a>)) -> Result<bool, SyntaxError> {
    if is_nested_too_deep(text) {
        let text = format!("nested deeper than {NESTING_MAX} levels");
        return Err(SyntaxError { problem: SyntaxProblem::Nesting, text });
    }
    let is_object = text.trim_start_matches(BLANKS).starts_with('{');
    let read = if is_object { read_object(text, each) } else { serde_json::from_str::<&RawValue>(text).map(drop) };
    read.map(|()| is_object).map_err(|error| SyntaxError {
        problem: SyntaxProblem::At { line: error.line(), column: error.column() },
        text: format!("not one JSON value: {error}"),
    })
}

fn read_object<'a>(object: &'a str, each: impl FnMut(Member<'a>)) -> Result<(), serde_json::Error> {
    struct Members<E>(E);

    impl<'a, E: FnMut(Member<'a>)> Visitor<'a> for Members<E> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON object")
        }

        fn visit_map<A: MapAccess<'a>>(mut self, mut object: A) -> Result<(), A::Error> {
            while let Some((name, value)) = object.next_entry::<&RawValue, &RawValue>()? {
                (self.0)(Member { name: Json::new(name.get()), value: Json::new(value.get()) });
            }
            Ok(())
        }
    }

    let mut deserializer = serde_json::Deserializer::from_str(object);
    deserializer.deserialize_map(Members(each))?;
    deserializer.end()
}

/// Whether brackets are nested deeper than [`NESTING_MAX`]. `serde_json` skips raw values without a limit (and without recursion); readers of
/// the database may not.
fn is_nested_too_deep(text: &str) -> bool {
    let opens = |byte: u8| matches!(byte, b'{' | b'[');
    // Counting is fast, and an ordinary event has fewer brackets.
    if text.bytes().filter(|&byte| opens(byte)).count() <= NESTING_MAX {
        return false;
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
        } else if byte == b'"' {
            in_string = true;
        } else if opens(byte) {
            depth += 1;
            if depth > NESTING_MAX {
                return true;
            }
        } else if matches!(byte, b'}' | b']') {
            // A bracket that closes nothing is not JSON, which the parser reports.
            depth = depth.saturating_sub(1);
        }
    }
    false
}
