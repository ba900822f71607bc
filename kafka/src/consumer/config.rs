//! The settings of a consumer, each with its default, and their check.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::backoff::RetryPolicy;
use crate::connection::ConnectionSettings;
use crate::error::{Error, Result};
use crate::security::SharedSecurity;
use crate::stage::Stage;
use crate::statistics::Statistics;
use crate::types::{Address, IsolationLevel};

/// Soft target of one fetch, in bytes.
pub const FETCH_BYTES_MAX_DEFAULT: u32 = 4 * 1024 * 1024;
/// Memory for fetched and decompressed data, in bytes: for a fetch of [`FETCH_BYTES_MAX_DEFAULT`] from each of two brokers at once, and for
/// their decompressed batches.
pub const BUFFER_BYTES_MAX_DEFAULT: u32 = 32 * 1024 * 1024;
/// How long a broker may hold a fetch while there is nothing to send; the default of Kafka's own consumer (`fetch.max.wait.ms`).
const FETCH_WAIT: Duration = Duration::from_millis(500);
/// How often metadata is requested. Kafka's own consumer does every 5 minutes (`metadata.max.age.ms`); one small request in 10 s costs
/// little and finds a new partition soon.
const METADATA_AGE_MAX_DEFAULT: Duration = Duration::from_secs(10);

/// How a group assigns partitions to its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupProtocol {
    /// The group has no members: this consumer reads every partition of its topics.
    None,
    /// One of its static members assigns (`JoinGroup`). Needs brokers since 2.3.
    Classic {
        /// A name that outlives the process: a member that comes back with it gets its partitions at once
        /// ([KIP-345](https://cwiki.apache.org/confluence/display/KAFKA/KIP-345%3A+Introduce+static+membership+protocol+to+reduce+consumer+rebalances)).
        instance_id: String,
        /// The coordinator removes a member whose last heartbeat is older.
        session_timeout: Duration,
    },
    /// The coordinator assigns
    /// ([KIP-848](https://cwiki.apache.org/confluence/display/KAFKA/KIP-848%3A+The+Next+Generation+of+the+Consumer+Rebalance+Protocol)).
    /// Needs brokers since 4.0.
    Consumer {
        /// The same after a restart: a member that comes back with it gets its partitions at once.
        member_id: String,
        /// For a static member, which stays in the group when it leaves.
        instance_id: Option<String>,
    },
}

/// The settings of a [`Consumer`](super::Consumer).
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
    pub(super) membership_stage: Stage,
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
            membership_stage: Stage::default(),
        }
    }

    /// Adds a topic to read. One that does not exist is waited for; a metadata request never creates it.
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

    /// How the group assigns partitions; by default it has no members.
    #[must_use]
    pub fn with_group_protocol(mut self, protocol: GroupProtocol) -> Self {
        self.group_protocol = protocol;
        self
    }

    /// The `client.id` in brokers' request logs and quotas.
    #[must_use]
    pub fn with_client_id(mut self, client_id: impl Into<String>) -> Self {
        self.connection.client_id = client_id.into();
        self
    }

    /// Which records are visible; default `read_committed`.
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

    /// Whether positions are validated: after each election the leader's log is checked for the records that were read
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

    /// How long a broker may take to respond, beyond the time that it may hold a fetch.
    #[must_use]
    pub fn with_request_timeout(mut self, timeout: Duration) -> Self {
        self.connection.request_timeout = timeout;
        self
    }

    /// How often metadata is requested, for new partitions and changed topics.
    #[must_use]
    pub fn with_metadata_max_age(mut self, age: Duration) -> Self {
        self.metadata_age_max = age;
        self
    }

    /// Encryption and authentication; neither by default. [`SharedSecurity`] can be replaced while the consumer runs.
    #[must_use]
    pub fn with_security(mut self, security: impl Into<SharedSecurity>) -> Self {
        self.connection.security = security.into();
        self
    }

    /// When to retry after a failure, and when to give up.
    #[must_use]
    pub fn with_retry_policy(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// Where the consumer stores its numbers.
    #[must_use]
    pub fn with_statistics(mut self, statistics: Statistics) -> Self {
        self.connection.statistics = statistics;
        self
    }

    /// Where the thread of the membership declares what it does.
    #[must_use]
    pub fn with_membership_stage(mut self, stage: Stage) -> Self {
        self.membership_stage = stage;
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
        // A response has more bytes than its records: one of the requested size must not exceed the hard limit.
        let receive_bytes_max = self.connection.receive_bytes_max;
        self.fetch_bytes_max = self.fetch_bytes_max.min(receive_bytes_max - receive_bytes_max / 8);
        Ok(self)
    }
}
