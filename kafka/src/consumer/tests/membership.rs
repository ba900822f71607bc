//! What the consumer does with what happens in its group.

use std::collections::BTreeSet;
use std::sync::mpsc::Receiver;

use super::super::group::{GroupAssignment, GroupCommand, GroupEvent, GroupThread, RevocationMode};
use super::super::holds::HeldBy;
use super::*;
use crate::consumer::membership::EMPTY_ASSIGNMENT_SETTLED;
use crate::types::Member;

/// A member that has been given nothing yet, and what its group's thread is told.
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

    fn divided(&mut self, epoch: i32, numbers: &[i32], revocation: RevocationMode) {
        let partitions: BTreeSet<_> = numbers.iter().map(|number| at(*number)).collect();
        let member = Member { id: "m".to_owned(), instance_id: None, epoch };
        self.group_event(GroupEvent::Assigned(GroupAssignment { member, partitions, revocation }));
    }

    /// Brings what it has been given to being read.
    fn read_ours(&mut self, numbers: &[i32]) {
        self.handle(Message::Metadata(Ok(metadata(&nowhere(), 1, &[Some(LEADER); 4])))).unwrap();
        for &partition in numbers {
            self.handle(facts(partition)).unwrap();
            self.claim(partition, 0);
        }
        let commits = self.take_pending();
        self.handle(committed(commits)).unwrap();
        self.events.clear();
    }

    /// So that a poll has nothing to tell but what is made up here.
    fn calls_nobody(&mut self) {
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
fn only_what_is_ours_is_read() {
    let (mut consumer, _commands) = member();
    consumer.handle(Message::Metadata(Ok(metadata(&nowhere(), 1, &[Some(LEADER); 4])))).unwrap();
    assert!(consumer.known().is_empty() && !consumer.is_settled());
    consumer.topology.set_times(Instant::now(), after(Instant::now(), Duration::MAX));
    consumer.divided(1, &[1, 3], RevocationMode::Cooperative(1));
    assert!(consumer.topology.due_at(false) <= Instant::now(), "who leads them is asked at once");
    assert!(!consumer.is_settled());
    consumer.read_ours(&[1, 3]);
    assert_eq!(consumer.known(), [1, 3]);
    assert!(consumer.is_settled());
    assert_eq!(consumer.wanted(LEADER), [1, 3]);
    // A member that has nothing is settled too.
    let (mut idle, _commands) = member();
    idle.handle(Message::Metadata(Ok(metadata(&nowhere(), 1, &[Some(LEADER); 4])))).unwrap();
    idle.divided(1, &[], RevocationMode::Cooperative(1));
    assert!(!idle.is_settled(), "the next assignment may give it some");
    idle.membership.waits_for_partitions_since(EMPTY_ASSIGNMENT_SETTLED);
    assert!(idle.is_settled());
}

#[test]
fn what_is_revoked_is_finished_with_committed_and_only_then_given_up() {
    let (mut consumer, commands) = member();
    consumer.divided(1, &[0, 1, 2], RevocationMode::Cooperative(1));
    assert_eq!(commands.try_recv(), Ok(GroupCommand::Confirm(1)), "there was nothing to give up");
    consumer.read_ours(&[0, 1, 2]);
    consumer.fetched(LEADER, 1, |fetched| fetched.records = BATCH.into()).unwrap();
    consumer.divided(2, &[0], RevocationMode::Cooperative(2));
    let Event::Revoked(Revocation { partitions, acknowledgement }) = consumer.next_event() else { panic!() };
    assert_eq!(partitions, [at(1), at(2)]);
    assert!(consumer.take_records(1000, Instant::now()).is_empty(), "no more of its records come");
    assert_eq!(consumer.wanted(LEADER), [0]);
    assert!(!consumer.is_settled());
    consumer.commit_one(1, 7);
    assert_eq!(consumer.membership.member().unwrap().epoch, 2, "in the name of the present division");
    let commits = consumer.take_pending();
    assert_eq!(commits[&at(1)].offset.offset, 7);
    consumer.handle(committed(commits)).unwrap();
    consumer.acknowledge(Acknowledgement::new(1));
    assert!(commands.try_recv().is_err(), "that is another one's acknowledgement");
    consumer.acknowledge(acknowledgement);
    assert_eq!(commands.try_recv(), Ok(GroupCommand::Confirm(2)));
    assert_eq!(consumer.known(), [0]);
    assert!(consumer.is_settled());
}

#[test]
fn before_a_division_the_user_commits_and_nothing_new_begins() {
    for (revocation, reads_on_in_the_end) in [(RevocationMode::Eager, false), (RevocationMode::Cooperative(1), true)] {
        let (mut consumer, commands) = member();
        consumer.divided(1, &[0, 1], revocation);
        while commands.try_recv().is_ok() {}
        consumer.read_ours(&[0, 1]);
        consumer.fetched(LEADER, 0, |fetched| fetched.records = BATCH.into()).unwrap();
        consumer.calls_nobody();
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
        assert!(commands.try_recv().is_err(), "it is said once");
        let much_later = Instant::now() + Duration::from_hours(1);
        assert_eq!(consumer.membership.held_by(much_later).is_none(), reads_on_in_the_end);

        consumer.divided(2, &[0, 2], revocation);
        assert_eq!(consumer.take_records(1000, Instant::now()).len(), 1, "what stays ours is read on");
        let (Event::Lost(gone) | Event::Revoked(Revocation { partitions: gone, .. })) = consumer.next_event() else {
            panic!()
        };
        assert_eq!(gone, [at(1)]);
    }
}

#[test]
fn what_is_lost_is_never_committed() {
    for is_membership_lost in [true, false] {
        let (mut consumer, _commands) = member();
        consumer.divided(1, &[0, 1], RevocationMode::Eager);
        consumer.read_ours(&[0, 1]);
        consumer.commit_one(0, 7);
        consumer.commit_one(1, 7);
        let under_way = consumer.take_pending();
        consumer.commit_one(0, 8);
        if is_membership_lost {
            consumer.group_event(GroupEvent::Lost(9));
            assert!(matches!(consumer.next_event(), Event::Lost(lost) if lost == [at(0), at(1)]));
            assert_eq!(consumer.membership.member(), None);
        } else {
            consumer.divided(2, &[1], RevocationMode::Eager);
            assert!(matches!(consumer.next_event(), Event::Lost(lost) if lost == [at(0)]));
        }
        let outcomes =
            vec![(at(0), refused(ErrorCode::UNKNOWN_MEMBER_ID)), (at(1), refused(ErrorCode::UNKNOWN_MEMBER_ID))];
        consumer
            .handle(Message::Committed(CompletedCommit { batch: under_way, member: None, result: Ok(outcomes) }))
            .unwrap();
        consumer.commit_one(0, 9);
        let expected: &[TopicPartition] = if is_membership_lost { &[] } else { &[at(1)] };
        assert_eq!(consumer.commits.pending().keys().cloned().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_commit_under_an_old_division_waits_for_the_new_one() {
    let (mut consumer, _commands) = member();
    consumer.divided(1, &[0], RevocationMode::Cooperative(1));
    consumer.read_ours(&[0]);
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
        consumer.divided(2, &[0], RevocationMode::Cooperative(1));
        assert!(consumer.commits.pause.is_over(Instant::now()));
        assert_eq!(consumer.take_pending()[&at(0)].offset.offset, 7);
    }
    // Of a group without members it is one.
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
fn what_comes_back_begins_anew() {
    let (mut consumer, _commands) = member();
    consumer.divided(1, &[0], RevocationMode::Cooperative(1));
    consumer.read_ours(&[0]);
    consumer.group_event(GroupEvent::Lost(9));
    consumer.divided(7, &[0], RevocationMode::Cooperative(2));
    consumer.handle(Message::Metadata(Ok(metadata(&nowhere(), 1, &[Some(LEADER)])))).unwrap();
    assert_eq!(consumer.phase(0), PhaseName::New);
    assert!(matches!(consumer.next_event(), Event::Lost(_)));
}

#[test]
fn leaving_waits_for_the_word_of_it() {
    let (mut consumer, commands) = member();
    let group = thread::spawn({
        let answers = consumer.messages.clone();
        move || {
            assert_eq!(commands.recv(), Ok(GroupCommand::Leave));
            answers.send(Message::Group(GroupEvent::Left)).unwrap();
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
fn only_a_user_that_goes_on_joins_again() {
    let (mut consumer, commands) = member();
    consumer.divided(1, &[0], RevocationMode::Eager);
    consumer.read_ours(&[0]);
    consumer.calls_nobody();
    consumer.group_event(GroupEvent::Lost(9));
    assert!(commands.try_recv().is_err());
    assert!(matches!(consumer.poll(Duration::ZERO, 1), Ok(Event::Lost(_))));
    assert!(commands.try_recv().is_err(), "the user is at it");
    assert!(matches!(consumer.poll(Duration::ZERO, 1), Ok(Event::Idle)));
    assert_eq!(commands.try_recv(), Ok(GroupCommand::Confirm(9)));
    // Where nothing had come to the user yet, there is nothing to wait for but a poll.
    consumer.divided(2, &[0], RevocationMode::Eager);
    consumer.calls_nobody();
    consumer.group_event(GroupEvent::Lost(10));
    assert!(matches!(consumer.poll(Duration::ZERO, 1), Ok(Event::Idle)));
    assert_eq!(commands.try_recv(), Ok(GroupCommand::Confirm(10)));
}

#[test]
fn what_ended_the_membership_is_told_by_the_next_poll_whatever_was_waited_for() {
    let (mut consumer, _commands) = member();
    consumer.divided(1, &[0], RevocationMode::Eager);
    consumer.read_ours(&[0]);
    consumer.calls_nobody();
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
fn who_is_refused_as_no_member_reads_no_more_until_the_group_has_spoken() {
    let refusal = |consumer: &mut Consumer, made_by: Option<Member>| {
        consumer.commit_one(0, 7);
        let commits = consumer.take_pending();
        let outcomes = vec![(at(0), refused(ErrorCode::UNKNOWN_MEMBER_ID))];
        consumer
            .handle(Message::Committed(CompletedCommit { batch: commits, member: made_by, result: Ok(outcomes) }))
            .unwrap();
    };
    let (mut consumer, commands) = member();
    consumer.divided(1, &[0], RevocationMode::Cooperative(1));
    let earlier = consumer.membership.member();
    consumer.divided(2, &[0], RevocationMode::Cooperative(1));
    consumer.read_ours(&[0]);
    consumer.fetched(LEADER, 0, |fetched| fetched.records = BATCH.into()).unwrap();
    // The late answer to what an earlier division has signed says nothing of this one.
    refusal(&mut consumer, earlier);
    assert!(consumer.membership.held_by(Instant::now()).is_none() && consumer.events.is_empty());
    let present = consumer.membership.member();
    while commands.try_recv().is_ok() {}
    refusal(&mut consumer, present.clone());
    assert_eq!(commands.try_recv(), Ok(GroupCommand::Verify(1)), "the group thread is at it");
    assert_eq!(consumer.membership.held_by(Instant::now()), Some(HeldBy::Verification));
    assert!(matches!(consumer.retrying().error, Error::Broker { code: ErrorCode::UNKNOWN_MEMBER_ID, .. }));
    assert!(
        consumer.take_records(1000, Instant::now() + Duration::from_hours(1)).is_empty(),
        "for as long as it takes"
    );
    refusal(&mut consumer, present);
    assert!(consumer.events.is_empty() && commands.try_recv().is_err(), "it is said once");
    consumer.divided(3, &[0], RevocationMode::Cooperative(1));
    assert_eq!(consumer.take_records(1000, Instant::now()).len(), 1);
}

/// A member whose commits of partition 0 are refused or accepted.
impl Consumer {
    fn commit_answered(&mut self, offset: i64, outcome: CommitOutcome) {
        self.commit_one(0, offset);
        let (commits, member) = (self.take_pending(), self.membership.member());
        self.handle(Message::Committed(CompletedCommit { batch: commits, member, result: Ok(vec![(at(0), outcome)]) }))
            .unwrap();
    }
}

#[test]
fn each_refusal_of_the_membership_is_looked_into_at_once() {
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
        consumer.divided(1, &[0], RevocationMode::Cooperative(1));
        consumer.read_ours(&[0]);
        while commands.try_recv().is_ok() {}
        for number in 1..4 {
            consumer.commit_answered(7, refused(code));
            assert_eq!(commands.try_recv(), Ok(GroupCommand::Verify(number)), "{code}");
            assert_eq!(consumer.membership.held_by(Instant::now()).is_some(), is_held, "{code}");
            // Of an earlier verification: it says nothing of this one.
            consumer.group_event(GroupEvent::Verified(number - 1));
            assert_eq!(consumer.membership.held_by(Instant::now()).is_some(), is_held, "{code}");
            consumer.group_event(GroupEvent::Verified(number));
            assert_eq!(consumer.membership.held_by(Instant::now()), None, "{code}: we are the member that we were");
            // That a rebalance has begun is no failure, unless none comes of it.
            let is_said = is_held || number > 1;
            assert_eq!(consumer.events.len(), usize::from(is_said), "{code}");
            assert!(!is_said || consumer.retrying().attempt == u32::try_from(number).unwrap(), "{code}");
            assert!(!consumer.commits.pause.is_over(Instant::now()), "{code}");
        }
        consumer.commit_answered(7, CommitOutcome::Committed);
        consumer.commit_answered(8, refused(code));
        assert!(!is_held || consumer.retrying().attempt == 1, "{code}: an accepted commit ends the row");
        consumer.commit_answered(8, CommitOutcome::Committed);
        assert_eq!(consumer.membership.held_by(Instant::now()), None, "{code}: the coordinator accepts us");
    }
}

#[test]
fn a_verified_member_still_waits_for_the_rebalance() {
    let (mut consumer, _commands) = member();
    consumer.divided(1, &[0], RevocationMode::Eager);
    consumer.read_ours(&[0]);
    consumer.commit_answered(7, refused(ErrorCode::UNKNOWN_MEMBER_ID));
    consumer.group_event(GroupEvent::Rebalancing(5));
    assert_eq!(consumer.membership.held_by(Instant::now()), Some(HeldBy::Verification));
    consumer.group_event(GroupEvent::Verified(1));
    assert_eq!(consumer.membership.held_by(Instant::now()), Some(HeldBy::Rebalance));
    consumer.divided(2, &[0], RevocationMode::Eager);
    assert_eq!(consumer.membership.held_by(Instant::now()), None);
}

#[test]
fn what_was_read_before_the_log_was_lost_may_be_committed() {
    let (mut consumer, _commands) = member();
    consumer.divided(1, &[0], RevocationMode::Cooperative(1));
    consumer.read_ours(&[0]);
    consumer.fetched(LEADER, 0, |fetched| fetched.error = Some(ErrorCode::OFFSET_OUT_OF_RANGE)).unwrap();
    consumer.commit_one(0, 7);
    assert_eq!(consumer.take_pending()[&at(0)].offset.offset, 7);
    let log = PartitionOffsets { partition: at(0), committed: None, log: Ok((50, 60)) };
    consumer.handle(Message::LogOffsets(Ok(vec![log]))).unwrap();
    consumer.commit_one(0, 8);
    assert_eq!(consumer.take_pending()[&at(0)].offset.offset, 8);
}
