//! Finds the end of JSON strings, eight bytes and more at a time. Must not know other values.

/// One in each byte of a word.
const ONES: u64 = u64::MAX / 0xff;
/// The highest bit of each byte of a word.
const HIGH_BITS: u64 = ONES << 7;

/// Bytes of a word.
const WORD_BYTES: usize = 8;

/// Bytes of a block, which the compiler compares with the vector instructions of any processor.
const BLOCK_BYTES: usize = 64;

/// Where a string ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// The offset after its closing quote.
    pub(super) at: usize,
    /// Whether it has an escape sequence.
    pub(super) is_escaped: bool,
}

/// The end of a string whose characters begin at `from`; `None` if it does not end or breaks the grammar.
#[inline(never)]
pub(super) fn find_end(text: &[u8], from: usize) -> Option<End> {
    let mut at = from;
    // Most strings are short.
    if let ([first, second, ..], _) = text.get(from..)?.as_chunks() {
        at += match count_plain_in(*first) {
            WORD_BYTES => WORD_BYTES + count_plain_in(*second),
            count => count,
        };
        if text.get(at) == Some(&b'"') {
            return Some(End { at: at + 1, is_escaped: false });
        }
    }
    find_end_of_long(text, at)
}

/// The same from a later character on, before which there is no escape sequence.
#[inline(never)]
fn find_end_of_long(text: &[u8], mut at: usize) -> Option<End> {
    let mut is_escaped = false;
    loop {
        at += count_plain(text.get(at..)?);
        match text.get(at)? {
            b'"' => return Some(End { at: at + 1, is_escaped }),
            b'\\' => at += escape_bytes(text.get(at + 1..)?)?,
            _ => return None,
        }
        is_escaped = true;
    }
}

/// The number of bytes of an escape sequence, by those after its backslash.
fn escape_bytes(after: &[u8]) -> Option<usize> {
    match after {
        [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => Some(r"\n".len()),
        [b'u', digits @ ..] => digits.first_chunk::<4>()?.iter().all(u8::is_ascii_hexdigit).then_some(r"\u0000".len()),
        _ => None,
    }
}

/// How many bytes precede the first one that is special.
fn count_plain(bytes: &[u8]) -> usize {
    let has_special = |block: &[u8; BLOCK_BYTES]| block.iter().fold(false, |any, byte| any | is_special(*byte));
    let (blocks, _) = bytes.as_chunks::<BLOCK_BYTES>();
    let before = BLOCK_BYTES * blocks.iter().take_while(|block| !has_special(block)).count();
    let rest = bytes.get(before..).unwrap_or_default();
    let (words, tail) = rest.as_chunks();
    let mut at = before;
    for word in words {
        let count = count_plain_in(*word);
        at += count;
        if count < WORD_BYTES {
            return at;
        }
    }
    at + tail.iter().take_while(|byte| !is_special(**byte)).count()
}

/// Whether the byte is a quote, a backslash or a control character.
#[inline]
fn is_special(byte: u8) -> bool {
    byte == b'"' || byte == b'\\' || byte < b' '
}

/// The same of a word.
#[inline]
fn count_plain_in(word: [u8; WORD_BYTES]) -> usize {
    let word = u64::from_le_bytes(word);
    // A subtraction sets the high bit of each byte that is special, and may set that of bytes after it, from which it borrows; bytes above
    // 0x7f are masked out.
    let is = |byte: u8| (word ^ (ONES * u64::from(byte))).wrapping_sub(ONES);
    let control = word.wrapping_sub(ONES * u64::from(b' '));
    let special = (control | is(b'"') | is(b'\\')) & !word & HIGH_BITS;
    (special.trailing_zeros() / u8::BITS) as usize
}
