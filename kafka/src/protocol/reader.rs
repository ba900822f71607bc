//! Decodes the protocol's [primitive types](https://kafka.apache.org/protocol#protocol_types) from untrusted bytes:
//! every length and count is checked against the remaining bytes before anything is allocated for it. Must not know
//! messages.

use std::fmt;

use bytes::{Buf, Bytes};

use crate::error::ErrorCode;
use crate::types::TopicId;

/// The peer's bytes are not the protocol: what is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) String);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A position in a response. The byte strings that it returns share the response's memory.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    rest: Bytes,
    length: usize,
    flexible: bool,
}

impl Reader {
    /// Starts at the first byte. Flexible versions have compact lengths and tagged fields
    /// ([KIP-482](https://cwiki.apache.org/confluence/display/KAFKA/KIP-482)).
    pub(crate) fn new(bytes: Bytes, flexible: bool) -> Self {
        Self { length: bytes.len(), rest: bytes, flexible }
    }

    /// Switches between the encodings of flexible and older versions.
    pub(crate) fn set_flexible(&mut self, flexible: bool) {
        self.flexible = flexible;
    }

    /// Count of the bytes that have not been read.
    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The bytes that have not been read.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.rest
    }

    /// Fails if bytes follow the end of the message.
    pub(crate) fn finish(self) -> Result<(), Malformed> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(self.malformed(&format!("{} bytes follow the end of the message", self.rest.len())))
    }

    /// An error at this position.
    pub(crate) fn malformed(&self, what: &str) -> Malformed {
        Malformed(format!("{what}, at byte {} of {}", self.length - self.rest.len(), self.length))
    }

    /// A number of bytes.
    pub(crate) fn take(&mut self, count: usize) -> Result<Bytes, Malformed> {
        if count > self.rest.len() {
            return Err(self.malformed(&format!("{count} bytes announced, {} left", self.rest.len())));
        }
        Ok(self.rest.split_to(count))
    }

    /// Skips a number of bytes.
    pub(crate) fn skip(&mut self, count: usize) -> Result<(), Malformed> {
        self.take(count).map(drop)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let Some(value) = self.rest.first_chunk::<N>().copied() else {
            return Err(self.malformed(&format!("{N} bytes needed, {} left", self.rest.len())));
        };
        self.rest.advance(N);
        Ok(value)
    }

    pub(crate) fn i8(&mut self) -> Result<i8, Malformed> {
        self.fixed().map(i8::from_be_bytes)
    }

    pub(crate) fn i16(&mut self) -> Result<i16, Malformed> {
        self.fixed().map(i16::from_be_bytes)
    }

    pub(crate) fn i32(&mut self) -> Result<i32, Malformed> {
        self.fixed().map(i32::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        self.fixed().map(u32::from_be_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, Malformed> {
        self.fixed().map(i64::from_be_bytes)
    }

    /// A field in which -1 means "none": broker ids, epochs.
    pub(crate) fn optional_i32(&mut self) -> Result<Option<i32>, Malformed> {
        Ok(Some(self.i32()?).filter(|value| *value >= 0))
    }

    /// A topic id; all zeros mean "none".
    pub(crate) fn topic_id(&mut self) -> Result<Option<TopicId>, Malformed> {
        Ok(Some(TopicId(self.fixed()?)).filter(|id| id.0 != [0; 16]))
    }

    /// An error code; 0 means "none".
    pub(crate) fn error_code(&mut self) -> Result<Option<ErrorCode>, Malformed> {
        Ok(Some(ErrorCode(self.i16()?)).filter(|code| code.0 != 0))
    }

    /// Base 128, lowest group first, at most `bits` bits.
    fn unsigned(&mut self, bits: u32) -> Result<u64, Malformed> {
        let mut value = 0u64;
        let mut shift = 0;
        while shift < bits {
            let [byte] = self.fixed()?;
            let group = u64::from(byte & 0x7f);
            if shift + 7 > bits && group >> (bits - shift) != 0 {
                break;
            }
            value |= group << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
            shift += 7;
        }
        Err(self.malformed(&format!("a variable-length number is longer than {bits} bits")))
    }

    pub(crate) fn unsigned_varint(&mut self) -> Result<u32, Malformed> {
        let value = self.unsigned(32)?;
        u32::try_from(value).map_err(|_| self.malformed("a variable-length number is too large"))
    }

    /// Zigzag, as in record batches.
    pub(crate) fn varint(&mut self) -> Result<i32, Malformed> {
        let value = self.unsigned_varint()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// Zigzag, as in record batches.
    pub(crate) fn varlong(&mut self) -> Result<i64, Malformed> {
        let value = self.unsigned(64)?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// Bytes after their zigzag length, as in record batches; `None` for a length of -1.
    pub(crate) fn varint_bytes(&mut self) -> Result<Option<Bytes>, Malformed> {
        match self.varint()? {
            -1 => Ok(None),
            length => match usize::try_from(length) {
                Ok(length) => self.take(length).map(Some),
                Err(_) => Err(self.malformed(&format!("a length of {length}"))),
            },
        }
    }

    /// A length or count; `None` for null. Strings have `short` lengths of 16 bits in versions that are not flexible.
    fn length(&mut self, short: bool) -> Result<Option<usize>, Malformed> {
        let length = match (self.flexible, short) {
            (true, _) => i64::from(self.unsigned_varint()?) - 1,
            (false, true) => i64::from(self.i16()?),
            (false, false) => i64::from(self.i32()?),
        };
        match usize::try_from(length) {
            Ok(length) => Ok(Some(length)),
            Err(_) if length == -1 => Ok(None),
            Err(_) => Err(self.malformed(&format!("a length of {length}"))),
        }
    }

    pub(crate) fn nullable_string(&mut self) -> Result<Option<String>, Malformed> {
        let Some(length) = self.length(true)? else { return Ok(None) };
        let bytes = self.take(length)?;
        match std::str::from_utf8(&bytes) {
            Ok(text) => Ok(Some(text.to_owned())),
            Err(_) => Err(self.malformed("a string is not UTF-8")),
        }
    }

    pub(crate) fn string(&mut self) -> Result<String, Malformed> {
        self.nullable_string()?.ok_or_else(|| self.malformed("a null string"))
    }

    pub(crate) fn nullable_bytes(&mut self) -> Result<Option<Bytes>, Malformed> {
        match self.length(false)? {
            None => Ok(None),
            Some(length) => self.take(length).map(Some),
        }
    }

    /// An array whose elements have at least `element_bytes_min` bytes each; null is read as empty.
    pub(crate) fn array<T>(
        &mut self,
        element_bytes_min: usize,
        mut element: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let count = self.count(element_bytes_min)?;
        let mut elements = Vec::with_capacity(count);
        for _ in 0..count {
            elements.push(element(self)?);
        }
        Ok(elements)
    }

    /// Skips an array whose elements have exactly `element_bytes` bytes each.
    pub(crate) fn skip_array(&mut self, element_bytes: usize) -> Result<(), Malformed> {
        let count = self.count(element_bytes)?;
        self.skip(count.saturating_mul(element_bytes))
    }

    fn count(&mut self, element_bytes_min: usize) -> Result<usize, Malformed> {
        let count = self.length(false)?.unwrap_or(0);
        if count.saturating_mul(element_bytes_min.max(1)) > self.rest.len() {
            return Err(self.malformed(&format!("{count} elements announced in {} bytes", self.rest.len())));
        }
        Ok(count)
    }

    /// Skips the tagged fields at the end of a structure of a flexible version: none of them is needed here.
    pub(crate) fn skip_tagged_fields(&mut self) -> Result<(), Malformed> {
        if !self.flexible {
            return Ok(());
        }
        // Each field has at least two bytes, so the bytes bound the loop.
        for _ in 0..self.unsigned_varint()? {
            self.unsigned_varint()?;
            let length = self.unsigned_varint()?;
            self.skip(usize::try_from(length).unwrap_or(usize::MAX))?;
        }
        Ok(())
    }
}
