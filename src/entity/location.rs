//! Where in a value the fault of its rejection is, for people. Reads the value a second time, since the service needs no place. Must not
//! decide what a fault is.

use super::fields::REPEATED;
use super::json::{self, SyntaxProblem};
use super::metadata::INVALID_INSIDE;
use super::name;
use super::payload::Payload;
use super::rejection::{Reason, Rejection};

/// Where a fault is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The field, such as `meta_data.last_modified`; `None` if the fault is not that of a field.
    pub field: Option<String>,
    /// Where it begins; `None` if the field is missing.
    pub begin: Option<TextPosition>,
}

/// A place in a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextPosition {
    /// The byte of the value, from 0 on.
    pub byte: usize,
    /// The line of the JSON text, from 1 on.
    pub line: usize,
    /// The byte of that line, from 1 on, as in the errors of `serde_json`.
    pub column: usize,
}

/// Where the fault is for which [`decode`](super::decode) rejects a value. `None` if it has no place: the value is empty, the type of the
/// event is unknown, or another program has rejected it.
pub fn locate(value: &[u8], rejection: &Rejection) -> Option<Location> {
    let payload = Payload::new(value);
    match rejection.reason {
        Reason::NotJson => {
            let begin = match payload.text() {
                Err(_) => position_of(&payload, value, payload.valid_bytes()),
                Ok(text) => match json::read_members(text, |_| {}).err()?.problem {
                    SyntaxProblem::Nesting => return None,
                    SyntaxProblem::At { line, column } => {
                        let byte = payload.prefix_bytes() + byte_of(text, line, column);
                        TextPosition { byte, line, column }
                    }
                },
            };
            Some(Location { field: None, begin: Some(begin) })
        }
        Reason::InvalidField => {
            let text = payload.text().ok()?;
            let (field, byte) = find_field(text, &rejection.error)?;
            Some(Location { field: Some(field), begin: byte.map(|byte| position_of(&payload, value, byte)) })
        }
        Reason::Empty | Reason::UnknownType | Reason::Rejected => None,
    }
}

/// The field that an error begins with, and the byte of the text at which its value begins.
fn find_field(text: &str, error: &str) -> Option<(String, Option<usize>)> {
    let (name, problem) = error.split_once(' ')?;
    let found = find_member(text, name, problem == REPEATED);
    let begin = found.map(|value| offset_in(text, value));
    let Some(inner) = problem.strip_prefix(INVALID_INSIDE) else { return Some((name.to_owned(), begin)) };
    let (inner_field, inner_begin) = find_field(found?, inner)?;
    let inner_begin = begin.zip(inner_begin).map(|(begin, inner_begin)| begin + inner_begin);
    Some((format!("{name}.{inner_field}"), inner_begin))
}

/// The value of the first or second member of this name.
fn find_member<'a>(text: &'a str, wanted: &str, second: bool) -> Option<&'a str> {
    let mut found = Vec::new();
    let read = json::read_members(text, |member| {
        if found.len() < 2 && name::is_text(member.name, wanted) {
            found.push(member.value.text());
        }
    });
    read.ok()?;
    found.get(usize::from(second)).copied()
}

/// How many bytes of a text are before a part of it.
fn offset_in(text: &str, part: &str) -> usize {
    part.as_ptr().addr().saturating_sub(text.as_ptr().addr())
}

/// The place of a byte of the JSON text.
fn position_of(payload: &Payload<'_>, value: &[u8], byte: usize) -> TextPosition {
    let prefix = payload.prefix_bytes();
    let before = value.get(prefix..prefix + byte).unwrap_or_default();
    let line_begin = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    TextPosition {
        byte: prefix + byte,
        line: before.split(|&byte| byte == b'\n').count(),
        column: 1 + before.len() - line_begin,
    }
}

/// The byte of a text at a line and column. `serde_json` gives column 0 for a fault right after a line feed.
fn byte_of(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    (before + column.saturating_sub(1)).min(text.len())
}
