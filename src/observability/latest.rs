//! The latest of each kind of thing that is counted: where it was, and when. Must not know how it is shown.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::SystemTime;

use kafka::TopicPartition;
use kafka::text::excerpt;

use super::lock::lock;

/// The longest beginning of a value that is kept, in bytes.
const VALUE_BYTES_MAX: usize = 500;

/// The longest text of an error that is kept, in characters.
const ERROR_CHARS_MAX: usize = 500;

/// The latest of each label, of a fixed set.
#[derive(Debug)]
pub struct Latest<T>(Mutex<BTreeMap<&'static str, Dated<T>>>);

/// A thing and when it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dated<T> {
    /// When.
    pub at: SystemTime,
    /// What.
    pub what: T,
}

/// An unidentified message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnidentifiedMessage {
    /// Its topic and partition.
    pub partition: TopicPartition,
    /// Its offset.
    pub offset: i64,
    /// The texts in it.
    pub texts: MessageTexts,
}

/// The texts of an unidentified message, which come from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageTexts {
    /// What is wrong with it, shortened.
    pub error: String,
    /// The beginning of its value, if it has one.
    pub value: Option<Excerpt>,
}

/// The beginning of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// Its first bytes as text; what is not UTF-8 is replaced.
    pub beginning: String,
    /// The size of the whole value.
    pub bytes: usize,
}

/// An offset jump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jump {
    /// Its topic and partition.
    pub partition: TopicPartition,
    /// The position before, if there was one.
    pub from: Option<i64>,
    /// The position after.
    pub to: i64,
}

impl<T> Default for Latest<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Latest<T> {
    /// It has happened now.
    pub fn note(&self, label: &'static str, what: T) {
        lock(&self.0).insert(label, Dated { at: SystemTime::now(), what });
    }

    /// The latest of each label.
    pub fn all(&self) -> BTreeMap<&'static str, Dated<T>> {
        lock(&self.0).clone()
    }
}

impl MessageTexts {
    /// Keeps the beginnings of both.
    pub fn new(error: &str, value: Option<&[u8]>) -> Self {
        let beginning = |value: &[u8]| {
            let kept = value.get(..VALUE_BYTES_MAX).unwrap_or(value);
            String::from_utf8_lossy(kept).into_owned()
        };
        Self {
            error: excerpt(error, ERROR_CHARS_MAX),
            value: value.map(|value| Excerpt { beginning: beginning(value), bytes: value.len() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_beginnings_are_kept() {
        let long = MessageTexts::new(&"e".repeat(10_000), Some(&[0xff; 10_000]));
        let value = long.value.unwrap();
        assert_eq!((value.bytes, value.beginning.chars().count()), (10_000, 500));
        assert_eq!(long.error.chars().count(), 501, "with an ellipsis");
        assert_eq!(MessageTexts::new("e", Some(b"\xc3\xa4")).value.unwrap().beginning, "\u{e4}");
        assert_eq!(MessageTexts::new("e", None).value, None);
    }

    #[test]
    fn the_latest_replaces_the_one_before() {
        let latest = Latest::default();
        for (label, what) in [("a", 1), ("b", 2), ("a", 3)] {
            latest.note(label, what);
        }
        let found: Vec<_> = latest.all().into_iter().map(|(label, dated)| (label, dated.what)).collect();
        assert_eq!(found, [("a", 3), ("b", 2)]);
    }
}
