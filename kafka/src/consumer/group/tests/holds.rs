//! Records are held back only as long as a thread works on ending it: whatever happens to a member, and whatever its commits are
//! refused for, it reads again once requests succeed.

use testkit::Random;

use super::*;
use crate::consumer::Consumer;
use crate::consumer::event::Event;
use crate::consumer::message::Message;

const SEEDS: u64 = 60;
const STEPS: u64 = 30;

const REFUSALS: [ErrorCode; 7] = [
    ErrorCode::UNKNOWN_MEMBER_ID,
    ErrorCode::ILLEGAL_GENERATION,
    ErrorCode::FENCED_MEMBER_EPOCH,
    ErrorCode::FENCED_INSTANCE_ID,
    ErrorCode::GROUP_ID_NOT_FOUND,
    ErrorCode::STALE_MEMBER_EPOCH,
    ErrorCode::REBALANCE_IN_PROGRESS,
];

/// A consumer whose group thread has a scripted protocol, and which connects to no broker.
fn member(classic: bool) -> (Consumer, Script) {
    let mut consumer = Consumer::from_hosts(vec![crate::types::Address { host: "127.0.0.1".to_owned(), port: 1 }])
        .with_topic("t")
        .with_group("g")
        .create()
        .unwrap();
    consumer.topology.set_times(Instant::now(), Instant::now() + Duration::from_hours(1));
    let script = Script { further_joins: Some(&[0, 1]), ..Script::default() };
    let protocol = Box::new(ScriptedProtocol { script: script.clone(), classic });
    let client = Client::new(Vec::new(), ConnectionSettings::default());
    let timing = Timing { retry: RETRY, rebalance_timeout: REBALANCE_TIMEOUT };
    let messages = consumer.messages.clone();
    let emit = move |event| drop(messages.send(Message::Group(event)));
    consumer.membership.started(GroupThread::spawn(client, protocol, (timing, Stage::default()), emit).unwrap());
    (consumer, script)
}

/// The user handles each event; no metadata is requested.
fn poll(consumer: &mut Consumer) {
    let event = consumer.poll(Duration::from_millis(1), 1).unwrap();
    consumer.topology.set_times(Instant::now(), Instant::now() + Duration::from_hours(1));
    match event {
        Event::Rebalancing(acknowledgement) => consumer.acknowledge(acknowledgement),
        Event::Revoked(revocation) => consumer.acknowledge(revocation.acknowledgement),
        _ => {}
    }
}

fn step(consumer: &mut Consumer, script: &Script, random: &mut Random) {
    let respond = |heartbeat| script.heartbeats.lock().unwrap().push_back(heartbeat);
    match random.below(6_usize) {
        0 => respond(Ok(Heartbeat::Rebalance)),
        1 => respond(Ok(Heartbeat::Assigned(assignment(&[0], true)))),
        2 => respond(Err(refusal(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS))),
        3 => respond(Err(refusal(ErrorCode::UNKNOWN_MEMBER_ID))),
        4 => {
            let code = *random.pick(&REFUSALS).unwrap();
            let made_by = consumer.membership.member();
            consumer.take_refused_commit(refusal(code), made_by.as_ref(), Instant::now()).unwrap();
        }
        _ => poll(consumer),
    }
}

#[test]
fn no_hold_outlives_its_cause() {
    let mut held = 0;
    for seed in 0..SEEDS {
        let (mut consumer, script) = member(seed % 2 == 0);
        let mut random = Random::from_seed(seed);
        for _ in 0..STEPS {
            step(&mut consumer, &script, &mut random);
            held += usize::from(consumer.membership.held_by(Instant::now()).is_some());
        }
        script.heartbeats.lock().unwrap().clear();
        let deadline = Instant::now() + Duration::from_mins(1);
        while consumer.membership.member().is_none() || consumer.membership.held_by(Instant::now()).is_some() {
            assert!(
                Instant::now() < deadline,
                "seed {seed}: held by {:?}",
                consumer.membership.held_by(Instant::now())
            );
            poll(&mut consumer);
        }
    }
    assert!(held > 0, "nothing was ever held back");
}
