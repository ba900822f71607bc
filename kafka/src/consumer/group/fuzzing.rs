//! Subscriptions and assignments of any bytes. They are decoded in memory that their size bounds, and as `kafka-protocol` decodes them;
//! encoded again they decode to the same; and whatever the subscriptions, an assignor assigns each partition to one member that subscribes
//! to it, at most.
//!
//! An input of `assignor` is the members' subscriptions, each with its length in a byte before it.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use fuzzkit::{Target, within};
use kafka_protocol::messages::ConsumerProtocolSubscription;
use kafka_protocol::protocol::{Decodable, StrBytes};

use super::assignor::{Assignor, GroupMember, Topics, partitions_in};
use crate::protocol::consumer_protocol::{Subscription, decode_assignment, encode_assignment};
#[cfg(test)]
use crate::protocol::fuzzing::partitions;
use crate::protocol::fuzzing::{PARTITIONS, TOPIC};
use crate::types::TopicPartition;

/// Memory per byte of the input: a partition number of four bytes becomes an element of a set.
const MEMORY_FACTOR: usize = 32;
/// Memory for an empty input.
const MEMORY_LEAST: usize = 4 * 1024;
/// Members in one group at most.
const MEMBERS_MAX: usize = 8;

pub(crate) const TARGETS: &[Target] = &[
    Target { name: "subscription", run: read_subscription, words: &[TOPIC, "other"], tries: 4_000 },
    Target { name: "assignment", run: read_assignment, words: &[TOPIC, "other"], tries: 4_000 },
    Target { name: "assignor", run: assign_any, words: &[TOPIC, "other"], tries: 2_000 },
];

/// A subscription of this client, for the recorded corpus.
#[cfg(test)]
pub(crate) fn subscription() -> Bytes {
    let subscription =
        Subscription { topics: [TOPIC.into()].into(), owned: partitions().take(2).collect(), generation: Some(3) };
    subscription.encode(Some("rack")).unwrap_or_default()
}

/// An assignment by this client, for the same.
#[cfg(test)]
pub(crate) fn assignment() -> Bytes {
    encode_assignment(&partitions().collect()).unwrap_or_default()
}

fn read_subscription(input: &[u8]) -> bool {
    let bytes = Bytes::copy_from_slice(input);
    let decode = |bytes| Subscription::decode(bytes);
    let Ok(read) = within(input.len() * MEMORY_FACTOR + MEMORY_LEAST, || decode(bytes.clone())) else {
        return false;
    };
    assert!(read.encode(None).is_ok_and(|encoded| decode(encoded).as_ref() == Ok(&read)), "{read:?}");
    let Some((version, mut rest)) =
        input.split_first_chunk().map(|(version, rest)| (i16::from_be_bytes(*version), rest))
    else {
        return false;
    };
    let Ok(theirs) = ConsumerProtocolSubscription::decode(&mut rest, version.clamp(0, 3)) else { return false };
    assert!(theirs.topics.iter().map(StrBytes::as_str).collect::<BTreeSet<_>>() == names(&read));
    let owned = theirs
        .owned_partitions
        .iter()
        .flat_map(|of| of.partitions.iter().map(|number| TopicPartition::new(of.topic.as_str(), *number)));
    assert_eq!(owned.collect::<BTreeSet<_>>(), read.owned);
    // Without this field, the user data may have it.
    if theirs.generation_id >= 0 {
        assert_eq!(read.generation, Some(theirs.generation_id));
    }
    true
}

fn names(subscription: &Subscription) -> BTreeSet<&str> {
    subscription.topics.iter().map(AsRef::as_ref).collect()
}

fn read_assignment(input: &[u8]) -> bool {
    let bytes = Bytes::copy_from_slice(input);
    let read = within(input.len() * MEMORY_FACTOR + MEMORY_LEAST, || decode_assignment(bytes));
    let Ok(read) = read else { return false };
    assert!(encode_assignment(&read).is_ok_and(|encoded| decode_assignment(encoded) == Ok(read)));
    true
}

fn assign_any(input: &[u8]) -> bool {
    let mut members = Vec::new();
    let mut rest = input;
    while let Some((length, after)) = rest.split_first() {
        let (encoded, after) = after.split_at(after.len().min(usize::from(*length)));
        rest = after;
        if let Ok(subscription) = Subscription::decode(Bytes::copy_from_slice(encoded)) {
            // Every other one is a static member.
            let id = format!("member-{}", members.len());
            let instance_id = Some(id.clone()).filter(|_| members.len() % 2 == 0);
            members.push(GroupMember { id, instance_id, subscription });
        }
        members.truncate(MEMBERS_MAX);
    }
    let topics: Topics = [(TOPIC.into(), (0..PARTITIONS).collect()), ("other".into(), (0..2).collect())].into();
    for assignor in Assignor::ALL {
        let assignments = assign(assignor, &members, &topics);
        if assignor == Assignor::Range {
            assert_eq!(all_assigned(&assignments), all_subscribed(&members, &topics), "{members:?}");
            continue;
        }
        check_nothing_is_taken(&members, &assignments);
        // Once each member owns its assignment, the next one is complete; and after that nothing moves any more.
        let settled = assign(assignor, &hold(&members, assignments), &topics);
        assert_eq!(all_assigned(&settled), all_subscribed(&members, &topics), "{members:?}");
        assert_eq!(assign(assignor, &hold(&members, settled.clone()), &topics), settled, "{members:?}");
    }
    members.len() > 1
}

type Assignments = Vec<BTreeSet<TopicPartition>>;

/// Assigns, and asserts what must hold in every assignment.
fn assign(assignor: Assignor, members: &[GroupMember], topics: &Topics) -> Assignments {
    let assignments = assignor.assign(members, topics);
    assert_eq!(assignments.len(), members.len());
    let mut assigned_to = HashMap::new();
    for (member, assigned) in members.iter().zip(&assignments) {
        for at in assigned {
            assert!(member.subscription.topics.contains(&at.topic), "{member:?} does not subscribe to {at}");
            assert_eq!(assigned_to.insert(at.clone(), &member.id), None, "{at} is assigned twice");
        }
    }
    let exist = partitions_in(topics);
    assert!(assigned_to.keys().all(|at| exist.contains(at)));
    assignments
}

/// A partition that one member alone claims is assigned to no other member before it has been released.
fn check_nothing_is_taken(members: &[GroupMember], assignments: &Assignments) {
    for (member, assigned) in members.iter().zip(assignments) {
        for at in assigned {
            let has =
                |it: &&GroupMember| it.subscription.topics.contains(&at.topic) && it.subscription.owned.contains(at);
            let mut owners = members.iter().filter(has);
            if let (Some(owner), None) = (owners.next(), owners.next()) {
                assert_eq!(owner.id, member.id, "{at} is taken from its owner");
            }
        }
    }
}

fn all_assigned(assignments: &Assignments) -> BTreeSet<TopicPartition> {
    assignments.iter().flatten().cloned().collect()
}

fn all_subscribed(members: &[GroupMember], topics: &Topics) -> BTreeSet<TopicPartition> {
    let is_subscribed =
        |at: &TopicPartition| members.iter().any(|member| member.subscription.topics.contains(&at.topic));
    partitions_in(topics).into_iter().filter(is_subscribed).collect()
}

/// The same members in the next generation, with their assignments.
fn hold(members: &[GroupMember], assignments: Assignments) -> Vec<GroupMember> {
    let held = |(member, owned): (&GroupMember, _)| {
        let topics = member.subscription.topics.clone();
        GroupMember { subscription: Subscription { topics, owned, generation: Some(i32::MAX) }, ..member.clone() }
    };
    members.iter().zip(assignments).map(held).collect()
}

/// The subscriptions of three members: a new one, and two of the last generation.
#[cfg(test)]
pub(crate) fn members() -> Vec<u8> {
    let of = |owned: Vec<TopicPartition>, generation| {
        let topics = [TOPIC.into(), "other".into()].into();
        let encoded = Subscription { topics, owned: owned.into_iter().collect(), generation }.encode(None).unwrap();
        [&[u8::try_from(encoded.len()).unwrap()], &encoded[..]].concat()
    };
    let others = (0..2).map(|number| TopicPartition::new("other", number)).collect();
    [of(Vec::new(), None), of(partitions().collect(), Some(4)), of(others, Some(4))].concat()
}
