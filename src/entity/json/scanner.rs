//! Reads the members of a JSON object in one pass, by the grammar of [RFC 8259](https://www.rfc-editor.org/rfc/rfc8259). Must not know what a
//! value means, nor what to say about a text that is not JSON.

use super::member::{Json, Member, NESTING_MAX};
use super::strings;

/// Calls a function with each member of an object, in the order sent. `None` if the text is not one JSON object that is nested at most
/// [`NESTING_MAX`] levels deep; the function may have been called before.
pub(in crate::entity) fn read_members<'a>(text: &'a str, mut each: impl FnMut(Member<'a>)) -> Option<()> {
    let mut scanner = Scanner { text, at: 0 };
    scanner.skip_blanks();
    scanner.expect(b'{')?;
    scanner.skip_blanks();
    if scanner.peek()? == b'}' {
        scanner.at += 1;
    } else {
        loop {
            let name = scanner.string()?;
            scanner.skip_colon()?;
            let value = scanner.value()?;
            each(Member { name, value });
            scanner.skip_blanks();
            match scanner.next()? {
                b',' => scanner.skip_blanks(),
                b'}' => break,
                _ => return None,
            }
        }
    }
    scanner.skip_blanks();
    scanner.peek().is_none().then_some(())
}

/// A text, and how many of its bytes have been read. The methods read what their names say, and return `None` if something else follows. Those
/// that are too large to be inlined return the offset after it, so that the scanner stays in registers.
#[derive(Clone, Copy)]
struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline]
    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    #[inline]
    fn skip_blanks(&mut self) {
        if self.peek().is_some_and(|byte| byte <= b' ') {
            self.at = self.end_of_blanks();
        }
    }

    /// Most producers send none.
    #[inline(never)]
    fn end_of_blanks(mut self) -> usize {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
        self.at
    }

    /// The colon after a name, with the whitespace around it.
    #[inline]
    fn skip_colon(&mut self) -> Option<()> {
        self.skip_blanks();
        self.expect(b':')?;
        self.skip_blanks();
        Some(())
    }

    #[inline]
    fn string(&mut self) -> Option<Json<'a>> {
        let from = self.at;
        let is_escaped = self.skip_string()?;
        Some(Json::scanned(self.text.get(from..self.at)?, is_escaped))
    }

    /// A value of the outermost object.
    #[inline]
    fn value(&mut self) -> Option<Json<'a>> {
        let from = self.at;
        match self.peek()? {
            b'"' => return self.string(),
            b'{' | b'[' => self.at = self.end_of_nested()?,
            _ => self.skip_scalar()?,
        }
        Some(Json::scanned(self.text.get(from..self.at)?, false))
    }

    /// Returns whether the string has an escape sequence.
    #[inline]
    fn skip_string(&mut self) -> Option<bool> {
        self.expect(b'"')?;
        let end = strings::find_end(self.text.as_bytes(), self.at)?;
        self.at = end.at;
        Some(end.is_escaped)
    }

    /// A value that is not nested.
    #[inline]
    fn skip_scalar(&mut self) -> Option<()> {
        match self.peek()? {
            b'"' => self.skip_string().map(drop),
            b'-' | b'0'..=b'9' => {
                self.at = self.end_of_number()?;
                Some(())
            }
            b't' => self.skip_word("true"),
            b'f' => self.skip_word("false"),
            b'n' => self.skip_word("null"),
            _ => None,
        }
    }

    /// An object or an array with all that is in it.
    #[inline(never)]
    fn end_of_nested(mut self) -> Option<usize> {
        let mut open = Open::default();
        loop {
            let bracket = self.peek()?;
            if matches!(bracket, b'{' | b'[') {
                self.at += 1;
                self.skip_blanks();
                open.push(bracket)?;
                if !open.is_closed_by(self.peek()?) {
                    self.skip_name_in(open)?;
                    continue;
                }
            } else {
                self.skip_scalar()?;
            }
            loop {
                self.skip_blanks();
                let byte = self.next()?;
                if open.is_closed_by(byte) {
                    open.pop();
                    if open.depth == 0 {
                        return Some(self.at);
                    }
                } else if byte == b',' {
                    self.skip_blanks();
                    self.skip_name_in(open)?;
                    break;
                } else {
                    return None;
                }
            }
        }
    }

    /// The name of a member and its colon, if the innermost bracket is an object's.
    #[inline]
    fn skip_name_in(&mut self, open: Open) -> Option<()> {
        if open.is_object() {
            self.skip_string()?;
            self.skip_colon()?;
        }
        Some(())
    }

    #[inline(never)]
    fn end_of_number(mut self) -> Option<usize> {
        if self.peek()? == b'-' {
            self.at += 1;
        }
        match self.next()? {
            b'0' => {}
            b'1'..=b'9' => self.skip_digits(),
            _ => return None,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.skip_some_digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.skip_some_digits()?;
        }
        // A digit after a leading zero is refused where the number should end.
        Some(self.at)
    }

    #[inline]
    fn skip_digits(&mut self) {
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
    }

    #[inline]
    fn skip_some_digits(&mut self) -> Option<()> {
        self.next()?.is_ascii_digit().then(|| self.skip_digits())
    }

    #[inline]
    fn skip_word(&mut self, word: &str) -> Option<()> {
        let end = self.at + word.len();
        if self.text.as_bytes().get(self.at..end)? != word.as_bytes() {
            return None;
        }
        self.at = end;
        Some(())
    }
}

/// The brackets that are open inside of the outermost object.
#[derive(Clone, Copy, Default)]
struct Open {
    /// A bit for each, the lowest for the innermost one: whether it is an object's.
    objects: u128,
    depth: u32,
}

/// The outermost object is one of the levels, and each other level has a bit.
const DEPTH_MAX: u32 = 127;
const _: () = assert!(NESTING_MAX == 1 + DEPTH_MAX as usize && DEPTH_MAX < u128::BITS);

impl Open {
    #[inline]
    fn push(&mut self, bracket: u8) -> Option<()> {
        if self.depth == DEPTH_MAX {
            return None;
        }
        self.objects = self.objects << 1 | u128::from(bracket == b'{');
        self.depth += 1;
        Some(())
    }

    #[inline]
    fn pop(&mut self) {
        self.objects >>= 1;
        self.depth = self.depth.saturating_sub(1);
    }

    #[inline]
    fn is_object(self) -> bool {
        self.objects & 1 == 1
    }

    #[inline]
    fn is_closed_by(self, byte: u8) -> bool {
        byte == if self.is_object() { b'}' } else { b']' }
    }
}
