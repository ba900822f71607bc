//! A user of the consumer that keeps what it receives and checks, with everything that it reads, that positions follow each other
//! without a gap: so each test also shows that no record comes twice, none is left out and none is out of order.

mod setup;
pub mod token_server;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kafka::{
    Address, Assignment, Builder, Consumer, Error, Event, OffsetPosition, OutOfRange, Record, Retrying, Revocation,
    StartToken, TopicPartition, Truncation,
};

pub use setup::{numbers, on_each_version};

/// Far longer than any test takes.
const DEADLINE: Duration = Duration::from_secs(90);

/// The metadata of this program's commits.
pub const CLAIM: &str = "ours";

/// `host:port` by commas.
pub fn addresses(bootstrap_servers: &str) -> Vec<Address> {
    bootstrap_servers
        .split(',')
        .map(|server| {
            let (host, port) = server.split_once(':').unwrap();
            Address { host: host.to_owned(), port: port.parse().unwrap() }
        })
        .collect()
}

/// Repeats `look` until it finds something.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} did not come");
    }
}

pub struct Reader {
    pub consumer: Consumer,
    /// Where to start; `None`: the test itself does.
    pub choose: fn(&Assignment) -> Option<i64>,
    pub records_max: usize,
    pub records: BTreeMap<TopicPartition, Vec<Record>>,
    pub positions: BTreeMap<TopicPartition, i64>,
    /// From the last records of each partition.
    pub leader_epochs: BTreeMap<TopicPartition, Option<i32>>,
    /// The token of each partition's last event that has one.
    tokens: BTreeMap<TopicPartition, StartToken>,
    pub ends: BTreeMap<TopicPartition, i64>,
    /// How many records each poll gave, by partition.
    pub polls: Vec<Vec<(TopicPartition, usize)>>,
    pub assigned: Vec<Assignment>,
    pub started: Vec<TopicPartition>,
    pub lost: Vec<TopicPartition>,
    pub revoked: Vec<TopicPartition>,
    pub out_of_range: Vec<OutOfRange>,
    pub truncated: Vec<Truncation>,
    pub retried: Vec<Retrying>,
}

impl Reader {
    /// Reads from the start of each log.
    pub fn new(builder: Builder) -> Self {
        Self {
            consumer: builder.create().unwrap(),
            choose: |assignment| Some(assignment.log_start_offset),
            records_max: 1000,
            records: BTreeMap::new(),
            positions: BTreeMap::new(),
            leader_epochs: BTreeMap::new(),
            tokens: BTreeMap::new(),
            ends: BTreeMap::new(),
            polls: Vec::new(),
            assigned: Vec::new(),
            started: Vec::new(),
            lost: Vec::new(),
            revoked: Vec::new(),
            out_of_range: Vec::new(),
            truncated: Vec::new(),
            retried: Vec::new(),
        }
    }

    pub fn choose(mut self, choose: fn(&Assignment) -> Option<i64>) -> Self {
        self.choose = choose;
        self
    }

    pub fn records_max(mut self, records_max: usize) -> Self {
        self.records_max = records_max;
        self
    }

    /// Takes the next event.
    pub fn poll(&mut self) -> kafka::Result<()> {
        match self.consumer.poll(Duration::from_millis(100), self.records_max)? {
            Event::Records(batches) => {
                self.polls.push(batches.iter().map(|batch| (batch.partition.clone(), batch.records.len())).collect());
                for batch in batches {
                    let position = self.positions.insert(batch.partition.clone(), batch.next_offset);
                    assert_eq!(position, Some(batch.from_offset), "{}", batch.partition);
                    assert!(batch.next_offset > batch.from_offset, "{batch:?}");
                    assert!(batch.records.is_sorted_by(|a, b| a.offset < b.offset), "{batch:?}");
                    let range = batch.from_offset..batch.next_offset;
                    assert!(batch.records.iter().all(|record| range.contains(&record.offset)), "{batch:?}");
                    self.leader_epochs.insert(batch.partition.clone(), batch.leader_epoch);
                    self.ends.insert(batch.partition.clone(), batch.end_offset);
                    self.records.entry(batch.partition).or_default().extend(batch.records);
                }
            }
            Event::Assigned(assignments) => {
                for assignment in assignments {
                    self.tokens.insert(assignment.partition.clone(), assignment.token);
                    if let Some(offset) = (self.choose)(&assignment) {
                        self.start(&assignment.partition, offset);
                    }
                    self.assigned.push(assignment);
                }
            }
            Event::Lost(partitions) => {
                for at in &partitions {
                    self.positions.remove(at);
                }
                self.lost.extend(partitions);
            }
            Event::OutOfRange(range) => {
                self.tokens.insert(range.partition.clone(), range.token);
                self.out_of_range.push(range);
            }
            Event::Truncated(truncation) => {
                self.tokens.insert(truncation.partition.clone(), truncation.token);
                self.truncated.push(truncation);
            }
            Event::Started(partitions) => self.started.extend(partitions),
            Event::Retrying(retrying) => self.retried.push(retrying),
            Event::Revoked(Revocation { partitions, acknowledgement }) => {
                self.commit();
                self.consumer.acknowledge(acknowledgement);
                for at in &partitions {
                    self.positions.remove(at);
                }
                self.revoked.extend(partitions);
            }
            Event::Rebalancing(acknowledgement) => {
                self.commit();
                self.consumer.acknowledge(acknowledgement);
            }
            Event::Waiting(_) | Event::Idle => {}
        }
        Ok(())
    }

    pub fn start(&mut self, at: &TopicPartition, offset: i64) {
        self.start_after(at, offset, None);
    }

    /// Starts where a leader of that epoch wrote the record before.
    pub fn start_after(&mut self, at: &TopicPartition, offset: i64, leader_epoch: Option<i32>) {
        self.positions.insert(at.clone(), offset);
        let token = self.tokens[at];
        self.consumer.start(vec![OffsetPosition { partition: at.clone(), token, offset, leader_epoch }], CLAIM);
    }

    /// Polls until `done`.
    pub fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !done(self) {
            assert!(
                Instant::now() < deadline,
                "{what} did not come; assigned {:?}, lost {:?}, at {:?}, retried {:?}",
                self.assigned,
                self.lost,
                self.positions,
                self.retried.iter().map(|retrying| retrying.error.to_string()).collect::<Vec<_>>()
            );
            self.poll().unwrap();
        }
    }

    /// Polls until the consumer fails.
    pub fn until_error(&mut self, mut each_time: impl FnMut(&mut Self)) -> Error {
        let deadline = Instant::now() + DEADLINE;
        while Instant::now() < deadline {
            each_time(self);
            if let Err(error) = self.poll() {
                return error;
            }
        }
        panic!("it did not fail; {:?}", self.retried)
    }

    pub fn until_position(&mut self, at: &TopicPartition, position: i64) {
        self.until(&format!("position {position} of {at}"), |reader| reader.positions.get(at) == Some(&position));
    }

    /// Commits the positions and waits until they have been accepted.
    pub fn commit(&mut self) {
        self.commit_later();
        assert!(self.consumer.flush(DEADLINE).unwrap(), "not committed in time");
    }

    pub fn commit_later(&mut self) {
        let positions = self.positions.iter().map(|(at, offset)| OffsetPosition {
            partition: at.clone(),
            token: self.tokens[at],
            offset: *offset,
            leader_epoch: self.leader_epochs.get(at).copied().flatten(),
        });
        let positions = positions.collect();
        self.consumer.commit(positions, CLAIM);
    }

    pub fn values(&self, at: &TopicPartition) -> Vec<String> {
        let records = self.records.get(at).into_iter().flatten();
        records.map(|record| String::from_utf8(record.value.as_deref().unwrap().to_vec()).unwrap()).collect()
    }
}
