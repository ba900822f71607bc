//! Late calls of the user: a start position, a commit or an acknowledgement with a token that is no longer current.

use std::collections::BTreeSet;

use super::super::group::{GroupAssignment, GroupCommand, GroupEvent, GroupThread, RevocationMode};
use super::*;
use crate::types::Member;

fn position(token: StartToken, offset: i64) -> Vec<OffsetPosition> {
    vec![OffsetPosition { partition: at(0), token, offset, leader_epoch: None }]
}

impl Consumer {
    /// The next event, which assigns one partition.
    fn next_token(&mut self) -> StartToken {
        match self.events.pop() {
            Some(Ok(Event::Assigned(assignments))) => assignments[0].token,
            Some(Ok(Event::OutOfRange(range))) => range.token,
            other => panic!("{other:?}"),
        }
    }

    /// The leader refuses the position, and confirms that.
    fn out_of_range(&mut self) -> StartToken {
        self.fetched(LEADER, 0, |fetched| fetched.error = Some(ErrorCode::OFFSET_OUT_OF_RANGE)).unwrap();
        let log = PartitionOffsets { partition: at(0), committed: None, log: Ok((50, 60)) };
        self.handle(Message::LogOffsets(Ok(vec![log]))).unwrap();
        self.next_token()
    }

    fn accept_commits(&mut self) -> i64 {
        let commits = self.take_pending();
        let offset = commits[&at(0)].offset.offset;
        self.handle(committed(commits)).unwrap();
        self.events.clear();
        offset
    }
}

/// One partition that has been assigned, and the token of that.
fn assigned() -> (Consumer, StartToken) {
    let mut consumer = consumer();
    consumer.handle(Message::Metadata(Ok(metadata(&nowhere(), 1, &[Some(LEADER)])))).unwrap();
    consumer.handle(offsets_known(0)).unwrap();
    let token = consumer.next_token();
    (consumer, token)
}

#[test]
fn a_start_or_commit_of_an_earlier_assignment_has_no_effect() {
    let (mut consumer, first) = assigned();
    // The topic is recreated: the partition is lost and assigned again before the user starts it.
    consumer.handle(Message::Metadata(Ok(metadata(&nowhere(), 2, &[Some(LEADER)])))).unwrap();
    assert!(matches!(consumer.events.pop(), Some(Ok(Event::Lost(_)))));
    consumer.start(position(first, 5), "ours");
    consumer.handle(offsets_known(0)).unwrap();
    let second = consumer.next_token();
    assert!(second > first);
    consumer.start(position(first, 5), "ours");
    assert!(consumer.take_pending().is_empty() && consumer.phase(0) == PhaseName::AwaitingStart);
    consumer.start(position(second, 0), "ours");
    consumer.start(position(second, 3), "ours");
    assert_eq!(consumer.accept_commits(), 0, "the second start has no effect");
    consumer.commit(position(first, 5), "ours");
    assert!(consumer.take_pending().is_empty());
    consumer.commit(position(second, 1), "ours");
    assert_eq!(consumer.accept_commits(), 1);
}

#[test]
fn a_start_with_the_token_of_an_earlier_refused_position_has_no_effect() {
    let (mut consumer, first) = assigned();
    consumer.start(position(first, 0), "ours");
    consumer.accept_commits();
    let second = consumer.out_of_range();
    consumer.commit(position(first, 0), "ours");
    assert_eq!(consumer.accept_commits(), 0, "it is read under the first token until it is started with the second");
    consumer.start(position(second, 70), "ours");
    consumer.commit(position(first, 0), "ours");
    assert_eq!(consumer.accept_commits(), 70);
    let third = consumer.out_of_range();
    assert!(third > second);
    consumer.start(position(second, 70), "ours");
    assert_eq!(consumer.phase(0), PhaseName::AwaitingStart);
    consumer.start(position(third, 60), "ours");
    assert_eq!((consumer.accept_commits(), consumer.phase(0)), (60, PhaseName::Reading));
}

#[test]
fn a_poll_is_no_acknowledgement_of_a_revocation() {
    let mut consumer = consumer();
    let (thread, commands) = GroupThread::watched();
    consumer.membership.started(thread);
    let assigned = |epoch, numbers: &[i32], confirmation| {
        let partitions: BTreeSet<_> = numbers.iter().map(|number| at(*number)).collect();
        let member = Member { id: "m".to_owned(), instance_id: None, epoch };
        Message::Group(GroupEvent::Assigned(GroupAssignment {
            member,
            partitions,
            revocation: RevocationMode::Cooperative(confirmation),
        }))
    };
    consumer.handle(assigned(1, &[0], 1)).unwrap();
    consumer.read_all_from(&nowhere(), 1);
    consumer.fetched(LEADER, 0, |fetched| fetched.records = BATCH.into()).unwrap();
    consumer.topology.set_times(Instant::now(), after(Instant::now(), Duration::MAX));
    while commands.try_recv().is_ok() {}
    consumer.handle(assigned(2, &[], 2)).unwrap();
    let Ok(Event::Revoked(revocation)) = consumer.poll(Duration::ZERO, 10) else { panic!() };
    for _ in 0..3 {
        assert!(matches!(consumer.poll(Duration::ZERO, 10), Ok(Event::Idle)));
    }
    assert!(commands.try_recv().is_err(), "a poll is no acknowledgement");
    consumer.acknowledge(revocation.acknowledgement);
    assert_eq!(commands.try_recv(), Ok(GroupCommand::Confirm(2)));
    assert!(consumer.partitions.values().next().is_none());
}

#[test]
fn an_acknowledgement_of_a_lost_membership_has_no_effect() {
    let mut consumer = consumer();
    let (thread, commands) = GroupThread::watched();
    consumer.membership.started(thread);
    consumer.topology.set_times(Instant::now(), after(Instant::now(), Duration::MAX));
    consumer.handle(Message::Group(GroupEvent::Rebalancing(3))).unwrap();
    let Ok(Event::Rebalancing(acknowledgement)) = consumer.poll(Duration::ZERO, 10) else { panic!() };
    consumer.handle(Message::Group(GroupEvent::Lost(4))).unwrap();
    consumer.acknowledge(acknowledgement);
    assert!(commands.try_recv().is_err());
    assert!(matches!(consumer.poll(Duration::ZERO, 10), Ok(Event::Idle)));
    assert_eq!(commands.try_recv(), Ok(GroupCommand::Confirm(4)), "a user that polls rejoins");
}
