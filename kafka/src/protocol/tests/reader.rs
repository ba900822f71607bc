//! Primitive types at the limits of their values.

use super::*;

fn reader(bytes: &[u8], flexible: bool) -> Reader {
    Reader::new(Bytes::copy_from_slice(bytes), flexible)
}

#[test]
fn variable_length_numbers() {
    let check = |bytes: &[u8], int: Option<i32>, long: Option<i64>| {
        assert_eq!(reader(bytes, false).varint().ok(), int, "{bytes:02x?}");
        assert_eq!(reader(bytes, false).varlong().ok(), long, "{bytes:02x?}");
    };
    check(&[0x00], Some(0), Some(0));
    check(&[0x01], Some(-1), Some(-1));
    check(&[0x02], Some(1), Some(1));
    check(&[0xac, 0x02], Some(150), Some(150));
    check(&[0xfe, 0xff, 0xff, 0xff, 0x0f], Some(i32::MAX), Some(i32::MAX.into()));
    check(&[0xff, 0xff, 0xff, 0xff, 0x0f], Some(i32::MIN), Some(i32::MIN.into()));
    check(&[0xff, 0xff, 0xff, 0xff, 0x1f], None, Some(-(1 << 32)));
    check(&[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], None, Some(i64::MAX));
    check(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], None, Some(i64::MIN));
    check(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02], None, None);
    check(&[0x80; 11], None, None);
    check(&[0x80], None, None);
    check(&[], None, None);
}

#[test]
fn strings() {
    let check = |bytes: &[u8], flexible, expected: Result<Option<&str>, &str>| {
        let read = reader(bytes, flexible).nullable_string();
        match expected {
            Ok(text) => assert_eq!(read.unwrap().as_deref(), text),
            Err(fragment) => {
                let malformed = read.unwrap_err();
                assert!(malformed.0.contains(fragment), "{malformed}");
            }
        }
    };
    check(&[0, 2, b'h', b'i'], false, Ok(Some("hi")));
    check(&[0, 0], false, Ok(Some("")));
    check(&[0xff, 0xff], false, Ok(None));
    check(&[0xff, 0xfe], false, Err("a length of -2, at byte 2 of 2"));
    check(&[0, 3, b'h', b'i'], false, Err("3 bytes announced, 2 left, at byte 2 of 4"));
    check(&[0, 1, 0xff], false, Err("not UTF-8"));
    check(&[3, b'h', b'i'], true, Ok(Some("hi")));
    check(&[1], true, Ok(Some("")));
    check(&[0], true, Ok(None));
    check(&[0xff, 0xff, 0xff, 0xff, 0x0f], true, Err("4294967294 bytes announced"));
    assert!(reader(&[0], true).string().is_err());
}

#[test]
fn counts_are_checked_against_the_remaining_bytes() {
    let check = |bytes: &[u8], flexible, expected: Result<Vec<i16>, &str>| {
        let read = reader(bytes, flexible).array(2, Reader::i16);
        assert_eq!(read.map_err(|malformed| malformed.0), expected.map_err(str::to_owned));
    };
    check(&[0, 0, 0, 2, 0, 1, 0, 2], false, Ok(vec![1, 2]));
    check(&[0xff; 4], false, Ok(vec![]));
    check(&[0, 0, 0, 3, 0, 1, 0, 2], false, Err("3 elements announced in 4 bytes, at byte 4 of 8"));
    check(&[0x7f, 0xff, 0xff, 0xff, 0, 1], false, Err("2147483647 elements announced in 2 bytes, at byte 4 of 6"));
    check(&[3, 0, 1, 0, 2], true, Ok(vec![1, 2]));
    check(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0], true, Err("4294967294 elements announced in 1 bytes, at byte 5 of 6"));
}

#[test]
fn tagged_fields_are_skipped() {
    let check = |bytes: &[u8], left: Option<usize>| {
        let mut reader = reader(bytes, true);
        assert_eq!(reader.skip_tagged_fields().ok().map(|()| reader.remaining()), left);
    };
    check(&[0, 9], Some(1));
    check(&[2, 0, 1, 9, 5, 0], Some(0));
    check(&[1, 0, 2, 9], None);
    check(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0], None);
}
