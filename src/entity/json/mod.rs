//! Reads the members of a JSON object. Must not know event types, nor what a value means.
//!
//! The scanner reads an object in one pass, and only says yes or no. `serde_json` reads what the scanner refuses: it says what is wrong, and
//! has the last word. The fuzz target compares the two.

mod member;
pub(in crate::entity) mod reference;
pub(in crate::entity) mod scanner;
mod strings;
#[cfg(test)]
mod tests;

pub(super) use member::{BLANKS, Json, Member};
pub(super) use reference::{SyntaxError, SyntaxProblem};

/// Calls a function with each member of an object, in the order sent. Returns whether the text is an object or any other JSON value. The
/// error says why it is not JSON; the function may have been called before.
pub(super) fn read_members<'a>(text: &'a str, mut each: impl FnMut(Member<'a>)) -> Result<bool, SyntaxError> {
    let mut read = 0_usize;
    let scanned = scanner::read_members(text, |member| {
        read += 1;
        each(member);
    });
    if scanned.is_some() {
        return Ok(true);
    }
    read_rest(text, read, each)
}

/// Reads an object without the first members, or finds out what is wrong.
fn read_rest<'a>(text: &'a str, first: usize, mut each: impl FnMut(Member<'a>)) -> Result<bool, SyntaxError> {
    let mut index = 0_usize;
    reference::read_members(text, |member| {
        if index >= first {
            each(member);
        }
        index += 1;
    })
}
