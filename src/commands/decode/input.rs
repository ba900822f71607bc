//! Divides input into messages, with a limit for each. Must not know what a message means.

use std::io::{self, BufRead, Read};

/// The longest message, in bytes: what the service takes for one batch by default (`KAFKA_RECEIVE_MAX_BYTES`).
pub(super) const MESSAGE_BYTES_MAX: usize = 100 << 20;

/// The longest end of a line.
const LINE_END_BYTES: usize = "\r\n".len();

/// The lines of an input. A line ends with a line feed, which a carriage return may precede; the last one may lack it.
#[derive(Debug)]
pub(super) struct Lines<R> {
    input: R,
    bytes_max: usize,
    line: Vec<u8>,
    number: u64,
}

/// One line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// The message, without the end of the line.
    Message(&'a [u8]),
    /// The line is longer than the limit; the rest of it has not been read.
    TooLong,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(input: R, bytes_max: usize) -> Self {
        Self { input, bytes_max, line: Vec::new(), number: 0 }
    }

    pub(super) fn input(&self) -> &R {
        &self.input
    }

    /// How many lines have been read.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Reads the next line; `None` at the end of the input.
    pub(super) fn read_next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        let bytes_max = self.bytes_max + LINE_END_BYTES;
        let read =
            self.input.by_ref().take(u64::try_from(bytes_max).unwrap_or(u64::MAX)).read_until(b'\n', &mut self.line)?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        let line = self.line.strip_suffix(b"\n").map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let line = line.unwrap_or(&self.line);
        Ok(Some(if line.len() <= self.bytes_max { Line::Message(line) } else { Line::TooLong }))
    }
}

/// Everything, as one message; `None` if it is too long.
pub(super) fn read_whole(input: impl Read, bytes_max: usize) -> io::Result<Option<Vec<u8>>> {
    let mut message = Vec::new();
    input.take(u64::try_from(bytes_max + 1).unwrap_or(u64::MAX)).read_to_end(&mut message)?;
    Ok((message.len() <= bytes_max).then_some(message))
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    fn lines(input: &str, bytes_max: usize) -> Vec<Option<String>> {
        let mut lines = Lines::new(BufReader::with_capacity(3, input.as_bytes()), bytes_max);
        let mut found = Vec::new();
        while let Some(line) = lines.read_next().unwrap() {
            let Line::Message(line) = line else {
                found.push(None);
                break;
            };
            found.push(Some(String::from_utf8(line.to_vec()).unwrap()));
        }
        found
    }

    #[test]
    fn a_line_is_a_message_without_its_end() {
        let check = |input: &str, expected: &[&str]| {
            let expected: Vec<_> = expected.iter().map(|line| Some((*line).to_owned())).collect();
            assert_eq!(lines(input, 5), expected, "{input:?}");
        };
        check("", &[]);
        check("\n", &[""]);
        check("a", &["a"]);
        check("a\n", &["a"]);
        check("a\n\nb", &["a", "", "b"]);
        check("a\r\n\r\nb\r", &["a", "", "b\r"]);
        check("a\r\r\n", &["a\r"]);
        check("12345\r\n12345\n12345", &["12345", "12345", "12345"]);
    }

    #[test]
    fn a_line_beyond_the_limit_is_too_long() {
        for input in ["123456", "123456\n", "123456\r\n", "1234567\n", "12345678901234"] {
            assert_eq!(lines(input, 5), [None], "{input:?}");
        }
        assert_eq!(read_whole("12345".as_bytes(), 5).unwrap().as_deref(), Some(&b"12345"[..]));
        assert_eq!(read_whole("123456".as_bytes(), 5).unwrap(), None);
    }
}
