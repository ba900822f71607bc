//! Partitions that are assigned to no member while the group is stable: when to check for them, and the members' assignments as the
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
/// The longest time between two checks while rebalances do not assign the partitions: a leader of another client may not know a new topic
/// for as long (`metadata.max.age.ms` of Kafka's own consumer).
const INTERVAL_MAX: Duration = Duration::from_mins(5);

/// When to check for partitions that are assigned to no member.
pub(super) struct Schedule {
    due: Option<Instant>,
    interval: Duration,
    interval_min: Duration,
}

impl Schedule {
    pub(super) fn new(interval_min: Duration) -> Self {
        Self { due: None, interval: interval_min, interval_min }
    }

    /// After a join: at once, if the coordinator may have returned the previous assignment; later, for the leader, and while unassigned
    /// partitions were found; else not at all.
    pub(super) fn joined(&mut self, is_return: bool, is_leader: bool, now: Instant) {
        let is_open = is_leader || self.interval > self.interval_min;
        self.due = match is_return {
            true if self.interval == self.interval_min => Some(now),
            true => Some(now + self.interval),
            false => is_open.then(|| now + self.interval),
        };
    }

    /// Whether the check is due; then the next one is due after the interval.
    pub(super) fn take_due(&mut self, now: Instant) -> bool {
        let is_due = self.due.is_some_and(|due| due <= now);
        if is_due {
            self.due = Some(now + self.interval);
        }
        is_due
    }

    /// There were some: the interval grows, so that a leader that cannot assign them does not cause rebalances without end.
    pub(super) fn found(&mut self) {
        self.interval = (self.interval * 2).min(INTERVAL_MAX).max(self.interval_min);
    }

    /// There were none; only the leader goes on checking.
    pub(super) fn found_none(&mut self, is_leader: bool, now: Instant) {
        self.interval = self.interval_min;
        self.due = is_leader.then(|| now + self.interval);
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

    const INTERVAL: Duration = Duration::from_secs(10);

    #[test]
    fn a_member_that_comes_back_checks_at_once_and_the_leader_again_and_again() {
        let now = Instant::now();
        let mut returned = Schedule::new(INTERVAL);
        returned.joined(true, false, now);
        assert!(returned.take_due(now));
        returned.found_none(false, now);
        assert!(!returned.take_due(now + INTERVAL_MAX));

        let mut follower = Schedule::new(INTERVAL);
        follower.joined(false, false, now);
        assert!(!follower.take_due(now + INTERVAL_MAX));

        let mut leader = Schedule::new(INTERVAL);
        leader.joined(false, true, now);
        for check in 1..4 {
            let then = now + INTERVAL * check;
            assert!(leader.take_due(then) && !leader.take_due(then + INTERVAL / 2), "each time, not once");
            leader.found_none(true, then);
        }
    }

    #[test]
    fn the_time_between_checks_grows_while_partitions_stay_unassigned() {
        let mut now = Instant::now();
        let mut returned = Schedule::new(INTERVAL);
        returned.joined(true, false, now);
        let mut intervals = Vec::new();
        for _ in 0..8 {
            let begun = now;
            while !returned.take_due(now) {
                now += Duration::from_secs(1);
            }
            intervals.push((now - begun).as_secs());
            returned.found();
            returned.joined(false, false, now);
        }
        assert_eq!(intervals, [0, 20, 40, 80, 160, 300, 300, 300]);
    }
}
