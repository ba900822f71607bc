//! What membership in a group means for the consumer: which partitions are ours, and that none is given up before the user is done
//! with it. Must not know how the group comes to its decisions.

use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use super::builder::Builder;
use super::event::Waiting;
use super::group::{Division, GroupProtocol, Handover, Membership, News};
use super::holds::{HeldBy, Holds, RebalanceHold, Refusal};
use super::partition::{Partition, Phase};
use super::pause::{Pause, after};
use super::token::Acknowledgement;
use super::waiting::Wait;
use super::{Answer, Consumer, Event, Revocation};
use crate::backoff::RetryPolicy;
use crate::error::{Error, ErrorCode, Result};
use crate::protocol::LeaveGroupRequest;
use crate::types::{Member, TopicPartition};

/// Longest time that records are held back while the group divides its partitions. Members hear of it within three seconds; if one of
/// them does not answer, the others had better read on, if what they have cannot be gone before they give it up.
const HELD_MAX: Duration = Duration::from_secs(5);
/// How long the group's thread may take to leave, before the control thread does it in its place.
const LEAVE_PATIENCE: Duration = Duration::from_secs(1);

/// A new member often has no partitions in its first assignment, and some in the next one, with a heartbeat: by default every 5 s
/// (`group.consumer.heartbeat.interval.ms`). For so long, having none is not settled.
pub(super) const EMPTY_ASSIGNMENT_SETTLED: Duration = Duration::from_secs(5);

/// Who else reads, and what is ours.
pub(super) struct Sharing {
    /// Whether there are others at all; if not, everything is ours.
    is_shared: bool,
    /// `None` before the cluster has been reached, and after the membership has ended.
    membership: Option<Membership>,
    division: Option<Division>,
    /// Since when the division is as empty, or not, as it is.
    divided_at: Instant,
    /// What the group's thread waits for before the member rejoins.
    rejoin: Option<Rejoin>,
    holds: Holds,
    /// Commits that were refused for the membership that they were made under, since the last one that was accepted.
    refusals: Pause,
    /// While we have no partitions.
    wait: Option<Wait>,
    /// The question that is answered once the user has acknowledged the revocation.
    revocation: Option<u64>,
    /// There is nothing to leave any more.
    has_left: bool,
}

/// A question of the group's thread, whose answer lets the member rejoin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rejoin {
    /// Once the user has acknowledged [`Event::Rebalancing`].
    OnAcknowledgement(u64),
    /// With the first poll after [`Event::Lost`] has been returned.
    OnPoll(u64),
}

impl Sharing {
    /// As if the assignment had come earlier.
    #[cfg(test)]
    pub(super) fn no_assignment_for(&mut self, time: Duration) {
        self.divided_at = Instant::now().checked_sub(time).unwrap_or_else(Instant::now);
    }

    pub(super) fn new(protocol: &GroupProtocol, retry: RetryPolicy) -> Self {
        Self {
            is_shared: *protocol != GroupProtocol::None,
            membership: None,
            division: None,
            divided_at: Instant::now(),
            rejoin: None,
            holds: Holds::default(),
            // Each has its cause in the group, whose thread counts what fails there.
            refusals: Pause::new(RetryPolicy { attempts_max: None, ..retry }),
            wait: None,
            revocation: None,
            has_left: false,
        }
    }

    /// Becomes a member, unless it is one: only now, so that a cluster that cannot be reached is told of once.
    pub(super) fn join(&mut self, config: &Builder, answers: &Sender<Answer>) -> Result<()> {
        if self.is_shared && self.membership.is_none() {
            self.membership = Membership::start(config, answers)?;
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn watch(&mut self, membership: Membership) {
        self.is_shared = true;
        self.membership = Some(membership);
    }

    /// Whether records are held back, and who ends that.
    pub(super) fn held_by(&self, now: Instant) -> Option<HeldBy> {
        self.holds.held_by(now)
    }

    /// When there is something to do that nobody will remind us of: a hold ends, or the user hears that we still have no partitions.
    pub(super) fn timers(&self) -> impl Iterator<Item = Instant> {
        self.holds.until().into_iter().chain(self.wait.as_ref().map(Wait::remind_at))
    }

    pub(super) fn take_reminder(&mut self, now: Instant) -> Option<Waiting> {
        self.wait.as_mut()?.take_reminder(now)
    }

    /// Has the group thread verify the membership, and holds records back meanwhile if somebody else may have our partitions. False: that
    /// is under way already.
    fn verify(&mut self, refusal: Refusal) -> bool {
        if self.has_left || self.holds.verification.is_some() {
            return false;
        }
        let number = self.holds.begin_verification(refusal);
        if let Some(membership) = &self.membership {
            membership.verify(number);
        }
        true
    }

    /// The membership is another one now, or none.
    fn end_holds(&mut self) {
        self.holds.end();
        self.refusals.succeeded();
    }

    fn done(&self, question: u64) {
        if let Some(membership) = &self.membership {
            membership.done(question);
        }
    }
}

impl Consumer {
    /// As whom to commit: as a member, if there are any.
    pub(super) fn member(&self) -> Option<Member> {
        self.sharing.division.as_ref().map(|division| division.member.clone())
    }

    pub(super) fn is_ours(&self, at: &TopicPartition) -> bool {
        !self.sharing.is_shared
            || self.sharing.division.as_ref().is_some_and(|division| division.partitions.contains(at))
    }

    /// Whether what is ours is known, and nothing of it is about to change.
    pub(super) fn is_division_settled(&self) -> bool {
        let Sharing { is_shared, division, divided_at, holds, revocation, .. } = &self.sharing;
        let all_known = |division: &Division| {
            division.partitions.iter().all(|at| self.partitions.contains_key(at))
                && (!division.partitions.is_empty() || divided_at.elapsed() >= EMPTY_ASSIGNMENT_SETTLED)
        };
        !is_shared || (!holds.are_any() && revocation.is_none() && division.as_ref().is_some_and(all_known))
    }

    /// Whether a commit was refused for the membership that it was made under.
    pub(super) fn is_refused_for_membership(&self, error: &Error) -> bool {
        self.sharing.is_shared && Refusal::of(error).is_some()
    }

    /// A commit was refused for the membership that it was made under: it is made again under the next one, or dropped with its partition.
    /// If that is the present one, the group thread finds out at once what has become of it.
    pub(super) fn refused_for_membership(
        &mut self,
        error: Error,
        made_by: Option<&Member>,
        now: Instant,
    ) -> Result<()> {
        let Some(refusal) = Refusal::of(&error) else { return self.commit_failed(error, now) };
        let retrying = self.sharing.refusals.again(error, now)?;
        self.commit_pause.hold(after(now, retrying.wait));
        let is_present = made_by.is_some() && made_by == self.member().as_ref();
        if is_present && self.sharing.verify(refusal) {
            // That a rebalance has begun is no failure; that nothing comes of it is one.
            let is_expected =
                refusal == Refusal::Outdated && (retrying.attempt == 1 || self.sharing.holds.rebalance.is_some());
            if !is_expected {
                self.events.push_back(Ok(Event::Retrying(retrying)));
            }
        }
        Ok(())
    }

    /// The coordinator has accepted a commit of that member: nobody else has the partitions.
    pub(super) fn accepted_as_member(&mut self, made_by: Option<&Member>) {
        if made_by.is_some() && made_by == self.member().as_ref() {
            self.sharing.holds.verification = None;
            self.sharing.refusals.succeeded();
        }
    }

    pub(super) fn take_news(&mut self, news: News, now: Instant) {
        match news {
            News::Rebalancing(question) => self.hold(question, now),
            News::Divided(division) => self.take_division(division, now),
            News::Lost(question) => self.lose_all(question),
            News::Verified(number) => {
                self.sharing.holds.verification.take_if(|verification| verification.number == number);
            }
            News::Waiting(waiting) => {
                let waiting = Wait::note(&mut self.sharing.wait, waiting, now);
                self.events.extend(waiting.map(|waiting| Ok(Event::Waiting(waiting))));
            }
            News::Retrying(retrying) => self.events.push_back(Ok(Event::Retrying(retrying))),
            // Said once, so it is kept for the next poll, whoever takes the answer.
            News::Failed(error) => {
                self.sharing.has_left = true;
                self.sharing.wait = None;
                self.events.push_back(Err(error));
            }
            News::Left => {
                self.sharing.has_left = true;
                self.sharing.wait = None;
            }
        }
    }

    /// Any partition may be gone after what follows: nothing more is begun, and the user commits.
    fn hold(&mut self, question: u64, now: Instant) {
        let in_turn = |division: &Division| division.handover != Handover::Gone;
        let in_turn = self.sharing.division.as_ref().is_some_and(in_turn);
        let hold = if in_turn { RebalanceHold::Until(now + HELD_MAX) } else { RebalanceHold::UntilAssigned };
        self.sharing.holds.rebalance = Some(hold);
        self.sharing.rejoin = Some(Rejoin::OnAcknowledgement(question));
        self.events.push_back(Ok(Event::Rebalancing(Acknowledgement::new(question))));
    }

    fn take_division(&mut self, division: Division, now: Instant) {
        self.sharing.end_holds();
        let is_gone = |at: &&TopicPartition| !division.partitions.contains(at);
        let gone: Vec<TopicPartition> = self.partitions.keys().filter(is_gone).cloned().collect();
        if division.partitions.iter().any(|at| !self.partitions.contains_key(at)) {
            self.metadata_due = now;
        }
        // Commits that were refused under the last division are made under this one.
        self.commit_pause.cut_short();
        self.sharing.wait.take_if(|_| !division.partitions.is_empty());
        let handover = division.handover;
        let was_empty = self.sharing.division.as_ref().is_some_and(|division| division.partitions.is_empty());
        if !(was_empty && division.partitions.is_empty()) {
            self.sharing.divided_at = now;
        }
        self.sharing.division = Some(division);
        match handover {
            Handover::Gone => self.lose(gone),
            Handover::InTurn(question) => self.revoke(gone, question),
        }
    }

    fn lose_all(&mut self, question: u64) {
        self.sharing.division = None;
        self.sharing.end_holds();
        self.sharing.revocation = None;
        self.sharing.rejoin = Some(Rejoin::OnPoll(question));
        self.lose(self.partitions.keys().cloned().collect());
    }

    /// Partitions that somebody else has: nothing of them is committed any more.
    fn lose(&mut self, gone: Vec<TopicPartition>) {
        if !gone.is_empty() {
            self.forget(&gone);
            self.events.push_back(Ok(Event::Lost(gone)));
        }
    }

    /// Partitions that somebody else will have.
    fn revoke(&mut self, gone: Vec<TopicPartition>, question: u64) {
        for at in &gone {
            if let Some(partition) = self.partitions.get_mut(at) {
                partition.phase = Phase::Revoked;
                partition.drop_fetched();
            }
        }
        if gone.is_empty() {
            self.sharing.done(question);
            return;
        }
        self.sharing.revocation = Some(question);
        let acknowledgement = Acknowledgement::new(question);
        self.events.push_back(Ok(Event::Revoked(Revocation { partitions: gone, acknowledgement })));
    }

    /// Says that the user has finished with an event. After [`Event::Rebalancing`] the member rejoins; after [`Event::Revoked`] the
    /// partitions are released to their next owner, and what is not committed of them by then is not committed any more. An
    /// acknowledgement that the group no longer waits for, as after the membership was lost, has no effect.
    ///
    /// Heartbeats go on until the acknowledgement comes, for as long as a rebalance may take (one minute, the member's rebalance timeout).
    /// After that the member stops them, as Kafka's own consumer does after `max.poll.interval.ms`: all its partitions are
    /// [lost](Event::Lost), and it rejoins with the next [`poll`](Self::poll) after that event. So a user that hangs does not keep
    /// partitions from members that go on.
    pub fn acknowledge(&mut self, acknowledgement: Acknowledgement) {
        let question = acknowledgement.into_number();
        if self.sharing.rejoin.take_if(|rejoin| *rejoin == Rejoin::OnAcknowledgement(question)).is_some() {
            self.sharing.done(question);
        }
        if self.sharing.revocation.take_if(|revocation| *revocation == question).is_some() {
            let is_revoked = |(_, partition): &(_, &Partition)| partition.phase == Phase::Revoked;
            let revoked: Vec<_> = self.partitions.iter().filter(is_revoked).map(|(at, _)| at.clone()).collect();
            self.forget(&revoked);
            self.sharing.done(question);
        }
    }

    /// A user that polls after it was told of the loss goes on, so that its member may have partitions again.
    pub(super) fn rejoin_after_loss(&mut self) {
        if self.events.is_empty()
            && let Some(Rejoin::OnPoll(question)) = self.sharing.rejoin
        {
            self.sharing.rejoin = None;
            self.sharing.done(question);
        }
    }

    /// Leaves the group, so that others take over at once; a static member of the consumer protocol stays one until its session times
    /// out. To be called when all is committed: nothing can be after it. Says whether it was done in time.
    pub fn leave(&mut self, timeout: Duration) -> Result<bool> {
        let Some(membership) = self.sharing.membership.as_ref().filter(|_| !self.sharing.has_left) else {
            return Ok(true);
        };
        membership.leave();
        let deadline = after(Instant::now(), timeout);
        self.wait_left(deadline.min(after(Instant::now(), LEAVE_PATIENCE)))?;
        // Its thread may be waiting for the others to join, which only ends when we are taken out.
        if let GroupProtocol::Classic { instance_id, .. } = self.config.group_protocol.clone() {
            while !self.sharing.has_left && self.control_under_way && Instant::now() < deadline {
                self.take_answer(deadline)?;
            }
            if !self.sharing.has_left && !self.control_under_way {
                let group = self.config.group.clone();
                let (member_id, instance_id) = match self.member() {
                    Some(member) => (member.id, member.instance_id),
                    None => (String::new(), Some(instance_id)),
                };
                let request = LeaveGroupRequest { group, member_id, instance_id };
                self.control_under_way = self.ask(move |control| Answer::Left(control.leave(&request)))?;
            }
        }
        self.wait_left(deadline)?;
        Ok(self.sharing.has_left)
    }

    fn wait_left(&mut self, deadline: Instant) -> Result<()> {
        while !self.sharing.has_left && Instant::now() < deadline {
            self.take_answer(deadline)?;
        }
        Ok(())
    }

    fn take_answer(&mut self, deadline: Instant) -> Result<()> {
        match self.answers.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(answer) => self.handle(answer),
            Err(_) => Ok(()),
        }
    }

    pub(super) fn left_by_control(&mut self, result: Result<()>) {
        // Who is no member needs no leave.
        let is_out = |result: &Result<()>| {
            matches!(result, Ok(()) | Err(Error::Broker { code: ErrorCode::UNKNOWN_MEMBER_ID, .. }))
        };
        self.sharing.has_left |= is_out(&self.control_answered(result));
    }
}
