//! The thread of a membership: joins, sends heartbeats, emits events, and waits for confirmations. Must not know the requests of its
//! protocol.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::message::{GroupAssignment, GroupCommand, GroupEvent, RevocationMode};
use super::protocol::{Heartbeat, Protocol, ProtocolAssignment};
use super::refusal::says_no_member;
use crate::backoff::RetryPolicy;
use crate::client::Client;
use crate::consumer::event::{WaitReason, Waiting};
use crate::consumer::pause::{Pause, after};
use crate::error::{Error, ErrorCode};
use crate::stage::Stage;
use crate::types::TopicPartition;

/// Time to the first heartbeat after an assignment; it doubles from there to the protocol's interval. One assignment is often followed by
/// another, which gives a member what another one has released; and a member learns of it with its next heartbeat only.
const FIRST_HEARTBEAT: Duration = Duration::from_millis(100);

/// Attempts to leave the group, and the time between two of them: together less than a stop may take.
const LEAVE_ATTEMPTS_MAX: u32 = 4;
const LEAVE_PAUSE: Duration = Duration::from_millis(100);

/// The longest that the requests for one step of the membership take: brokers are tried one after the other, each within
/// the timeouts of connections and requests, and a join lasts as long as a rebalance.
const REQUESTS_TIME_MAX: Duration = Duration::from_mins(10);

/// Why the thread ends.
enum End {
    /// By command.
    Leave,
    /// The consumer was dropped.
    Dropped,
    /// No retry cures the error.
    Failed(Error),
}

/// What ended a wait.
enum Change {
    /// The confirmation has come.
    Confirmed,
    /// The member has to rejoin.
    Rebalance,
    Assigned(ProtocolAssignment),
}

/// When the thread retries, and for how long it waits for a confirmation.
#[derive(Clone, Copy)]
pub(super) struct Timing {
    pub(super) retry: RetryPolicy,
    pub(super) rebalance_timeout: Duration,
}

/// What the thread owns.
pub(super) struct Task {
    client: Client,
    protocol: Box<dyn Protocol>,
    commands: Receiver<GroupCommand>,
    emit: Box<dyn Fn(GroupEvent) + Send>,
    pause: Pause,
    /// Before each wait and before requests, what this thread is about to do.
    stage: Stage,
    /// Partitions that were assigned and have not been released.
    owned: BTreeSet<TopicPartition>,
    rebalance_timeout: Duration,
    /// The number of the last confirmation that was requested.
    confirmations: u64,
    /// The confirmation of a loss, without which the member does not rejoin.
    unconfirmed: Option<u64>,
    /// The consumer waits for a heartbeat that is accepted.
    verification: Option<u64>,
    heartbeat_at: Instant,
    /// Time between the last heartbeat and the next one.
    heartbeat_gap: Duration,
}

impl Task {
    pub(super) fn new(
        client: Client,
        protocol: Box<dyn Protocol>,
        (Timing { retry, rebalance_timeout }, stage): (Timing, Stage),
        commands: Receiver<GroupCommand>,
        emit: Box<dyn Fn(GroupEvent) + Send>,
    ) -> Self {
        Self {
            client,
            protocol,
            commands,
            emit,
            pause: Pause::new(retry),
            stage,
            owned: BTreeSet::new(),
            rebalance_timeout,
            confirmations: 0,
            unconfirmed: None,
            verification: None,
            heartbeat_at: Instant::now(),
            heartbeat_gap: Duration::ZERO,
        }
    }

    pub(super) fn run(mut self) {
        let Err(end) = self.stay_member();
        match end {
            End::Leave => {
                self.leave();
                (self.emit)(GroupEvent::Left);
            }
            End::Dropped => {}
            End::Failed(error) => (self.emit)(GroupEvent::Failed(error)),
        }
        self.stage.rest();
    }

    /// A coordinator that has just moved, or is loading the group, accepts it soon.
    fn leave(&mut self) {
        self.stage.work(REQUESTS_TIME_MAX);
        for attempt in 1..=LEAVE_ATTEMPTS_MAX {
            match self.protocol.leave(&mut self.client) {
                Ok(()) => return,
                // The coordinator waits for members only.
                Err(error) if says_no_member(&error) => return,
                Err(error) if error.is_retriable() && attempt < LEAVE_ATTEMPTS_MAX => {
                    log::debug!("leaving the consumer group failed, retrying: {error}");
                    if let Err(RecvTimeoutError::Disconnected) = self.commands.recv_timeout(LEAVE_PAUSE) {
                        return;
                    }
                }
                Err(error) => {
                    log::warn!(
                        "the consumer group was not left; its partitions are reassigned when the session times out: {error}"
                    );
                    return;
                }
            }
        }
    }

    fn stay_member(&mut self) -> Result<Infallible, End> {
        self.stage.work(REQUESTS_TIME_MAX);
        loop {
            self.prepare()?;
            let assignment = self.join()?;
            let mut stays = self.take(assignment)?;
            while stays {
                stays = match self.heartbeat_until(None)? {
                    Change::Assigned(assignment) => self.take(assignment)?,
                    Change::Confirmed | Change::Rebalance => false,
                };
            }
        }
    }

    /// Before the member rejoins, after which another member may own its partitions: waits for the user to finish with them. If all were
    /// lost, meanwhile or before, waits for the user to go on after that.
    fn prepare(&mut self) -> Result<(), End> {
        if self.protocol.assigns_on_join() && !self.owned.is_empty() {
            let confirmation = self.next_confirmation();
            (self.emit)(GroupEvent::Rebalancing(confirmation));
            self.heartbeat_until(Some(confirmation))?;
        }
        if let Some(confirmation) = self.unconfirmed.take() {
            while self.wait(after(Instant::now(), Duration::MAX))? != Some(GroupCommand::Confirm(confirmation)) {}
        }
        Ok(())
    }

    fn join(&mut self) -> Result<ProtocolAssignment, End> {
        if self.owned.is_empty() {
            self.emit_waiting(WaitReason::Rebalance);
        }
        loop {
            self.stage.work(REQUESTS_TIME_MAX);
            match self.protocol.join(&mut self.client, &self.owned) {
                Ok(assignment) => {
                    self.pause.succeeded();
                    return Ok(assignment);
                }
                // Another rebalance has begun before the partitions were assigned: nothing has failed.
                Err(Error::Broker { code: ErrorCode::REBALANCE_IN_PROGRESS, .. }) => self.wait_all(FIRST_HEARTBEAT)?,
                Err(error) => {
                    if self.failed(error)? {
                        self.prepare()?;
                    }
                    if let Some(until) = self.pause.until() {
                        self.wait_all(until.saturating_duration_since(Instant::now()))?;
                    }
                }
            }
        }
    }

    /// Emits the assignment, and waits until the partitions that it revokes have been released. False: the member has to rejoin.
    fn take(&mut self, assignment: ProtocolAssignment) -> Result<bool, End> {
        self.heartbeat_gap = FIRST_HEARTBEAT;
        self.next_heartbeat_in(self.heartbeat_gap);
        let revokes = !self.owned.is_subset(&assignment.partitions);
        let confirmation = self.next_confirmation();
        let revocation =
            if assignment.is_cooperative { RevocationMode::Cooperative(confirmation) } else { RevocationMode::Eager };
        let partitions = assignment.partitions.clone();
        (self.emit)(GroupEvent::Assigned(GroupAssignment { member: self.protocol.member(), partitions, revocation }));
        if assignment.partitions.is_empty() {
            self.emit_waiting(WaitReason::Standby);
        }
        if !(assignment.is_cooperative && revokes) {
            self.owned = assignment.partitions;
            return Ok(true);
        }
        match self.heartbeat_until(Some(confirmation))? {
            Change::Confirmed => self.owned = assignment.partitions,
            Change::Rebalance => return Ok(false),
            Change::Assigned(newer) => {
                self.owned = assignment.partitions;
                return self.take(newer);
            }
        }
        // The next owner waits for them.
        self.next_heartbeat_in(Duration::ZERO);
        Ok(!self.protocol.assigns_on_join())
    }

    /// Sends heartbeats until the confirmation comes, or, where none is requested, until something changes. A change before the confirmation
    /// is taken after it. The loss of the membership ends the wait, and so does the rebalance timeout, as `max.poll.interval.ms` ends the
    /// membership of Kafka's own consumer: a user that hangs must not keep partitions from members that go on.
    fn heartbeat_until(&mut self, confirmation: Option<u64>) -> Result<Change, End> {
        let mut changed = None;
        let deadline = confirmation.map(|_| after(Instant::now(), self.rebalance_timeout));
        loop {
            match self.wait(deadline.map_or(self.heartbeat_at, |deadline| deadline.min(self.heartbeat_at)))? {
                Some(GroupCommand::Confirm(done)) if confirmation == Some(done) => {
                    return Ok(changed.map_or(Change::Confirmed, Change::Assigned));
                }
                Some(GroupCommand::Verify(number)) => {
                    self.verify(number);
                    continue;
                }
                Some(GroupCommand::Confirm(_) | GroupCommand::Leave) => continue,
                None => {}
            }
            // Only without a command: the confirmation may have come in time, during a heartbeat that took until after the timeout.
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                log::warn!(
                    "no acknowledgement within the rebalance timeout; the partitions are lost, and the member rejoins with the next poll"
                );
                self.lose();
                return Ok(Change::Rebalance);
            }
            if self.heartbeat_at > Instant::now() {
                continue;
            }
            match self.protocol.heartbeat(&mut self.client, &self.owned) {
                Ok(heartbeat) => {
                    self.pause.succeeded();
                    if let Some(number) = self.verification.take() {
                        (self.emit)(GroupEvent::Verified(number));
                    }
                    self.heartbeat_gap = (self.heartbeat_gap * 2).min(self.protocol.heartbeat_interval());
                    self.next_heartbeat_in(self.heartbeat_gap);
                    match heartbeat {
                        Heartbeat::Assigned(assignment) if confirmation.is_some() => changed = Some(assignment),
                        Heartbeat::Assigned(assignment) => return Ok(Change::Assigned(assignment)),
                        Heartbeat::Rebalance if confirmation.is_none() => return Ok(Change::Rebalance),
                        Heartbeat::Unchanged | Heartbeat::Rebalance => {}
                    }
                }
                Err(error) => {
                    if self.failed(error)? {
                        return Ok(Change::Rebalance);
                    }
                    self.heartbeat_at = self.pause.until().unwrap_or(self.heartbeat_at);
                }
            }
        }
    }

    fn emit_waiting(&mut self, reason: WaitReason) {
        let holders = self.protocol.holders(&mut self.client);
        (self.emit)(GroupEvent::Waiting(Waiting { reason, holders }));
    }

    /// The membership has ended: nothing is owned any more.
    fn lose(&mut self) {
        self.protocol.reset();
        self.verification = None;
        if !self.owned.is_empty() {
            self.owned.clear();
            let confirmation = self.next_confirmation();
            self.unconfirmed = Some(confirmation);
            (self.emit)(GroupEvent::Lost(confirmation));
        }
    }

    /// Emits the failure, and makes the next attempt wait. Says whether the membership is lost.
    fn failed(&mut self, error: Error) -> Result<bool, End> {
        let is_lost = says_no_member(&error);
        if is_lost {
            self.lose();
        }
        let now = Instant::now();
        let failed = if is_lost || is_cured_by_group(&error) {
            self.pause.again(error, now)
        } else {
            self.pause.failed(error, now)
        };
        (self.emit)(GroupEvent::Retrying(failed.map_err(End::Failed)?));
        Ok(is_lost)
    }

    /// The next heartbeat is due at once, unless the last one failed and has to wait. Another broker may coordinate the group by now.
    fn verify(&mut self, number: u64) {
        self.verification = Some(number);
        self.client.forget_coordinator();
        self.heartbeat_at = self.pause.until().unwrap_or_else(Instant::now);
    }

    /// Waits for a command until then; ends with the command to leave.
    fn wait(&self, until: Instant) -> Result<Option<GroupCommand>, End> {
        let time_max = until.saturating_duration_since(Instant::now());
        self.stage.wait(time_max);
        let command = self.commands.recv_timeout(time_max);
        self.stage.work(REQUESTS_TIME_MAX);
        match command {
            Ok(GroupCommand::Leave) => Err(End::Leave),
            Ok(command) => Ok(Some(command)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(End::Dropped),
        }
    }

    /// Waits for so long, whatever the command, except the one to leave.
    fn wait_all(&self, wait: Duration) -> Result<(), End> {
        let until = after(Instant::now(), wait);
        while self.wait(until)?.is_some() {}
        Ok(())
    }

    fn next_confirmation(&mut self) -> u64 {
        self.confirmations += 1;
        self.confirmations
    }

    fn next_heartbeat_in(&mut self, wait: Duration) {
        self.heartbeat_at = after(Instant::now(), wait);
    }
}

/// Whether the group itself cures a refusal: it is rebalancing, or it is full until a member leaves or its session times out, which may
/// be that of this member before it was killed.
fn is_cured_by_group(error: &Error) -> bool {
    let Error::Broker { code, .. } = error else { return false };
    matches!(*code, ErrorCode::REBALANCE_IN_PROGRESS | ErrorCode::GROUP_MAX_SIZE_REACHED)
}
