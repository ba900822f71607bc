//! The headers of one record, as the bytes that they were sent as: two of them can be a header, so a list of them could take
//! thirty times their memory. Checked once, then read one after the other.

use std::fmt;

use bytes::{Bytes, BytesMut};

use super::{Malformed, Reader};

/// A header takes at least two bytes: the lengths of its name and of its value.
const HEADER_BYTES_MIN: usize = 2;
/// Groups of seven bits in a number of 32 bits.
const VARINT_BYTES_MAX: u32 = 5;

/// The headers of a record in the order sent, duplicates kept. Cloning copies none.
#[derive(Clone, Default)]
pub struct Headers {
    count: usize,
    /// Each header's name and value with their lengths before them, and nothing else.
    encoded: Bytes,
}

/// One header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Name, as bytes on the wire; Kafka asks for UTF-8 but does not check it.
    pub name: &'a [u8],
    /// Value, if it has one.
    pub value: Option<&'a [u8]>,
}

impl Headers {
    /// Takes the headers from the end of a record: their count, and each of them.
    pub(super) fn read(body: &mut Reader) -> Result<Self, Malformed> {
        let announced = body.varint()?;
        let count = usize::try_from(announced).ok();
        let Some(count) = count.filter(|count| count.saturating_mul(HEADER_BYTES_MIN) <= body.remaining()) else {
            return Err(body.malformed(&format!("{announced} headers announced in {} bytes", body.remaining())));
        };
        if count == 0 {
            return Ok(Self::default());
        }
        let all = body.clone().take(body.remaining())?;
        let mut left: &[u8] = &all;
        for number in 0..count {
            if let Err(what) = next(&mut left) {
                return Err(body.malformed(&format!("{what}: number {} of {count}", number + 1)));
            }
        }
        let bytes = all.len() - left.len();
        Ok(Self { count, encoded: body.take(bytes)? })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// One after the other, in the order sent.
    pub fn iter(&self) -> Iter<'_> {
        Iter(&self.encoded)
    }

    /// The bytes that they take: their names and values, and the lengths of these.
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

/// Goes through the headers of a record.
#[derive(Clone, Debug)]
pub struct Iter<'a>(&'a [u8]);

impl<'a> Iterator for Iter<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        if self.0.is_empty() {
            return None;
        }
        // They have been checked.
        next(&mut self.0).ok()
    }
}

/// Takes the first header out of the bytes; fails with what is wrong.
fn next<'a>(from: &mut &'a [u8]) -> Result<Header<'a>, &'static str> {
    let name = bytes(from)?.ok_or("a header without a name")?;
    Ok(Header { name, value: bytes(from)? })
}

/// Bytes with a zigzag length before them; none for a length of -1.
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

/// A zigzag number of at most 32 bits ([varint](https://kafka.apache.org/protocol#protocol_types)).
fn varint(from: &mut &[u8]) -> Result<i32, &'static str> {
    let mut value = 0_u32;
    for group in 0..VARINT_BYTES_MAX {
        let (&byte, rest) = from.split_first().ok_or("a header that is cut short")?;
        *from = rest;
        let bits = u32::from(byte & 0x7f);
        // Of the last group only the lowest bits belong to 32.
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

/// The counterpart of [`bytes`].
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
