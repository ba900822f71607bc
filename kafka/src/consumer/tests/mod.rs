//! The consumer's decisions: each message is made up and handled, so that any order is possible. No broker is connected to, unless a
//! test starts one.

mod commits;
mod fetching;
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

/// Nothing listens on port 1 (tcpmux).
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

fn offsets_known(partition: i32) -> Message {
    Message::Offsets(Ok(vec![PartitionOffsets { partition: at(partition), committed: None, log: Ok((0, 1000)) }]))
}

fn committed(commits: CommitBatch) -> Message {
    let outcomes = commits.keys().map(|at| (at.clone(), CommitOutcome::Committed)).collect();
    Message::Committed(CompletedCommit { batch: commits, member: None, result: Ok(outcomes) })
}

impl Consumer {
    /// Brings partitions from unknown to being read from offset 0.
    fn read_all_from(&mut self, address: &Address, partitions: i32) {
        let leaders = vec![Some(LEADER); usize::try_from(partitions).unwrap()];
        self.handle(Message::Metadata(Ok(metadata(address, 1, &leaders)))).unwrap();
        for partition in 0..partitions {
            self.handle(offsets_known(partition)).unwrap();
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

    /// As if they were in flight.
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

    /// The partitions that the next fetch from a broker requests.
    fn wanted(&self, broker: i32) -> Vec<i32> {
        let now = Instant::now();
        let wanted = self.partitions.iter().filter(|(_, partition)| partition.wants_fetch(broker, now));
        wanted.map(|(at, _)| at.partition).collect()
    }

    /// A broker responds to a fetch of one partition.
    fn fetched(&mut self, broker: i32, partition: i32, change: impl FnOnce(&mut FetchedPartition)) -> Result<()> {
        let requested = self.partitions.get(&at(partition)).unwrap().fetch_request(at(partition), 1).unwrap();
        let request = FetchRequest {
            isolation: IsolationLevel::ReadCommitted,
            max_wait: Duration::ZERO,
            min_bytes: 1,
            max_bytes: 1,
            rack: None,
            partitions: vec![requested],
        };
        let mut fetched = FetchedPartition {
            partition: at(partition),
            error: None,
            high_watermark: 1000,
            last_stable_offset: 1000,
            preferred_read_replica: None,
            aborted: vec![],
            records: Bytes::new(),
        };
        change(&mut fetched);
        let response = FetchResponse { throttle: Duration::ZERO, partitions: vec![fetched] };
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

/// Reads a request: its number, version and correlation id.
fn request(from: &mut impl Read) -> (i16, i16, i32) {
    let mut length = [0; 4];
    from.read_exact(&mut length).unwrap();
    let mut request = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
    from.read_exact(&mut request).unwrap();
    let short = |at: usize| i16::from_be_bytes(request[at..at + 2].try_into().unwrap());
    (short(0), short(2), i32::from_be_bytes(request[4..8].try_into().unwrap()))
}

fn respond<M: Encodable + HeaderVersion>(to: &mut impl Write, message: &M, version: i16, correlation_id: i32) {
    let mut bytes = BytesMut::new();
    let header = ResponseHeader::default().with_correlation_id(correlation_id);
    header.encode(&mut bytes, M::header_version(version)).unwrap();
    message.encode(&mut bytes, version).unwrap();
    to.write_all(&u32::try_from(bytes.len()).unwrap().to_be_bytes()).unwrap();
    to.write_all(&bytes).unwrap();
}

#[test]
fn the_next_timer_is_the_first_that_no_message_announces() {
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

#[test]
fn a_waker_ends_a_poll_and_the_one_that_comes_next() {
    let mut consumer = consumer();
    // Only a wake can end the wait: no timer, no message.
    consumer.topology.set_times(Instant::now(), after(Instant::now(), Duration::MAX));
    let waker = consumer.waker();
    waker.wake();
    assert!(matches!(consumer.poll(Duration::MAX, 1), Ok(Event::Idle)));
    let sleeper = thread::spawn(move || consumer.poll(Duration::MAX, 1).map(|_| ()));
    waker.wake();
    sleeper.join().unwrap().unwrap();
    waker.wake(); // the consumer is gone
}
