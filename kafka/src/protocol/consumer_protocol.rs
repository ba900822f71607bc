//! The embedded consumer protocol: the bytes that members of a classic group exchange through the coordinator, which
//! does not read them: the subscription and owned partitions of each
//! ([ConsumerProtocolSubscription](https://github.com/apache/kafka/blob/trunk/clients/src/main/resources/common/message/ConsumerProtocolSubscription.json)),
//! and its assignment. Must not know how partitions are assigned.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use kafka_protocol::messages::{consumer_protocol_assignment, consumer_protocol_subscription};
use kafka_protocol::protocol::{Encodable, StrBytes};

use super::fields::{text, topic_name};
use super::reader::{Malformed, Reader};
use super::requested::by_topic;
use crate::error::{Error, Result};
use crate::types::TopicPartition;

/// The version with owned partitions, generation and rack. Members that know only an older version read its fields,
/// which come first.
const SUBSCRIPTION_VERSION: i16 = 3;
/// All versions have the same fields.
const ASSIGNMENT_VERSION: i16 = 0;

/// The topics that a member subscribes to, and the partitions that it owns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Subscription {
    pub(crate) topics: BTreeSet<Arc<str>>,
    pub(crate) owned: BTreeSet<TopicPartition>,
    /// The generation in which they were assigned, if it is known.
    pub(crate) generation: Option<i32>,
}

impl Subscription {
    /// Encodes the generation twice: members before Kafka 3.3 read it from the user data.
    pub(crate) fn encode(&self, rack: Option<&str>) -> Result<Bytes> {
        let generation = self.generation.unwrap_or(-1);
        let owned = by_topic(self.owned.iter().map(|at| (at, at.partition))).into_iter().map(|(topic, partitions)| {
            consumer_protocol_subscription::TopicPartition::default()
                .with_topic(topic_name(topic))
                .with_partitions(partitions)
        });
        let message = ConsumerProtocolSubscription::default()
            .with_topics(self.topics.iter().map(|topic| StrBytes::from_string(topic.to_string())).collect())
            .with_user_data(Some(Bytes::copy_from_slice(&generation.to_be_bytes())))
            .with_owned_partitions(owned.collect())
            .with_generation_id(generation)
            .with_rack_id(rack.map(text));
        encode(&message, SUBSCRIPTION_VERSION)
    }

    /// Decodes any version. A message that ends between two fields has the defaults of the missing ones, as in other
    /// clients: [kafka-go](https://github.com/segmentio/kafka-go/issues/1156) names version 1 and ends before that
    /// version's owned partitions. Bytes after the known fields belong to a newer version.
    pub(crate) fn decode(bytes: Bytes) -> Result<Self, Malformed> {
        let mut from = Reader::new(bytes, false);
        let version = from.i16()?;
        let topics = from.array(2, Reader::string)?.into_iter().map(Arc::from).collect();
        let user_data = if from.remaining() > 0 { from.nullable_bytes()? } else { None };
        let owned = if version >= 1 && from.remaining() > 0 { partitions(&mut from)? } else { BTreeSet::new() };
        let generation = if version >= 2 && from.remaining() > 0 { from.optional_i32()? } else { None };
        Ok(Self { topics, owned, generation: generation.or_else(|| generation_in(user_data)) })
    }
}

/// Encodes the assignment of one member, as the leader sends it.
pub(crate) fn encode_assignment(assigned: &BTreeSet<TopicPartition>) -> Result<Bytes> {
    let assigned = by_topic(assigned.iter().map(|at| (at, at.partition))).into_iter().map(|(topic, partitions)| {
        consumer_protocol_assignment::TopicPartition::default()
            .with_topic(topic_name(topic))
            .with_partitions(partitions)
    });
    encode(&ConsumerProtocolAssignment::default().with_assigned_partitions(assigned.collect()), ASSIGNMENT_VERSION)
}

/// Decodes an assignment. No bytes, or none after the version, mean an empty one.
pub(crate) fn decode_assignment(bytes: Bytes) -> Result<BTreeSet<TopicPartition>, Malformed> {
    let mut from = Reader::new(bytes, false);
    if from.remaining() > 0 {
        from.i16()?; // version
    }
    if from.remaining() > 0 { partitions(&mut from) } else { Ok(BTreeSet::new()) }
}

/// The generation of members before Kafka 3.3 that use the assignor `cooperative-sticky`.
fn generation_in(user_data: Option<Bytes>) -> Option<i32> {
    let generation = <[u8; 4]>::try_from(user_data?.as_ref()).ok().map(i32::from_be_bytes);
    generation.filter(|generation| *generation >= 0)
}

/// Encodes the version, then the message.
fn encode(message: &impl Encodable, version: i16) -> Result<Bytes> {
    let mut bytes = BytesMut::new();
    bytes.put_i16(version);
    let unencodable =
        |error| Error::Config(format!("the member's subscription or assignment cannot be encoded: {error}"));
    message.encode(&mut bytes, version).map_err(unencodable)?;
    Ok(bytes.freeze())
}

fn partitions(from: &mut Reader) -> Result<BTreeSet<TopicPartition>, Malformed> {
    let topics = from.array(6, |from| {
        let topic: Arc<str> = from.string()?.into();
        let partitions = from.array(4, Reader::i32)?;
        Ok(partitions.into_iter().map(move |partition| TopicPartition::new(Arc::clone(&topic), partition)))
    })?;
    Ok(topics.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(topic: &str, partition: i32) -> TopicPartition {
        TopicPartition::new(topic, partition)
    }

    #[test]
    fn a_subscription_survives_encoding() {
        let check = |subscription: Subscription| {
            assert_eq!(Subscription::decode(subscription.encode(Some("rack")).unwrap()), Ok(subscription.clone()));
            assert_eq!(Subscription::decode(subscription.encode(None).unwrap()), Ok(subscription));
        };
        check(Subscription::default());
        check(Subscription {
            topics: ["a".into(), "b".into()].into(),
            owned: [at("a", 0), at("a", 7), at("c", 1)].into(),
            generation: Some(5),
        });
    }

    /// As Java's `ConsumerProtocol` writes them, byte for byte.
    #[test]
    fn bytes_are_those_of_kafkas_consumer() {
        let subscription =
            Subscription { topics: ["t".into()].into(), owned: [at("t", 2)].into(), generation: Some(9) };
        let expected =
            b"\0\x03\0\0\0\x01\0\x01t\0\0\0\x04\0\0\0\x09\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\x02\0\0\0\x09\0\x02r1";
        assert_eq!(subscription.encode(Some("r1")).unwrap(), &expected[..]);
        // Version 0, without user data; version 1, with partitions; one from the future.
        let check = |bytes: &'static [u8], owned: &[TopicPartition], generation| {
            let read = Subscription::decode(Bytes::from_static(bytes)).unwrap();
            let expected =
                Subscription { topics: ["t".into()].into(), owned: owned.iter().cloned().collect(), generation };
            assert_eq!(read, expected);
        };
        check(b"\0\0\0\0\0\x01\0\x01t\xff\xff\xff\xff", &[], None);
        check(b"\0\x01\0\0\0\x01\0\x01t\0\0\0\0\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\x02", &[at("t", 2)], None);
        let future =
            b"\0\x09\0\0\0\x01\0\x01t\xff\xff\xff\xff\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\x02\0\0\0\x05\0\x01rwhatever";
        check(future, &[at("t", 2)], Some(5));
    }

    /// The fields in order: version, topics, user data, owned partitions, generation, rack.
    #[test]
    fn subscriptions_of_other_clients_are_decoded() {
        let check = |client: &str, bytes: &'static [u8], owned: &[TopicPartition], generation| {
            let read = Subscription::decode(Bytes::from_static(bytes));
            let expected =
                Subscription { topics: ["t".into()].into(), owned: owned.iter().cloned().collect(), generation };
            assert_eq!(read, Ok(expected), "{client}");
        };
        check("kafka-go: version 1, no owned partitions", b"\0\x01\0\0\0\x01\0\x01t\xff\xff\xff\xff", &[], None);
        check("kafka-go with user data", b"\0\x01\0\0\0\x01\0\x01t\0\0\0\x02zz", &[], None);
        check("kafka-python, aiokafka: version 0, empty user data", b"\0\0\0\0\0\x01\0\x01t\0\0\0\0", &[], None);
        check("version 0 that ends after the topics", b"\0\0\0\0\0\x01\0\x01t", &[], None);
        check("version 3 that ends after the topics", b"\0\x03\0\0\0\x01\0\x01t", &[], None);
        check("owned partitions are null", b"\0\x01\0\0\0\x01\0\x01t\xff\xff\xff\xff\xff\xff\xff\xff", &[], None);
        let version_2 = b"\0\x02\0\0\0\x01\0\x01t\xff\xff\xff\xff\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\x02";
        check("version 2 without a generation", version_2, &[at("t", 2)], None);
        let java_3_2 = b"\0\x01\0\0\0\x01\0\x01t\0\0\0\x04\0\0\0\x07\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\x02";
        check("Java before 3.3: the generation is user data", java_3_2, &[at("t", 2)], Some(7));
        let franz = b"\0\x03\0\0\0\x01\0\x01t\0\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff";
        check("franz-go: version 3, nothing owned, no rack", franz, &[], None);
        check("fields after the known ones", b"\0\0\0\0\0\x01\0\x01t\0\0\0\0\x01\x02\x03", &[], None);
    }

    #[test]
    fn an_assignment_survives_encoding() {
        let assigned: BTreeSet<_> = [at("a", 0), at("a", 1), at("b", 0)].into();
        let bytes = encode_assignment(&assigned).unwrap();
        let expected = b"\0\0\0\0\0\x02\0\x01a\0\0\0\x02\0\0\0\0\0\0\0\x01\0\x01b\0\0\0\x01\0\0\0\0\xff\xff\xff\xff";
        assert_eq!(bytes, &expected[..]);
        assert_eq!(decode_assignment(bytes), Ok(assigned));
        assert_eq!(decode_assignment(Bytes::new()), Ok(BTreeSet::new()));
        assert_eq!(decode_assignment(Bytes::from_static(b"\0\x01")), Ok(BTreeSet::new()));
        // As kafka-go leads: version 1, null user data.
        let kafka_go = b"\0\x01\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\x02\xff\xff\xff\xff";
        assert_eq!(decode_assignment(Bytes::from_static(kafka_go)), Ok([at("t", 2)].into()));
    }

    #[test]
    fn malformed_bytes_are_refused() {
        for bytes in [&b"\0"[..], b"\0\0\x7f\xff\xff\xff", b"\0\x01\0\0\0\x01\0\x02t", b"\0\0\xff\xff\xff\xf0"] {
            assert!(Subscription::decode(Bytes::from_static(bytes)).is_err(), "{bytes:?}");
            assert!(decode_assignment(Bytes::from_static(bytes)).is_err(), "{bytes:?}");
        }
    }
}
