//! Ids of topics. A topic that is deleted and created again under its name gets another id.

use std::fmt;

/// The id of a topic as Kafka's tools print it: 22 characters of base64. Brokers before Kafka 2.8 have none, which is `None` of an
/// `Option<TopicId>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TopicId(String);

impl TopicId {
    /// The id of a text; `None` if the text is empty, which is how tables spell a missing id.
    pub fn new(text: impl Into<String>) -> Option<Self> {
        Some(text.into()).filter(|text| !text.is_empty()).map(Self)
    }

    /// The id as Kafka's tools print it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id as tables spell it: `''` for none.
    pub(super) fn column(id: Option<&Self>) -> &str {
        id.map_or("", Self::as_str)
    }

    /// Whether two ids can be of one topic: a missing id can be of any.
    pub(super) fn may_be_same(one: Option<&Self>, other: Option<&Self>) -> bool {
        one.is_none() || other.is_none() || one == other
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
