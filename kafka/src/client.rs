//! Asks a cluster questions, one at a time, and waits for the answers: metadata, log offsets, group offsets. Finds the broker that
//! each question is for. Never tries again by itself; knows nothing of assignments or positions.

mod epochs;
mod reset;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use crate::connection::ConnectionSettings;
use crate::error::{Error, ErrorCode, Result};
use crate::link::Link;
use crate::protocol::{
    BrokerInfo, FetchPartition, FetchRequest, FindCoordinatorRequest, HeartbeatRequest, ListOffsetsRequest, Metadata,
    MetadataRequest, OffsetCommitRequest, OffsetFetchRequest, OffsetSpec, Request,
};
use crate::record_batch::{PartitionReader, Room};
use crate::types::{Address, CommittedOffset, IsolationLevel, Member, TopicId, TopicPartition};

pub(crate) use epochs::EpochEnds;

/// First offset of a partition's log, and its end for an isolation level; or why the leader does not say.
pub type LogOffsets = Result<(i64, i64)>;

/// A blocking client for questions about a cluster. Connections are made when needed and kept.
pub struct Client {
    bootstrap: Vec<Address>,
    settings: ConnectionSettings,
    links: HashMap<Address, Link>,
    brokers: Vec<BrokerInfo>,
    /// The broker that answered the last question that any broker can answer.
    helpful: Option<Address>,
    /// Brokers that failed to answer last time, or are late elsewhere: asked last where any broker can answer.
    doubtful: HashSet<Address>,
    partitions: HashMap<TopicPartition, Place>,
    /// The group that was asked for last, and who coordinates it.
    coordinator: Option<(String, Address)>,
}

/// Where a partition is, as metadata said last.
#[derive(Clone, Debug)]
struct Place {
    topic_id: Option<TopicId>,
    leader: Option<Address>,
    leader_epoch: Option<i32>,
}

impl Client {
    /// A client that finds its cluster through any of these brokers; none is called yet.
    pub fn new(bootstrap: Vec<Address>, settings: ConnectionSettings) -> Self {
        Self {
            bootstrap,
            settings,
            links: HashMap::new(),
            brokers: Vec::new(),
            helpful: None,
            doubtful: HashSet::new(),
            partitions: HashMap::new(),
            coordinator: None,
        }
    }

    /// The cluster, as the first broker that answers knows it.
    pub fn metadata(&mut self, topics: Vec<Arc<str>>) -> Result<Metadata> {
        let metadata = self.call_any(&MetadataRequest { topics })?;
        self.remember(&metadata);
        Ok(metadata)
    }

    /// Start and end of each partition's log, asked at its leader. Says something of each partition; `Err` only if not even
    /// metadata can be had. Where a leader does not answer, the first of its partitions has the cause.
    pub fn log_offsets(
        &mut self,
        partitions: &[TopicPartition],
        isolation: IsolationLevel,
    ) -> Result<Vec<(TopicPartition, LogOffsets)>> {
        self.at_leaders(partitions, |client, leader, partitions| client.log_offsets_at(leader, partitions, isolation))
    }

    /// What a group has committed, for each partition where it has committed something.
    pub fn committed(
        &mut self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, CommittedOffset>> {
        let request = OffsetFetchRequest { group: group.to_owned(), partitions: partitions.to_vec() };
        let (coordinator, answer) = self.call_coordinator(group, &request)?;
        let mut committed = BTreeMap::new();
        for (at, result) in answer {
            match result {
                Ok(Some(offset)) => drop(committed.insert(at, offset)),
                Ok(None) => {}
                Err(code) => return Err(self.refused(&coordinator, "OffsetFetch", code, &at)),
            }
        }
        Ok(committed)
    }

    /// Commits offsets, as a member of the group or for one that has none; for each partition, why it was refused, if it was.
    pub(crate) fn commit(
        &mut self,
        group: &str,
        member: Option<Member>,
        offsets: Vec<(TopicPartition, CommittedOffset)>,
    ) -> Result<Vec<(TopicPartition, Option<Error>)>> {
        let is_member = member.is_some();
        let request = OffsetCommitRequest { group: group.to_owned(), member, offsets };
        let (coordinator, answer) = self.call_coordinator(group, &request)?;
        let mut outcomes = Vec::with_capacity(answer.len());
        for (at, refusal) in answer {
            let mut refusal = refusal.map(|code| self.refused(&coordinator, "OffsetCommit", code, &at));
            if let Some(Error::Broker { code: ErrorCode::UNKNOWN_MEMBER_ID, subject, .. }) = &mut refusal
                && !is_member
            {
                // The code alone helps nobody: we are no member, and claim to be none.
                *subject = format!("{at} (another program is a member of group '{group}')");
            }
            outcomes.push((at, refusal));
        }
        Ok(outcomes)
    }

    /// Whether the group lets us read in its name: asked by a sign of life of nobody, which changes nothing. `Err` with
    /// `GROUP_AUTHORIZATION_FAILED` if it does not.
    pub fn may_read_as(&mut self, group: &str) -> Result<()> {
        let nobody = Member { id: String::new(), epoch: -1, instance_id: None };
        let request = HeartbeatRequest { group: group.to_owned(), member: nobody };
        match self.call_coordinator(group, &request) {
            Ok(_) | Err(Error::Broker { code: ErrorCode::UNKNOWN_MEMBER_ID, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Time of the first visible record at or after an offset, in milliseconds since 1970. `None` if there is none in what one fetch of one
    /// batch brings, or if the record has no time.
    pub fn timestamp_at(&mut self, at: &TopicPartition, offset: i64, isolation: IsolationLevel) -> Result<Option<i64>> {
        self.locate(std::slice::from_ref(at))?;
        let place = self.partitions.get(at).cloned();
        let Some((place, leader)) = place.and_then(|place| place.leader.clone().map(|leader| (place, leader))) else {
            return Err(leaderless(at));
        };
        let request = FetchRequest {
            isolation,
            max_wait: Duration::ZERO,
            min_bytes: 0,
            // A first batch comes whole, however small the limit (KIP-74).
            max_bytes: 1,
            rack: None,
            partitions: vec![FetchPartition {
                partition: at.clone(),
                topic_id: place.topic_id,
                position: offset,
                leader_epoch: place.leader_epoch,
                max_bytes: 1,
            }],
        };
        let response = self.call(&leader, &request).inspect_err(|_| self.forget(std::slice::from_ref(at)))?;
        let Some(fetched) = response.partitions.into_iter().next() else { return Ok(None) };
        if let Some(code) = fetched.error {
            return Err(self.refused(&leader, "Fetch", code, at));
        }
        let limit_bytes = self.settings.receive_bytes_max;
        let mut reader =
            PartitionReader::new(at.clone(), fetched.records, offset, isolation, fetched.aborted, limit_bytes);
        let mut records = Vec::new();
        reader.read(Room::of(1), &mut records)?;
        Ok(records.first().and_then(|record| record.timestamp_ms))
    }

    /// Asks each leader about its partitions. Says something of each; `Err` only if not even metadata can be had. Where a leader does
    /// not answer, the first of its partitions has the cause.
    fn at_leaders<T>(
        &mut self,
        partitions: &[TopicPartition],
        ask: impl Fn(&mut Self, &Address, &[TopicPartition]) -> Result<Vec<(TopicPartition, Result<T>)>>,
    ) -> Result<Vec<(TopicPartition, Result<T>)>> {
        self.locate(partitions)?;
        let mut by_leader: BTreeMap<Address, Vec<TopicPartition>> = BTreeMap::new();
        let mut found = Vec::with_capacity(partitions.len());
        for at in partitions {
            match self.partitions.get(at).and_then(|place| place.leader.clone()) {
                Some(leader) => by_leader.entry(leader).or_default().push(at.clone()),
                None => found.push((at.clone(), Err(leaderless(at)))),
            }
        }
        for (leader, partitions) in by_leader {
            match ask(self, &leader, &partitions) {
                Ok(answers) => found.extend(answers),
                Err(error) => {
                    self.forget(&partitions);
                    let mut cause = Some(error);
                    found.extend(partitions.into_iter().map(|at| {
                        let error = cause.take().unwrap_or_else(|| leaderless(&at));
                        (at, Err(error))
                    }));
                }
            }
        }
        Ok(found)
    }

    fn log_offsets_at(
        &mut self,
        leader: &Address,
        partitions: &[TopicPartition],
        isolation: IsolationLevel,
    ) -> Result<Vec<(TopicPartition, LogOffsets)>> {
        let asked: Vec<(TopicPartition, Option<i32>)> = partitions
            .iter()
            .map(|at| (at.clone(), self.partitions.get(at).and_then(|place| place.leader_epoch)))
            .collect();
        let mut ask = |which| {
            let request = ListOffsetsRequest { isolation, which, partitions: asked.clone() };
            let listed = self.call(leader, &request)?;
            Ok::<_, Error>(
                listed.into_iter().map(|listed| (listed.partition, listed.result)).collect::<HashMap<_, _>>(),
            )
        };
        let starts = ask(OffsetSpec::Earliest)?;
        let ends = ask(OffsetSpec::Latest)?;
        let mut found = Vec::with_capacity(partitions.len());
        for at in partitions {
            let (Some(start), Some(end)) = (starts.get(at), ends.get(at)) else { continue };
            let offsets = match (*start, *end) {
                (Ok(start), Ok(end)) => Ok((start, end)),
                (Err(code), _) | (_, Err(code)) => Err(self.refused(leader, "ListOffsets", code, at)),
            };
            found.push((at.clone(), offsets));
        }
        Ok(found)
    }

    /// Makes sure that the leaders of partitions are known, as far as there are any.
    fn locate(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        let is_known = |at| self.partitions.get(at).is_some_and(|place| place.leader.is_some());
        let mut topics: Vec<Arc<str>> =
            partitions.iter().filter(|at| !is_known(at)).map(|at| Arc::clone(&at.topic)).collect();
        topics.dedup();
        if topics.is_empty() { Ok(()) } else { self.metadata(topics).map(drop) }
    }

    fn remember(&mut self, metadata: &Metadata) {
        self.brokers.clone_from(&metadata.brokers);
        // Brokers that moved to another address must not leave a socket behind each time.
        self.links.retain(|address, _| {
            self.bootstrap.contains(address) || metadata.brokers.iter().any(|broker| broker.address == *address)
        });
        self.doubtful.retain(|address| self.links.contains_key(address));
        for topic in &metadata.topics {
            self.partitions.retain(|at, _| at.topic != topic.name);
            for partition in &topic.partitions {
                let leader = metadata.brokers.iter().find(|broker| Some(broker.id) == partition.leader);
                let place = Place {
                    topic_id: topic.id,
                    leader: leader.map(|broker| broker.address.clone()),
                    leader_epoch: partition.leader_epoch,
                };
                self.partitions.insert(TopicPartition::new(Arc::clone(&topic.name), partition.partition), place);
            }
        }
    }

    fn forget(&mut self, partitions: &[TopicPartition]) {
        for at in partitions {
            self.partitions.remove(at);
        }
    }

    /// An answer that may say that we asked the wrong broker: who is right is asked again next time.
    fn refused(&mut self, address: &Address, request: &'static str, code: ErrorCode, at: &TopicPartition) -> Error {
        self.forget(std::slice::from_ref(at));
        if code.is_retriable() {
            self.coordinator = None;
        }
        Error::Broker { address: address.clone(), request, code, subject: at.to_string() }
    }

    /// A question to the broker that coordinates a group.
    pub(crate) fn call_coordinator<R: Request>(&mut self, group: &str, request: &R) -> Result<(Address, R::Response)> {
        let known = self.coordinator.take().filter(|(of, _)| of == group);
        let address = match known {
            Some((_, address)) => address,
            None => self.find_coordinator(group)?,
        };
        let answer = self.call(&address, request);
        // Who refuses for good knows the group; a refusal of the moment may mean that another one does.
        if !answer.as_ref().is_err_and(Error::is_retriable) {
            self.coordinator = Some((group.to_owned(), address.clone()));
        }
        Ok((address, answer?))
    }

    fn find_coordinator(&mut self, group: &str) -> Result<Address> {
        let request = FindCoordinatorRequest { group: group.to_owned() };
        Ok(self.call_any(&request)?.address)
    }

    /// Other brokers shall be asked before these, where any can answer.
    pub(crate) fn doubt(&mut self, brokers: Vec<Address>) {
        self.doubtful.extend(brokers);
    }

    /// A question that any broker can answer: the one that did so last is asked first, then all others; those that may stand still
    /// at the end.
    fn call_any<R: Request>(&mut self, request: &R) -> Result<R::Response> {
        let known = self.brokers.iter().map(|broker| &broker.address);
        let mut addresses: Vec<Address> = self.helpful.iter().chain(&self.bootstrap).chain(known).cloned().collect();
        let mut asked = HashSet::new();
        addresses.retain(|address| asked.insert(address.clone()));
        addresses.sort_by_key(|address| self.doubtful.contains(address));
        let mut failure: Option<Error> = None;
        for address in addresses {
            match self.call(&address, request) {
                Ok(answer) => {
                    self.helpful = Some(address);
                    return Ok(answer);
                }
                Err(error) if failure.as_ref().is_none_or(|known| self.weight(known) < self.weight(&error)) => {
                    failure = Some(error);
                }
                Err(_) => {}
            }
        }
        self.helpful = None;
        Err(failure.unwrap_or_else(|| Error::Config("no bootstrap server is named".to_owned())))
    }

    /// How much a failure tells of the cluster, if no broker answers. What somebody must mend tells more than another broker's being
    /// away; but once the cluster has been reached, one broker's bad certificate is no reason to give up the others, which may be back.
    fn weight(&self, failure: &Error) -> u8 {
        match failure {
            failure if failure.is_retriable() => 1,
            Error::Tls { .. } if !self.brokers.is_empty() => 0,
            _ => 2,
        }
    }

    /// One question to one broker.
    fn call<R: Request>(&mut self, address: &Address, request: &R) -> Result<R::Response> {
        let new = || Link::new(address.clone(), self.settings.clone());
        let answer = self.links.entry(address.clone()).or_insert_with(new).call(request);
        if matches!(answer, Ok(_) | Err(Error::Broker { .. })) {
            self.doubtful.remove(address);
        } else {
            self.doubtful.insert(address.clone());
        }
        answer
    }
}

/// The failure of a partition that nobody leads at the moment.
fn leaderless(at: &TopicPartition) -> Error {
    Error::Leaderless { partition: at.clone(), others: 0 }
}
