//! Input of any bytes: every byte but those of line ends is in exactly one message, in its order, within the limit.

use std::io::BufReader;

use fuzzkit::{Target, within};

use super::input::{Line, Lines};

pub(crate) const TARGET: Target = Target {
    name: "decode_input",
    run: decode_input,
    words: &["\n", "\r\n", "\r", "\n\n", "{}", "12345678"],
    tries: 3_000,
};

/// The limit of a line here.
const BYTES_MAX: usize = 64;

/// Bytes that are read at once: less than the limit, so that lines arrive in pieces.
const READ_BYTES: usize = 7;

fn decode_input(input: &[u8]) -> bool {
    let mut expected = input.split(|&byte| byte == b'\n');
    let mut lines = Lines::new(BufReader::with_capacity(READ_BYTES, input), BYTES_MAX);
    let mut count = 0;
    let next = |lines: &mut Lines<BufReader<&[u8]>>| match lines.read_next().ok()?? {
        Line::Message(line) => Some(Some(line.to_vec())),
        Line::TooLong => Some(None),
    };
    while let Some(line) = within(BYTES_MAX * 8, || next(&mut lines)) {
        count += 1;
        assert_eq!(lines.number(), count);
        let expected = expected.next().unwrap_or_default();
        let is_last = expected.as_ptr_range().end == input.as_ptr_range().end;
        let expected = if is_last { expected } else { expected.strip_suffix(b"\r").unwrap_or(expected) };
        assert_eq!(line.as_deref(), (expected.len() <= BYTES_MAX).then_some(expected));
        if line.is_none() {
            return false;
        }
    }
    // What is after the last line feed is a line unless it is empty.
    assert!(expected.next().is_none_or(<[u8]>::is_empty) && expected.next().is_none());
    count > 0
}
