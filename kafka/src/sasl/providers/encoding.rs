//! Percent-encoding. Must not know what is encoded.

use std::fmt::Write as _;

/// Encodes every byte that is not unreserved
/// ([RFC 3986](https://www.rfc-editor.org/rfc/rfc3986#section-2.3)): for values of forms and queries.
pub(crate) fn percent_encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::percent_encode;

    #[test]
    fn reserved_bytes_are_encoded() {
        assert_eq!(percent_encode("aZ0-._~"), "aZ0-._~");
        assert_eq!(percent_encode("a:b/c d&e=%+é"), "a%3Ab%2Fc%20d%26e%3D%25%2B%C3%A9");
    }
}
