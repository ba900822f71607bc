//! The thread of a membership, with a protocol whose responses are scripted: which events it emits, what it sends, and which
//! confirmations it waits for.

mod holds;

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
        let thread = GroupThread::spawn(client, protocol, timing, emit).unwrap();
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
fn a_classic_member_joins_again_once_the_user_is_done() {
    let life = Running::start(true, vec![Ok(assignment(&[0, 1], false)), Ok(assignment(&[1, 2], false))]);
    assert_eq!(life.next_assignment(), ("0 1".to_owned(), RevocationMode::Eager));
    life.heartbeat(Ok(Heartbeat::Rebalance));
    let GroupEvent::Rebalancing(confirmation) = life.next() else { panic!() };
    // An answer to an earlier confirmation is none, and it lives on meanwhile.
    life.command(GroupCommand::Confirm(confirmation - 1));
    life.heartbeat(Ok(Heartbeat::Rebalance));
    life.wait_sent("heartbeat with 0 1");
    assert!(life.sent().iter().filter(|sent| sent.starts_with("join")).count() == 1);
    life.command(GroupCommand::Confirm(confirmation));
    assert_eq!(life.next_assignment(), ("1 2".to_owned(), RevocationMode::Eager));
    assert!(life.sent().contains(&"join with 0 1".to_owned()));
    life.command(GroupCommand::Leave);
    assert!(matches!(life.next(), GroupEvent::Left));
    assert_eq!(life.sent().last().unwrap(), "leave");
}

#[test]
fn what_a_cooperative_member_gives_up_is_divided_by_joining_again() {
    let life = Running::start(
        true,
        vec![Ok(assignment(&[0, 1], true)), Ok(assignment(&[0], true)), Ok(assignment(&[0, 2], true))],
    );
    assert!(matches!(life.next_assignment(), (first, RevocationMode::Cooperative(_)) if first == "0 1"));
    life.heartbeat(Ok(Heartbeat::Rebalance));
    let GroupEvent::Rebalancing(confirmation) = life.next() else { panic!() };
    life.command(GroupCommand::Confirm(confirmation));
    let (kept, RevocationMode::Cooperative(confirmation)) = life.next_assignment() else { panic!() };
    assert_eq!(kept, "0");
    life.wait_sent("heartbeat with 0 1"); // it is not given up yet
    life.command(GroupCommand::Confirm(confirmation));
    let GroupEvent::Rebalancing(confirmation) = life.next() else { panic!() };
    life.command(GroupCommand::Confirm(confirmation));
    assert_eq!(life.next_assignment().0, "0 2");
    assert_eq!(life.sent().iter().filter(|sent| *sent == "join with 0").count(), 1);
}

#[test]
fn a_member_that_is_told_what_to_give_up_says_so_when_it_has() {
    let life = Running::start(false, vec![Ok(assignment(&[0, 1], true))]);
    assert_eq!(life.next_assignment().0, "0 1");
    life.heartbeat(Ok(Heartbeat::Assigned(assignment(&[1], true))));
    let (kept, RevocationMode::Cooperative(confirmation)) = life.next_assignment() else { panic!() };
    assert_eq!(kept, "1");
    life.wait_sent("heartbeat with 0 1");
    // A change that comes amid it waits.
    life.heartbeat(Ok(Heartbeat::Assigned(assignment(&[1, 5], true))));
    while !life.script.heartbeats.lock().unwrap().is_empty() {
        thread::yield_now();
    }
    life.command(GroupCommand::Confirm(confirmation));
    assert_eq!(life.next_assignment().0, "1 5");
    life.wait_sent("heartbeat with 1 5");
    assert!(life.sent().iter().all(|sent| sent != "reset"));
}

#[test]
fn who_is_no_member_any_more_has_lost_everything_and_joins_again() {
    for code in [ErrorCode::UNKNOWN_MEMBER_ID, ErrorCode::ILLEGAL_GENERATION, ErrorCode::FENCED_MEMBER_EPOCH] {
        for classic in [true, false] {
            let life = Running::start(classic, vec![Ok(assignment(&[0], true)), Ok(assignment(&[0, 3], true))]);
            assert_eq!(life.next_assignment().0, "0");
            life.heartbeat(Err(refusal(code)));
            let GroupEvent::Lost(confirmation) = life.next() else { panic!() };
            life.wait_sent("reset");
            life.command(GroupCommand::Confirm(confirmation - 1));
            life.command(GroupCommand::Confirm(confirmation));
            assert_eq!(life.next_assignment().0, "0 3");
            let sent = life.sent();
            let reset = sent.iter().position(|sent| sent == "reset").unwrap();
            assert_eq!(sent[reset + 1], "join with ", "{code}");
        }
    }
}

#[test]
fn it_is_lost_amid_a_question_too() {
    let life = Running::start(
        true,
        vec![Ok(assignment(&[0], true)), Ok(assignment(&[7], true)), Ok(assignment(&[7, 8], true))],
    );
    assert_eq!(life.next_assignment().0, "0");
    life.heartbeat(Ok(Heartbeat::Rebalance));
    let GroupEvent::Rebalancing(rebalancing) = life.next() else { panic!() };
    life.heartbeat(Err(refusal(ErrorCode::UNKNOWN_MEMBER_ID)));
    let GroupEvent::Lost(lost) = life.next() else { panic!() };
    life.command(GroupCommand::Confirm(rebalancing));
    life.wait_sent("reset");
    assert_eq!(life.joins_left(), 2, "who has not gone on from the loss is not joined again");
    life.command(GroupCommand::Confirm(lost));
    assert_eq!(life.next_assignment().0, "7");
    // The next division comes as any other.
    life.heartbeat(Ok(Heartbeat::Rebalance));
    let GroupEvent::Rebalancing(rebalancing) = life.next() else { panic!() };
    life.command(GroupCommand::Confirm(rebalancing));
    assert_eq!(life.next_assignment().0, "7 8");
}

#[test]
fn without_an_acknowledgement_within_the_rebalance_timeout_the_partitions_are_lost() {
    const TIMEOUT: Duration = Duration::from_millis(50);
    for is_revocation in [false, true] {
        let kept: &[i32] = if is_revocation { &[0] } else { &[0, 1] };
        let joins = vec![Ok(assignment(&[0, 1], true)), Ok(assignment(kept, true)), Ok(assignment(&[5], true))];
        let life = Running::start_within(TIMEOUT, true, joins);
        assert_eq!(life.next_assignment().0, "0 1");
        life.heartbeat(Ok(Heartbeat::Rebalance));
        let GroupEvent::Rebalancing(mut confirmation) = life.next() else { panic!() };
        if is_revocation {
            life.command(GroupCommand::Confirm(confirmation));
            let (_, RevocationMode::Cooperative(revocation)) = life.next_assignment() else { panic!() };
            confirmation = revocation;
        }
        let begun = Instant::now();
        let GroupEvent::Lost(lost) = life.next() else { panic!() };
        assert!(begun.elapsed() < TIMEOUT * 100);
        assert!(life.sent().contains(&"heartbeat with 0 1".to_owned()), "heartbeats go on until then");
        // An acknowledgement that comes late does not let it rejoin; a user that has polled does.
        let joined = life.joins_left();
        life.command(GroupCommand::Confirm(confirmation));
        life.wait_sent("reset");
        assert_eq!(life.joins_left(), joined);
        life.command(GroupCommand::Confirm(lost));
        while life.joins_left() == joined {
            thread::yield_now();
        }
        assert!(life.sent().contains(&"join with ".to_owned()), "it owns nothing");
    }
}

#[test]
fn failures_of_the_moment_are_told_and_ridden_out_and_others_end_it() {
    let life = Running::start(
        false,
        vec![
            Err(refusal(ErrorCode::NOT_COORDINATOR)),
            Err(refusal(ErrorCode::REBALANCE_IN_PROGRESS)),
            Ok(assignment(&[0], true)),
        ],
    );
    assert!(matches!(
        life.events.recv_timeout(Duration::from_mins(1)),
        Ok(GroupEvent::Waiting(Waiting { reason: WaitReason::Rebalance, .. }))
    ));
    let GroupEvent::Retrying(retrying) = life.events.recv_timeout(Duration::from_mins(1)).unwrap() else { panic!() };
    assert!(matches!(retrying.error, Error::Broker { code: ErrorCode::NOT_COORDINATOR, .. }));
    assert_eq!(life.next_assignment().0, "0");
    life.heartbeat(Err(refusal(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS)));
    life.heartbeat(Err(refusal(ErrorCode::FENCED_INSTANCE_ID)));
    assert!(matches!(life.next(), GroupEvent::Failed(Error::Broker { code: ErrorCode::FENCED_INSTANCE_ID, .. })));
    assert!(!life.sent().contains(&"leave".to_owned()), "another one is that member now");
}

#[test]
fn who_is_asked_to_verify_sends_a_heartbeat_at_once() {
    let life = Running::start(true, vec![Ok(assignment(&[0], true)), Ok(assignment(&[0], true))]);
    assert_eq!(life.next_assignment().0, "0");
    for number in [1, 2] {
        life.heartbeat(Err(refusal(ErrorCode::NOT_COORDINATOR)));
        life.command(GroupCommand::Verify(number));
        assert!(matches!(life.next(), GroupEvent::Verified(verified) if verified == number), "once it is accepted");
    }
    // A change that comes with it follows; so does a loss, which needs no word beside it.
    life.heartbeat(Ok(Heartbeat::Rebalance));
    life.command(GroupCommand::Verify(3));
    let first = life.next();
    let confirmation = match first {
        GroupEvent::Verified(3) => match life.next() {
            GroupEvent::Rebalancing(confirmation) => confirmation,
            other => panic!("{other:?}"),
        },
        GroupEvent::Rebalancing(confirmation) => confirmation, // An ordinary heartbeat came first.
        other => panic!("{other:?}"),
    };
    life.command(GroupCommand::Confirm(confirmation));
    while !matches!(life.next(), GroupEvent::Assigned(_)) {}
    life.heartbeat(Err(refusal(ErrorCode::UNKNOWN_MEMBER_ID)));
    life.command(GroupCommand::Verify(4));
    while !matches!(life.next(), GroupEvent::Lost(_)) {}
}

#[test]
fn a_full_group_is_joined_once_it_has_room_and_a_coordinator_that_moves_is_left_all_the_same() {
    let full = || Err(refusal(ErrorCode::GROUP_MAX_SIZE_REACHED));
    let life = Running::start(true, vec![full(), full(), Ok(assignment(&[0], true))]);
    assert_eq!(life.next_assignment().0, "0");
    life.script.leaves.lock().unwrap().extend([Err(refusal(ErrorCode::NOT_COORDINATOR)), Ok(())]);
    life.command(GroupCommand::Leave);
    assert!(matches!(life.next(), GroupEvent::Left));
    assert!(life.script.leaves.lock().unwrap().is_empty(), "it was tried again");
}

#[test]
fn who_has_no_partitions_says_so() {
    let life = Running::start(true, vec![Ok(assignment(&[], true))]);
    let mut reasons = Vec::new();
    while reasons.len() < 2 {
        if let GroupEvent::Waiting(waiting) = life.events.recv_timeout(Duration::from_mins(1)).unwrap() {
            reasons.push(waiting.reason);
        }
    }
    assert_eq!(reasons, [WaitReason::Rebalance, WaitReason::Standby]);
}

#[test]
fn it_leaves_in_the_middle_of_a_wait_and_not_when_it_is_dropped() {
    let mut life = Running::start(true, vec![]);
    life.wait_sent("join with ");
    life.command(GroupCommand::Leave);
    assert!(matches!(life.next(), GroupEvent::Left));
    assert_eq!(life.sent(), ["join with ", "leave"]);

    life = Running::start(true, vec![Ok(assignment(&[0], true))]);
    assert_eq!(life.next_assignment().0, "0");
    life.thread = None;
    assert!(life.events.recv_timeout(Duration::from_mins(1)).is_err(), "it has ended");
    assert!(!life.sent().contains(&"leave".to_owned()));
}
