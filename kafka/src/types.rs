//! The nouns of the protocol that every part of the client shares. Knows nothing of connections or bytes on the wire.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// A topic's id, given by the controller when the topic is made; a topic that is deleted and made again gets another one
/// ([KIP-516](https://cwiki.apache.org/confluence/display/KAFKA/KIP-516%3A+Topic+Identifiers)).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicId(pub [u8; 16]);

/// URL-safe base64 without padding, as Kafka's own tools print a `Uuid`.
impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let bits = u128::from_be_bytes(self.0);
        // 128 bits are 21 groups of six and one of two, which is filled up with zeros at its right.
        for group in 0..22u32 {
            let six = if group < 21 { bits >> (128 - 6 * (group + 1)) } else { bits << 4 } & 0x3f;
            let letter = usize::try_from(six).ok().and_then(|at| ALPHABET.get(at)).copied().unwrap_or(b'?');
            write!(f, "{}", char::from(letter))?;
        }
        Ok(())
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TopicId({self})")
    }
}

/// One partition of one topic. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's number, from 0.
    pub partition: i32,
}

impl TopicPartition {
    /// Names a partition.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

/// `topic-partition`, as Kafka itself writes it.
impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// A broker's address: host name or IP address, and port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// Host name, IPv4 or IPv6 address (without brackets).
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// `host:port`; an IPv6 address stands in brackets.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Which records a consumer sees
/// ([KIP-98](https://cwiki.apache.org/confluence/display/KAFKA/KIP-98+-+Exactly+Once+Delivery+and+Transactional+Messaging)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum IsolationLevel {
    /// Every record up to the high watermark, those of aborted and open transactions too.
    ReadUncommitted,
    /// Records outside transactions and those of committed ones, up to the last stable offset.
    #[default]
    ReadCommitted,
}

/// As Kafka's settings spell it (`isolation.level`).
impl fmt::Display for IsolationLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadUncommitted => "read_uncommitted",
            Self::ReadCommitted => "read_committed",
        })
    }
}

/// What a group has committed for one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The next offset to read.
    pub offset: i64,
    /// Epoch of the leader that the last read record came from, if the committer knew it.
    pub leader_epoch: Option<i32>,
    /// Free text that the committer left with it; empty from Kafka's own tools.
    pub metadata: String,
}

/// A consumer group as its coordinator describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupDescription {
    /// `Stable`, `Empty`, `PreparingRebalance`, …, as Kafka's tools show it; `Dead` for a group that does not exist.
    pub state: String,
    /// Its members, in no particular order.
    pub members: Vec<MemberDescription>,
}

/// A member of a consumer group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberDescription {
    /// The member id.
    pub id: String,
    /// `group.instance.id` of a static member
    /// ([KIP-345](https://cwiki.apache.org/confluence/display/KAFKA/KIP-345%3A+Introduce+static+membership+protocol+to+reduce+consumer+rebalances)).
    pub instance_id: Option<String>,
    /// `client.id`.
    pub client_id: String,
    /// The address that it connects from, as the broker shows it: `/10.0.0.7`.
    pub host: String,
    /// The partitions that are assigned to it; empty while the group rebalances.
    pub partitions: BTreeSet<TopicPartition>,
}

/// Who we are in a consumer group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) id: String,
    /// A name that outlives the process
    /// ([KIP-345](https://cwiki.apache.org/confluence/display/KAFKA/KIP-345%3A+Introduce+static+membership+protocol+to+reduce+consumer+rebalances)).
    pub(crate) instance_id: Option<String>,
    /// The generation of a classic group, or the member's epoch
    /// ([KIP-848](https://cwiki.apache.org/confluence/display/KAFKA/KIP-848%3A+The+Next+Generation+of+the+Consumer+Rebalance+Protocol)):
    /// tells what we say from what we said before the partitions were divided anew.
    pub(crate) epoch: i32,
}

/// One record, its bytes shared with the decompressed batch that it lies in: cloning copies no payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Place in the partition.
    pub offset: i64,
    /// Milliseconds since 1970 (create time, or append time where the topic is set so); `None` if the record has none.
    pub timestamp_ms: Option<i64>,
    /// The key; `None` is not the same as empty.
    pub key: Option<bytes::Bytes>,
    /// The value; `None` is a tombstone.
    pub value: Option<bytes::Bytes>,
    /// Headers in the order sent, duplicates kept.
    pub headers: Vec<Header>,
}

/// One header of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Name, as bytes on the wire; Kafka asks for UTF-8 but does not check it.
    pub name: bytes::Bytes,
    /// Value, if it has one.
    pub value: Option<bytes::Bytes>,
}

#[cfg(test)]
mod tests {
    use super::TopicId;

    #[test]
    fn topic_id_is_printed_as_kafka_prints_it() {
        let check = |bytes: [u8; 16], printed: &str| assert_eq!(TopicId(bytes).to_string(), printed);
        check([0; 16], "AAAAAAAAAAAAAAAAAAAAAA");
        check([0xff; 16], "_____________________w");
        check([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15], "AAECAwQFBgcICQoLDA0ODw");
    }
}
