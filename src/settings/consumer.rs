//! The variables of the Kafka consumer, their defaults and their types. Must not know what the consumer does with them.

use std::num::NonZeroU32;
use std::time::Duration;

use kafka::{Address, IsolationLevel};

use super::error::SettingsError;
use super::rules;
use super::security::{self, Security};
use super::variables::Variables;

/// `KAFKA_BOOTSTRAP_SERVERS`: a broker on this machine, at the port of Kafka's quick start.
const BOOTSTRAP_PORT_DEFAULT: u16 = 9092;
/// `KAFKA_GROUP_ID`.
const GROUP_ID_DEFAULT: &str = "enterprise-consumer-group";
/// `KAFKA_TOPIC`.
const TOPIC_DEFAULT: &str = "sales_events";
/// `KAFKA_CLIENT_ID`.
const CLIENT_ID_DEFAULT: &str = "enterprise-consumer";
/// `KAFKA_FETCH_MAX_BYTES`, in bytes: several batches of the brokers' default limit (`message.max.bytes`, 1 MiB), and small enough
/// to buffer two responses of each broker. (Measured: 16 MiB is not faster and takes 24 MiB more memory.)
const FETCH_MAX_BYTES_DEFAULT: NonZeroU32 = NonZeroU32::new(4 << 20).unwrap();
/// `KAFKA_BUFFER_MAX_BYTES`, in bytes: with SQLite's page cache the process stays below 64 MiB.
const BUFFER_MAX_BYTES_DEFAULT: NonZeroU32 = NonZeroU32::new(32 << 20).unwrap();
/// The default of `KAFKA_BUFFER_MAX_BYTES` is at least this multiple of `KAFKA_FETCH_MAX_BYTES`: one fetch requests no more.
const BUFFER_FETCHES: NonZeroU32 = NonZeroU32::new(4).unwrap();
/// Least `KAFKA_BUFFER_MAX_BYTES`, in bytes: the brokers' default limit of one batch (`message.max.bytes`).
const BUFFER_MAX_BYTES_LEAST: u64 = 1 << 20;
/// `KAFKA_RECEIVE_MAX_BYTES`, in bytes: the brokers' default limit of a request (`socket.request.max.bytes`).
const RECEIVE_MAX_BYTES_DEFAULT: NonZeroU32 = NonZeroU32::new(100 << 20).unwrap();
/// `KAFKA_SESSION_TIMEOUT_MS`: the default of Kafka's consumer (`session.timeout.ms`).
const SESSION_TIMEOUT_DEFAULT: Duration = Duration::from_secs(45);
/// Greatest number that the protocol's 32-bit fields carry.
const PROTOCOL_INT_GREATEST: u64 = i32::MAX as u64;

/// The settings of the Kafka consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaSettings {
    /// The bootstrap servers: at least one.
    pub bootstrap_servers: Vec<Address>,
    /// The consumer group.
    pub group_id: String,
    /// The topics: at least one, without duplicates.
    pub topics: Vec<String>,
    /// The client id, which brokers log.
    pub client_id: String,
    /// Where a partition without a position starts.
    pub auto_offset_reset: OffsetReset,
    /// Whether records of open and aborted transactions are read.
    pub isolation_level: IsolationLevel,
    /// How the partitions of the group are assigned.
    pub group_protocol: GroupProtocol,
    /// The rack of this machine, to fetch from the nearest replica.
    pub client_rack: Option<String>,
    /// Whether positions are validated after a leader change (`OffsetForLeaderEpoch`).
    pub validate_leader_epochs: bool,
    /// Encryption and authentication of connections.
    pub security: Security,
    /// Soft limit of one fetch response, in bytes.
    pub fetch_max_bytes: NonZeroU32,
    /// Limit of all fetched and decompressed data in memory, in bytes.
    pub buffer_max_bytes: NonZeroU32,
    /// Hard limit of one response and of one decompressed batch, in bytes.
    pub receive_max_bytes: NonZeroU32,
}

/// Where a partition without a position starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetReset {
    /// At the log start offset.
    Earliest,
    /// At the end offset.
    Latest,
    /// Nowhere: the service stops.
    Error,
}

/// How the partitions of a group are assigned to its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupProtocol {
    /// Not at all: the group has no members, and this process reads every partition.
    None,
    /// By the group leader ([`JoinGroup`](https://kafka.apache.org/protocol.html#The_Messages_JoinGroup)).
    Classic {
        /// `group.instance.id` of a static member that does not leave the group when it stops; `None`: the database's id, and it leaves.
        instance_id: Option<String>,
        /// The coordinator removes a member that has sent no heartbeat for this time.
        session_timeout: Duration,
    },
    /// By the coordinator ([KIP-848](https://cwiki.apache.org/confluence/display/KAFKA/KIP-848%3A+The+Next+Generation+of+the+Consumer+Rebalance+Protocol)).
    Consumer {
        /// `group.instance.id` of a static member, if it is one.
        instance_id: Option<String>,
    },
}

pub(super) fn read(variables: &mut Variables) -> Result<KafkaSettings, SettingsError> {
    let bootstrap_default = Address { host: "localhost".to_owned(), port: BOOTSTRAP_PORT_DEFAULT };
    let bytes = || rules::number(1..=PROTOCOL_INT_GREATEST, " bytes");
    let fetch_max_bytes = variables.or("KAFKA_FETCH_MAX_BYTES", FETCH_MAX_BYTES_DEFAULT, bytes())?;
    let buffer_default = fetch_max_bytes.saturating_mul(BUFFER_FETCHES).max(BUFFER_MAX_BYTES_DEFAULT);
    let settings = KafkaSettings {
        bootstrap_servers: variables.or("KAFKA_BOOTSTRAP_SERVERS", vec![bootstrap_default], rules::addresses)?,
        group_id: variables.or("KAFKA_GROUP_ID", GROUP_ID_DEFAULT.to_owned(), rules::name)?,
        topics: variables.or("KAFKA_TOPIC", vec![TOPIC_DEFAULT.to_owned()], rules::topics)?,
        client_id: variables.or("KAFKA_CLIENT_ID", CLIENT_ID_DEFAULT.to_owned(), rules::name)?,
        auto_offset_reset: variables.or(
            "KAFKA_AUTO_OFFSET_RESET",
            OffsetReset::Earliest,
            rules::choice(&[
                ("earliest", OffsetReset::Earliest),
                ("latest", OffsetReset::Latest),
                ("error", OffsetReset::Error),
            ]),
        )?,
        isolation_level: variables.or(
            "KAFKA_ISOLATION_LEVEL",
            IsolationLevel::ReadCommitted,
            rules::choice(&[
                ("read_committed", IsolationLevel::ReadCommitted),
                ("read_uncommitted", IsolationLevel::ReadUncommitted),
            ]),
        )?,
        group_protocol: read_group_protocol(variables)?,
        client_rack: variables.optional("KAFKA_CLIENT_RACK", rules::name)?,
        validate_leader_epochs: variables.or(
            "KAFKA_VALIDATE_LEADER_EPOCHS",
            true,
            rules::choice(&[("true", true), ("false", false)]),
        )?,
        security: security::read(variables)?,
        fetch_max_bytes,
        buffer_max_bytes: variables.or(
            "KAFKA_BUFFER_MAX_BYTES",
            buffer_default,
            rules::number(BUFFER_MAX_BYTES_LEAST..=PROTOCOL_INT_GREATEST, " bytes"),
        )?,
        receive_max_bytes: variables.or("KAFKA_RECEIVE_MAX_BYTES", RECEIVE_MAX_BYTES_DEFAULT, bytes())?,
    };
    if settings.fetch_max_bytes > settings.receive_max_bytes {
        return Err(SettingsError::contradiction(
            "KAFKA_FETCH_MAX_BYTES",
            format!(
                "({}) must not be greater than KAFKA_RECEIVE_MAX_BYTES ({})",
                settings.fetch_max_bytes, settings.receive_max_bytes
            ),
        ));
    }
    if settings.fetch_max_bytes > settings.buffer_max_bytes {
        return Err(SettingsError::contradiction(
            "KAFKA_FETCH_MAX_BYTES",
            format!(
                "({}) must not be greater than KAFKA_BUFFER_MAX_BYTES ({})",
                settings.fetch_max_bytes, settings.buffer_max_bytes
            ),
        ));
    }
    Ok(settings)
}

fn read_group_protocol(variables: &mut Variables) -> Result<GroupProtocol, SettingsError> {
    #[derive(Clone, Copy)]
    enum Choice {
        None,
        Classic,
        Consumer,
    }
    let choice = variables.or(
        "KAFKA_GROUP_PROTOCOL",
        Choice::Classic,
        rules::choice(&[("classic", Choice::Classic), ("consumer", Choice::Consumer), ("none", Choice::None)]),
    )?;
    let instance_id = variables.optional("KAFKA_GROUP_INSTANCE_ID", rules::name)?;
    let session_timeout =
        variables.optional("KAFKA_SESSION_TIMEOUT_MS", rules::milliseconds(1..=PROTOCOL_INT_GREATEST))?;
    match (choice, instance_id, session_timeout) {
        (Choice::None, Some(_), _) => Err(SettingsError::contradiction(
            "KAFKA_GROUP_INSTANCE_ID",
            "needs a KAFKA_GROUP_PROTOCOL other than none, which has no members",
        )),
        (Choice::None | Choice::Consumer, _, Some(_)) => {
            Err(SettingsError::contradiction("KAFKA_SESSION_TIMEOUT_MS", "is for KAFKA_GROUP_PROTOCOL classic only"))
        }
        (Choice::None, None, None) => Ok(GroupProtocol::None),
        (Choice::Classic, instance_id, session_timeout) => Ok(GroupProtocol::Classic {
            instance_id,
            session_timeout: session_timeout.unwrap_or(SESSION_TIMEOUT_DEFAULT),
        }),
        (Choice::Consumer, instance_id, None) => Ok(GroupProtocol::Consumer { instance_id }),
    }
}
