//! Each request refused with each code that a retry or a rejoin cures, at the start and during reading, once and three times in a
//! row: reading goes on, and every record is read once. The codes are those of Kafka's table that the client calls retriable, and those
//! by which a coordinator fences a member or does not know it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use kafka::{Address, Consumer, Error, ErrorCode, Event, GroupProtocol, OffsetPosition, RetryPolicy, StartToken};

use crate::fake::{FakeBroker, PARTITIONS, Place, TOPIC};

/// Far longer than a case takes.
const DEADLINE: Duration = Duration::from_mins(1);
/// Cases at once: they mostly wait.
const THREADS: usize = 12;
const CLAIM: &str = "ours";

/// Codes for an unknown member, or one of another generation or epoch.
const FENCING: [ErrorCode; 8] = [
    ErrorCode::ILLEGAL_GENERATION,
    ErrorCode::UNKNOWN_MEMBER_ID,
    ErrorCode::REBALANCE_IN_PROGRESS,
    ErrorCode::GROUP_ID_NOT_FOUND,
    ErrorCode::FENCED_INSTANCE_ID,
    ErrorCode::FENCED_MEMBER_EPOCH,
    ErrorCode::STALE_MEMBER_EPOCH,
    ErrorCode::UNRELEASED_INSTANCE_ID,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    None,
    Classic,
    Consumer,
}

/// Requests that come from a member, which may be fenced.
const OF_MEMBERS: [Place; 6] = [
    Place::JoinGroup,
    Place::SyncGroup,
    Place::Heartbeat,
    Place::LeaveGroup,
    Place::OffsetCommit,
    Place::ConsumerGroupHeartbeat,
];

/// Other requests and the fields of their responses that have a code.
const OF_ALL: [Place; 10] = [
    Place::MetadataTopic,
    Place::MetadataPartition,
    Place::FindCoordinator,
    Place::DescribeGroups,
    Place::OffsetFetch,
    Place::OffsetFetchPartition,
    Place::ListOffsets,
    Place::OffsetForLeaderEpoch,
    Place::Fetch,
    Place::FetchPartition,
];

#[derive(Clone, Copy, Debug)]
struct Case {
    protocol: Protocol,
    place: Place,
    code: ErrorCode,
}

impl Case {
    /// Codes that end the membership by contract, or that are no refusal in that place.
    fn is_left_out(self) -> bool {
        let Self { protocol, place, code } = self;
        let is_classic_only =
            matches!(place, Place::JoinGroup | Place::SyncGroup | Place::Heartbeat | Place::DescribeGroups);
        let is_foreign = match protocol {
            Protocol::None => is_classic_only || matches!(place, Place::LeaveGroup | Place::ConsumerGroupHeartbeat),
            Protocol::Classic => place == Place::ConsumerGroupHeartbeat,
            Protocol::Consumer => is_classic_only,
        };
        // Another process has become this member, which ends the consumer: `groups.rs` tests that.
        let is_taken_over = code == ErrorCode::FENCED_INSTANCE_ID
            && matches!(place, Place::JoinGroup | Place::SyncGroup | Place::Heartbeat | Place::ConsumerGroupHeartbeat);
        // That the group does not exist is no refusal: it has committed nothing.
        let is_no_refusal =
            code == ErrorCode::GROUP_ID_NOT_FOUND && matches!(place, Place::OffsetFetch | Place::OffsetFetchPartition);
        is_foreign || is_taken_over || is_no_refusal
    }

    /// Whether reading must go on after the refusal.
    fn passes(self) -> bool {
        let Self { protocol, place, code } = self;
        let address = Address { host: "broker".to_owned(), port: 1 };
        let error = match place {
            Place::MetadataTopic => Error::Topic { topic: TOPIC.to_owned(), code },
            _ => Error::Broker { address, request: place.request(), code, subject: String::new() },
        };
        let is_of_member = protocol != Protocol::None && OF_MEMBERS.contains(&place);
        error.is_retriable() || ((is_of_member || place == Place::MetadataTopic) && FENCING.contains(&code))
    }
}

fn cases() -> Vec<Case> {
    let codes = || (-1..200).map(ErrorCode).filter(|code| code.0 != 0 && code.name().is_some());
    let mut cases = Vec::new();
    for protocol in [Protocol::None, Protocol::Classic, Protocol::Consumer] {
        for place in OF_MEMBERS.into_iter().chain(OF_ALL) {
            cases.extend(codes().map(|code| Case { protocol, place, code }));
        }
    }
    cases.retain(|case| case.passes() && !case.is_left_out());
    cases
}

/// A user that stores its positions, as the service does in its database.
struct User {
    broker: FakeBroker,
    consumer: Consumer,
    /// The next offset of each partition.
    stored: BTreeMap<i32, i64>,
    tokens: BTreeMap<i32, StartToken>,
    failures: Vec<String>,
}

impl User {
    fn new(broker: FakeBroker, protocol: Protocol) -> Self {
        let protocol = match protocol {
            Protocol::None => GroupProtocol::None,
            Protocol::Classic => GroupProtocol::Classic {
                instance_id: "i".to_owned(),
                session_timeout: Duration::from_millis(300), // so that heartbeats come often
            },
            Protocol::Consumer => GroupProtocol::Consumer { member_id: "server-side".to_owned(), instance_id: None },
        };
        let retry =
            RetryPolicy { initial: Duration::from_millis(1), max: Duration::from_millis(5), attempts_max: None };
        let consumer = Consumer::from_hosts(vec![broker.address()])
            .with_topic(TOPIC)
            .with_group("g")
            .with_group_protocol(protocol)
            .with_metadata_max_age(Duration::from_millis(50))
            .with_retry_policy(retry)
            .create()
            .unwrap();
        Self { broker, consumer, stored: BTreeMap::new(), tokens: BTreeMap::new(), failures: Vec::new() }
    }

    fn step(&mut self) -> Result<(), String> {
        match self.consumer.poll(Duration::from_millis(20), 100).map_err(|error| format!("it ended: {error}"))? {
            Event::Records(batches) => {
                for batch in batches {
                    let next = self.stored.entry(batch.partition.partition).or_default();
                    for record in &batch.records {
                        let value = record.value.as_deref().unwrap();
                        if record.offset != *next || value != record.offset.to_string().as_bytes() {
                            return Err(format!("offset {} came instead of {next}", record.offset));
                        }
                        *next += 1;
                    }
                    let position = OffsetPosition {
                        token: self.tokens[&batch.partition.partition],
                        partition: batch.partition,
                        offset: *next,
                        leader_epoch: batch.leader_epoch,
                    };
                    self.consumer.commit(vec![position], CLAIM);
                }
            }
            Event::Assigned(assignments) => {
                self.tokens.extend(assignments.iter().map(|of| (of.partition.partition, of.token)));
                let start = |of: kafka::Assignment| OffsetPosition {
                    token: of.token,
                    offset: self.stored.get(&of.partition.partition).copied().unwrap_or(0),
                    leader_epoch: None,
                    partition: of.partition,
                };
                self.consumer.start(assignments.into_iter().map(start).collect(), CLAIM);
            }
            Event::Rebalancing(acknowledgement) => {
                drop(self.consumer.flush(Duration::from_millis(200)));
                self.consumer.acknowledge(acknowledgement);
            }
            Event::Revoked(revocation) => {
                drop(self.consumer.flush(Duration::from_millis(200)));
                self.consumer.acknowledge(revocation.acknowledgement);
            }
            Event::OutOfRange(range) => return Err(format!("{range:?}")),
            Event::Truncated(truncation) => return Err(format!("{truncation:?}")),
            Event::Retrying(retrying) => self.failures.push(retrying.error.to_string()),
            Event::Lost(_) | Event::Started(_) | Event::Waiting(_) | Event::Idle => {}
        }
        Ok(())
    }

    /// Polls until all is read and committed, and all refusals have been sent.
    fn until_read(&mut self, what: &str, end: i64) -> Result<(), String> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let all = |is_so: &dyn Fn(i32) -> bool| (0..PARTITIONS).all(is_so);
            let is_read = all(&|partition| self.stored.get(&partition) == Some(&end));
            let is_committed = all(&|partition| self.broker.committed(partition) == Some(end));
            if is_read && is_committed && self.broker.refusals_left() == 0 {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let last: Vec<_> = self.failures.iter().rev().take(3).collect();
                return Err(format!(
                    "{what}: stored {:?}, committed {:?}, {} refusals left, last failures {last:?}",
                    self.stored,
                    self.broker.committed(0),
                    self.broker.refusals_left()
                ));
            }
            self.step().map_err(|error| format!("{what}: {error}"))?;
        }
    }
}

/// Causes a request while records are read.
fn provoke(user: &User, place: Place) {
    match place {
        Place::JoinGroup | Place::SyncGroup => user.broker.rebalance(),
        // Sent to validate the position after a leader of another epoch was elected.
        Place::OffsetForLeaderEpoch => user.broker.elect(),
        _ => {}
    }
}

/// Whether the request is sent only before the first record.
fn is_at_start_only(case: Case) -> bool {
    matches!(
        case.place,
        Place::FindCoordinator
            | Place::DescribeGroups
            | Place::OffsetFetch
            | Place::OffsetFetchPartition
            | Place::ListOffsets
    )
}

fn run(case: Case) -> Result<(), String> {
    let Case { protocol, place, code } = case;
    let broker = FakeBroker::start(PARTITIONS);
    broker.append(3);
    let is_early = !matches!(place, Place::OffsetForLeaderEpoch | Place::LeaveGroup);
    let mut user = User::new(broker, protocol);
    let mut end = 3;
    if is_at_start_only(case) {
        user.broker.refuse(place, code.0, 3);
    } else if is_early {
        user.broker.refuse(place, code.0, 1);
    }
    user.until_read("at the start", end)?;
    if is_early && !is_at_start_only(case) || place == Place::OffsetForLeaderEpoch {
        // Many refusals with one of the codes.
        let many = if code == ErrorCode::UNKNOWN_SERVER_ERROR { 25 } else { 3 };
        for (what, times) in [("several times", many), ("once", 1)] {
            user.broker.refuse(place, code.0, times);
            provoke(&user, place);
            user.broker.append(2);
            end += 2;
            user.until_read(what, end)?;
        }
    }
    user.broker.append(1);
    user.until_read("in the end", end + 1)?;
    if place == Place::LeaveGroup {
        user.broker.refuse(place, code.0, 2);
    }
    let left = user.consumer.leave(Duration::from_secs(10)).map_err(|error| format!("leaving: {error}"))?;
    // A group without members, or one that does not know the member, is not left.
    let is_no_member = protocol == Protocol::None || (place == Place::LeaveGroup && FENCING.contains(&code));
    let is_out = user.broker.has_left() || is_no_member;
    if left && is_out { Ok(()) } else { Err(format!("it has not left ({left})")) }
}

#[test]
fn every_request_refused_with_every_retriable_code() {
    let cases = cases();
    assert!(cases.len() > 400, "only {} cases", cases.len());
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = std::panic::catch_unwind(|| run(*case)).unwrap_or_else(|_| Err("panic".to_owned()));
                    if let Err(why) = result {
                        failed.lock().unwrap().push(format!("{case:?}: {why}"));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} of {} cases failed:\n{}", failed.len(), cases.len(), failed.join("\n"));
}
