//! How the leader of a classic group assigns partitions to its members. Pure; must not know where the members come from.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::protocol::consumer_protocol::Subscription;
use crate::types::TopicPartition;

/// An assignor that all members of a group know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Assignor {
    /// Each topic's partitions in ranges of sizes that differ by one at most. A revoked partition belongs to another member at once, so its
    /// owner must have finished with it before (eager).
    Range,
    /// Sizes differ as little as possible over all topics, and partitions move only for that. Its owner releases a partition that moves,
    /// and the rebalance after that assigns it to the next owner
    /// ([KIP-429](https://cwiki.apache.org/confluence/display/KAFKA/KIP-429%3A+Kafka+Consumer+Incremental+Rebalance+Protocol)).
    CooperativeSticky,
}

impl Assignor {
    /// All that this client knows, the preferred one first.
    pub(super) const ALL: [Self; 2] = [Self::CooperativeSticky, Self::Range];

    /// Its name in the protocol.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::CooperativeSticky => "cooperative-sticky",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|assignor| assignor.name() == name)
    }

    /// The partitions of each member, in the members' order.
    pub(super) fn assign(self, members: &[GroupMember], topics: &Topics) -> Vec<BTreeSet<TopicPartition>> {
        match self {
            Self::Range => range(members, topics),
            Self::CooperativeSticky => cooperative_sticky(members, topics),
        }
    }
}

/// The partitions of each topic.
pub(super) type Topics = BTreeMap<Arc<str>, BTreeSet<i32>>;

/// All partitions of all topics.
pub(super) fn partitions_in(topics: &Topics) -> BTreeSet<TopicPartition> {
    let of_topic = |(topic, numbers): (&Arc<str>, &BTreeSet<i32>)| {
        let topic = Arc::clone(topic);
        numbers.clone().into_iter().map(move |number| TopicPartition::new(Arc::clone(&topic), number))
    };
    topics.iter().flat_map(of_topic).collect()
}

/// One member, as the leader knows it.
#[derive(Clone, Debug)]
pub(super) struct GroupMember {
    pub(super) id: String,
    pub(super) instance_id: Option<String>,
    pub(super) subscription: Subscription,
}

impl GroupMember {
    fn subscribes_to(&self, at: &TopicPartition) -> bool {
        self.subscription.topics.contains(&at.topic)
    }

    /// Static members first, by their instance ids, so that a restart moves nothing.
    fn rank(&self) -> (bool, &str) {
        match &self.instance_id {
            Some(instance_id) => (false, instance_id),
            None => (true, &self.id),
        }
    }
}

fn range(members: &[GroupMember], topics: &Topics) -> Vec<BTreeSet<TopicPartition>> {
    let mut assignments = vec![BTreeSet::new(); members.len()];
    for (topic, partitions) in topics {
        let mut subscribers: Vec<(&GroupMember, &mut BTreeSet<TopicPartition>)> = members
            .iter()
            .zip(&mut assignments)
            .filter(|(member, _)| member.subscription.topics.contains(topic))
            .collect();
        subscribers.sort_by(|(one, _), (other, _)| one.rank().cmp(&other.rank()));
        let mut partitions = partitions.iter();
        let (total, count) = (partitions.len(), subscribers.len());
        for (index, (_, assigned)) in subscribers.into_iter().enumerate() {
            let size = total / count + usize::from(index < total % count);
            assigned
                .extend(partitions.by_ref().take(size).map(|&number| TopicPartition::new(Arc::clone(topic), number)));
        }
    }
    assignments
}

fn cooperative_sticky(members: &[GroupMember], topics: &Topics) -> Vec<BTreeSet<TopicPartition>> {
    let all = partitions_in(topics);
    let owners = owners(members, &all);
    let mut assignments = Assignments { members, by_member: vec![BTreeSet::new(); members.len()] };
    let mut free = Vec::new();
    for at in all {
        match owners.get(&at).map(Vec::as_slice) {
            Some(&[owner]) => assignments.assign(at, owner),
            _ => free.push(at),
        }
    }
    for at in free {
        if let Some(member) = assignments.smallest(&at) {
            assignments.assign(at, member);
        }
    }
    assignments.balance();
    // A partition that another member still owns is assigned to none yet.
    for (index, assigned) in assignments.by_member.iter_mut().enumerate() {
        assigned.retain(|at| owners.get(at).is_none_or(|owners| owners.iter().all(|owner| *owner == index)));
    }
    assignments.by_member
}

/// The owners of each partition: of several that claim it, those of the latest generation.
fn owners(members: &[GroupMember], all: &BTreeSet<TopicPartition>) -> BTreeMap<TopicPartition, Vec<usize>> {
    let mut claims: BTreeMap<TopicPartition, (Option<i32>, Vec<usize>)> = BTreeMap::new();
    for (index, member) in members.iter().enumerate() {
        let generation = member.subscription.generation;
        for at in member.subscription.owned.iter().filter(|at| all.contains(at) && member.subscribes_to(at)) {
            let (latest, owners) = claims.entry(at.clone()).or_default();
            if generation > *latest {
                owners.clear();
                *latest = generation;
            }
            if generation == *latest {
                owners.push(index);
            }
        }
    }
    claims.into_iter().map(|(at, (_, owners))| (at, owners)).collect()
}

/// The partitions of each member so far, in the members' order.
struct Assignments<'a> {
    members: &'a [GroupMember],
    by_member: Vec<BTreeSet<TopicPartition>>,
}

impl Assignments<'_> {
    fn assign(&mut self, at: TopicPartition, member: usize) {
        if let Some(assigned) = self.by_member.get_mut(member) {
            assigned.insert(at);
        }
    }

    fn size(&self, index: usize) -> usize {
        self.by_member.get(index).map_or(0, BTreeSet::len)
    }

    /// The member with the fewest partitions of those that subscribe to it.
    fn smallest(&self, at: &TopicPartition) -> Option<usize> {
        let subscribers = self.members.iter().enumerate().filter(|(_, member)| member.subscribes_to(at));
        subscribers.map(|(index, _)| index).min_by_key(|index| self.size(*index))
    }

    /// Moves partitions from members with more to members with fewer, as long as that makes the sizes more equal.
    fn balance(&mut self) {
        while let Some((at, from, to)) = self.next_move() {
            if let Some(assigned) = self.by_member.get_mut(from) {
                assigned.remove(&at);
            }
            self.assign(at, to);
        }
    }

    fn next_move(&self) -> Option<(TopicPartition, usize, usize)> {
        let mut by_size: Vec<usize> = (0..self.by_member.len()).collect();
        by_size.sort_by_key(|index| Reverse(self.size(*index)));
        for &from in &by_size {
            for &to in by_size.iter().rev().take_while(|to| self.size(**to) + 1 < self.size(from)) {
                let member = self.members.get(to)?;
                // The last ones move, as with `range`.
                if let Some(at) = self.by_member.get(from)?.iter().rev().find(|at| member.subscribes_to(at)) {
                    return Some((at.clone(), from, to));
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
