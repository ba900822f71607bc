//! What commits are sent, and what their outcomes mean for the partitions.

use super::*;

#[test]
fn the_outcome_of_an_earlier_claim_does_not_start_a_later_one() {
    let mut consumer = consumer();
    consumer.read_all_from(&nowhere(), 1);
    consumer.commit_one(0, 7);
    let in_flight = consumer.take_pending();
    // The leader refuses the position meanwhile, and confirms that.
    consumer.fetched(LEADER, 0, |fetched| fetched.error = Some(ErrorCode::OFFSET_OUT_OF_RANGE)).unwrap();
    assert_eq!(consumer.phase(0), PhaseName::OutOfRange);
    let log = PartitionOffsets { partition: at(0), committed: None, log: Ok((50, 60)) };
    consumer.handle(Message::LogOffsets(Ok(vec![log]))).unwrap();
    let Some(Ok(Event::OutOfRange(range))) = consumer.events.pop() else { panic!() };
    assert_eq!((range.position, range.log_start_offset, range.end_offset), (0, 50, 60));
    consumer.claim(0, 50);
    consumer.handle(committed(in_flight)).unwrap();
    assert_eq!(consumer.phase(0), PhaseName::Claiming, "its own claim is not accepted yet");
    let claim = consumer.take_pending();
    assert_eq!(claim[&at(0)].offset.offset, 50);
    consumer.handle(committed(claim)).unwrap();
    assert_eq!(consumer.phase(0), PhaseName::Reading);
}

#[test]
fn a_commit_of_a_deleted_topic_does_not_come_back_for_its_successor() {
    let mut consumer = consumer();
    consumer.read_all_from(&nowhere(), 1);
    consumer.commit_one(0, 7);
    let commits = consumer.take_pending();
    consumer.handle(Message::Metadata(Ok(metadata(&nowhere(), 2, &[Some(LEADER)])))).unwrap();
    assert!(matches!(consumer.events.pop(), Some(Ok(Event::Lost(lost))) if lost == [at(0)]));
    let failed = Err(Error::Thread(std::io::ErrorKind::Other.into()));
    assert!(
        consumer.handle(Message::Committed(CompletedCommit { batch: commits, member: None, result: failed })).is_err(),
        "it could not be retried"
    );
    assert!(consumer.commits.pending().is_empty());
    assert_eq!(consumer.phase(0), PhaseName::New);
    // A broker without topic ids proves nothing.
    let mut without_id = metadata(&nowhere(), 0, &[Some(LEADER)]);
    without_id.topics[0].id = None;
    consumer.handle(Message::Metadata(Ok(without_id))).unwrap();
    assert!(consumer.events.is_empty());
    assert_eq!(consumer.partitions.get(&at(0)).unwrap().topic_id, Some(TopicId([2; 16])));
}

#[test]
fn a_foreign_commit_since_the_start_ends_the_claim() {
    let mut consumer = consumer();
    let seen = CommittedOffset { offset: 5, leader_epoch: None, metadata: "theirs".to_owned() };
    consumer.handle(Message::Metadata(Ok(metadata(&nowhere(), 1, &[Some(LEADER)])))).unwrap();
    let fact = PartitionOffsets { partition: at(0), committed: Some(seen.clone()), log: Ok((0, 9)) };
    consumer.handle(Message::Offsets(Ok(vec![fact]))).unwrap();
    consumer.claim(0, 5);
    let commits = consumer.take_pending();
    assert_eq!(commits[&at(0)].committed_seen, Some(seen));
    consumer.events.clear();
    let foreign = vec![(at(0), CommitOutcome::Foreign)];
    consumer.handle(Message::Committed(CompletedCommit { batch: commits, member: None, result: Ok(foreign) })).unwrap();
    assert_eq!(consumer.phase(0), PhaseName::New);
    assert!(matches!(consumer.events.pop(), Some(Ok(Event::Lost(lost))) if lost == [at(0)]));
}

#[test]
fn flush_keeps_other_events_and_returns_the_failure() {
    let mut consumer = consumer();
    consumer.read_all_from(&nowhere(), 1);
    assert!(consumer.flush(Duration::MAX).unwrap(), "nothing to do");
    consumer.events.emit(Event::Lost(vec![at(5)]));
    consumer.commit_one(0, 7);
    let error = consumer.flush(Duration::from_mins(1)).unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error}");
    assert!(matches!(consumer.events.pop(), Some(Ok(Event::Lost(_)))));
    assert!(consumer.events.is_empty());
    assert_eq!(consumer.take_pending()[&at(0)].offset.offset, 7, "for the next time");
}

#[test]
fn a_deleted_topic_holds_up_no_commit_of_others() {
    let mut consumer = consumer();
    consumer.read_all_from(&nowhere(), 2);
    consumer.handle(Message::Metadata(Ok(metadata(&nowhere(), 1, &[None, Some(LEADER)])))).unwrap();
    consumer.commit_one(0, 7);
    consumer.commit_one(1, 7);
    consumer.send_requests(Instant::now()).unwrap();
    assert_eq!(consumer.commits.pending().keys().collect::<Vec<_>>(), [&at(0)]);
    assert!(consumer.commits.is_in_flight());
}
