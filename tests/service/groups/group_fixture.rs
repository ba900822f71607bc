//! A topic, and the installations of instances that share it as one group. Knows the contract of groups and how Kafka describes them,
//! not how the service joins.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use testkit::{Client, Cluster, GroupDescription, GroupState, Member, Position, ProduceOptions, Record, unique};

use crate::support::process::{Installation, Service, WAIT_MAX, wait_until};

/// Much shorter than the default session timeout of 45 s, much longer than anything that does not wait for it.
pub const BELOW_SESSION_TIMEOUT: Duration = Duration::from_secs(20);

/// `KAFKA_GROUP_PROTOCOL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    None,
    Classic,
    Consumer,
}

impl Protocol {
    fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Classic => "classic",
            Self::Consumer => "consumer",
        }
    }
}

/// A topic, and the installations of the instances that share it.
pub struct GroupFixture<'a> {
    pub cluster: &'a Cluster,
    pub kafka: &'a Client,
    pub topic: String,
    pub installations: Vec<Installation>,
    /// The number of events so far, from which their ids are made.
    events: AtomicI64,
}

impl<'a> GroupFixture<'a> {
    pub fn new(cluster: &'a Cluster, protocol: Protocol, partitions: u32, instances: usize) -> Self {
        let group_fixture = Self::without_topic(cluster, protocol, instances);
        group_fixture.kafka.create_topic(&group_fixture.topic, partitions, &[]).unwrap();
        group_fixture
    }

    pub fn without_topic(cluster: &'a Cluster, protocol: Protocol, instances: usize) -> Self {
        let topic = unique("group");
        let installation = |instance| {
            let mut installation = Installation::new(&cluster.bootstrap_servers(), &topic);
            installation.set("KAFKA_GROUP_PROTOCOL", protocol.as_str()).set("KAFKA_CLIENT_ID", &client_id(instance));
            installation
        };
        let installations = (0..instances).map(installation).collect();
        Self { cluster, kafka: cluster.client().unwrap(), topic, installations, events: AtomicI64::new(0) }
    }

    /// Sets a variable of every instance.
    pub fn set(&mut self, variable: &str, value: &str) {
        for installation in &mut self.installations {
            installation.set(variable, value);
        }
    }

    pub fn group(&self) -> String {
        format!("group-of-{}", self.topic)
    }

    pub fn start(&self, instance: usize) -> Service<'_> {
        self.installations[instance].start(&["run"])
    }

    pub fn start_all(&self) -> Vec<Service<'_>> {
        (0..self.installations.len()).map(|instance| self.start(instance)).collect()
    }

    /// The group's description; `None` while it does not exist.
    pub fn described(&self) -> Option<GroupDescription> {
        self.kafka.describe_group(&self.group()).ok()
    }

    /// Waits until the group is stable with `members` members: every partition has one member, and every member a partition if there are
    /// enough.
    pub fn wait_assigned(&self, members: usize) -> GroupDescription {
        let partitions = self.kafka.end_offsets(&self.topic).unwrap().len();
        let mut last = None;
        self.wait_for(&format!("a group of {members} members for {partitions} partitions"), WAIT_MAX, || {
            last = self.described();
            last.as_ref().is_some_and(|group| is_assigned(group, members, partitions))
        });
        last.unwrap()
    }

    /// Waits until a group is in a state.
    pub fn wait_state(&self, state: GroupState) {
        self.wait_for(&format!("the state {state:?}"), WAIT_MAX, || {
            self.described().is_some_and(|group| group.state == state)
        });
    }

    pub fn wait_for(&self, what: &str, deadline: Duration, mut condition: impl FnMut() -> bool) {
        let tried =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| wait_until(what, deadline, &mut condition)));
        if tried.is_err() {
            let tails: Vec<String> = self.installations.iter().map(Installation::tail).collect();
            panic!("{what} did not come; the group is {:?}; the instances:\n{}", self.described(), tails.join("\n\n"));
        }
    }

    /// The generation of a classic group, the epoch of one of the consumer protocol.
    pub fn generation(&self) -> Option<i32> {
        self.cluster.generation(&self.group()).unwrap()
    }

    /// Produces `each` events for each partition, each with a different id.
    pub fn produce(&self, each: usize) -> BTreeSet<Position> {
        let partitions = i32::try_from(self.kafka.end_offsets(&self.topic).unwrap().len()).unwrap();
        let record = |partition| {
            let number = self.events.fetch_add(1, Ordering::Relaxed);
            Record::value(format!(r#"{{"event_id":"opp_{number}","name":"n","stage":"s"}}"#)).partition(partition)
        };
        let records: Vec<Record> = (0..each).flat_map(|_| (0..partitions).map(record)).collect();
        self.kafka.produce(&self.topic, &ProduceOptions::default(), records).unwrap().into_iter().collect()
    }

    /// The positions of the events that an instance has stored; for events of [`Self::produce`].
    pub fn stored(&self, instance: usize) -> Vec<Position> {
        let installation = &self.installations[instance];
        if installation.number("SELECT count(*) FROM opportunities").is_none() {
            return Vec::new(); // Not started, or without tables yet.
        }
        let database = installation.database();
        let mut statement = database.prepare("SELECT kafka_partition, kafka_offset FROM opportunities").unwrap();
        let rows = statement.query_map([], |row| Ok(Position { partition: row.get(0)?, offset: row.get(1)? })).unwrap();
        rows.map(Result::unwrap).collect()
    }

    /// The readers of each record: instances by number, then other members.
    fn readers(&self, others: &[Member]) -> BTreeMap<Position, Vec<usize>> {
        let ours = (0..self.installations.len()).map(|instance| self.stored(instance));
        let read = ours.chain(others.iter().map(|member| member.read().unwrap()));
        let mut readers: BTreeMap<Position, Vec<usize>> = BTreeMap::new();
        for (reader, positions) in read.enumerate() {
            for position in positions {
                readers.entry(position).or_default().push(reader);
            }
        }
        readers
    }

    /// Waits until all of these records are read, and checks that none was read twice.
    pub fn wait_read_once(&self, produced: &BTreeSet<Position>, deadline: Duration, others: &[Member]) {
        self.wait_for("every record read", deadline, || {
            let readers = self.readers(others);
            produced.iter().all(|position| readers.contains_key(position))
        });
        let mut readers = self.readers(others);
        readers.retain(|_, who| who.len() > 1);
        assert!(readers.is_empty(), "read twice, and by whom (ours come first): {readers:?}");
    }

    /// Waits until the group has committed the end of every partition.
    pub fn wait_committed(&self) {
        self.wait_for("the end of every partition", 3 * WAIT_MAX, || {
            let committed = self.kafka.committed_offsets(&self.group()).unwrap();
            let ends = self.kafka.end_offsets(&self.topic).unwrap();
            (0..).zip(ends).all(|(partition, end)| {
                end == 0
                    || committed.get(&(self.topic.clone(), partition)).is_some_and(|committed| committed.offset == end)
            })
        });
    }

    /// Checks with Kafka's tool that there is no lag.
    pub fn assert_no_lag(&self) {
        let offsets = self.cluster.group_offsets(&self.group()).unwrap();
        assert!(!offsets.is_empty(), "the group has no offsets");
        assert!(offsets.iter().all(|offset| offset.current.is_none() || offset.lag == Some(0)), "{offsets:?}");
    }
}

/// The client id of an instance.
pub fn client_id(instance: usize) -> String {
    format!("instance-{instance}")
}

/// The partitions of one instance.
pub fn partitions_of(group: &GroupDescription, instance: usize) -> BTreeSet<i32> {
    let member = group.members.iter().find(|member| member.client_id == client_id(instance));
    member.into_iter().flat_map(|member| member.partitions.iter().map(|(_, partition)| *partition)).collect()
}

/// Stops a running instance as `systemctl stop` does.
pub fn stop(service: &mut Service<'_>) {
    service.signal("TERM");
    service.ends_with(0);
}

fn is_assigned(group: &GroupDescription, members: usize, partitions: usize) -> bool {
    let assigned: Vec<_> = group.members.iter().flat_map(|member| &member.partitions).collect();
    let different: BTreeSet<_> = assigned.iter().collect();
    let served = group.members.iter().filter(|member| !member.partitions.is_empty()).count();
    group.state == GroupState::Stable
        && group.members.len() == members
        && assigned.len() == partitions
        && different.len() == partitions
        && served == members.min(partitions)
}
