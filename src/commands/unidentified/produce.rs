//! Messages as lines that `kcat -P` and Kafka's console producer send: key, tab, value. Refuses what such a line cannot hold. Must not
//! send anything.

use std::fmt;

use kafka::text::Escaped;

use super::options::ProduceOptions;
use crate::runtime::output;
use crate::storage::{KeptMessage, ListedMessage};

/// How many refused messages are named.
const NAMED_MAX: u64 = 20;

/// What headers are if there are none.
const NO_HEADERS: &str = "[]";

/// Makes lines, and names the messages that have none.
#[derive(Debug)]
pub(super) struct Producer {
    options: ProduceOptions,
    refused: u64,
}

/// Why a message has no line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    NoKey,
    Key,
    NoValue,
    Value,
    Headers,
}

impl Producer {
    pub(super) fn new(options: ProduceOptions) -> Self {
        Self { options, refused: 0 }
    }

    /// The line of a message; `None` if it was refused.
    pub(super) fn line(&mut self, message: &KeptMessage) -> Option<Vec<u8>> {
        match line(message, self.options) {
            Ok(line) => Some(line),
            Err(refusal) => {
                self.refused += 1;
                if self.refused <= NAMED_MAX {
                    let ListedMessage { topic, partition, offset, .. } = &message.listed;
                    output::print_note(format_args!("{} {partition} {offset} is left out: {refusal}", Escaped(topic)));
                }
                None
            }
        }
    }

    /// Says how many messages were refused. Returns whether none was.
    pub(super) fn end(&self) -> bool {
        if self.refused > NAMED_MAX {
            output::print_note(format_args!("{} messages are left out, the first {NAMED_MAX} are named", self.refused));
        }
        self.refused == 0
    }
}

fn line(message: &KeptMessage, options: ProduceOptions) -> Result<Vec<u8>, Refusal> {
    let mut line = Vec::new();
    if !options.without_keys {
        let key = message.key.as_deref().ok_or(Refusal::NoKey)?;
        // kcat sends a line that begins with the tab in another way than the console producer.
        if key.is_empty() || key.contains(&b'\t') || !is_line(key) {
            return Err(Refusal::Key);
        }
        line.extend([key, b"\t"].concat());
    }
    // Of an empty line kcat sends nothing.
    let value = message.value.as_deref().filter(|value| !value.is_empty()).ok_or(Refusal::NoValue)?;
    if !is_line(value) {
        return Err(Refusal::Value);
    }
    if message.headers != NO_HEADERS && !options.without_headers {
        return Err(Refusal::Headers);
    }
    line.extend_from_slice(value);
    line.push(b'\n');
    Ok(line)
}

/// Whether bytes are text on one line: the console producer decodes them.
fn is_line(bytes: &[u8]) -> bool {
    !bytes.contains(&b'\n') && !bytes.contains(&b'\r') && str::from_utf8(bytes).is_ok()
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let raw = "'unidentified show --raw' writes its bytes to a file, which 'kcat -P FILE' sends";
        match self {
            Self::NoKey => f.write_str("it has no key; --without-keys writes values alone"),
            Self::Key => f.write_str(
                "its key is empty, not UTF-8, or has a tab or a line end; --without-keys writes values alone, and the JSON lines of \
                 'export' hold the key",
            ),
            Self::NoValue => f.write_str("it has no value, which a line cannot say"),
            Self::Value => write!(f, "its value is not UTF-8 or has a line end; {raw}"),
            Self::Headers => f.write_str("it has headers; --without-headers leaves them out"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(key: Option<&[u8]>, value: Option<&[u8]>, headers: &str) -> KeptMessage {
        KeptMessage {
            listed: ListedMessage {
                id: 1,
                topic: "t".to_owned(),
                partition: 0,
                offset: 0,
                timestamp_ms: None,
                reason: "not_json".to_owned(),
                error: String::new(),
                received_at: String::new(),
                replayed_at: None,
                key_bytes: None,
                value_bytes: None,
            },
            topic_id: None,
            key: key.map(<[u8]>::to_vec),
            value: value.map(<[u8]>::to_vec),
            headers: headers.to_owned(),
        }
    }

    #[test]
    fn a_line_holds_the_message_or_there_is_none() {
        let all = ProduceOptions::default();
        let check = |key: Option<&[u8]>, value: Option<&[u8]>, headers, options, expected: Result<&[u8], Refusal>| {
            let made = line(&message(key, value, headers), options);
            assert_eq!(made, expected.map(<[u8]>::to_vec), "{key:?} {value:?} {headers}");
        };
        check(Some(b"k"), Some(b"v\tw"), "[]", all, Ok(b"k\tv\tw\n"));
        check(None, Some(b"v"), "[]", all, Err(Refusal::NoKey));
        for key in [&b""[..], b"a\tb", b"a\nb", b"a\rb", b"\xff"] {
            check(Some(key), Some(b"v"), "[]", all, Err(Refusal::Key));
        }
        for value in [&b"a\nb"[..], b"a\rb", b"a\r", b"\xff"] {
            check(Some(b"k"), Some(value), "[]", all, Err(Refusal::Value));
        }
        check(Some(b"k"), None, "[]", all, Err(Refusal::NoValue));
        check(Some(b"k"), Some(b""), "[]", all, Err(Refusal::NoValue));
        check(Some(b"k"), Some(b"v"), "[[\"h\",null]]", all, Err(Refusal::Headers));
        let values = ProduceOptions { without_keys: true, without_headers: true };
        check(None, Some(b"v"), "[[\"h\",null]]", values, Ok(b"v\n"));
        check(Some(b"\xff"), Some(b"\tv"), "[]", values, Ok(b"\tv\n"));
    }
}
