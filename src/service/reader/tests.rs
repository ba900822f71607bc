//! The core, against a consumer with a script.

use std::collections::VecDeque;
use std::sync::mpsc::channel;
use std::time::Duration;

use kafka::{
    Acknowledgement, Activity, Error, Event, OffsetPosition, PartitionRecords, Result, Revocation, Stage, StartToken,
    TopicPartition,
};

use super::consumer::PollConsumer;
use super::core::ReaderCore;
use super::message::{Command, Message};
use crate::entity::Decoder;

/// Gives its events one after the other, then [`Event::Idle`], and notes the calls.
#[derive(Default)]
struct Scripted {
    events: VecDeque<Result<Event>>,
    polls: usize,
    /// The reader's stage.
    stage: Stage,
    calls: Vec<&'static str>,
    is_settled: bool,
}

impl PollConsumer for Scripted {
    fn poll(&mut self, _: Duration, records_max: usize) -> Result<Event> {
        assert_eq!(records_max, 7);
        assert!(matches!(self.stage.activity(), Activity::Waiting { .. }), "a broker that is away makes nobody late");
        self.polls += 1;
        self.events.pop_front().unwrap_or(Ok(Event::Idle))
    }

    fn start(&mut self, positions: Vec<OffsetPosition>, metadata: &str) {
        assert_eq!((positions.len(), metadata), (1, "m"));
        self.calls.push("start");
    }

    fn commit(&mut self, positions: Vec<OffsetPosition>, metadata: &str) {
        assert_eq!((positions.len(), metadata), (1, "m"));
        self.calls.push("commit");
    }

    fn acknowledge(&mut self, acknowledgement: Acknowledgement) {
        assert_eq!(acknowledgement, Acknowledgement::new(5));
        self.calls.push("acknowledge");
    }

    fn flush(&mut self, timeout: Duration) -> Result<bool> {
        assert_eq!(timeout, Duration::from_secs(3));
        self.calls.push("flush");
        Ok(true)
    }

    fn leave(&mut self, timeout: Duration) -> Result<bool> {
        assert_eq!(timeout, Duration::from_secs(4));
        self.calls.push("leave");
        Ok(false)
    }

    fn is_settled(&self) -> bool {
        self.is_settled
    }
}

fn core(events: impl IntoIterator<Item = Event>) -> ReaderCore<Scripted> {
    let stage = Stage::default();
    let consumer =
        Scripted { events: events.into_iter().map(Ok).collect(), stage: stage.clone(), ..Scripted::default() };
    ReaderCore::new(consumer, 7, Decoder::default(), stage)
}

fn partition() -> TopicPartition {
    TopicPartition::new("t", 0)
}

fn records(from: i64) -> Event {
    Event::Records(vec![PartitionRecords::detached(partition(), None, from..from + 1, 100, Vec::new())])
}

fn started() -> Event {
    Event::Started(vec![partition()])
}

fn positions() -> Vec<OffsetPosition> {
    vec![OffsetPosition { partition: partition(), token: StartToken::new(1), offset: 1, leader_epoch: None }]
}

/// The next message, in a word.
fn poll(core: &mut ReaderCore<Scripted>) -> String {
    match core.step(None) {
        Some(Message::Event { event: Ok(Event::Records(batches)), .. }) => {
            format!("records {}", batches[0].records().from_offset)
        }
        Some(Message::Event { event: Ok(event), is_settled }) => {
            let name = match event {
                Event::Started(_) => "started",
                Event::Rebalancing(_) => "rebalancing",
                Event::Revoked(_) => "revoked",
                Event::Lost(_) => "lost",
                Event::Idle => "idle",
                _ => "other",
            };
            format!("{name}{}", if is_settled { ", settled" } else { "" })
        }
        Some(Message::Event { event: Err(error), .. }) => error.to_string(),
        Some(Message::Wake) => panic!("only the loop's wakers send it"),
        None => "nothing".to_owned(),
    }
}

#[test]
fn events_come_in_the_order_of_the_consumer() {
    let acknowledgement = || Acknowledgement::new(5);
    let revoked = Revocation { partitions: vec![partition()], acknowledgement: acknowledgement() };
    let mut core = core([
        started(),
        records(3),
        Event::Rebalancing(acknowledgement()),
        records(4),
        Event::Revoked(revoked),
        Event::Lost(vec![partition()]),
    ]);
    let events: Vec<String> = (0..4).map(|_| poll(&mut core)).collect();
    assert_eq!(events, ["started", "records 3", "rebalancing", "records 4"]);
    core.step(Some(Command::RecordsStored));
    assert_eq!([poll(&mut core), poll(&mut core)], ["revoked", "lost"]);
}

#[test]
fn two_polls_of_records_are_in_memory_at_most() {
    let mut core = core((0..5).map(records));
    assert_eq!([poll(&mut core), poll(&mut core), poll(&mut core)], ["records 0", "records 1", "nothing"]);
    assert!(!core.may_poll());
    assert_eq!(core.consumer.polls, 2, "records that nothing can hold are not asked for");
    core.step(Some(Command::EventReceived));
    assert!(!core.may_poll(), "other events make no room");
    core.step(Some(Command::RecordsStored));
    assert_eq!([poll(&mut core), poll(&mut core)], ["records 2", "nothing"]);
}

#[test]
fn other_events_are_read_ahead_up_to_a_bound() {
    let mut core = core((0..100).map(|_| started()));
    let read = (0..100).take_while(|_| poll(&mut core) == "started").count();
    assert_eq!(read, 16);
    core.step(Some(Command::RecordsStored));
    assert!(!core.may_poll());
    core.step(Some(Command::EventReceived));
    assert_eq!([poll(&mut core), poll(&mut core)], ["started", "nothing"]);
}

#[test]
fn commands_are_executed_while_the_loop_has_all_that_it_may_have() {
    let mut core = core((0..3).map(records));
    assert_eq!([poll(&mut core), poll(&mut core)], ["records 0", "records 1"]);
    assert!(!core.may_poll());
    let (reply, result) = channel();
    for command in [
        Command::Start { positions: positions(), metadata: "m".to_owned() },
        Command::Commit { positions: positions(), metadata: "m".to_owned() },
        Command::Flush { timeout: Duration::from_secs(3), reply },
        Command::Acknowledge(Acknowledgement::new(5)),
    ] {
        assert!(core.step(Some(command)).is_none());
    }
    assert_eq!(core.consumer.calls, ["start", "commit", "flush", "acknowledge"]);
    assert!(result.try_recv().unwrap().unwrap());
    assert_eq!(core.consumer.polls, 2);
}

#[test]
fn an_error_is_the_last_event_and_commands_are_executed_after_it() {
    let mut core = core([started()]);
    core.consumer.events.extend([Err(Error::Config("no".to_owned())), Ok(started())]);
    assert_eq!(poll(&mut core), "started");
    assert!(poll(&mut core).contains("no"));
    core.step(Some(Command::EventReceived));
    core.step(Some(Command::EventReceived));
    assert!(!core.may_poll());
    assert_eq!((poll(&mut core), core.consumer.polls), ("nothing".to_owned(), 2));
    core.step(Some(Command::Commit { positions: positions(), metadata: "m".to_owned() }));
    assert_eq!(core.consumer.calls, ["commit"]);
}

#[test]
fn nothing_is_polled_after_leaving() {
    let mut core = core([records(0), records(1)]);
    assert_eq!(poll(&mut core), "records 0");
    let (reply, result) = channel();
    core.step(Some(Command::Leave { timeout: Duration::from_secs(4), reply }));
    assert!(!result.try_recv().unwrap().unwrap(), "what the consumer says");
    core.step(Some(Command::RecordsStored));
    assert_eq!((poll(&mut core), core.consumer.polls), ("nothing".to_owned(), 1));
}

#[test]
fn the_consumer_is_not_polled_after_a_loss_before_the_loop_has_received_it() {
    let lost = Event::Lost(vec![partition()]);
    let mut core = core([started(), lost, started()]);
    assert_eq!([poll(&mut core), poll(&mut core), poll(&mut core)], ["started", "lost", "nothing"]);
    core.step(Some(Command::EventReceived));
    assert!(!core.may_poll(), "only the event before it was received");
    core.step(Some(Command::EventReceived));
    assert_eq!(poll(&mut core), "started");
}

#[test]
fn a_settled_consumer_is_reported_once_without_an_event() {
    let mut core = core([]);
    assert_eq!(poll(&mut core), "nothing");
    core.consumer.is_settled = true;
    assert_eq!([poll(&mut core), poll(&mut core)], ["idle, settled", "nothing"]);
    core.consumer.is_settled = false;
    assert_eq!([poll(&mut core), poll(&mut core)], ["idle", "nothing"]);
    core.consumer.is_settled = true;
    core.consumer.events.push_back(Ok(started()));
    assert_eq!([poll(&mut core), poll(&mut core)], ["started, settled", "nothing"]);
}

#[test]
fn only_the_reader_s_own_work_has_a_deadline() {
    let mut core = core([records(0)]);
    let stage = core.consumer.stage.clone();
    assert_eq!(poll(&mut core), "records 0");
    assert!(matches!(stage.activity(), Activity::Working { .. }), "it decodes");
    assert_eq!(core.rest_for(|| stage.activity()), Activity::Resting, "it waits for the loop");
    assert!(matches!(stage.activity(), Activity::Working { .. }));
}
