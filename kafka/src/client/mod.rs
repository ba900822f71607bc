//! Asks a cluster questions, one at a time, and waits for the answers: metadata, log offsets, group offsets. Finds the broker that
//! each question is for. Never tries again by itself; knows nothing of assignments or positions.

mod brokers;
mod epochs;
mod history;
mod inspect;
mod reset;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::connection::ConnectionSettings;
use crate::error::{Error, ErrorCode, Result};
use crate::protocol::{
    FindCoordinatorRequest, Metadata, MetadataRequest, OffsetCommitRequest, OffsetFetchRequest, OffsetSpec, Request,
};
use crate::types::{Address, CommittedOffset, IsolationLevel, Member, TopicId, TopicPartition};

use brokers::Brokers;
pub(crate) use epochs::{EpochEnds, divergence};
use history::History;
pub use inspect::{Truncated, Watermarks};

/// How many other brokers are asked about metadata that contradicts what is known: each may take a request timeout.
const OTHER_OPINIONS_MAX: usize = 2;

/// First offset of a partition's log, and its end for an isolation level; or why the leader does not say.
pub type LogOffsets = Result<(i64, i64)>;

/// A blocking client for questions about a cluster. Connections are made when needed and kept.
pub struct Client {
    brokers: Brokers,
    partitions: HashMap<TopicPartition, Place>,
    history: History,
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
            brokers: Brokers::new(bootstrap, settings),
            partitions: HashMap::new(),
            history: History::default(),
            coordinator: None,
        }
    }

    /// The cluster, as the first broker that answers knows it.
    pub fn metadata(&mut self, topics: Vec<Arc<str>>) -> Result<Metadata> {
        let (from, mut metadata) = self.call_any(&MetadataRequest { topics })?;
        self.ask_others(&from, &mut metadata);
        self.history.learn(&mut metadata);
        self.brokers.discover(&from, &metadata.brokers);
        self.remember(&metadata);
        Ok(metadata)
    }

    /// Where metadata contradicts what is known of a topic, asks other brokers, and takes their word if it does not.
    fn ask_others(&mut self, from: &Address, metadata: &mut Metadata) {
        let mut contradicted = self.history.contradicted(metadata);
        if contradicted.is_empty() {
            return;
        }
        let others = self.brokers.others(from, &metadata.brokers);
        for other in others.into_iter().take(OTHER_OPINIONS_MAX) {
            let topics = contradicted.iter().cloned().collect();
            // One that does not answer says nothing.
            let Ok(answer) = self.call(&other, &MetadataRequest { topics }) else { continue };
            contradicted = self.history.correct(metadata, answer);
            if contradicted.is_empty() {
                self.brokers.prefer(other);
                break;
            }
        }
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
        let starts = self.list_offsets_at(leader, partitions, isolation, OffsetSpec::Earliest)?;
        let ends = self.list_offsets_at(leader, partitions, isolation, OffsetSpec::Latest)?;
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
        if doubts_coordinator(code) {
            self.coordinator = None;
        }
        Error::Broker { address: address.clone(), request, code, subject: at.to_string() }
    }

    /// A question to the broker that coordinates a group.
    pub(crate) fn call_coordinator<R: Request>(&mut self, group: &str, request: &R) -> Result<(Address, R::Response)> {
        self.forget_if_rebootstrapped();
        let known = self.coordinator.take().filter(|(of, _)| of == group);
        let address = match known {
            Some((_, address)) => address,
            None => self.find_coordinator(group)?,
        };
        let answer = self.call(&address, request);
        let is_doubtful = match &answer {
            Ok(_) => false,
            Err(Error::Broker { code, .. }) => doubts_coordinator(*code),
            Err(error) => error.is_retriable(),
        };
        if !is_doubtful {
            self.coordinator = Some((group.to_owned(), address.clone()));
        }
        Ok((address, answer?))
    }

    /// The next request to a coordinator looks it up first.
    pub(crate) fn forget_coordinator(&mut self) {
        self.coordinator = None;
    }

    fn find_coordinator(&mut self, group: &str) -> Result<Address> {
        let request = FindCoordinatorRequest { group: group.to_owned() };
        let (from, coordinator) = self.call_any(&request)?;
        self.brokers.discover_one(&from, coordinator.id, &coordinator.address);
        Ok(coordinator.address)
    }

    /// Other brokers shall be asked before these, where any can answer.
    pub(crate) fn suspect(&mut self, brokers: &[Address]) {
        self.brokers.suspect(brokers);
    }

    /// Sends a request that any broker can answer; gives the address of the broker that did, too.
    fn call_any<R: Request>(&mut self, request: &R) -> Result<(Address, R::Response)> {
        let answered = self.brokers.call_any(request);
        self.forget_if_rebootstrapped();
        answered
    }

    /// What brokers said that are forgotten is forgotten too.
    fn forget_if_rebootstrapped(&mut self) {
        if self.brokers.is_rebootstrapped() {
            self.partitions.clear();
            self.coordinator = None;
        }
    }

    /// Sends a request to one broker.
    fn call<R: Request>(&mut self, address: &Address, request: &R) -> Result<R::Response> {
        self.brokers.call(address, request)
    }
}

/// Whether another broker may coordinate the group by now: one that refuses for the moment, or that does not know the member. A broker
/// that coordinated the group before may answer from what it knew then.
fn doubts_coordinator(code: ErrorCode) -> bool {
    code.is_retriable()
        || matches!(
            code,
            ErrorCode::UNKNOWN_MEMBER_ID
                | ErrorCode::ILLEGAL_GENERATION
                | ErrorCode::FENCED_INSTANCE_ID
                | ErrorCode::FENCED_MEMBER_EPOCH
                | ErrorCode::STALE_MEMBER_EPOCH
                | ErrorCode::GROUP_ID_NOT_FOUND
        )
}

/// The failure of a partition that nobody leads at the moment.
fn leaderless(at: &TopicPartition) -> Error {
    Error::Leaderless { partition: at.clone(), others: 0 }
}
