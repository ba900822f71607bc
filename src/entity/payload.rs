//! The JSON text in the value of a record: removes the framing and byte order mark that some producers put before it. Must not know JSON.

use super::rejection::{Reason, Rejection};

/// The first byte of a value that Confluent's serializers wrote, and the bytes before the JSON text: that one, and a schema id of
/// four ([wire format](https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format)).
const FRAME: u8 = 0;
const FRAME_BYTES: usize = 5;

/// UTF-8's byte order mark. A parser may ignore it, an encoder must not write it
/// ([RFC 8259](https://www.rfc-editor.org/rfc/rfc8259#section-8.1)).
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The value of a record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Payload<'a> {
    /// All of it.
    sent: &'a [u8],
    /// The bytes after framing and byte order mark.
    bytes: &'a [u8],
}

impl<'a> Payload<'a> {
    pub(super) fn new(sent: &'a [u8]) -> Self {
        let framed = if sent.first() == Some(&FRAME) { sent.get(FRAME_BYTES..) } else { None };
        let bytes = framed.unwrap_or(sent);
        Self { sent, bytes: bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes) }
    }

    /// How many bytes are before the JSON text.
    pub(super) fn prefix_bytes(&self) -> usize {
        self.sent.len() - self.bytes.len()
    }

    /// How many bytes of the JSON text are UTF-8, up to the first one that is not; all of them if there is none.
    pub(super) fn valid_bytes(&self) -> usize {
        std::str::from_utf8(self.bytes).map_or_else(|error| error.valid_up_to(), str::len)
    }

    /// The JSON text.
    pub(super) fn text(&self) -> Result<&'a str, Rejection> {
        std::str::from_utf8(self.bytes).map_err(|error| {
            let at = self.prefix_bytes() + error.valid_up_to();
            self.not_json(&format!("not UTF-8 from byte {at} on"))
        })
    }

    /// The error of a value that is not JSON. It names the first byte, which helps to find the producer.
    pub(super) fn not_json(&self, problem: &str) -> Rejection {
        let first = self.sent.first().map_or_else(|| "none".to_owned(), |byte| format!("0x{byte:02x}"));
        let framing = match (self.sent.first_chunk::<FRAME_BYTES>(), self.bytes.first()) {
            (Some(&[FRAME, id @ ..]), Some(after)) => {
                let id = u32::from_be_bytes(id);
                format!(" (taken for Confluent's framing with schema id {id}, then 0x{after:02x})")
            }
            _ => String::new(),
        };
        Rejection::new(Reason::NotJson, format!("{problem}; the first byte is {first}{framing}"))
    }
}
