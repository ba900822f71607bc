//! What the events of the group mean for the consumer.

use std::collections::BTreeSet;
use std::sync::mpsc::Receiver;

use super::super::group::{GroupAssignment, GroupCommand, GroupEvent, GroupThread, RevocationMode};
use super::super::holds::HeldBy;
use super::*;
use crate::consumer::membership::EMPTY_ASSIGNMENT_SETTLED;
use crate::types::Member;

/// A member without an assignment, and the commands to its group's thread.
fn member() -> (Consumer, Receiver<GroupCommand>) {
    let mut consumer = consumer();
    let (thread, commands) = GroupThread::watched();
    consumer.membership.started(thread);
    (consumer, commands)
}

fn refused(code: ErrorCode) -> CommitOutcome {
    let subject = at(0).to_string();
    CommitOutcome::Refused(Error::Broker { address: nowhere(), request: "OffsetCommit", code, subject })
}

impl Consumer {
    fn group_event(&mut self, group_event: GroupEvent) {
        self.handle(Message::Group(group_event)).unwrap();
    }

    fn assigned(&mut self, epoch: i32, numbers: &[i32], revocation: RevocationMode) {
        let partitions: BTreeSet<_> = numbers.iter().map(|number| at(*number)).collect();
        let member = Member { id: "m".to_owned(), instance_id: None, epoch };
        self.group_event(GroupEvent::Assigned(GroupAssignment { member, partitions, revocation }));
    }

    /// Brings assigned partitions to being read.
    fn read_assigned(&mut self, numbers: &[i32]) {
        self.handle(Message::Metadata(Ok(metadata(&nowhere(), 1, &[Some(LEADER); 4])))).unwrap();
        for &partition in numbers {
            self.handle(offsets_known(partition)).unwrap();
            self.claim(partition, 0);
        }
        let commits = self.take_pending();
        self.handle(committed(commits)).unwrap();
        self.events.clear();
    }

    /// So that a poll returns only the events that are made up here.
    fn sends_nothing(&mut self) {
        self.topology.set_times(Instant::now(), after(Instant::now(), Duration::MAX));
        for broker in self.fetcher.brokers().values_mut() {
            broker.pause.hold(after(Instant::now(), Duration::MAX));
        }
    }

    fn known(&self) -> Vec<i32> {
        self.partitions.iter().map(|(at, _)| at.partition).collect()
    }

    fn next_event(&mut self) -> Event {
        self.events.pop().unwrap().unwrap()
    }
}

#[test]
fn only_assigned_partitions_are_read() {
    let (mut consumer, _commands) = member();
    consumer.handle(Message::Metadata(Ok(metadata(&nowhere(), 1, &[Some(LEADER); 4])))).unwrap();
    assert!(consumer.known().is_empty() && !consumer.is_settled());
    consumer.topology.set_times(Instant::now(), after(Instant::now(), Duration::MAX));
    consumer.assigned(1, &[1, 3], RevocationMode::Cooperative(1));
    assert!(consumer.topology.due_at(false) <= Instant::now(), "metadata is requested at once");
    assert!(!consumer.is_settled());
    consumer.read_assigned(&[1, 3]);
    assert_eq!(consumer.known(), [1, 3]);
    assert!(consumer.is_settled());
    assert_eq!(consumer.wanted(LEADER), [1, 3]);
    // A member that has nothing is settled too.
    let (mut idle, _commands) = member();
    idle.handle(Message::Metadata(Ok(metadata(&nowhere(), 1, &[Some(LEADER); 4])))).unwrap();
    idle.assigned(1, &[], RevocationMode::Cooperative(1));
    assert!(!idle.is_settled(), "the next assignment may give it some");
    idle.membership.waits_for_partitions_since(EMPTY_ASSIGNMENT_SETTLED);
    assert!(idle.is_settled());
}

#[test]
fn revoked_partitions_are_committed_and_released_with_the_acknowledgement() {
    let (mut consumer, commands) = member();
    consumer.assigned(1, &[0, 1, 2], RevocationMode::Cooperative(1));
    assert_eq!(commands.try_recv(), Ok(GroupCommand::Confirm(1)), "no partition is revoked");
    consumer.read_assigned(&[0, 1, 2]);
    consumer.fetched(LEADER, 1, |fetched| fetched.records = BATCH.into()).unwrap();
    consumer.assigned(2, &[0], RevocationMode::Cooperative(2));
    let Event::Revoked(Revocation { partitions, acknowledgement }) = consumer.next_event() else { panic!() };
    assert_eq!(partitions, [at(1), at(2)]);
    assert!(consumer.take_records(1000, Instant::now()).is_empty(), "no more of its records come");
    assert_eq!(consumer.wanted(LEADER), [0]);
    assert!(!consumer.is_settled());
    consumer.commit_one(1, 7);
    assert_eq!(consumer.membership.member().unwrap().epoch, 2, "by the present member");
    let commits = consumer.take_pending();
    assert_eq!(commits[&at(1)].offset.offset, 7);
    consumer.handle(committed(commits)).unwrap();
    consumer.acknowledge(Acknowledgement::new(1));
    assert!(commands.try_recv().is_err(), "it belongs to another event");
    consumer.acknowledge(acknowledgement);
    assert_eq!(commands.try_recv(), Ok(GroupCommand::Confirm(2)));
    assert_eq!(consumer.known(), [0]);
    assert!(consumer.is_settled());
}

#[test]
fn during_a_rebalance_the_user_commits_and_records_are_held_back() {
    for (revocation, reads_on_in_the_end) in [(RevocationMode::Eager, false), (RevocationMode::Cooperative(1), true)] {
        let (mut consumer, commands) = member();
        consumer.assigned(1, &[0, 1], revocation);
        while commands.try_recv().is_ok() {}
        consumer.read_assigned(&[0, 1]);
        consumer.fetched(LEADER, 0, |fetched| fetched.records = BATCH.into()).unwrap();
        consumer.sends_nothing();
        consumer.group_event(GroupEvent::Rebalancing(5));
        assert!(commands.try_recv().is_err());
        let Ok(Event::Rebalancing(acknowledgement)) = consumer.poll(Duration::ZERO, 1000) else { panic!() };
        assert!(matches!(consumer.poll(Duration::ZERO, 1000), Ok(Event::Idle)), "records are held back");
        assert!(commands.try_recv().is_err(), "a poll is no acknowledgement");
        assert!(consumer.flush(Duration::MAX).unwrap());
        consumer.acknowledge(acknowledgement);
        assert_eq!(commands.try_recv(), Ok(GroupCommand::Confirm(5)));
        consumer.acknowledge(Acknowledgement::new(5));
        assert!(matches!(consumer.poll(Duration::ZERO, 1000), Ok(Event::Idle)));
        assert!(commands.try_recv().is_err(), "it is confirmed once");
        let much_later = Instant::now() + Duration::from_hours(1);
        assert_eq!(consumer.membership.held_by(much_later).is_none(), reads_on_in_the_end);

        consumer.assigned(2, &[0, 2], revocation);
        assert_eq!(consumer.take_records(1000, Instant::now()).len(), 1, "kept partitions are read on");
        let (Event::Lost(gone) | Event::Revoked(Revocation { partitions: gone, .. })) = consumer.next_event() else {
            panic!()
        };
        assert_eq!(gone, [at(1)]);
    }
}

#[test]
fn lost_partitions_are_never_committed() {
    for is_membership_lost in [true, false] {
        let (mut consumer, _commands) = member();
        consumer.assigned(1, &[0, 1], RevocationMode::Eager);
        consumer.read_assigned(&[0, 1]);
        consumer.commit_one(0, 7);
        consumer.commit_one(1, 7);
        let in_flight = consumer.take_pending();
        consumer.commit_one(0, 8);
        if is_membership_lost {
            consumer.group_event(GroupEvent::Lost(9));
            assert!(matches!(consumer.next_event(), Event::Lost(lost) if lost == [at(0), at(1)]));
            assert_eq!(consumer.membership.member(), None);
        } else {
            consumer.assigned(2, &[1], RevocationMode::Eager);
            assert!(matches!(consumer.next_event(), Event::Lost(lost) if lost == [at(0)]));
        }
        let outcomes =
            vec![(at(0), refused(ErrorCode::UNKNOWN_MEMBER_ID)), (at(1), refused(ErrorCode::UNKNOWN_MEMBER_ID))];
        consumer
            .handle(Message::Committed(CompletedCommit { batch: in_flight, member: None, result: Ok(outcomes) }))
            .unwrap();
        consumer.commit_one(0, 9);
        let expected: &[TopicPartition] = if is_membership_lost { &[] } else { &[at(1)] };
        assert_eq!(consumer.commits.pending().keys().cloned().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_commit_under_an_old_assignment_waits_for_the_new_one() {
    let (mut consumer, _commands) = member();
    consumer.assigned(1, &[0], RevocationMode::Cooperative(1));
    consumer.read_assigned(&[0]);
    for code in [
        ErrorCode::REBALANCE_IN_PROGRESS,
        ErrorCode::ILLEGAL_GENERATION,
        ErrorCode::STALE_MEMBER_EPOCH,
        ErrorCode::FENCED_MEMBER_EPOCH,
    ] {
        consumer.commit_one(0, 7);
        let commits = consumer.take_pending();
        let outcomes = vec![(at(0), refused(code))];
        consumer
            .handle(Message::Committed(CompletedCommit { batch: commits, member: None, result: Ok(outcomes) }))
            .unwrap();
        assert!(consumer.events.is_empty(), "that is no failure");
        assert!(!consumer.commits.pause.is_over(Instant::now()));
        consumer.assigned(2, &[0], RevocationMode::Cooperative(1));
        assert!(consumer.commits.pause.is_over(Instant::now()));
        assert_eq!(consumer.take_pending()[&at(0)].offset.offset, 7);
    }
    // In a group without members it is a failure.
    let mut alone = super::consumer();
    alone.read_all_from(&nowhere(), 1);
    alone.commit_one(0, 7);
    let commits = alone.take_pending();
    let outcomes = vec![(at(0), refused(ErrorCode::UNKNOWN_MEMBER_ID))];
    assert!(
        alone
            .handle(Message::Committed(CompletedCommit { batch: commits, member: None, result: Ok(outcomes) }))
            .is_err()
    );
}

#[test]
fn a_lost_partition_that_is_assigned_again_is_new() {
    let (mut consumer, _commands) = member();
    consumer.assigned(1, &[0], RevocationMode::Cooperative(1));
    consumer.read_assigned(&[0]);
    consumer.group_event(GroupEvent::Lost(9));
    consumer.assigned(7, &[0], RevocationMode::Cooperative(2));
    consumer.handle(Message::Metadata(Ok(metadata(&nowhere(), 1, &[Some(LEADER)])))).unwrap();
    assert_eq!(consumer.phase(0), PhaseName::New);
    assert!(matches!(consumer.next_event(), Event::Lost(_)));
}

#[test]
fn leave_waits_until_the_group_has_been_left() {
    let (mut consumer, commands) = member();
    let group = thread::spawn({
        let messages = consumer.messages.clone();
        move || {
            assert_eq!(commands.recv(), Ok(GroupCommand::Leave));
            messages.send(Message::Group(GroupEvent::Left)).unwrap();
        }
    });
    assert!(consumer.leave(Duration::from_mins(1)).unwrap());
    group.join().unwrap();
    let (mut unconfirmed, _commands) = member();
    assert!(!unconfirmed.leave(Duration::from_millis(1)).unwrap());
    let mut alone = super::consumer();
    assert!(alone.leave(Duration::ZERO).unwrap(), "there is nothing to leave");
}

#[test]
fn after_a_loss_the_member_rejoins_with_the_next_poll() {
    let (mut consumer, commands) = member();
    consumer.assigned(1, &[0], RevocationMode::Eager);
    consumer.read_assigned(&[0]);
    consumer.sends_nothing();
    consumer.group_event(GroupEvent::Lost(9));
    assert!(commands.try_recv().is_err());
    assert!(matches!(consumer.poll(Duration::ZERO, 1), Ok(Event::Lost(_))));
    assert!(commands.try_recv().is_err(), "the user still handles the loss");
    assert!(matches!(consumer.poll(Duration::ZERO, 1), Ok(Event::Idle)));
    assert_eq!(commands.try_recv(), Ok(GroupCommand::Confirm(9)));
    // Where nothing had come to the user yet, there is nothing to wait for but a poll.
    consumer.assigned(2, &[0], RevocationMode::Eager);
    consumer.sends_nothing();
    consumer.group_event(GroupEvent::Lost(10));
    assert!(matches!(consumer.poll(Duration::ZERO, 1), Ok(Event::Idle)));
    assert_eq!(commands.try_recv(), Ok(GroupCommand::Confirm(10)));
}

#[test]
fn an_error_of_the_membership_is_kept_for_the_next_poll() {
    let (mut consumer, _commands) = member();
    consumer.assigned(1, &[0], RevocationMode::Eager);
    consumer.read_assigned(&[0]);
    consumer.sends_nothing();
    consumer.commit_one(0, 7);
    consumer.commits.set_in_flight();
    consumer.control.set_busy();
    let fenced = Error::Topic { topic: "t".to_owned(), code: ErrorCode::FENCED_INSTANCE_ID };
    consumer.messages.send(Message::Group(GroupEvent::Failed(fenced))).unwrap();
    assert!(!consumer.flush(Duration::from_millis(50)).unwrap(), "the commit is still under way");
    let error = consumer.poll(Duration::ZERO, 1).unwrap_err();
    assert!(matches!(error, Error::Topic { code: ErrorCode::FENCED_INSTANCE_ID, .. }), "{error}");
    assert!(consumer.leave(Duration::ZERO).unwrap(), "there is nothing to leave");
}

#[test]
fn after_a_refusal_as_no_member_records_are_held_back_until_the_group_has_responded() {
    let refusal = |consumer: &mut Consumer, made_by: Option<Member>| {
        consumer.commit_one(0, 7);
        let commits = consumer.take_pending();
        let outcomes = vec![(at(0), refused(ErrorCode::UNKNOWN_MEMBER_ID))];
        consumer
            .handle(Message::Committed(CompletedCommit { batch: commits, member: made_by, result: Ok(outcomes) }))
            .unwrap();
    };
    let (mut consumer, commands) = member();
    consumer.assigned(1, &[0], RevocationMode::Cooperative(1));
    let earlier = consumer.membership.member();
    consumer.assigned(2, &[0], RevocationMode::Cooperative(1));
    consumer.read_assigned(&[0]);
    consumer.fetched(LEADER, 0, |fetched| fetched.records = BATCH.into()).unwrap();
    // The late response to a commit under an earlier assignment says nothing of this one.
    refusal(&mut consumer, earlier);
    assert!(consumer.membership.held_by(Instant::now()).is_none() && consumer.events.is_empty());
    let present = consumer.membership.member();
    while commands.try_recv().is_ok() {}
    refusal(&mut consumer, present.clone());
    assert_eq!(commands.try_recv(), Ok(GroupCommand::Verify(1)), "the group thread sends a heartbeat");
    assert_eq!(consumer.membership.held_by(Instant::now()), Some(HeldBy::Verification));
    assert!(matches!(consumer.retrying().error, Error::Broker { code: ErrorCode::UNKNOWN_MEMBER_ID, .. }));
    assert!(
        consumer.take_records(1000, Instant::now() + Duration::from_hours(1)).is_empty(),
        "for as long as it takes"
    );
    refusal(&mut consumer, present);
    assert!(consumer.events.is_empty() && commands.try_recv().is_err(), "one verification at a time");
    consumer.assigned(3, &[0], RevocationMode::Cooperative(1));
    assert_eq!(consumer.take_records(1000, Instant::now()).len(), 1);
}

/// A member whose commits of partition 0 are refused or accepted.
impl Consumer {
    fn commit_with_outcome(&mut self, offset: i64, outcome: CommitOutcome) {
        self.commit_one(0, offset);
        let (commits, member) = (self.take_pending(), self.membership.member());
        self.handle(Message::Committed(CompletedCommit { batch: commits, member, result: Ok(vec![(at(0), outcome)]) }))
            .unwrap();
    }
}

#[test]
fn each_refusal_of_the_membership_is_verified_at_once() {
    let holds = [
        (ErrorCode::UNKNOWN_MEMBER_ID, true),
        (ErrorCode::ILLEGAL_GENERATION, true),
        (ErrorCode::FENCED_MEMBER_EPOCH, true),
        (ErrorCode::FENCED_INSTANCE_ID, true),
        (ErrorCode::GROUP_ID_NOT_FOUND, true),
        (ErrorCode::STALE_MEMBER_EPOCH, false),
        (ErrorCode::REBALANCE_IN_PROGRESS, false),
    ];
    for (code, is_held) in holds {
        let (mut consumer, commands) = member();
        consumer.assigned(1, &[0], RevocationMode::Cooperative(1));
        consumer.read_assigned(&[0]);
        while commands.try_recv().is_ok() {}
        for number in 1..4 {
            consumer.commit_with_outcome(7, refused(code));
            assert_eq!(commands.try_recv(), Ok(GroupCommand::Verify(number)), "{code}");
            assert_eq!(consumer.membership.held_by(Instant::now()).is_some(), is_held, "{code}");
            // Of an earlier verification: it says nothing of this one.
            consumer.group_event(GroupEvent::Verified(number - 1));
            assert_eq!(consumer.membership.held_by(Instant::now()).is_some(), is_held, "{code}");
            consumer.group_event(GroupEvent::Verified(number));
            assert_eq!(consumer.membership.held_by(Instant::now()), None, "{code}: the member is verified");
            // That a rebalance has begun is no failure, unless no assignment follows.
            let is_reported = is_held || number > 1;
            assert_eq!(consumer.events.len(), usize::from(is_reported), "{code}");
            assert!(!is_reported || consumer.retrying().attempt == u32::try_from(number).unwrap(), "{code}");
            assert!(!consumer.commits.pause.is_over(Instant::now()), "{code}");
        }
        consumer.commit_with_outcome(7, CommitOutcome::Committed);
        consumer.commit_with_outcome(8, refused(code));
        assert!(!is_held || consumer.retrying().attempt == 1, "{code}: an accepted commit resets the count");
        consumer.commit_with_outcome(8, CommitOutcome::Committed);
        assert_eq!(consumer.membership.held_by(Instant::now()), None, "{code}: the coordinator accepts the member");
    }
}

#[test]
fn a_verified_member_still_waits_for_the_rebalance() {
    let (mut consumer, _commands) = member();
    consumer.assigned(1, &[0], RevocationMode::Eager);
    consumer.read_assigned(&[0]);
    consumer.commit_with_outcome(7, refused(ErrorCode::UNKNOWN_MEMBER_ID));
    consumer.group_event(GroupEvent::Rebalancing(5));
    assert_eq!(consumer.membership.held_by(Instant::now()), Some(HeldBy::Verification));
    consumer.group_event(GroupEvent::Verified(1));
    assert_eq!(consumer.membership.held_by(Instant::now()), Some(HeldBy::Rebalance));
    consumer.assigned(2, &[0], RevocationMode::Eager);
    assert_eq!(consumer.membership.held_by(Instant::now()), None);
}

#[test]
fn records_read_before_the_log_was_truncated_may_be_committed() {
    let (mut consumer, _commands) = member();
    consumer.assigned(1, &[0], RevocationMode::Cooperative(1));
    consumer.read_assigned(&[0]);
    consumer.fetched(LEADER, 0, |fetched| fetched.error = Some(ErrorCode::OFFSET_OUT_OF_RANGE)).unwrap();
    consumer.commit_one(0, 7);
    assert_eq!(consumer.take_pending()[&at(0)].offset.offset, 7);
    let log = PartitionOffsets { partition: at(0), committed: None, log: Ok((50, 60)) };
    consumer.handle(Message::LogOffsets(Ok(vec![log]))).unwrap();
    consumer.commit_one(0, 8);
    assert_eq!(consumer.take_pending()[&at(0)].offset.offset, 8);
}
