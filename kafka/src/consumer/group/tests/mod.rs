//! The thread of a membership, with a protocol whose responses are scripted: which events it emits, what it sends, and which
//! confirmations it waits for.

mod holds;
mod timeout;

use std::collections::{BTreeSet, VecDeque};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::protocol::{Heartbeat, ProtocolAssignment};
use super::*;
use crate::consumer::event::{WaitReason, Waiting};
use crate::error::ErrorCode;
use crate::types::{Member, TopicPartition};

/// The next responses of the protocol, and what it has sent so far.
#[derive(Clone, Default)]
struct Script {
    joins: Arc<Mutex<VecDeque<Result<ProtocolAssignment>>>>,
    heartbeats: Arc<Mutex<VecDeque<Result<Heartbeat>>>>,
    sent: Arc<Mutex<Vec<String>>>,
    /// Outcomes of attempts to leave; then each succeeds.
    leaves: Arc<Mutex<VecDeque<Result<()>>>>,
    /// The assignment of each further join, in place of a refusal.
    further_joins: Option<&'static [i32]>,
    /// Heartbeats have no response while a test holds this.
    delay: Arc<Mutex<()>>,
}

impl Script {
    fn note(&self, what: String) {
        let mut sent = self.sent.lock().unwrap();
        if sent.last() != Some(&what) {
            sent.push(what);
        }
    }
}

struct ScriptedProtocol {
    script: Script,
    classic: bool,
}

impl Protocol for ScriptedProtocol {
    fn assigns_on_join(&self) -> bool {
        self.classic
    }

    fn join(&mut self, _: &mut Client, owned: &BTreeSet<TopicPartition>) -> Result<ProtocolAssignment> {
        self.script.note(format!("join with {}", numbers(owned)));
        let next = self.script.joins.lock().unwrap().pop_front();
        next.unwrap_or_else(|| match self.script.further_joins {
            Some(numbers) => Ok(assignment(numbers, true)),
            None => Err(refusal(ErrorCode::NOT_COORDINATOR)),
        })
    }

    fn heartbeat(&mut self, _: &mut Client, owned: &BTreeSet<TopicPartition>) -> Result<Heartbeat> {
        self.script.note(format!("heartbeat with {}", numbers(owned)));
        drop(self.script.delay.lock().unwrap());
        self.script.heartbeats.lock().unwrap().pop_front().unwrap_or(Ok(Heartbeat::Unchanged))
    }

    fn heartbeat_interval(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn member(&self) -> Member {
        Member { id: "m".to_owned(), instance_id: None, epoch: 1 }
    }

    fn reset(&mut self) {
        self.script.note("reset".to_owned());
    }

    fn leave(&mut self, _: &mut Client) -> Result<()> {
        self.script.note("leave".to_owned());
        self.script.leaves.lock().unwrap().pop_front().unwrap_or(Ok(()))
    }
}

fn numbers(partitions: &BTreeSet<TopicPartition>) -> String {
    partitions.iter().map(|at| at.partition.to_string()).collect::<Vec<_>>().join(" ")
}

fn partitions(numbers: &[i32]) -> BTreeSet<TopicPartition> {
    numbers.iter().map(|number| TopicPartition::new("t", *number)).collect()
}

fn assignment(numbers: &[i32], is_cooperative: bool) -> ProtocolAssignment {
    ProtocolAssignment { partitions: partitions(numbers), is_cooperative }
}

fn refusal(code: ErrorCode) -> Error {
    let address = crate::types::Address { host: "broker".to_owned(), port: 1 };
    Error::Broker { address, request: "Heartbeat", code, subject: String::new() }
}

const RETRY: RetryPolicy =
    RetryPolicy { initial: Duration::from_millis(1), max: Duration::from_millis(1), attempts_max: None };

/// A running thread.
struct Running {
    script: Script,
    thread: Option<GroupThread>,
    events: Receiver<GroupEvent>,
}

impl Running {
    fn start(classic: bool, joins: Vec<Result<ProtocolAssignment>>) -> Self {
        Self::start_within(REBALANCE_TIMEOUT, classic, joins)
    }

    fn start_within(rebalance_timeout: Duration, classic: bool, joins: Vec<Result<ProtocolAssignment>>) -> Self {
        let script = Script::default();
        script.joins.lock().unwrap().extend(joins);
        let (emitted, events) = channel();
        let protocol = Box::new(ScriptedProtocol { script: script.clone(), classic });
        let client = Client::new(Vec::new(), ConnectionSettings::default());
        let timing = Timing { retry: RETRY, rebalance_timeout };
        let emit = move |event| drop(emitted.send(event));
        let thread = GroupThread::spawn(client, protocol, (timing, Stage::default()), emit).unwrap();
        Self { script, thread: Some(thread), events }
    }

    fn heartbeat(&self, outcome: Result<Heartbeat>) {
        self.script.heartbeats.lock().unwrap().push_back(outcome);
    }

    /// The next event, without failures and waits.
    fn next(&self) -> GroupEvent {
        loop {
            match self.events.recv_timeout(Duration::from_mins(1)).unwrap() {
                GroupEvent::Retrying(_) | GroupEvent::Waiting(_) => {}
                event => return event,
            }
        }
    }

    fn next_assignment(&self) -> (String, RevocationMode) {
        match self.next() {
            GroupEvent::Assigned(assigned) => (numbers(&assigned.partitions), assigned.revocation),
            other => panic!("{other:?}"),
        }
    }

    fn command(&self, command: GroupCommand) {
        self.thread.as_ref().unwrap().send(command);
    }

    /// Waits until it has sent that last.
    fn wait_sent(&self, what: &str) {
        let deadline = Instant::now() + Duration::from_mins(1);
        while self.script.sent.lock().unwrap().last().is_none_or(|last| last != what) {
            assert!(Instant::now() < deadline, "'{what}' was not sent: {:?}", self.script.sent.lock().unwrap());
            thread::yield_now();
        }
    }

    fn joins_left(&self) -> usize {
        self.script.joins.lock().unwrap().len()
    }

    fn sent(&self) -> Vec<String> {
        self.script.sent.lock().unwrap().clone()
    }
}

#[test]
fn a_classic_member_rejoins_after_the_confirmation() {
    let thread = Running::start(true, vec![Ok(assignment(&[0, 1], false)), Ok(assignment(&[1, 2], false))]);
    assert_eq!(thread.next_assignment(), ("0 1".to_owned(), RevocationMode::Eager));
    thread.heartbeat(Ok(Heartbeat::Rebalance));
    let GroupEvent::Rebalancing(confirmation) = thread.next() else { panic!() };
    // A confirmation of an earlier event is ignored, and heartbeats go on.
    thread.command(GroupCommand::Confirm(confirmation - 1));
    thread.heartbeat(Ok(Heartbeat::Rebalance));
    thread.wait_sent("heartbeat with 0 1");
    assert!(thread.sent().iter().filter(|sent| sent.starts_with("join")).count() == 1);
    thread.command(GroupCommand::Confirm(confirmation));
    assert_eq!(thread.next_assignment(), ("1 2".to_owned(), RevocationMode::Eager));
    assert!(thread.sent().contains(&"join with 0 1".to_owned()));
    thread.command(GroupCommand::Leave);
    assert!(matches!(thread.next(), GroupEvent::Left));
    assert_eq!(thread.sent().last().unwrap(), "leave");
}

#[test]
fn a_cooperative_member_rejoins_after_it_has_released_partitions() {
    let thread = Running::start(
        true,
        vec![Ok(assignment(&[0, 1], true)), Ok(assignment(&[0], true)), Ok(assignment(&[0, 2], true))],
    );
    assert!(matches!(thread.next_assignment(), (first, RevocationMode::Cooperative(_)) if first == "0 1"));
    thread.heartbeat(Ok(Heartbeat::Rebalance));
    let GroupEvent::Rebalancing(confirmation) = thread.next() else { panic!() };
    thread.command(GroupCommand::Confirm(confirmation));
    let (kept, RevocationMode::Cooperative(confirmation)) = thread.next_assignment() else { panic!() };
    assert_eq!(kept, "0");
    thread.wait_sent("heartbeat with 0 1"); // not released yet
    thread.command(GroupCommand::Confirm(confirmation));
    let GroupEvent::Rebalancing(confirmation) = thread.next() else { panic!() };
    thread.command(GroupCommand::Confirm(confirmation));
    assert_eq!(thread.next_assignment().0, "0 2");
    assert_eq!(thread.sent().iter().filter(|sent| *sent == "join with 0").count(), 1);
}

#[test]
fn a_member_reports_revoked_partitions_as_released_after_the_confirmation() {
    let thread = Running::start(false, vec![Ok(assignment(&[0, 1], true))]);
    assert_eq!(thread.next_assignment().0, "0 1");
    thread.heartbeat(Ok(Heartbeat::Assigned(assignment(&[1], true))));
    let (kept, RevocationMode::Cooperative(confirmation)) = thread.next_assignment() else { panic!() };
    assert_eq!(kept, "1");
    thread.wait_sent("heartbeat with 0 1");
    // A change before the confirmation waits for it.
    thread.heartbeat(Ok(Heartbeat::Assigned(assignment(&[1, 5], true))));
    while !thread.script.heartbeats.lock().unwrap().is_empty() {
        thread::yield_now();
    }
    thread.command(GroupCommand::Confirm(confirmation));
    assert_eq!(thread.next_assignment().0, "1 5");
    thread.wait_sent("heartbeat with 1 5");
    assert!(thread.sent().iter().all(|sent| sent != "reset"));
}

#[test]
fn a_member_that_is_unknown_has_lost_everything_and_rejoins() {
    for code in [ErrorCode::UNKNOWN_MEMBER_ID, ErrorCode::ILLEGAL_GENERATION, ErrorCode::FENCED_MEMBER_EPOCH] {
        for classic in [true, false] {
            let thread = Running::start(classic, vec![Ok(assignment(&[0], true)), Ok(assignment(&[0, 3], true))]);
            assert_eq!(thread.next_assignment().0, "0");
            thread.heartbeat(Err(refusal(code)));
            let GroupEvent::Lost(confirmation) = thread.next() else { panic!() };
            thread.wait_sent("reset");
            thread.command(GroupCommand::Confirm(confirmation - 1));
            thread.command(GroupCommand::Confirm(confirmation));
            assert_eq!(thread.next_assignment().0, "0 3");
            let sent = thread.sent();
            let reset = sent.iter().position(|sent| sent == "reset").unwrap();
            assert_eq!(sent[reset + 1], "join with ", "{code}");
        }
    }
}

#[test]
fn the_membership_may_be_lost_before_the_confirmation() {
    let thread = Running::start(
        true,
        vec![Ok(assignment(&[0], true)), Ok(assignment(&[7], true)), Ok(assignment(&[7, 8], true))],
    );
    assert_eq!(thread.next_assignment().0, "0");
    thread.heartbeat(Ok(Heartbeat::Rebalance));
    let GroupEvent::Rebalancing(rebalancing) = thread.next() else { panic!() };
    thread.heartbeat(Err(refusal(ErrorCode::UNKNOWN_MEMBER_ID)));
    let GroupEvent::Lost(lost) = thread.next() else { panic!() };
    thread.command(GroupCommand::Confirm(rebalancing));
    thread.wait_sent("reset");
    assert_eq!(thread.joins_left(), 2, "without the confirmation of the loss it does not rejoin");
    thread.command(GroupCommand::Confirm(lost));
    assert_eq!(thread.next_assignment().0, "7");
    // The next rebalance is as any other.
    thread.heartbeat(Ok(Heartbeat::Rebalance));
    let GroupEvent::Rebalancing(rebalancing) = thread.next() else { panic!() };
    thread.command(GroupCommand::Confirm(rebalancing));
    assert_eq!(thread.next_assignment().0, "7 8");
}

#[test]
fn retriable_failures_are_retried_and_others_end_the_membership() {
    let thread = Running::start(
        false,
        vec![
            Err(refusal(ErrorCode::NOT_COORDINATOR)),
            Err(refusal(ErrorCode::REBALANCE_IN_PROGRESS)),
            Ok(assignment(&[0], true)),
        ],
    );
    assert!(matches!(
        thread.events.recv_timeout(Duration::from_mins(1)),
        Ok(GroupEvent::Waiting(Waiting { reason: WaitReason::Rebalance, .. }))
    ));
    let GroupEvent::Retrying(retrying) = thread.events.recv_timeout(Duration::from_mins(1)).unwrap() else { panic!() };
    assert!(matches!(retrying.error, Error::Broker { code: ErrorCode::NOT_COORDINATOR, .. }));
    assert_eq!(thread.next_assignment().0, "0");
    thread.heartbeat(Err(refusal(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS)));
    thread.heartbeat(Err(refusal(ErrorCode::FENCED_INSTANCE_ID)));
    assert!(matches!(thread.next(), GroupEvent::Failed(Error::Broker { code: ErrorCode::FENCED_INSTANCE_ID, .. })));
    assert!(!thread.sent().contains(&"leave".to_owned()), "another instance is that member now");
}

#[test]
fn a_verification_sends_a_heartbeat_at_once() {
    let thread = Running::start(true, vec![Ok(assignment(&[0], true)), Ok(assignment(&[0], true))]);
    assert_eq!(thread.next_assignment().0, "0");
    for number in [1, 2] {
        thread.heartbeat(Err(refusal(ErrorCode::NOT_COORDINATOR)));
        thread.command(GroupCommand::Verify(number));
        assert!(matches!(thread.next(), GroupEvent::Verified(verified) if verified == number), "once it is accepted");
    }
    // A change that comes with the heartbeat follows; a loss replaces `Verified`.
    thread.heartbeat(Ok(Heartbeat::Rebalance));
    thread.command(GroupCommand::Verify(3));
    let first = thread.next();
    let confirmation = match first {
        GroupEvent::Verified(3) => match thread.next() {
            GroupEvent::Rebalancing(confirmation) => confirmation,
            other => panic!("{other:?}"),
        },
        GroupEvent::Rebalancing(confirmation) => confirmation, // An ordinary heartbeat came first.
        other => panic!("{other:?}"),
    };
    thread.command(GroupCommand::Confirm(confirmation));
    while !matches!(thread.next(), GroupEvent::Assigned(_)) {}
    thread.heartbeat(Err(refusal(ErrorCode::UNKNOWN_MEMBER_ID)));
    thread.command(GroupCommand::Verify(4));
    while !matches!(thread.next(), GroupEvent::Lost(_)) {}
}

#[test]
fn joining_a_full_group_is_retried_and_so_is_leaving_a_moving_coordinator() {
    let full = || Err(refusal(ErrorCode::GROUP_MAX_SIZE_REACHED));
    let thread = Running::start(true, vec![full(), full(), Ok(assignment(&[0], true))]);
    assert_eq!(thread.next_assignment().0, "0");
    thread.script.leaves.lock().unwrap().extend([Err(refusal(ErrorCode::NOT_COORDINATOR)), Ok(())]);
    thread.command(GroupCommand::Leave);
    assert!(matches!(thread.next(), GroupEvent::Left));
    assert!(thread.script.leaves.lock().unwrap().is_empty(), "it was retried");
}

#[test]
fn a_member_without_partitions_emits_why() {
    let thread = Running::start(true, vec![Ok(assignment(&[], true))]);
    let mut reasons = Vec::new();
    while reasons.len() < 2 {
        if let GroupEvent::Waiting(waiting) = thread.events.recv_timeout(Duration::from_mins(1)).unwrap() {
            reasons.push(waiting.reason);
        }
    }
    assert_eq!(reasons, [WaitReason::Rebalance, WaitReason::Standby]);
}

#[test]
fn the_thread_leaves_during_a_wait_and_not_when_it_is_dropped() {
    let mut thread = Running::start(true, vec![]);
    thread.wait_sent("join with ");
    thread.command(GroupCommand::Leave);
    assert!(matches!(thread.next(), GroupEvent::Left));
    assert_eq!(thread.sent(), ["join with ", "leave"]);

    thread = Running::start(true, vec![Ok(assignment(&[0], true))]);
    assert_eq!(thread.next_assignment().0, "0");
    thread.thread = None;
    assert!(thread.events.recv_timeout(Duration::from_mins(1)).is_err(), "it has ended");
    assert!(!thread.sent().contains(&"leave".to_owned()));
}
