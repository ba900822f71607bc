//! Partitions that are assigned to no member while the group is stable: when to look for them, and the members' assignments as the
//! coordinator describes them. Must not know how a rebalance is started.
//!
//! A static member that comes back to a stable group gets its previous assignment, without a rebalance. If that happens between the two
//! rounds of a cooperative rebalance, what was released in the first round is assigned to no member, and none knows of it. The same is
//! true of partitions and topics that were created while the leader was away.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::consumer::event::Holder;
use crate::error::Result;
use crate::text::shorten;
use crate::types::{MemberDescription, TopicPartition};

/// The state of a classic group in which all members know their assignment.
const STABLE: &str = "Stable";
/// The longest time between two looks when rebalances do not help: a foreign leader may not know a new topic for as long
/// (`metadata.max.age.ms` of Kafka's own consumer).
const GAP_MAX: Duration = Duration::from_mins(5);

/// When to look for partitions that are assigned to no member.
pub(super) struct Schedule {
    due: Option<Instant>,
    gap: Duration,
    gap_min: Duration,
}

impl Schedule {
    pub(super) fn new(gap_min: Duration) -> Self {
        Self { due: None, gap: gap_min, gap_min }
    }

    /// After a join: at once, if it may have been answered with the previous assignment; later, for the leader, and while unassigned
    /// partitions were found; else not at all.
    pub(super) fn joined(&mut self, is_return: bool, leads: bool, now: Instant) {
        let is_open = leads || self.gap > self.gap_min;
        self.due = match is_return {
            true if self.gap == self.gap_min => Some(now),
            true => Some(now + self.gap),
            false => is_open.then(|| now + self.gap),
        };
    }

    /// Whether it is time, and if so, when it is next.
    pub(super) fn take_due(&mut self, now: Instant) -> bool {
        let is_due = self.due.is_some_and(|due| due <= now);
        if is_due {
            self.due = Some(now + self.gap);
        }
        is_due
    }

    /// There were some: the next look is later each time, so that a leader that cannot assign them is not asked to without end.
    pub(super) fn found(&mut self) {
        self.gap = (self.gap * 2).min(GAP_MAX).max(self.gap_min);
    }

    /// There were none; only the leader goes on looking.
    pub(super) fn found_none(&mut self, leads: bool, now: Instant) {
        self.gap = self.gap_min;
        self.due = leads.then(|| now + self.gap);
    }
}

/// The members of a classic group; `None` unless it is stable.
fn members(client: &mut Client, group: &str) -> Result<Option<Vec<MemberDescription>>> {
    let described = client.describe_classic_group(group)?;
    Ok((described.state == STABLE).then_some(described.members))
}

/// The partitions that are assigned to members of a group; `None` unless it is stable.
pub(super) fn assigned(client: &mut Client, group: &str) -> Result<Option<BTreeSet<TopicPartition>>> {
    let members = members(client, group)?;
    Ok(members.map(|members| members.into_iter().flat_map(|member| member.partitions).collect()))
}

/// Who has partitions of a group, as far as the coordinator says so: for a log message, which is complete without it.
pub(super) fn holders(client: &mut Client, group: &str) -> Vec<Holder> {
    let members = members(client, group).unwrap_or_else(|error| {
        log::debug!("the members of the group are not known: {error}");
        None
    });
    let mut holders: BTreeMap<(String, String), usize> = BTreeMap::new();
    for member in members.into_iter().flatten().filter(|member| !member.partitions.is_empty()) {
        *holders.entry((shorten(&member.client_id), shorten(&member.host))).or_default() += member.partitions.len();
    }
    holders.into_iter().map(|((client_id, host), partitions)| Holder { client_id, host, partitions }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAP: Duration = Duration::from_secs(10);

    #[test]
    fn who_comes_back_looks_at_once_and_the_leader_again_and_again() {
        let now = Instant::now();
        let mut returned = Schedule::new(GAP);
        returned.joined(true, false, now);
        assert!(returned.take_due(now));
        returned.found_none(false, now);
        assert!(!returned.take_due(now + GAP_MAX));

        let mut follower = Schedule::new(GAP);
        follower.joined(false, false, now);
        assert!(!follower.take_due(now + GAP_MAX));

        let mut leader = Schedule::new(GAP);
        leader.joined(false, true, now);
        for look in 1..4 {
            let then = now + GAP * look;
            assert!(leader.take_due(then) && !leader.take_due(then + GAP / 2), "each time, not once");
            leader.found_none(true, then);
        }
    }

    #[test]
    fn a_leader_that_assigns_nothing_is_not_asked_without_end() {
        let mut now = Instant::now();
        let mut returned = Schedule::new(GAP);
        returned.joined(true, false, now);
        let mut gaps = Vec::new();
        for _ in 0..8 {
            let begun = now;
            while !returned.take_due(now) {
                now += Duration::from_secs(1);
            }
            gaps.push((now - begun).as_secs());
            returned.found();
            returned.joined(false, false, now);
        }
        assert_eq!(gaps, [0, 20, 40, 80, 160, 300, 300, 300]);
    }
}
