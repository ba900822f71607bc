//! The membership in the group as the consumer sees it: the assignment, why records are held back, and which confirmations the group waits
//! for. Must not know partitions' phases, nor the protocol of the group.

use std::time::{Duration, Instant};

use super::config::GroupProtocol;
use super::event::{Retrying, Waiting};
use super::group::{GroupAssignment, GroupThread, RevocationMode};
use super::holds::{HeldBy, Holds, RebalanceHold, Refusal};
use super::pause::Pause;
use super::token::Acknowledgement;
use super::waiting::Wait;
use crate::backoff::RetryPolicy;
use crate::error::{Error, Result};
use crate::statistics::MembershipState;
use crate::types::{Member, TopicPartition};

/// Longest time that records are held back during a cooperative rebalance. Members learn of it within three seconds; if one of
/// them does not rejoin, the others go on reading: nothing is taken from them before they release it.
const HELD_MAX: Duration = Duration::from_secs(5);

/// A new member often has no partitions in its first assignment, and some in the next one, with a heartbeat: by default every 5 s
/// (`group.consumer.heartbeat.interval.ms`). For so long, an empty assignment is not settled.
pub(super) const EMPTY_ASSIGNMENT_SETTLED: Duration = Duration::from_secs(5);

/// The group as the consumer sees it.
pub(super) struct Membership {
    thread: Thread,
    assignment: Option<CurrentAssignment>,
    holds: Holds,
    /// Commits that were refused for the membership that they were made under, since the last one that was accepted.
    refusals: Pause,
    /// Present while there are no partitions.
    wait: Option<Wait>,
    /// The confirmation that the group waits for.
    confirmation: Option<Confirmation>,
}

/// The thread of the membership.
enum Thread {
    /// The group has no members: every partition is read.
    Unneeded,
    /// The cluster has not been reached yet.
    NotStarted,
    Running(GroupThread),
    /// The group has been left, or the membership has failed.
    Ended,
}

struct CurrentAssignment {
    assignment: GroupAssignment,
    /// Since when it is empty, or is not.
    since: Instant,
}

/// A confirmation that the group waits for, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Confirmation {
    /// The user has to acknowledge a rebalance; the member rejoins then.
    Rebalance(u64),
    /// The user has to acknowledge a revocation; the partitions are released then.
    Revocation(u64),
    /// The member rejoins with the first poll after the user has received the loss.
    Loss(u64),
}

/// What an acknowledgement was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acknowledged {
    Rebalance,
    Revocation,
    /// The group no longer waits for it.
    Stale,
}

/// What becomes of the partitions that an assignment revokes.
#[derive(Debug)]
pub(super) enum Revoked {
    /// There are none.
    Nothing,
    /// Another member may own them already.
    Lost,
    /// They are released with the acknowledgement.
    Until(Acknowledgement),
}

impl Membership {
    pub(super) fn new(protocol: &GroupProtocol, retry: RetryPolicy) -> Self {
        let thread = if *protocol == GroupProtocol::None { Thread::Unneeded } else { Thread::NotStarted };
        Self {
            thread,
            assignment: None,
            holds: Holds::default(),
            // Each has its cause in the group, whose thread counts the failures there.
            refusals: Pause::new(RetryPolicy { attempts_max: None, ..retry }),
            wait: None,
            confirmation: None,
        }
    }

    pub(super) fn state(&self) -> MembershipState {
        match self.thread {
            Thread::Unneeded => MembershipState::Unneeded,
            Thread::Ended => MembershipState::Ended,
            Thread::Running(_) if self.holds.rebalance.is_some() => MembershipState::Rebalancing,
            Thread::Running(_) if self.assignment.is_some() => MembershipState::Joined,
            Thread::NotStarted | Thread::Running(_) => MembershipState::Joining,
        }
    }

    /// Whether the thread is to be started.
    pub(super) fn is_due(&self) -> bool {
        matches!(self.thread, Thread::NotStarted)
    }

    pub(super) fn started(&mut self, thread: GroupThread) {
        self.thread = Thread::Running(thread);
    }

    /// The group has been left, or the membership has failed.
    pub(super) fn ended(&mut self) {
        self.thread = Thread::Ended;
        self.wait = None;
    }

    /// Sends the command to leave the group; false if no thread runs.
    pub(super) fn leave(&self) -> bool {
        self.thread().inspect(|thread| thread.leave()).is_some()
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self.thread, Thread::Ended)
    }

    /// The member that commits, if the group has members.
    pub(super) fn member(&self) -> Option<Member> {
        self.assignment().map(|assignment| assignment.member.clone())
    }

    pub(super) fn is_assigned(&self, at: &TopicPartition) -> bool {
        self.is_unneeded() || self.assignment().is_some_and(|assignment| assignment.partitions.contains(at))
    }

    /// Whether the assignment is known and not about to change; `is_known` says whether metadata has shown a partition.
    pub(super) fn is_settled(&self, is_known: impl Fn(&TopicPartition) -> bool) -> bool {
        let is_revoking = matches!(self.confirmation, Some(Confirmation::Revocation(_)));
        let is_complete = |CurrentAssignment { assignment, since }: &CurrentAssignment| {
            assignment.partitions.iter().all(is_known)
                && (!assignment.partitions.is_empty() || since.elapsed() >= EMPTY_ASSIGNMENT_SETTLED)
        };
        self.is_unneeded()
            || (!self.holds.are_any() && !is_revoking && self.assignment.as_ref().is_some_and(is_complete))
    }

    /// What holds records back, if anything does.
    pub(super) fn held_by(&self, now: Instant) -> Option<HeldBy> {
        self.holds.held_by(now)
    }

    /// Times at which there is work without a message: a hold ends, or the user is reminded that there are still no partitions.
    pub(super) fn timers(&self) -> impl Iterator<Item = Instant> {
        self.holds.until().into_iter().chain(self.wait.as_ref().map(Wait::remind_at))
    }

    pub(super) fn take_reminder(&mut self, now: Instant) -> Option<Waiting> {
        self.wait.as_mut()?.take_reminder(now)
    }

    /// Records why there are no partitions; returns it if the user is to be notified.
    pub(super) fn note_waiting(&mut self, waiting: Waiting, now: Instant) -> Option<Waiting> {
        Wait::note(&mut self.wait, waiting, now)
    }

    fn is_unneeded(&self) -> bool {
        matches!(self.thread, Thread::Unneeded)
    }

    fn thread(&self) -> Option<&GroupThread> {
        match &self.thread {
            Thread::Running(thread) => Some(thread),
            Thread::Unneeded | Thread::NotStarted | Thread::Ended => None,
        }
    }

    fn assignment(&self) -> Option<&GroupAssignment> {
        self.assignment.as_ref().map(|current| &current.assignment)
    }

    #[cfg(test)]
    pub(super) fn waits_for_partitions_since(&mut self, time: Duration) {
        let since = Instant::now().checked_sub(time).unwrap_or_else(Instant::now);
        self.assignment.iter_mut().for_each(|current| current.since = since);
    }
}

/// Rebalances.
impl Membership {
    /// A rebalance has begun: records are held back until the user has committed and the group has assigned its partitions.
    pub(super) fn begin_rebalance(&mut self, number: u64, now: Instant) -> Acknowledgement {
        let is_cooperative = self.assignment().is_some_and(|assignment| assignment.revocation != RevocationMode::Eager);
        let hold = if is_cooperative { RebalanceHold::Until(now + HELD_MAX) } else { RebalanceHold::UntilAssigned };
        self.holds.rebalance = Some(hold);
        self.confirmation = Some(Confirmation::Rebalance(number));
        Acknowledgement::new(number)
    }

    /// The group has assigned partitions; `revokes` says whether one that is read is not among them.
    pub(super) fn assign(&mut self, assignment: GroupAssignment, revokes: bool, now: Instant) -> Revoked {
        self.end_holds();
        self.wait.take_if(|_| !assignment.partitions.is_empty());
        let is_still_empty =
            |before: &CurrentAssignment| before.assignment.partitions.is_empty() && assignment.partitions.is_empty();
        let since = self.assignment.as_ref().filter(|before| is_still_empty(before)).map_or(now, |before| before.since);
        let revocation = assignment.revocation;
        self.assignment = Some(CurrentAssignment { assignment, since });
        self.confirmation = None;
        match revocation {
            RevocationMode::Eager if revokes => Revoked::Lost,
            RevocationMode::Eager => Revoked::Nothing,
            RevocationMode::Cooperative(number) if revokes => {
                self.confirmation = Some(Confirmation::Revocation(number));
                Revoked::Until(Acknowledgement::new(number))
            }
            RevocationMode::Cooperative(number) => {
                self.confirm(number);
                Revoked::Nothing
            }
        }
    }

    /// The membership is lost.
    pub(super) fn lose(&mut self, number: u64) {
        self.assignment = None;
        self.end_holds();
        self.confirmation = Some(Confirmation::Loss(number));
    }

    /// The user has finished with an event.
    pub(super) fn acknowledge(&mut self, acknowledgement: Acknowledgement) -> Acknowledged {
        let number = acknowledgement.into_number();
        let acknowledged = match self.confirmation {
            Some(Confirmation::Rebalance(waited_for)) if waited_for == number => Acknowledged::Rebalance,
            Some(Confirmation::Revocation(waited_for)) if waited_for == number => Acknowledged::Revocation,
            _ => return Acknowledged::Stale,
        };
        self.confirmation = None;
        self.confirm(number);
        acknowledged
    }

    /// The user polls and has been given all events. If the membership was lost, the user goes on, and may have partitions again.
    pub(super) fn rejoin_after_loss(&mut self) {
        if let Some(Confirmation::Loss(number)) = self.confirmation {
            self.confirmation = None;
            self.confirm(number);
        }
    }

    fn confirm(&self, number: u64) {
        if let Some(thread) = self.thread() {
            thread.confirm(number);
        }
    }

    /// The membership is another one now, or none.
    fn end_holds(&mut self) {
        self.holds.end();
        self.refusals.succeeded();
    }
}

/// Commits that are refused for the membership.
impl Membership {
    /// What a refused commit says about the membership that it was made under, if anything.
    pub(super) fn refusal(&self, error: &Error) -> Option<Refusal> {
        Refusal::of(error).filter(|_| !self.is_unneeded())
    }

    /// A commit was refused for the membership that it was made under: it is sent again under the next one, or dropped with its partition.
    /// If that is the present membership, the group thread verifies it at once. Returns when to retry, and whether the refusal is
    /// unexpected, so that the user is to be notified.
    pub(super) fn commit_refused(
        &mut self,
        refusal: Refusal,
        error: Error,
        made_by: Option<&Member>,
        now: Instant,
    ) -> Result<(Retrying, bool)> {
        let retrying = self.refusals.again(error, now)?;
        // That a rebalance has begun is no failure; that no assignment follows is one.
        let is_expected =
            |holds: &Holds| refusal == Refusal::Outdated && (retrying.attempt == 1 || holds.rebalance.is_some());
        let is_unexpected = self.is_present(made_by) && self.verify(refusal) && !is_expected(&self.holds);
        Ok((retrying, is_unexpected))
    }

    /// The coordinator has accepted a commit of that member: no other member owns its partitions.
    pub(super) fn commit_accepted(&mut self, made_by: Option<&Member>) {
        if self.is_present(made_by) {
            self.holds.verification = None;
            self.refusals.succeeded();
        }
    }

    /// The coordinator has accepted a heartbeat since that verification began.
    pub(super) fn verified(&mut self, number: u64) {
        self.holds.verification.take_if(|verification| verification.number == number);
    }

    fn is_present(&self, member: Option<&Member>) -> bool {
        member.is_some() && member == self.member().as_ref()
    }

    /// Has the group thread verify the membership, and holds records back meanwhile if another member may own the partitions. False if
    /// that is under way already.
    fn verify(&mut self, refusal: Refusal) -> bool {
        if self.has_ended() || self.holds.verification.is_some() {
            return false;
        }
        let number = self.holds.begin_verification(refusal);
        if let Some(thread) = self.thread() {
            thread.verify(number);
        }
        true
    }
}
