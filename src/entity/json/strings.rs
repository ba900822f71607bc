//! Finds the end of JSON strings, eight bytes and more at a time. Must not know other values.

/// One in each byte of a word.
const ONES: u64 = u64::MAX / 0xff;
/// The highest bit of each byte of a word.
const HIGH_BITS: u64 = ONES << 7;

/// How many words are read before blocks are: most strings end in them.
const WORDS_BEFORE_BLOCKS: usize = 4;

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
#[inline]
pub(super) fn find_end(text: &[u8], from: usize) -> Option<End> {
    let (words, _) = text.get(from..)?.as_chunks::<8>();
    let mut at = from;
    // Most strings are short.
    for word in words.first_chunk::<WORDS_BEFORE_BLOCKS>().into_iter().flatten() {
        let Some(index) = first_special(*word) else {
            at += word.len();
            continue;
        };
        at += index;
        if text.get(at) == Some(&b'"') {
            return Some(End { at: at + 1, is_escaped: false });
        }
        break;
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
    let (words, tail) = rest.as_chunks::<8>();
    let mut at = before;
    for word in words {
        match first_special(*word) {
            Some(index) => return at + index,
            None => at += 8,
        }
    }
    at + tail.iter().take_while(|byte| !is_special(**byte)).count()
}

/// Whether the byte is a quote, a backslash or a control character.
#[inline]
fn is_special(byte: u8) -> bool {
    byte == b'"' || byte == b'\\' || byte < b' '
}

/// The index of the first byte of a word that is special.
#[inline]
fn first_special(word: [u8; 8]) -> Option<usize> {
    let word = u64::from_le_bytes(word);
    // A subtraction sets the high bit of each byte that is special, and may set that of bytes after it, from which it borrows; bytes above
    // 0x7f are masked out.
    let control = word.wrapping_sub(ONES * b' ' as u64);
    let quote = (word ^ ONES * b'"' as u64).wrapping_sub(ONES);
    let backslash = (word ^ ONES * b'\\' as u64).wrapping_sub(ONES);
    let special = (control | quote | backslash) & !word & HIGH_BITS;
    (special != 0).then_some((special.trailing_zeros() / 8) as usize)
}
