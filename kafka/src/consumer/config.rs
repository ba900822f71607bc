//! The settings of a consumer, each with its default, and their check.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::backoff::RetryPolicy;
use crate::connection::ConnectionSettings;
use crate::error::{Error, Result};
use crate::security::Security;
use crate::types::{Address, IsolationLevel};

/// Soft target of one fetch, in bytes.
pub const FETCH_BYTES_MAX_DEFAULT: u32 = 4 * 1024 * 1024;
/// Memory for fetched and decompressed data, in bytes: a fetch of [`FETCH_BYTES_MAX_DEFAULT`] from each of two brokers at once, what
/// such fetches become when they are decompressed, and little enough for a small machine.
pub const BUFFER_BYTES_MAX_DEFAULT: u32 = 32 * 1024 * 1024;
/// How long a broker may hold a fetch while there is nothing to send; Kafka's own consumer takes the same (`fetch.max.wait.ms`).
const FETCH_WAIT: Duration = Duration::from_millis(500);
/// How often the cluster is asked for new partitions and topic ids. Kafka's own consumer asks every 5 minutes; one small request
/// in 10 s costs nothing either and finds a new partition before anybody wonders.
const METADATA_AGE_MAX_DEFAULT: Duration = Duration::from_secs(10);

/// How the partitions of a group are shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupProtocol {
    /// Not at all: this consumer reads every partition of its topics, and the group has no members.
    None,
    /// Among static members, one of which divides (`JoinGroup`). Takes brokers since 2.3.
    Classic {
        /// A name that outlives the process: who comes back by it has its partitions at once
        /// ([KIP-345](https://cwiki.apache.org/confluence/display/KAFKA/KIP-345%3A+Introduce+static+membership+protocol+to+reduce+consumer+rebalances)).
        instance_id: String,
        /// A member that has not been heard of for so long is given up.
        session_timeout: Duration,
    },
    /// By the broker
    /// ([KIP-848](https://cwiki.apache.org/confluence/display/KAFKA/KIP-848%3A+The+Next+Generation+of+the+Consumer+Rebalance+Protocol)).
    /// Takes brokers since 4.0.
    Consumer {
        /// The same after a restart: who comes back by it has its partitions at once.
        member_id: String,
        /// For a static member, which stays one when it leaves.
        instance_id: Option<String>,
    },
}

/// Makes a [`Consumer`](super::Consumer).
#[derive(Clone, Debug)]
pub struct Builder {
    pub(super) hosts: Vec<Address>,
    pub(super) topics: Vec<Arc<str>>,
    pub(super) group: String,
    pub(super) isolation: IsolationLevel,
    pub(super) group_protocol: GroupProtocol,
    pub(super) rack: Option<String>,
    pub(super) validates_leader_epochs: bool,
    pub(super) fetch_bytes_max: u32,
    pub(super) buffer_bytes_max: u32,
    pub(super) fetch_wait: Duration,
    pub(super) metadata_age_max: Duration,
    pub(super) retry: RetryPolicy,
    pub(super) connection: ConnectionSettings,
}

impl Builder {
    pub(super) fn new(hosts: Vec<Address>) -> Self {
        Self {
            hosts,
            topics: Vec::new(),
            group: String::new(),
            isolation: IsolationLevel::default(),
            group_protocol: GroupProtocol::None,
            rack: None,
            validates_leader_epochs: true,
            fetch_bytes_max: FETCH_BYTES_MAX_DEFAULT,
            buffer_bytes_max: BUFFER_BYTES_MAX_DEFAULT,
            fetch_wait: FETCH_WAIT,
            metadata_age_max: METADATA_AGE_MAX_DEFAULT,
            retry: RetryPolicy::default(),
            connection: ConnectionSettings::default(),
        }
    }

    /// Adds a topic to read. One that does not exist is waited for, and never created by asking.
    #[must_use]
    pub fn with_topic(mut self, topic: impl Into<Arc<str>>) -> Self {
        let topic = topic.into();
        if !self.topics.contains(&topic) {
            self.topics.push(topic);
        }
        self
    }

    /// The consumer group whose offsets are read and committed.
    #[must_use]
    pub fn with_group(mut self, group: impl Into<String>) -> Self {
        self.group = group.into();
        self
    }

    /// How the group's partitions are shared; by default not at all.
    #[must_use]
    pub fn with_group_protocol(mut self, protocol: GroupProtocol) -> Self {
        self.group_protocol = protocol;
        self
    }

    /// The name that brokers see in their request logs and quotas.
    #[must_use]
    pub fn with_client_id(mut self, client_id: impl Into<String>) -> Self {
        self.connection.client_id = client_id.into();
        self
    }

    /// Which records are seen; default `read_committed`.
    #[must_use]
    pub fn with_isolation_level(mut self, isolation: IsolationLevel) -> Self {
        self.isolation = isolation;
        self
    }

    /// Fetch from a replica in this rack, if there is one
    /// ([KIP-392](https://cwiki.apache.org/confluence/display/KAFKA/KIP-392%3A+Allow+consumers+to+fetch+from+closest+replica)).
    #[must_use]
    pub fn with_rack(mut self, rack: Option<String>) -> Self {
        self.rack = rack;
        self
    }

    /// Whether the leader is asked, after each election, whether its log still has what was read before
    /// ([KIP-320](https://cwiki.apache.org/confluence/display/KAFKA/KIP-320%3A+Allow+fetchers+to+detect+and+handle+log+truncation));
    /// default true. Without it a truncation is noticed only where the log is shorter than the position.
    #[must_use]
    pub fn with_leader_epoch_validation(mut self, validates: bool) -> Self {
        self.validates_leader_epochs = validates;
        self
    }

    /// Soft target of one fetch in bytes: a larger first batch still comes whole
    /// ([KIP-74](https://cwiki.apache.org/confluence/display/KAFKA/KIP-74%3A+Add+Fetch+Response+Size+Limit+in+Bytes)).
    #[must_use]
    pub fn with_fetch_max_bytes(mut self, bytes: NonZeroU32) -> Self {
        self.fetch_bytes_max = bytes.get();
        self
    }

    /// Memory for all fetched and decompressed data, in bytes, over all brokers and partitions, until the last record is dropped. One
    /// response, and one batch alone, may exceed it, up to [the hard limit](Self::with_receive_max_bytes).
    #[must_use]
    pub fn with_buffer_max_bytes(mut self, bytes: NonZeroU32) -> Self {
        self.buffer_bytes_max = bytes.get();
        self
    }

    /// Hard limit of one response and of one decompressed batch, in bytes.
    #[must_use]
    pub fn with_receive_max_bytes(mut self, bytes: NonZeroU32) -> Self {
        self.connection.receive_bytes_max = bytes.get();
        self
    }

    /// How long a broker may take for an answer, beyond what a fetch may be held on purpose.
    #[must_use]
    pub fn with_request_timeout(mut self, timeout: Duration) -> Self {
        self.connection.request_timeout = timeout;
        self
    }

    /// How often the cluster is asked for new partitions and changed topics.
    #[must_use]
    pub fn with_metadata_max_age(mut self, age: Duration) -> Self {
        self.metadata_age_max = age;
        self
    }

    /// Encryption and authentication; neither by default.
    #[must_use]
    pub fn with_security(mut self, security: Security) -> Self {
        self.connection.security = security;
        self
    }

    /// When to try again after a failure, and when to give up.
    #[must_use]
    pub fn with_retry_policy(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// Checks the settings.
    pub(super) fn checked(mut self) -> Result<Self> {
        let wrong = |what: &str| Err(Error::Config(what.to_owned()));
        if self.hosts.is_empty() {
            return wrong("no bootstrap server is named");
        }
        if self.topics.is_empty() {
            return wrong("no topic is named");
        }
        if self.group.is_empty() {
            return wrong("no consumer group is named");
        }
        if self.fetch_bytes_max > self.connection.receive_bytes_max {
            return wrong("the soft limit of a fetch is above the hard limit of a response");
        }
        if self.fetch_bytes_max > self.buffer_bytes_max {
            return wrong("the soft limit of a fetch is above the memory for fetched data");
        }
        // A response holds more than records: one that is as large as asked for must not be too large to be received.
        let receive_bytes_max = self.connection.receive_bytes_max;
        self.fetch_bytes_max = self.fetch_bytes_max.min(receive_bytes_max - receive_bytes_max / 8);
        Ok(self)
    }
}
