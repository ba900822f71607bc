//! The consumer's decisions: each answer is made up and handed in, so that any order of events can be had. No broker is called,
//! unless a test brings one along.

mod late;
mod membership;
mod memory;
mod tokens;
mod validation;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::num::NonZeroU32;
use std::thread;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{self, ApiVersionsResponse, ResponseHeader};
use kafka_protocol::protocol::{Encodable, HeaderVersion};

use super::message::{CommitBatch, CommitOutcome, CompletedCommit, CompletedFetch, PartitionOffsets};
use super::partition::tests::PhaseName;
use super::*;
use crate::backoff::RetryPolicy;
use crate::error::{Error, ErrorCode};
use crate::protocol::{
    BrokerInfo, FetchRequest, FetchResponse, FetchedPartition, Metadata, OffsetForLeaderPartition, PartitionMetadata,
    TopicMetadata,
};
use crate::types::{CommittedOffset, IsolationLevel, TopicId};

/// One batch of records, beyond offset 0.
const BATCH: &[u8] = include_bytes!("../../record_batch/testdata/zstd.bin");
const LEADER: i32 = 1;
const FOLLOWER: i32 = 2;
const SERIAL_OF_LEADER: u64 = 1;

fn retry() -> RetryPolicy {
    RetryPolicy { initial: Duration::from_millis(100), max: Duration::from_secs(10), attempts_max: None }
}

fn at(partition: i32) -> TopicPartition {
    TopicPartition::new("t", partition)
}

/// Nobody listens there.
fn nowhere() -> Address {
    Address { host: "127.0.0.1".to_owned(), port: 1 }
}

fn consumer() -> Consumer {
    let builder = Consumer::from_hosts(vec![nowhere()]).with_topic("t").with_group("g").with_retry_policy(retry());
    builder.with_rack(Some("here".to_owned())).create().unwrap()
}

fn metadata(address: &Address, id: u8, leaders: &[Option<i32>]) -> Metadata {
    let broker = |id| BrokerInfo { id, address: address.clone() };
    let partitions = leaders.iter().zip(0..).map(|(leader, partition)| PartitionMetadata {
        partition,
        leader: *leader,
        leader_epoch: Some(3),
        error: None,
    });
    Metadata {
        cluster_id: Some("c".to_owned()),
        brokers: vec![broker(LEADER), broker(FOLLOWER)],
        topics: vec![TopicMetadata {
            name: "t".into(),
            id: Some(TopicId([id; 16])),
            error: None,
            partitions: partitions.collect(),
        }],
    }
}

fn facts(partition: i32) -> Message {
    Message::Offsets(Ok(vec![PartitionOffsets { partition: at(partition), committed: None, log: Ok((0, 1000)) }]))
}

fn committed(commits: CommitBatch) -> Message {
    let outcomes = commits.keys().map(|at| (at.clone(), CommitOutcome::Committed)).collect();
    Message::Committed(CompletedCommit { batch: commits, member: None, result: Ok(outcomes) })
}

impl Consumer {
    /// Brings partitions from unknown to being read from their beginning.
    fn read_all_from(&mut self, address: &Address, partitions: i32) {
        let leaders = vec![Some(LEADER); usize::try_from(partitions).unwrap()];
        self.handle(Message::Metadata(Ok(metadata(address, 1, &leaders)))).unwrap();
        for partition in 0..partitions {
            self.handle(facts(partition)).unwrap();
            self.claim(partition, 0);
            let commits = self.take_pending();
            self.handle(committed(commits)).unwrap();
        }
        self.events.clear();
        assert!(self.is_settled());
    }

    fn claim(&mut self, partition: i32, offset: i64) {
        self.claim_after(partition, offset, None);
    }

    /// Starts where a leader of that epoch wrote the record before.
    fn claim_after(&mut self, partition: i32, offset: i64, leader_epoch: Option<i32>) {
        let token =
            self.partitions.get(&at(partition)).and_then(Partition::awaited_token).unwrap_or(StartToken::new(0));
        self.start(vec![OffsetPosition { partition: at(partition), token, offset, leader_epoch }], "ours");
    }

    fn commit_one(&mut self, partition: i32, offset: i64) {
        self.commit_after(partition, offset, None);
    }

    /// Commits under the token that the partition is read under.
    fn commit_after(&mut self, partition: i32, offset: i64, leader_epoch: Option<i32>) {
        let claim = self.partitions.get(&at(partition)).and_then(Partition::claimed_token);
        let token = claim.unwrap_or(StartToken::new(0));
        self.commit(vec![OffsetPosition { partition: at(partition), token, offset, leader_epoch }], "ours");
    }

    /// As if they were under way.
    fn take_pending(&mut self) -> CommitBatch {
        self.commits.take_pending()
    }

    fn phase(&self, partition: i32) -> PhaseName {
        self.partitions.get(&at(partition)).unwrap().phase()
    }

    fn fetch_offset(&self, partition: i32) -> i64 {
        self.partitions.get(&at(partition)).unwrap().fetch_request(at(partition), 1).unwrap().position
    }

    fn send_fetches(&mut self, now: Instant) -> Result<()> {
        self.fetcher.send(&self.config, &self.partitions, &self.messages, now)
    }

    /// What would be asked of a broker.
    fn wanted(&self, broker: i32) -> Vec<i32> {
        let now = Instant::now();
        let wanted = self.partitions.iter().filter(|(_, partition)| partition.wants_fetch(broker, now));
        wanted.map(|(at, _)| at.partition).collect()
    }

    /// The leader, or whoever has its serial number, answers a fetch of one partition.
    fn fetched(&mut self, broker: i32, partition: i32, change: impl FnOnce(&mut FetchedPartition)) -> Result<()> {
        let asked = self.partitions.get(&at(partition)).unwrap().fetch_request(at(partition), 1).unwrap();
        let request = FetchRequest {
            isolation: IsolationLevel::ReadCommitted,
            max_wait: Duration::ZERO,
            min_bytes: 1,
            max_bytes: 1,
            rack: None,
            partitions: vec![asked],
        };
        let mut answer = FetchedPartition {
            partition: at(partition),
            error: None,
            high_watermark: 1000,
            last_stable_offset: 1000,
            preferred_read_replica: None,
            aborted: vec![],
            records: Bytes::new(),
        };
        change(&mut answer);
        let response = FetchResponse { throttle: Duration::ZERO, partitions: vec![answer] };
        let serial = self.fetcher.serial_of(broker);
        self.handle(Message::Fetched(CompletedFetch { broker, serial, request, result: Ok(response) }))
    }

    fn retrying(&mut self) -> Retrying {
        match self.events.pop() {
            Some(Ok(Event::Retrying(retrying))) => retrying,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_came_of_an_earlier_claim_does_not_count_for_a_later_one() {
    let mut consumer = consumer();
    consumer.read_all_from(&nowhere(), 1);
    consumer.commit_one(0, 7);
    let under_way = consumer.take_pending();
    // The leader refuses the position meanwhile, and confirms that.
    consumer.fetched(LEADER, 0, |fetched| fetched.error = Some(ErrorCode::OFFSET_OUT_OF_RANGE)).unwrap();
    assert_eq!(consumer.phase(0), PhaseName::OutOfRange);
    let log = PartitionOffsets { partition: at(0), committed: None, log: Ok((50, 60)) };
    consumer.handle(Message::LogOffsets(Ok(vec![log]))).unwrap();
    let Some(Ok(Event::OutOfRange(range))) = consumer.events.pop() else { panic!() };
    assert_eq!((range.position, range.log_start_offset, range.end_offset), (0, 50, 60));
    consumer.claim(0, 50);
    consumer.handle(committed(under_way)).unwrap();
    assert_eq!(consumer.phase(0), PhaseName::Claiming, "its own claim is still to come");
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
fn a_foreign_commit_ends_the_claim_but_not_what_was_there_before() {
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
fn a_partition_that_is_fetched_alone_gives_way_when_it_has_nothing() {
    let mut consumer = consumer();
    consumer.read_all_from(&nowhere(), 2);
    let states = |consumer: &Consumer| consumer.partitions.values().map(|state| state.fetch_alone).collect::<Vec<_>>();
    for partition in consumer.partitions.values_mut() {
        partition.fetch_alone = true;
    }
    consumer.fetched(LEADER, 0, |_| ()).unwrap();
    assert_eq!(states(&consumer), [false, true]);
    // Cut off, though alone: the broker is wrong, and that is told.
    consumer.fetched(LEADER, 1, |fetched| fetched.records = Bytes::from_static(&BATCH[..100])).unwrap();
    assert_eq!(states(&consumer), [false, true]);
    assert!(
        matches!(consumer.retrying().error, Error::CorruptBatch { partition, offset: 0, .. } if partition == at(1))
    );
    assert_eq!(consumer.wanted(LEADER), [0]);
}

#[test]
fn damage_that_stays_is_asked_for_ever_more_seldom() {
    let mut consumer = consumer();
    consumer.read_all_from(&nowhere(), 1);
    let mut damaged = BATCH.to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    for attempt in 1..5 {
        consumer.fetched(LEADER, 0, |fetched| fetched.records = damaged.clone().into()).unwrap();
        assert!(consumer.take_records(10, Instant::now()).is_empty());
        let retrying = consumer.retrying();
        assert!(matches!(retrying.error, Error::CorruptBatch { .. }), "{}", retrying.error);
        assert_eq!(retrying.attempt, attempt);
        assert!(consumer.wanted(LEADER).is_empty(), "it waits");
    }
    consumer.fetched(LEADER, 0, |fetched| fetched.records = BATCH.into()).unwrap();
    assert_eq!(consumer.take_records(10, Instant::now() + retry().max).len(), 1);
    assert_eq!(consumer.wanted(LEADER), [0], "good records end the wait");
}

#[test]
fn a_replica_that_fails_is_left_for_the_leader_which_may_not_name_it_again() {
    let now = Instant::now();
    let mut consumer = consumer();
    consumer.read_all_from(&nowhere(), 1);
    let asked_rack =
        |consumer: &Consumer| fetcher::fetch_request(&consumer.config, &consumer.partitions, vec![at(0)], 1, now).rack;
    assert_eq!(asked_rack(&consumer).as_deref(), Some("here"));
    consumer.fetched(LEADER, 0, |fetched| fetched.preferred_read_replica = Some(FOLLOWER)).unwrap();
    assert_eq!((consumer.wanted(LEADER), consumer.wanted(FOLLOWER)), (vec![], vec![0]));
    consumer.fetched(FOLLOWER, 0, |fetched| fetched.error = Some(ErrorCode::OFFSET_OUT_OF_RANGE)).unwrap();
    assert_eq!(consumer.phase(0), PhaseName::Reading, "only the leader's word counts");
    assert_eq!((consumer.wanted(LEADER), consumer.wanted(FOLLOWER)), (vec![0], vec![]));
    assert_eq!(asked_rack(&consumer), None);
    // The follower's answer to an earlier fetch.
    consumer.fetched(FOLLOWER, 0, |fetched| fetched.error = Some(ErrorCode::NOT_LEADER_OR_FOLLOWER)).unwrap();
    assert!(consumer.events.is_empty());
    assert_eq!(consumer.wanted(LEADER), [0]);
    // One that we do not know.
    consumer.fetched(LEADER, 0, |fetched| fetched.preferred_read_replica = Some(99)).unwrap();
    assert_eq!(consumer.wanted(LEADER), [0]);
}

#[test]
fn a_new_leader_ends_the_wait_for_the_old_one() {
    let mut consumer = consumer();
    consumer.read_all_from(&nowhere(), 2);
    consumer.fetched(LEADER, 0, |fetched| fetched.error = Some(ErrorCode::NOT_LEADER_OR_FOLLOWER)).unwrap();
    assert!(matches!(consumer.retrying().error, Error::Broker { code: ErrorCode::NOT_LEADER_OR_FOLLOWER, .. }));
    assert!(consumer.topology.due_at(false) <= Instant::now());
    assert_eq!(consumer.wanted(LEADER), [1]);
    consumer.handle(Message::Metadata(Ok(metadata(&nowhere(), 1, &[None, Some(LEADER)])))).unwrap();
    assert!(consumer.wanted(FOLLOWER).is_empty() && consumer.is_settled());
    consumer.handle(Message::Metadata(Ok(metadata(&nowhere(), 1, &[Some(FOLLOWER), Some(LEADER)])))).unwrap();
    assert_eq!((consumer.wanted(FOLLOWER), consumer.wanted(LEADER)), (vec![0], vec![1]));
}

#[test]
fn a_broker_at_another_address_is_another_connection() {
    let mut consumer = consumer();
    consumer.read_all_from(&nowhere(), 1);
    let before = consumer.fetcher.serial_of(LEADER);
    assert_eq!(before, SERIAL_OF_LEADER);
    let elsewhere = Address { port: 2, ..nowhere() };
    consumer.handle(Message::Metadata(Ok(metadata(&elsewhere, 1, &[Some(LEADER)])))).unwrap();
    assert_ne!(consumer.fetcher.serial_of(LEADER), before);
    // What the old one still says is dropped: a failure of it is none of the new one.
    let request = fetcher::fetch_request(&consumer.config, &consumer.partitions, vec![at(0)], 1, Instant::now());
    let result = Err(Error::Config("would be fatal".to_owned()));
    consumer.handle(Message::Fetched(CompletedFetch { broker: LEADER, serial: before, request, result })).unwrap();
    let mut alone = metadata(&elsewhere, 1, &[Some(LEADER)]);
    alone.brokers.truncate(1);
    consumer.handle(Message::Metadata(Ok(alone))).unwrap();
    assert_eq!(consumer.fetcher.brokers().keys().collect::<Vec<_>>(), [&LEADER], "one that left leaves nothing behind");
}

#[test]
fn every_partition_has_its_turn_whichever_come_and_go() {
    let mut first = None;
    let mut turn = |partitions: &[i32]| {
        let mut partitions: Vec<TopicPartition> = partitions.iter().map(|partition| at(*partition)).collect();
        fetcher::take_turns(&mut partitions, &mut first);
        partitions.iter().map(|at| at.partition).collect::<Vec<_>>()
    };
    assert_eq!(turn(&[0, 1, 2, 3]), [0, 1, 2, 3]);
    assert_eq!(turn(&[0, 1, 2, 3]), [1, 2, 3, 0]);
    assert_eq!(turn(&[0, 1, 3]), [3, 0, 1]);
    assert_eq!(turn(&[0, 1, 2, 3]), [0, 1, 2, 3]);
    assert_eq!(turn(&[0]), [0]);
    assert!(turn(&[]).is_empty());
    assert_eq!(turn(&[2]), [2]);
}

#[test]
fn no_poll_gives_much_more_than_a_fetch() {
    let mut consumer = consumer();
    consumer.config.fetch_bytes_max = 1;
    consumer.read_all_from(&nowhere(), 3);
    for partition in 0..3 {
        consumer.fetched(LEADER, partition, |fetched| fetched.records = BATCH.into()).unwrap();
    }
    let mut order = Vec::new();
    for _ in 0..3 {
        let taken = consumer.take_records(1000, Instant::now());
        assert_eq!(taken.len(), 1, "one is enough");
        order.push(taken[0].partition.partition);
    }
    assert_eq!(order, [0, 1, 2]);
}

#[test]
fn records_count_as_held_while_the_user_has_them() {
    let now = Instant::now();
    let mut consumer = consumer();
    consumer.read_all_from(&nowhere(), 2);
    for partition in 0..2 {
        consumer.fetched(LEADER, partition, |fetched| fetched.records = BATCH.into()).unwrap();
    }
    let is_free = |consumer: &mut Consumer| consumer.fetcher.brokers().get_mut(&LEADER).unwrap().is_free(now);
    assert!(!is_free(&mut consumer), "two responses are in memory");
    let taken = consumer.take_records(1000, now);
    assert!(consumer.partitions.values().all(|partition| !partition.has_fetched()));
    assert!(!is_free(&mut consumer), "they still are");
    drop(taken);
    assert!(is_free(&mut consumer));
}

#[test]
fn flush_keeps_what_else_happens_and_returns_the_failure() {
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
fn a_topic_that_is_gone_holds_up_no_commit_of_others() {
    let mut consumer = consumer();
    consumer.read_all_from(&nowhere(), 2);
    consumer.handle(Message::Metadata(Ok(metadata(&nowhere(), 1, &[None, Some(LEADER)])))).unwrap();
    consumer.commit_one(0, 7);
    consumer.commit_one(1, 7);
    consumer.send_requests(Instant::now()).unwrap();
    assert_eq!(consumer.commits.pending().keys().collect::<Vec<_>>(), [&at(0)]);
    assert!(consumer.commits.is_in_flight());
}

#[test]
fn the_next_timer_is_the_first_wait_that_no_answer_ends() {
    let mut consumer = consumer();
    consumer.read_all_from(&nowhere(), 2);
    let now = Instant::now();
    let later = |seconds| now + Duration::from_secs(seconds);
    consumer.topology.set_times(Instant::now(), later(10));
    assert_eq!(consumer.next_timer(now), Some(later(10)));
    consumer.fetcher.brokers().get_mut(&LEADER).unwrap().pause.hold(later(5));
    assert_eq!(consumer.next_timer(now), Some(later(5)));
    consumer.partitions.get_mut(&at(1)).unwrap().pause.hold(later(4));
    assert_eq!(consumer.next_timer(now), Some(later(4)));
    consumer.commits.pause.hold(later(3));
    assert_eq!(consumer.next_timer(now), Some(later(3)));
    assert_eq!(consumer.next_timer(later(4)), Some(later(5)), "what is over has been looked at");
}

#[test]
fn pauses_grow_end_and_give_up() {
    let now = Instant::now();
    let failure = || Error::Topic { topic: "t".to_owned(), code: ErrorCode::LEADER_NOT_AVAILABLE };
    let mut pause = Pause::new(retry());
    assert!(pause.is_over(now));
    for attempt in 1..=3 {
        let retrying = pause.failed(failure(), now).unwrap();
        assert_eq!(retrying.attempt, attempt);
        assert_eq!(pause.until(), Some(now + retrying.wait));
        assert!(!pause.is_over(now) && pause.is_over(now + retrying.wait));
    }
    pause.cut_short();
    assert!(pause.is_over(now));
    assert_eq!(pause.failed(failure(), now).unwrap().attempt, 4);
    pause.succeeded();
    assert_eq!(pause.failed(failure(), now).unwrap().attempt, 1);
    let hopeless = Error::Topic { topic: "t".to_owned(), code: ErrorCode::TOPIC_AUTHORIZATION_FAILED };
    assert!(matches!(pause.failed(hopeless, now), Err(Error::Topic { .. })));

    let mut twice = Pause::new(RetryPolicy { attempts_max: NonZeroU32::new(2), ..retry() });
    twice.failed(failure(), now).unwrap();
    assert!(matches!(twice.failed(failure(), now), Err(Error::RetriesExhausted { attempts: 2, .. })));
    let for_ever = RetryPolicy { initial: Duration::MAX, max: Duration::MAX, attempts_max: None };
    let mut endless = Pause::new(for_ever);
    endless.failed(failure(), now).unwrap();
    assert!(!endless.is_over(now));
}

/// Reads a request: its number, version and correlation id.
fn request(from: &mut impl Read) -> (i16, i16, i32) {
    let mut length = [0; 4];
    from.read_exact(&mut length).unwrap();
    let mut request = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
    from.read_exact(&mut request).unwrap();
    let short = |at: usize| i16::from_be_bytes(request[at..at + 2].try_into().unwrap());
    (short(0), short(2), i32::from_be_bytes(request[4..8].try_into().unwrap()))
}

fn answer<M: Encodable + HeaderVersion>(to: &mut impl Write, message: &M, version: i16, correlation_id: i32) {
    let mut bytes = BytesMut::new();
    let header = ResponseHeader::default().with_correlation_id(correlation_id);
    header.encode(&mut bytes, M::header_version(version)).unwrap();
    message.encode(&mut bytes, version).unwrap();
    to.write_all(&u32::try_from(bytes.len()).unwrap().to_be_bytes()).unwrap();
    to.write_all(&bytes).unwrap();
}

#[test]
fn the_next_fetch_is_on_the_wire_before_the_records_are_used_and_a_dropped_consumer_hangs_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address { host: "127.0.0.1".to_owned(), port: listener.local_addr().unwrap().port() };
    let (fetches, seen) = channel();
    let peer = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (_, version, id) = request(&mut stream);
        let fetch = ApiVersion::default().with_api_key(1).with_min_version(4).with_max_version(12);
        answer(&mut stream, &ApiVersionsResponse::default().with_api_keys(vec![fetch]), version, id);
        let (_, version, id) = request(&mut stream);
        let records = PartitionData::default().with_records(Some(Bytes::from_static(BATCH)));
        let topic = FetchableTopicResponse::default()
            .with_topic(messages::TopicName("t".into()))
            .with_partitions(vec![records.with_last_stable_offset(1000)]);
        answer(&mut stream, &messages::FetchResponse::default().with_responses(vec![topic]), version, id);
        // Never answered.
        let (key, _, id) = request(&mut stream);
        fetches.send((key, id)).unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty(), "two fetches at once");
    });
    let builder = Consumer::from_hosts(vec![nowhere()]).with_topic("t").with_group("g");
    let mut consumer = builder.with_request_timeout(Duration::from_millis(200)).create().unwrap();
    consumer.read_all_from(&address, 1);
    consumer.topology.set_times(Instant::now(), after(Instant::now(), Duration::MAX));
    let Event::Records(records) = consumer.poll(Duration::from_mins(1), 1000).unwrap() else { panic!() };
    assert_eq!(seen.recv_timeout(Duration::from_mins(1)).unwrap().0, 1);
    drop(records);
    drop(consumer);
    peer.join().unwrap();
}

#[test]
fn a_waker_ends_a_poll_and_the_one_that_comes_next() {
    let mut consumer = consumer();
    // Nothing but a wake can end the wait: no timer, no answer.
    consumer.topology.set_times(Instant::now(), after(Instant::now(), Duration::MAX));
    let waker = consumer.waker();
    waker.wake();
    assert!(matches!(consumer.poll(Duration::MAX, 1), Ok(Event::Idle)));
    let sleeper = thread::spawn(move || consumer.poll(Duration::MAX, 1).map(|_| ()));
    waker.wake();
    sleeper.join().unwrap().unwrap();
    waker.wake(); // the consumer is gone
}
