//! The headers of one record, kept in their encoding: two bytes can be a header, so a list of headers could take thirty
//! times the memory. They are checked once and decoded whenever they are read.

use std::fmt;

use bytes::{Bytes, BytesMut};

/// Groups of seven bits in an integer of 32 bits.
const VARINT_BYTES_MAX: u32 = 5;

/// The headers of a record in the order sent, duplicates kept. Cloning copies none.
#[derive(Clone, Default)]
pub struct Headers {
    count: usize,
    /// Name and value of each header, each after its length.
    encoded: Bytes,
}

/// One header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Name as sent; Kafka does not check that it is UTF-8.
    pub name: &'a [u8],
    /// Value, if it has one.
    pub value: Option<&'a [u8]>,
}

impl Headers {
    /// A header has at least two bytes: the lengths of its name and of its value.
    pub(crate) const HEADER_BYTES_MIN: usize = 2;

    /// Checks that some bytes begin with `count` encoded headers, and returns the length of these; fails with what is
    /// wrong.
    pub(crate) fn encoded_length(count: usize, bytes: &[u8]) -> Result<usize, String> {
        let mut rest = bytes;
        for number in 0..count {
            next(&mut rest).map_err(|what| format!("{what}: number {} of {count}", number + 1))?;
        }
        Ok(bytes.len() - rest.len())
    }

    /// Takes bytes that [`encoded_length`](Self::encoded_length) has checked.
    pub(crate) fn from_encoded(count: usize, encoded: Bytes) -> Self {
        Self { count, encoded }
    }

    /// Count of the headers.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether the record has no headers.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The headers in the order sent.
    pub fn iter(&self) -> Iter<'_> {
        Iter(&self.encoded)
    }

    /// Size of the encoded headers in bytes: names, values and their lengths.
    pub fn encoded_bytes(&self) -> usize {
        self.encoded.len()
    }
}

impl PartialEq for Headers {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other)
    }
}

impl Eq for Headers {}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl<'a> IntoIterator for &'a Headers {
    type Item = Header<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl<'a> FromIterator<Header<'a>> for Headers {
    fn from_iter<I: IntoIterator<Item = Header<'a>>>(headers: I) -> Self {
        let (mut count, mut encoded) = (0, BytesMut::new());
        for header in headers {
            count += 1;
            put_bytes(&mut encoded, Some(header.name));
            put_bytes(&mut encoded, header.value);
        }
        Self { count, encoded: encoded.freeze() }
    }
}

/// Iterates over the headers of a record.
#[derive(Clone, Debug)]
pub struct Iter<'a>(&'a [u8]);

impl<'a> Iterator for Iter<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        if self.0.is_empty() {
            return None;
        }
        // The encoding has been checked.
        next(&mut self.0).ok()
    }
}

/// Decodes the first header; fails with what is wrong.
fn next<'a>(from: &mut &'a [u8]) -> Result<Header<'a>, &'static str> {
    let name = bytes(from)?.ok_or("a header without a name")?;
    Ok(Header { name, value: bytes(from)? })
}

/// Bytes after their zigzag length; `None` for a length of -1.
fn bytes<'a>(from: &mut &'a [u8]) -> Result<Option<&'a [u8]>, &'static str> {
    let length = varint(from)?;
    if length == -1 {
        return Ok(None);
    }
    let length = usize::try_from(length).map_err(|_| "a header with a negative length")?;
    let (taken, rest) = from.split_at_checked(length).ok_or("a header that is longer than the record")?;
    *from = rest;
    Ok(Some(taken))
}

/// A zigzag integer of at most 32 bits ([varint](https://kafka.apache.org/protocol#protocol_types)).
fn varint(from: &mut &[u8]) -> Result<i32, &'static str> {
    let mut value = 0_u32;
    for group in 0..VARINT_BYTES_MAX {
        let (&byte, rest) = from.split_first().ok_or("a header that is cut short")?;
        *from = rest;
        let bits = u32::from(byte & 0x7f);
        // Only the lowest bits of the last group fit into 32 bits.
        if group + 1 == VARINT_BYTES_MAX && bits >> (32 - 7 * group) != 0 {
            break;
        }
        value |= bits << (7 * group);
        if byte & 0x80 == 0 {
            return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
        }
    }
    Err("a header's length of more than 32 bits")
}

/// Encodes what [`bytes`] decodes.
fn put_bytes(to: &mut BytesMut, bytes: Option<&[u8]>) {
    let length = bytes.map_or(-1, |bytes| i32::try_from(bytes.len()).unwrap_or(i32::MAX));
    let mut left = ((length << 1) ^ (length >> 31)).cast_unsigned();
    while left > 0x7f {
        let [lowest, ..] = left.to_le_bytes();
        to.extend_from_slice(&[lowest | 0x80]);
        left >>= 7;
    }
    let [last, ..] = left.to_le_bytes();
    to.extend_from_slice(&[last]);
    to.extend_from_slice(bytes.unwrap_or_default());
}
