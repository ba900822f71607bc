//! Finds the broker of each request: any that responds, the leader of a partition, or the coordinator of a group.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use super::brokers::Brokers;
use super::history::History;
use crate::connection::ConnectionSettings;
use crate::error::{Error, ErrorCode, Result};
use crate::protocol::{FindCoordinatorRequest, Metadata, MetadataRequest, Request};
use crate::types::{Address, TopicId, TopicPartition};

/// The most other brokers that a contradiction to earlier metadata is checked with: each may take a request timeout.
const OTHER_BROKERS_MAX: usize = 2;

/// A blocking client of one cluster. Connections are opened when they are needed, and kept.
///
/// # Errors
/// Each method returns the error of the broker that could not be reached or refused the request;
/// [`Error::NoBrokerAvailable`] if any broker can serve the request and none does.
pub struct Client {
    pub(super) brokers: Brokers,
    pub(super) partitions: HashMap<TopicPartition, Location>,
    history: History,
    /// The group of the last request to a coordinator, and its coordinator.
    pub(super) coordinator: Option<(String, Address)>,
}

/// A partition in the latest metadata.
#[derive(Clone, Debug)]
pub(super) struct Location {
    pub(super) topic_id: Option<TopicId>,
    pub(super) leader: Option<Address>,
    pub(super) leader_epoch: Option<i32>,
}

impl Client {
    /// A client of the cluster of these bootstrap servers. Connects to none yet.
    pub fn new(bootstrap: Vec<Address>, settings: ConnectionSettings) -> Self {
        Self {
            brokers: Brokers::new(bootstrap, settings),
            partitions: HashMap::new(),
            history: History::default(),
            coordinator: None,
        }
    }

    /// The cluster and some of its topics, as the first broker that responds knows them.
    pub fn metadata(&mut self, topics: Vec<Arc<str>>) -> Result<Metadata> {
        let (from, mut metadata) = self.call_any(&MetadataRequest { topics })?;
        self.correct_by_other_brokers(&from, &mut metadata);
        self.history.accept(&mut metadata);
        self.brokers.discover(&from, &metadata.brokers);
        self.store_locations(&metadata);
        Ok(metadata)
    }

    /// Connects to the brokers of the cluster, one after the other, until the deadline: whether each accepts the security
    /// of new connections. Returns the first failure that may pass by itself; the brokers after it were tried too.
    ///
    /// # Errors
    /// The first failure that does not pass by itself, such as rejected credentials.
    pub fn try_brokers(&mut self, deadline: Instant) -> Result<Option<Error>> {
        let passes = |error: Error| if error.is_retriable() { Ok(error) } else { Err(error) };
        let brokers = match self.metadata(Vec::new()) {
            Ok(metadata) => metadata.brokers,
            Err(error) => return passes(error).map(Some),
        };
        let mut first_failure = None;
        for broker in brokers {
            if Instant::now() >= deadline {
                break;
            }
            if let Err(error) = self.call(&broker.address, &MetadataRequest { topics: Vec::new() }) {
                first_failure.get_or_insert(passes(error)?);
            }
        }
        Ok(first_failure)
    }

    /// Where metadata contradicts earlier metadata of a topic, requests it from other brokers too, and takes theirs if
    /// it does not.
    fn correct_by_other_brokers(&mut self, from: &Address, metadata: &mut Metadata) {
        let mut contradicted = self.history.contradicted(metadata);
        if contradicted.is_empty() {
            return;
        }
        let others = self.brokers.others(from, &metadata.brokers);
        for other in others.into_iter().take(OTHER_BROKERS_MAX) {
            let topics = contradicted.iter().cloned().collect();
            let Ok(response) = self.call(&other, &MetadataRequest { topics }) else { continue };
            contradicted = self.history.correct(metadata, response);
            if contradicted.is_empty() {
                self.brokers.prefer(other);
                break;
            }
        }
    }

    /// Sends requests to the leaders of partitions. The result has every partition; `Err` only if metadata is not
    /// available. If a leader does not respond, the first of its partitions has the cause.
    pub(super) fn at_leaders<T>(
        &mut self,
        partitions: &[TopicPartition],
        send: impl Fn(&mut Self, &Address, &[TopicPartition]) -> Result<Vec<(TopicPartition, Result<T>)>>,
    ) -> Result<Vec<(TopicPartition, Result<T>)>> {
        self.locate(partitions)?;
        let mut by_leader: BTreeMap<Address, Vec<TopicPartition>> = BTreeMap::new();
        let mut results = Vec::with_capacity(partitions.len());
        for at in partitions {
            match self.partitions.get(at).and_then(|location| location.leader.clone()) {
                Some(leader) => by_leader.entry(leader).or_default().push(at.clone()),
                None => results.push((at.clone(), Err(leaderless(at)))),
            }
        }
        for (leader, partitions) in by_leader {
            match send(self, &leader, &partitions) {
                Ok(of_leader) => results.extend(of_leader),
                Err(error) => {
                    self.forget(&partitions);
                    let mut cause = Some(error);
                    results.extend(partitions.into_iter().map(|at| {
                        let error = cause.take().unwrap_or_else(|| leaderless(&at));
                        (at, Err(error))
                    }));
                }
            }
        }
        Ok(results)
    }

    /// Requests metadata unless the leaders of all partitions are known.
    pub(super) fn locate(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        let is_known = |at| self.partitions.get(at).is_some_and(|location| location.leader.is_some());
        let mut topics: Vec<Arc<str>> =
            partitions.iter().filter(|at| !is_known(at)).map(|at| Arc::clone(&at.topic)).collect();
        topics.dedup();
        if topics.is_empty() { Ok(()) } else { self.metadata(topics).map(drop) }
    }

    fn store_locations(&mut self, metadata: &Metadata) {
        for topic in &metadata.topics {
            self.partitions.retain(|at, _| at.topic != topic.name);
            for partition in &topic.partitions {
                let leader = metadata.brokers.iter().find(|broker| Some(broker.id) == partition.leader);
                let location = Location {
                    topic_id: topic.id,
                    leader: leader.map(|broker| broker.address.clone()),
                    leader_epoch: partition.leader_epoch,
                };
                self.partitions.insert(TopicPartition::new(Arc::clone(&topic.name), partition.partition), location);
            }
        }
    }

    /// The next request about these partitions requests metadata first.
    pub(super) fn forget(&mut self, partitions: &[TopicPartition]) {
        for at in partitions {
            self.partitions.remove(at);
        }
    }

    /// The error of a refused partition. The broker may no longer be its leader or its group's coordinator: the next
    /// request finds that again.
    pub(super) fn on_refusal(
        &mut self,
        address: &Address,
        request: &'static str,
        code: ErrorCode,
        at: &TopicPartition,
    ) -> Error {
        self.forget(std::slice::from_ref(at));
        if may_be_another_coordinator(code) {
            self.coordinator = None;
        }
        Error::Broker { address: address.clone(), request, code, subject: at.to_string() }
    }

    /// Sends a request to the coordinator of a group. Returns the coordinator's address, too.
    pub(crate) fn call_coordinator<R: Request>(&mut self, group: &str, request: &R) -> Result<(Address, R::Response)> {
        self.forget_if_rebootstrapped();
        let known = self.coordinator.take().filter(|(of, _)| of == group);
        let address = match known {
            Some((_, address)) => address,
            None => self.find_coordinator(group)?,
        };
        let response = self.call(&address, request);
        let is_suspect = match &response {
            Ok(_) => false,
            Err(Error::Broker { code, .. }) => may_be_another_coordinator(*code),
            Err(error) => error.is_retriable(),
        };
        if !is_suspect {
            self.coordinator = Some((group.to_owned(), address.clone()));
        }
        Ok((address, response?))
    }

    /// The next request to a coordinator finds it first.
    pub(crate) fn forget_coordinator(&mut self) {
        self.coordinator = None;
    }

    fn find_coordinator(&mut self, group: &str) -> Result<Address> {
        let request = FindCoordinatorRequest { group: group.to_owned() };
        let (from, coordinator) = self.call_any(&request)?;
        self.brokers.discover_one(&from, coordinator.id, &coordinator.address);
        Ok(coordinator.address)
    }

    /// Requests that any broker can serve go to other brokers before these.
    pub(crate) fn suspect(&mut self, brokers: &[Address]) {
        self.brokers.suspect(brokers);
    }

    /// Sends a request that any broker can serve. Returns the address of the broker that responded, too.
    fn call_any<R: Request>(&mut self, request: &R) -> Result<(Address, R::Response)> {
        let response = self.brokers.call_any(request);
        self.forget_if_rebootstrapped();
        response
    }

    /// After a rebootstrap, what the former brokers have responded is out of date.
    fn forget_if_rebootstrapped(&mut self) {
        if self.brokers.follow_rebootstrap() {
            self.partitions.clear();
            self.coordinator = None;
        }
    }

    /// Sends a request to one broker.
    pub(super) fn call<R: Request>(&mut self, address: &Address, request: &R) -> Result<R::Response> {
        self.brokers.call(address, request)
    }
}

/// Whether another broker may coordinate the group by now: the broker refuses for the moment, or does not know the
/// member. A former coordinator may respond from its old state.
fn may_be_another_coordinator(code: ErrorCode) -> bool {
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

fn leaderless(at: &TopicPartition) -> Error {
    Error::Leaderless { partition: at.clone(), others: 0 }
}
