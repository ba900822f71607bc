//! A record's headers as JSON, in the format of `unidentified_messages.headers`. The size of the text is computed before it is allocated.
//! Must not know where headers come from.

use std::fmt;
use std::io::{self, Write};

use base64::display::Base64Display;
use base64::prelude::BASE64_STANDARD;
use base64::write::EncoderWriter;

/// The most bytes of a list of headers, unless the headers themselves have about as many: in JSON, a header of two bytes takes nine. SQLite
/// takes 1 GB (`SQLITE_MAX_LENGTH`, <https://www.sqlite.org/limits.html>), and has three copies of a text while it stores it.
const LIST_BYTES_MAX: usize = 64 << 20;

/// One header: its name as sent, and its value, if it has one.
pub type Header<'a> = (&'a [u8], Option<&'a [u8]>);

/// A record's headers in the form of their owner, so that no list of them is allocated.
pub trait Headers: fmt::Debug + Sync {
    /// Calls a function with each header, in the order sent, with duplicates.
    fn for_each(&self, each: &mut dyn FnMut(Header<'_>));
}

impl Headers for Vec<Header<'_>> {
    fn for_each(&self, each: &mut dyn FnMut(Header<'_>)) {
        self.iter().copied().for_each(each);
    }
}

/// `[["name", "base64" or null], …]`; a name that is not UTF-8 is `{"base64": "…"}`. Headers that would be much larger as such a
/// list are `{"base64": "…"}` instead: each header's name and value, each after its length, as in a
/// [record](https://kafka.apache.org/documentation/#recordheader).
pub(crate) fn json(headers: &dyn Headers) -> String {
    json_within(headers, LIST_BYTES_MAX)
}

fn json_within(headers: &dyn Headers, list_bytes_max: usize) -> String {
    let encoded_bytes = counted(|out| write_encoded(headers, out));
    let list_bytes = counted(|out| write_list(headers, out));
    if list_bytes <= list_bytes_max.max(encoded_bytes.saturating_add(encoded_bytes / 2)) {
        return written(list_bytes, |out| write_list(headers, out));
    }
    let mut json = written(encoded_bytes.div_ceil(3) * 4 + r#"{"base64":""}"#.len(), |out| {
        out.write_all(br#"{"base64":""#)?;
        let mut base64 = EncoderWriter::new(&mut *out, &BASE64_STANDARD);
        write_encoded(headers, &mut base64)?;
        base64.finish()?;
        Ok(())
    });
    json.push_str(r#""}"#);
    json
}

/// Writes headers as a list.
fn write_list(headers: &dyn Headers, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(b"[")?;
    let (mut between, mut result) = ("", Ok(()));
    headers.for_each(&mut |(name, value)| {
        if result.is_ok() {
            result = write_header(between, name, value, out);
            between = ",";
        }
    });
    result?;
    out.write_all(b"]")
}

fn write_header(between: &str, name: &[u8], value: Option<&[u8]>, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(between.as_bytes())?;
    out.write_all(b"[")?;
    match str::from_utf8(name) {
        Ok(name) => serde_json::to_writer(&mut *out, name)?,
        Err(_) => write!(out, r#"{{"base64":"{}"}}"#, Base64Display::new(name, &BASE64_STANDARD))?,
    }
    match value {
        None => out.write_all(b",null]"),
        Some(value) => write!(out, ",\"{}\"]", Base64Display::new(value, &BASE64_STANDARD)),
    }
}

/// Writes headers in the format of a record, without their count.
fn write_encoded(headers: &dyn Headers, out: &mut dyn Write) -> io::Result<()> {
    let mut result = Ok(());
    headers.for_each(&mut |(name, value)| {
        if result.is_ok() {
            result = write_bytes(Some(name), out).and_then(|()| write_bytes(value, out));
        }
    });
    result
}

/// Writes the length as a zigzag varint, then the bytes; a length of -1 for none.
fn write_bytes(bytes: Option<&[u8]>, out: &mut dyn Write) -> io::Result<()> {
    let length = bytes.map_or(Ok(-1), |bytes| i64::try_from(bytes.len())).map_err(io::Error::other)?;
    let mut left = ((length << 1) ^ (length >> 63)).cast_unsigned();
    while left > 0x7f {
        let [lowest, ..] = left.to_le_bytes();
        out.write_all(&[lowest | 0x80])?;
        left >>= 7;
    }
    let [last, ..] = left.to_le_bytes();
    out.write_all(&[last])?;
    out.write_all(bytes.unwrap_or_default())
}

/// How many bytes a function writes.
fn counted(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> usize {
    let mut count = Count(0);
    // Counting cannot fail.
    let _ = write(&mut count);
    count.0
}

/// The text that a function writes, of so many bytes.
fn written(bytes: usize, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> String {
    let mut text = Vec::with_capacity(bytes);
    // Writing to memory cannot fail, and JSON is UTF-8.
    let _ = write(&mut text);
    String::from_utf8(text).unwrap_or_default()
}

struct Count(usize);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use fuzzkit::within;
    use serde_json::json;

    use super::*;

    /// Headers of two bytes each.
    #[derive(Debug)]
    struct Empty(usize);

    impl Headers for Empty {
        fn for_each(&self, each: &mut dyn FnMut(Header<'_>)) {
            (0..self.0).for_each(|_| each((b"", Some(b""))));
        }
    }

    #[test]
    fn a_list_has_every_name_and_value() {
        let check = |headers: Vec<Header<'_>>, list: &str| assert_eq!(json(&headers), list);
        check(vec![], "[]");
        check(vec![(b"a", None)], r#"[["a",null]]"#);
        check(vec![(b"", Some(b"")), (b"\xff", Some(b"a"))], r#"[["",""],[{"base64":"/w=="},"YQ=="]]"#);
        let name = "\"\\\n\u{1}\u{7f}\u{e9}\u{2028}\u{1f600}";
        let all: Vec<u8> = (0..=255).collect();
        let headers: Vec<Header<'_>> = vec![(name.as_bytes(), Some(&all)), (name.as_bytes(), None)];
        let expected = json!([[name, BASE64_STANDARD.encode(&all)], [name, null]]);
        assert_eq!(json(&headers), expected.to_string());
    }

    #[test]
    fn headers_that_grow_too_much_as_a_list_are_kept_as_bytes() {
        let headers: Vec<Header<'_>> = vec![(b"a", None), (b"\xff", Some(b"xyz")), (b"", Some(b""))];
        let list = json(&headers);
        assert_eq!(json_within(&headers, list.len()), list);
        let encoded = [2, b'a', 1, 2, 0xff, 6, b'x', b'y', b'z', 0, 0];
        let expected = format!(r#"{{"base64":"{}"}}"#, BASE64_STANDARD.encode(encoded));
        assert_eq!(json_within(&headers, list.len() - 1), expected);
        // What is large by itself stays a list: as bytes it would be as large.
        let large = vec![7; 1000];
        let headers: Vec<Header<'_>> = vec![(b"large", Some(&large))];
        assert!(json_within(&headers, 100).starts_with(r#"[["large","#));
        let long_name = vec![b'n'; 300];
        let headers: Vec<Header<'_>> = vec![(&long_name, None); 3];
        assert!(json_within(&headers, 100).starts_with("[["));
        let controls = vec![1; 300];
        let encoded = [&[0xd8, 0x04], &controls[..], &[1]].concat();
        assert_eq!(
            json_within(&vec![(&controls[..], None)], 100),
            format!(r#"{{"base64":"{}"}}"#, BASE64_STANDARD.encode(encoded))
        );
    }

    #[test]
    fn the_text_is_all_the_memory_that_is_taken() {
        const COUNT: usize = 200_000;
        const LIST_BYTES: usize = COUNT * r#"["",""],"#.len() + 1;
        let list = within(LIST_BYTES + 4096, || json(&Empty(COUNT)));
        assert_eq!(list.len(), LIST_BYTES);
        assert_eq!(serde_json::from_str::<Vec<(String, String)>>(&list).unwrap().len(), COUNT);
        let bytes = COUNT * 2 / 3 * 4 + 100;
        let encoded = within(bytes + 4096, || json_within(&Empty(COUNT), LIST_BYTES - 1));
        assert!(encoded.starts_with(r#"{"base64":"AAAA"#) && encoded.len() < bytes);
    }
}
