//! A change of the leader epoch: which records are returned, which are dropped, and which events are emitted.

use super::*;
use crate::protocol::EpochEnd;

const POSITION: i64 = 10;
const EPOCH: i32 = 2;

/// [`metadata`] with another leader epoch.
fn elected(leader: Option<i32>, epoch: Option<i32>) -> Message {
    let mut metadata = metadata(&nowhere(), 1, &[leader]);
    metadata.topics[0].partitions[0].leader_epoch = epoch;
    Message::Metadata(Ok(metadata))
}

/// The one partition, claimed at a position whose last record was of that epoch.
fn claimed_after(epoch: Option<i32>) -> Consumer {
    let mut consumer = consumer();
    consumer.handle(Message::Metadata(Ok(metadata(&nowhere(), 1, &[Some(LEADER)])))).unwrap();
    consumer.handle(offsets_known(0)).unwrap();
    consumer.claim_after(0, POSITION, epoch);
    let claim = consumer.take_pending();
    consumer.handle(committed(claim)).unwrap();
    consumer.events.clear();
    consumer
}

impl Consumer {
    /// Fresh metadata comes, without which the request is not repeated, and the pause is over.
    fn requested_again(&mut self, epoch: i32) {
        let later = Instant::now() + Duration::from_mins(1);
        assert!(self.topology.due_at(false) <= Instant::now(), "metadata is requested");
        assert!(!self.request_epoch_ends(later).unwrap(), "not before it has come");
        self.handle(elected(Some(LEADER), Some(epoch))).unwrap();
        assert!(self.request_epoch_ends(later).unwrap());
    }
}

/// The leader of `leader_epoch` returns where an epoch ends.
fn ended(consumer: &mut Consumer, leader_epoch: i32, epoch: i32, result: Result<Option<EpochEnd>>) {
    let requested = vec![OffsetForLeaderPartition { partition: at(0), current_leader_epoch: leader_epoch, epoch }];
    consumer.handle(Message::EpochEnds { requested, result: Ok(vec![(at(0), result)]) }).unwrap();
}

#[test]
fn the_position_is_compared_with_the_leaders_log() {
    let check = |end: Option<(i32, i64)>, divergence: Option<(i64, i32)>| {
        let mut consumer = claimed_after(Some(EPOCH));
        assert_eq!(consumer.phase(0), PhaseName::Validating);
        assert!(consumer.wanted(LEADER).is_empty() && !consumer.is_settled(), "not before the response");
        let end = end.map(|(epoch, end_offset)| EpochEnd { epoch, end_offset });
        ended(&mut consumer, 3, EPOCH, Ok(end));
        if divergence.is_some() {
            consumer.requested_again(3);
            ended(&mut consumer, 3, EPOCH, Ok(end));
        }
        let Some(divergence) = divergence else {
            assert_eq!(consumer.wanted(LEADER), [0], "{end:?}");
            assert!(
                matches!(consumer.events.pop(), Some(Ok(Event::Idle))),
                "a user that waits until it is settled checks again"
            );
            return assert!(consumer.is_settled() && consumer.events.is_empty(), "{end:?}");
        };
        let Some(Ok(Event::Truncated(truncation))) = consumer.events.pop() else { panic!("{end:?}") };
        assert_eq!((truncation.position, truncation.position_epoch), (POSITION, EPOCH));
        assert_eq!((truncation.divergence_offset, truncation.divergence_epoch), divergence, "{end:?}");
        assert_eq!((truncation.partition, truncation.topic_id), (at(0), Some(TopicId([1; 16]))));
        assert!(consumer.wanted(LEADER).is_empty(), "the user chooses");
        consumer.claim_after(0, 7, Some(divergence.1));
        assert_eq!((consumer.phase(0), consumer.take_pending()[&at(0)].offset.offset), (PhaseName::Claiming, 7));
    };
    check(Some((EPOCH, POSITION)), None);
    check(Some((EPOCH, POSITION + 5)), None);
    check(None, None);
    check(Some((EPOCH, 7)), Some((7, EPOCH)));
    check(Some((EPOCH, 0)), Some((0, EPOCH)));
    // The leader has nothing of that epoch.
    check(Some((1, 7)), Some((7, 1)));
    check(Some((1, POSITION + 5)), Some((POSITION, 1)));
    // A response about a later epoch than requested does not count.
    check(Some((EPOCH + 1, 7)), None);
    check(Some((EPOCH + 1, POSITION + 5)), None);
}

#[test]
fn one_response_that_shows_a_truncation_is_not_enough() {
    let end = |epoch, end_offset| Ok(Some(EpochEnd { epoch, end_offset }));
    // Wrong once, as Event Hubs was.
    let mut consumer = claimed_after(Some(EPOCH));
    ended(&mut consumer, 3, EPOCH, end(EPOCH, 0));
    assert!(consumer.events.is_empty() && consumer.phase(0) == PhaseName::Validating);
    consumer.requested_again(3);
    ended(&mut consumer, 3, EPOCH, end(EPOCH, POSITION));
    assert_eq!((consumer.phase(0), consumer.wanted(LEADER)), (PhaseName::Reading, vec![0]));
    // A leader that catches up, as Redpanda's do.
    let mut consumer = claimed_after(Some(EPOCH));
    for end_offset in [2, 5, 8] {
        ended(&mut consumer, 3, EPOCH, end(EPOCH, end_offset));
        assert!(consumer.events.is_empty() && consumer.phase(0) == PhaseName::Validating);
        consumer.requested_again(3);
    }
    ended(&mut consumer, 3, EPOCH, end(EPOCH, POSITION));
    assert_eq!(consumer.phase(0), PhaseName::Reading);
    // The response of another leader does not confirm that of the first one.
    let mut consumer = claimed_after(Some(EPOCH));
    ended(&mut consumer, 3, EPOCH, end(EPOCH, 7));
    consumer.requested_again(4);
    ended(&mut consumer, 4, EPOCH, end(EPOCH, 7));
    assert!(consumer.events.is_empty() && consumer.phase(0) == PhaseName::Validating);
    consumer.requested_again(4);
    ended(&mut consumer, 4, EPOCH, end(EPOCH, 7));
    assert!(matches!(consumer.events.pop(), Some(Ok(Event::Truncated(_)))));
}

#[test]
fn validation_can_be_switched_off() {
    let builder = Consumer::from_hosts(vec![nowhere()]).with_topic("t").with_group("g").with_retry_policy(retry());
    let mut consumer = builder.with_leader_epoch_validation(false).create().unwrap();
    consumer.handle(Message::Metadata(Ok(metadata(&nowhere(), 1, &[Some(LEADER)])))).unwrap();
    consumer.handle(offsets_known(0)).unwrap();
    consumer.claim_after(0, POSITION, Some(EPOCH));
    let claim = consumer.take_pending();
    consumer.handle(committed(claim)).unwrap();
    assert_eq!(consumer.phase(0), PhaseName::Reading);
    consumer.handle(elected(Some(FOLLOWER), Some(4))).unwrap();
    assert_eq!((consumer.phase(0), consumer.wanted(FOLLOWER)), (PhaseName::Reading, vec![0]));
}

#[test]
fn without_an_epoch_nothing_is_validated() {
    let mut consumer = claimed_after(None);
    assert_eq!((consumer.phase(0), consumer.wanted(LEADER)), (PhaseName::Reading, vec![0]));
    consumer.handle(elected(Some(FOLLOWER), Some(4))).unwrap();
    assert_eq!((consumer.phase(0), consumer.wanted(FOLLOWER)), (PhaseName::Reading, vec![0]));
    // A broker without leader epochs.
    let mut consumer = claimed_after(Some(EPOCH));
    consumer.handle(elected(Some(FOLLOWER), None)).unwrap();
    assert_eq!((consumer.phase(0), consumer.wanted(FOLLOWER)), (PhaseName::Reading, vec![0]));
}

#[test]
fn no_records_of_the_old_leader_are_returned_after_the_new_one_is_known() {
    let mut consumer = claimed_after(None);
    consumer.fetched(LEADER, 0, |fetched| fetched.records = BATCH.into()).unwrap();
    let taken = consumer.take_records(3, Instant::now());
    assert_eq!((taken[0].next_offset, taken[0].leader_epoch), (103, Some(5)));
    let request = fetcher::fetch_request(&consumer.config, &consumer.partitions, vec![at(0)], 1, Instant::now());
    consumer.handle(elected(Some(FOLLOWER), Some(6))).unwrap();
    assert!(consumer.take_records(10, Instant::now()).is_empty(), "the fetched batches are dropped");
    ended(&mut consumer, 6, 5, Ok(Some(EpochEnd { epoch: 5, end_offset: 1000 })));
    assert_eq!(consumer.fetch_offset(0), 103, "it is fetched again");
    // The response that was in flight. Its offset is that of the position.
    let mut late = request;
    late.partitions[0].position = 103;
    let records = FetchedPartition {
        partition: at(0),
        error: None,
        high_watermark: 1000,
        last_stable_offset: 1000,
        preferred_read_replica: None,
        aborted: vec![],
        records: BATCH.into(),
    };
    let response = FetchResponse { throttle: Duration::ZERO, partitions: vec![records] };
    let serial = consumer.fetcher.serial_of(LEADER);
    consumer
        .handle(Message::Fetched(CompletedFetch { broker: LEADER, serial, request: late, result: Ok(response) }))
        .unwrap();
    assert!(consumer.take_records(10, Instant::now()).is_empty());
    assert_eq!(consumer.wanted(FOLLOWER), [0]);
}

#[test]
fn the_response_of_a_replaced_leader_does_not_count() {
    let mut consumer = claimed_after(Some(EPOCH));
    consumer.handle(elected(None, Some(4))).unwrap();
    ended(&mut consumer, 3, EPOCH, Ok(Some(EpochEnd { epoch: EPOCH, end_offset: POSITION })));
    assert_eq!(consumer.phase(0), PhaseName::Validating);
    assert!(!consumer.request_epoch_ends(Instant::now()).unwrap(), "there is no leader");
    consumer.handle(elected(Some(FOLLOWER), Some(5))).unwrap();
    ended(&mut consumer, 5, EPOCH, Ok(Some(EpochEnd { epoch: EPOCH, end_offset: POSITION })));
    assert_eq!((consumer.phase(0), consumer.wanted(FOLLOWER)), (PhaseName::Reading, vec![0]));
}

#[test]
fn validation_is_retried_and_commits_do_not_wait_for_it() {
    let mut consumer = claimed_after(Some(EPOCH));
    let code = ErrorCode::UNKNOWN_LEADER_EPOCH;
    let subject = at(0).to_string();
    let refused = Error::Broker { address: nowhere(), request: "OffsetForLeaderEpoch", code, subject };
    ended(&mut consumer, 3, EPOCH, Err(refused));
    assert_eq!(consumer.retrying().attempt, 1);
    assert!(consumer.topology.due_at(false) <= Instant::now(), "its metadata may be old");
    assert_eq!(consumer.phase(0), PhaseName::Validating);
    consumer.commit_after(0, POSITION, Some(EPOCH));
    let commits = consumer.take_pending();
    assert_eq!(commits[&at(0)].offset.leader_epoch, Some(EPOCH));
    consumer.handle(committed(commits)).unwrap();
    assert_eq!(consumer.phase(0), PhaseName::Validating, "a commit does not end the validation");
    assert!(consumer.request_epoch_ends(Instant::now()).unwrap());
}
