//! The life of a member, with a protocol whose answers are made up: what is told, what is asked, what is waited for.

mod holds;

use std::collections::VecDeque;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::*;
use crate::consumer::event::WaitReason;
use crate::error::ErrorCode;

/// What the protocol says next, and what it has been asked so far.
#[derive(Clone, Default)]
struct Script {
    joins: Arc<Mutex<VecDeque<Result<Divided>>>>,
    beats: Arc<Mutex<VecDeque<Result<Beat>>>>,
    asked: Arc<Mutex<Vec<String>>>,
    /// What comes of leaving; nothing goes wrong otherwise.
    leaves: Arc<Mutex<VecDeque<Result<()>>>>,
    /// Joins without an end, in place of a refusal.
    joins_ever: Option<&'static [i32]>,
}

impl Script {
    fn note(&self, what: String) {
        let mut asked = self.asked.lock().unwrap();
        if asked.last() != Some(&what) {
            asked.push(what);
        }
    }
}

struct Made {
    script: Script,
    classic: bool,
}

impl Protocol for Made {
    fn divides_by_joining(&self) -> bool {
        self.classic
    }

    fn join(&mut self, _: &mut Client, owned: &BTreeSet<TopicPartition>) -> Result<Divided> {
        self.script.note(format!("join with {}", numbers(owned)));
        let next = self.script.joins.lock().unwrap().pop_front();
        next.unwrap_or_else(|| match self.script.joins_ever {
            Some(numbers) => Ok(divided(numbers, true)),
            None => Err(refusal(ErrorCode::NOT_COORDINATOR)),
        })
    }

    fn beat(&mut self, _: &mut Client, owned: &BTreeSet<TopicPartition>) -> Result<Beat> {
        self.script.note(format!("beat with {}", numbers(owned)));
        self.script.beats.lock().unwrap().pop_front().unwrap_or(Ok(Beat::Steady))
    }

    fn interval(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn member(&self) -> Member {
        Member { id: "m".to_owned(), instance_id: None, epoch: 1 }
    }

    fn forget(&mut self) {
        self.script.note("forget".to_owned());
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

fn divided(numbers: &[i32], in_turn: bool) -> Divided {
    Divided { partitions: partitions(numbers), in_turn }
}

fn refusal(code: ErrorCode) -> Error {
    let address = crate::types::Address { host: "broker".to_owned(), port: 1 };
    Error::Broker { address, request: "Heartbeat", code, subject: String::new() }
}

/// A member at work.
struct Life {
    script: Script,
    orders: Option<Sender<Order>>,
    news: Receiver<Answer>,
}

impl Life {
    fn start(classic: bool, joins: Vec<Result<Divided>>) -> Self {
        Self::start_within(REBALANCE_TIMEOUT, classic, joins)
    }

    fn start_within(rebalance_timeout: Duration, classic: bool, joins: Vec<Result<Divided>>) -> Self {
        let script = Script::default();
        script.joins.lock().unwrap().extend(joins);
        let (orders, ordered) = channel();
        let (answers, news) = channel();
        let protocol = Box::new(Made { script: script.clone(), classic });
        let client = Client::new(Vec::new(), ConnectionSettings::default());
        let retry =
            RetryPolicy { initial: Duration::from_millis(1), max: Duration::from_millis(1), attempts_max: None };
        let task = Task::new(client, protocol, (retry, rebalance_timeout), ordered, answers);
        thread::spawn(move || task.run());
        Self { script, orders: Some(orders), news }
    }

    fn beat(&self, beat: Result<Beat>) {
        self.script.beats.lock().unwrap().push_back(beat);
    }

    /// The next thing that it tells, failures left out.
    fn next(&self) -> News {
        loop {
            match self.news.recv_timeout(Duration::from_mins(1)).unwrap() {
                Answer::Group(News::Retrying(_) | News::Waiting(_)) => {}
                Answer::Group(news) => return news,
                _ => panic!(),
            }
        }
    }

    fn next_division(&self) -> (String, Handover) {
        match self.next() {
            News::Divided(division) => (numbers(&division.partitions), division.handover),
            other => panic!("{other:?}"),
        }
    }

    fn order(&self, order: Order) {
        self.orders.as_ref().unwrap().send(order).unwrap();
    }

    /// Whether, and after what, it has been asked that.
    fn wait_asked(&self, what: &str) {
        let deadline = Instant::now() + Duration::from_mins(1);
        while self.script.asked.lock().unwrap().last().is_none_or(|last| last != what) {
            assert!(Instant::now() < deadline, "'{what}' was not asked: {:?}", self.script.asked.lock().unwrap());
            thread::yield_now();
        }
    }

    fn joins_left(&self) -> usize {
        self.script.joins.lock().unwrap().len()
    }

    fn asked(&self) -> Vec<String> {
        self.script.asked.lock().unwrap().clone()
    }
}

#[test]
fn a_classic_member_joins_again_once_the_user_is_done() {
    let life = Life::start(true, vec![Ok(divided(&[0, 1], false)), Ok(divided(&[1, 2], false))]);
    assert_eq!(life.next_division(), ("0 1".to_owned(), Handover::Gone));
    life.beat(Ok(Beat::Rebalance));
    let News::Rebalancing(question) = life.next() else { panic!() };
    // An answer to an earlier question is none, and it lives on meanwhile.
    life.order(Order::Done(question - 1));
    life.beat(Ok(Beat::Rebalance));
    life.wait_asked("beat with 0 1");
    assert!(life.asked().iter().filter(|asked| asked.starts_with("join")).count() == 1);
    life.order(Order::Done(question));
    assert_eq!(life.next_division(), ("1 2".to_owned(), Handover::Gone));
    assert!(life.asked().contains(&"join with 0 1".to_owned()));
    life.order(Order::Leave);
    assert!(matches!(life.next(), News::Left));
    assert_eq!(life.asked().last().unwrap(), "leave");
}

#[test]
fn what_a_cooperative_member_gives_up_is_divided_by_joining_again() {
    let life = Life::start(true, vec![Ok(divided(&[0, 1], true)), Ok(divided(&[0], true)), Ok(divided(&[0, 2], true))]);
    assert!(matches!(life.next_division(), (first, Handover::InTurn(_)) if first == "0 1"));
    life.beat(Ok(Beat::Rebalance));
    let News::Rebalancing(question) = life.next() else { panic!() };
    life.order(Order::Done(question));
    let (kept, Handover::InTurn(question)) = life.next_division() else { panic!() };
    assert_eq!(kept, "0");
    life.wait_asked("beat with 0 1"); // it is not given up yet
    life.order(Order::Done(question));
    let News::Rebalancing(question) = life.next() else { panic!() };
    life.order(Order::Done(question));
    assert_eq!(life.next_division().0, "0 2");
    assert_eq!(life.asked().iter().filter(|asked| *asked == "join with 0").count(), 1);
}

#[test]
fn a_member_that_is_told_what_to_give_up_says_so_when_it_has() {
    let life = Life::start(false, vec![Ok(divided(&[0, 1], true))]);
    assert_eq!(life.next_division().0, "0 1");
    life.beat(Ok(Beat::Divided(divided(&[1], true))));
    let (kept, Handover::InTurn(question)) = life.next_division() else { panic!() };
    assert_eq!(kept, "1");
    life.wait_asked("beat with 0 1");
    // A change that comes amid it waits.
    life.beat(Ok(Beat::Divided(divided(&[1, 5], true))));
    while !life.script.beats.lock().unwrap().is_empty() {
        thread::yield_now();
    }
    life.order(Order::Done(question));
    assert_eq!(life.next_division().0, "1 5");
    life.wait_asked("beat with 1 5");
    assert!(life.asked().iter().all(|asked| asked != "forget"));
}

#[test]
fn who_is_no_member_any_more_has_lost_everything_and_joins_again() {
    for code in [ErrorCode::UNKNOWN_MEMBER_ID, ErrorCode::ILLEGAL_GENERATION, ErrorCode::FENCED_MEMBER_EPOCH] {
        for classic in [true, false] {
            let life = Life::start(classic, vec![Ok(divided(&[0], true)), Ok(divided(&[0, 3], true))]);
            assert_eq!(life.next_division().0, "0");
            life.beat(Err(refusal(code)));
            let News::Lost(question) = life.next() else { panic!() };
            life.wait_asked("forget");
            life.order(Order::Done(question - 1));
            life.order(Order::Done(question));
            assert_eq!(life.next_division().0, "0 3");
            let asked = life.asked();
            let forgotten = asked.iter().position(|asked| asked == "forget").unwrap();
            assert_eq!(asked[forgotten + 1], "join with ", "{code}");
        }
    }
}

#[test]
fn it_is_lost_amid_a_question_too() {
    let life = Life::start(true, vec![Ok(divided(&[0], true)), Ok(divided(&[7], true)), Ok(divided(&[7, 8], true))]);
    assert_eq!(life.next_division().0, "0");
    life.beat(Ok(Beat::Rebalance));
    let News::Rebalancing(rebalancing) = life.next() else { panic!() };
    life.beat(Err(refusal(ErrorCode::UNKNOWN_MEMBER_ID)));
    let News::Lost(lost) = life.next() else { panic!() };
    life.order(Order::Done(rebalancing));
    life.wait_asked("forget");
    assert_eq!(life.joins_left(), 2, "who has not gone on from the loss is not joined again");
    life.order(Order::Done(lost));
    assert_eq!(life.next_division().0, "7");
    // The next division comes as any other.
    life.beat(Ok(Beat::Rebalance));
    let News::Rebalancing(rebalancing) = life.next() else { panic!() };
    life.order(Order::Done(rebalancing));
    assert_eq!(life.next_division().0, "7 8");
}

#[test]
fn without_an_acknowledgement_within_the_rebalance_timeout_the_partitions_are_lost() {
    const TIMEOUT: Duration = Duration::from_millis(50);
    for is_revocation in [false, true] {
        let kept: &[i32] = if is_revocation { &[0] } else { &[0, 1] };
        let joins = vec![Ok(divided(&[0, 1], true)), Ok(divided(kept, true)), Ok(divided(&[5], true))];
        let life = Life::start_within(TIMEOUT, true, joins);
        assert_eq!(life.next_division().0, "0 1");
        life.beat(Ok(Beat::Rebalance));
        let News::Rebalancing(mut question) = life.next() else { panic!() };
        if is_revocation {
            life.order(Order::Done(question));
            let (_, Handover::InTurn(revocation)) = life.next_division() else { panic!() };
            question = revocation;
        }
        let begun = Instant::now();
        let News::Lost(lost) = life.next() else { panic!() };
        assert!(begun.elapsed() < TIMEOUT * 100);
        assert!(life.asked().contains(&"beat with 0 1".to_owned()), "heartbeats go on until then");
        // An acknowledgement that comes late does not let it rejoin; a user that has polled does.
        let joined = life.joins_left();
        life.order(Order::Done(question));
        life.wait_asked("forget");
        assert_eq!(life.joins_left(), joined);
        life.order(Order::Done(lost));
        while life.joins_left() == joined {
            thread::yield_now();
        }
        assert!(life.asked().contains(&"join with ".to_owned()), "it owns nothing");
    }
}

#[test]
fn failures_of_the_moment_are_told_and_ridden_out_and_others_end_it() {
    let life = Life::start(
        false,
        vec![
            Err(refusal(ErrorCode::NOT_COORDINATOR)),
            Err(refusal(ErrorCode::REBALANCE_IN_PROGRESS)),
            Ok(divided(&[0], true)),
        ],
    );
    assert!(matches!(
        life.news.recv_timeout(Duration::from_mins(1)),
        Ok(Answer::Group(News::Waiting(Waiting { reason: WaitReason::Rebalance, .. })))
    ));
    let Answer::Group(News::Retrying(retrying)) = life.news.recv_timeout(Duration::from_mins(1)).unwrap() else {
        panic!()
    };
    assert!(matches!(retrying.error, Error::Broker { code: ErrorCode::NOT_COORDINATOR, .. }));
    assert_eq!(life.next_division().0, "0");
    life.beat(Err(refusal(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS)));
    life.beat(Err(refusal(ErrorCode::FENCED_INSTANCE_ID)));
    assert!(matches!(life.next(), News::Failed(Error::Broker { code: ErrorCode::FENCED_INSTANCE_ID, .. })));
    assert!(!life.asked().contains(&"leave".to_owned()), "another one is that member now");
}

#[test]
fn who_is_asked_to_verify_sends_a_heartbeat_at_once() {
    let life = Life::start(true, vec![Ok(divided(&[0], true)), Ok(divided(&[0], true))]);
    assert_eq!(life.next_division().0, "0");
    for number in [1, 2] {
        life.beat(Err(refusal(ErrorCode::NOT_COORDINATOR)));
        life.order(Order::Verify(number));
        assert!(matches!(life.next(), News::Verified(verified) if verified == number), "once it is accepted");
    }
    // A change that comes with it follows; so does a loss, which needs no word beside it.
    life.beat(Ok(Beat::Rebalance));
    life.order(Order::Verify(3));
    let first = life.next();
    let question = match first {
        News::Verified(3) => match life.next() {
            News::Rebalancing(question) => question,
            other => panic!("{other:?}"),
        },
        News::Rebalancing(question) => question, // An ordinary heartbeat came first.
        other => panic!("{other:?}"),
    };
    life.order(Order::Done(question));
    while !matches!(life.next(), News::Divided(_)) {}
    life.beat(Err(refusal(ErrorCode::UNKNOWN_MEMBER_ID)));
    life.order(Order::Verify(4));
    while !matches!(life.next(), News::Lost(_)) {}
}

#[test]
fn a_full_group_is_joined_once_it_has_room_and_a_coordinator_that_moves_is_left_all_the_same() {
    let full = || Err(refusal(ErrorCode::GROUP_MAX_SIZE_REACHED));
    let life = Life::start(true, vec![full(), full(), Ok(divided(&[0], true))]);
    assert_eq!(life.next_division().0, "0");
    life.script.leaves.lock().unwrap().extend([Err(refusal(ErrorCode::NOT_COORDINATOR)), Ok(())]);
    life.order(Order::Leave);
    assert!(matches!(life.next(), News::Left));
    assert!(life.script.leaves.lock().unwrap().is_empty(), "it was tried again");
}

#[test]
fn who_has_no_partitions_says_so() {
    let life = Life::start(true, vec![Ok(divided(&[], true))]);
    let mut reasons = Vec::new();
    while reasons.len() < 2 {
        if let Answer::Group(News::Waiting(waiting)) = life.news.recv_timeout(Duration::from_mins(1)).unwrap() {
            reasons.push(waiting.reason);
        }
    }
    assert_eq!(reasons, [WaitReason::Rebalance, WaitReason::Standby]);
}

#[test]
fn it_leaves_in_the_middle_of_a_wait_and_not_when_it_is_dropped() {
    let mut life = Life::start(true, vec![]);
    life.wait_asked("join with ");
    life.order(Order::Leave);
    assert!(matches!(life.next(), News::Left));
    assert_eq!(life.asked(), ["join with ", "leave"]);

    life = Life::start(true, vec![Ok(divided(&[0], true))]);
    assert_eq!(life.next_division().0, "0");
    life.orders = None;
    assert!(life.news.recv_timeout(Duration::from_mins(1)).is_err(), "it has ended");
    assert!(!life.asked().contains(&"leave".to_owned()));
}
