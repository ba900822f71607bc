//! What the environment and `.env` say, once, as types. The only place that knows the variables' names; must not act on
//! anything but the files that it is told to read.
//!
//! A variable that is set wins over the file, also when it is empty. Empty means "none" where there can be none (an
//! optional setting, a log file); anywhere else it is refused like any other wrong value.

mod advice;
mod damage;
mod env_file;
mod error;
mod files;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod rules;
mod security;
#[cfg(test)]
mod tests;
mod variables;

use std::ffi::OsString;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use kafka::{Address, IsolationLevel, RetryPolicy};
use log::LevelFilter;

pub use advice::advice;
pub use env_file::Problem;
pub use error::SettingsError;
pub use rules::shorten;
pub use security::{Password, SaslSettings, Security};
use variables::Variables;

use crate::entity::Decoder;
use crate::runtime::permissions::FileMode;

/// `KAFKA_BOOTSTRAP_SERVERS`: a broker on this machine, at the port of Kafka's own quick start.
const BOOTSTRAP_PORT_DEFAULT: u16 = 9092;
/// `KAFKA_GROUP_ID`.
const GROUP_ID_DEFAULT: &str = "enterprise-consumer-group";
/// `KAFKA_TOPIC`.
const TOPIC_DEFAULT: &str = "sales_events";
/// `KAFKA_CLIENT_ID`.
const CLIENT_ID_DEFAULT: &str = "enterprise-consumer";
/// `KAFKA_FETCH_MAX_BYTES`, in bytes: some batches of the greatest size that brokers take by default (1 MiB) from several
/// partitions, and little enough to hold two of each broker. (Measured: 16 MiB are not faster, and take 24 MiB more memory.)
const FETCH_MAX_BYTES_DEFAULT: NonZeroU32 = NonZeroU32::new(4 << 20).unwrap();
/// `KAFKA_BUFFER_MAX_BYTES`, in bytes: with SQLite's page cache and the rest of the process it stays below 64 MiB.
const BUFFER_MAX_BYTES_DEFAULT: NonZeroU32 = NonZeroU32::new(32 << 20).unwrap();
/// `KAFKA_BUFFER_MAX_BYTES` is by default at least so many times `KAFKA_FETCH_MAX_BYTES`: the client asks for no more in one fetch.
const BUFFER_FETCHES: NonZeroU32 = NonZeroU32::new(4).unwrap();
/// Least `KAFKA_BUFFER_MAX_BYTES`, in bytes: what brokers take as one batch by default.
const BUFFER_MAX_BYTES_LEAST: u64 = 1 << 20;
/// `KAFKA_RECEIVE_MAX_BYTES`, in bytes: what Kafka itself takes as the greatest request (`socket.request.max.bytes`).
const RECEIVE_MAX_BYTES_DEFAULT: NonZeroU32 = NonZeroU32::new(100 << 20).unwrap();
/// `KAFKA_SESSION_TIMEOUT_MS`: Kafka's own consumer takes the same (`session.timeout.ms`).
const SESSION_TIMEOUT_DEFAULT: Duration = Duration::from_secs(45);
/// `DATABASE_URL`, as a path.
const DATABASE_PATH_DEFAULT: &str = "data/enterprise.db";
/// `WAL_MAX_BYTES`, in bytes: far beyond what a batch needs, far below what fills a disk.
const WAL_MAX_BYTES_DEFAULT: u64 = 1 << 30;
/// Least `WAL_MAX_BYTES`, in bytes: below it no batch fits.
const WAL_MAX_BYTES_LEAST: u64 = 1 << 20;
/// `BATCH_MAX_RECORDS`: one sync is shared by so many that it no longer counts, and a transaction still takes milliseconds.
const BATCH_MAX_RECORDS_DEFAULT: NonZeroUsize = NonZeroUsize::new(5000).unwrap();
/// Greatest `BATCH_MAX_RECORDS`: the records of a batch are all held in memory.
const BATCH_MAX_RECORDS_GREATEST: u64 = 1_000_000;
/// `LAST_MODIFIED_MAX_AHEAD_MS`: a day. Clocks are off by minutes, zones by hours.
const LAST_MODIFIED_MAX_AHEAD_MS_DEFAULT: u64 = 24 * 60 * 60 * 1000;
/// Greatest `LAST_MODIFIED_MAX_AHEAD_MS`: a hundred years.
const LAST_MODIFIED_MAX_AHEAD_MS_GREATEST: u64 = 100 * 365 * 24 * 60 * 60 * 1000;
/// `SHUTDOWN_TIMEOUT_MS`: what `docker stop` grants before it kills.
const SHUTDOWN_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
/// Greatest number of milliseconds that a setting may say: one hour.
const WAIT_MS_GREATEST: u64 = 60 * 60 * 1000;
/// Greatest number that the protocol's 32-bit fields carry.
const PROTOCOL_INT_GREATEST: u64 = i32::MAX as u64;
/// `LOG_FILE`.
const LOG_FILE_DEFAULT: &str = "logs/consumer.log";
/// `UNIDENTIFIED_LOG_FILE`.
const UNIDENTIFIED_LOG_FILE_DEFAULT: &str = "logs/unidentified_messages.log";

/// All that can be set. Grouped by who needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// For the Kafka client.
    pub kafka: KafkaSettings,
    /// For the database.
    pub database: DatabaseSettings,
    /// When to try again what the environment made fail.
    pub retry: RetryPolicy,
    /// For the logger.
    pub log: LogSettings,
    /// Upper bound of one transaction, in records.
    pub batch_records_max: NonZeroUsize,
    /// How far after its record's own time a `last_modified` may be; `None` if any may.
    pub last_modified_max_ahead: Option<Duration>,
    /// Whether lost records stop the service.
    pub fail_on_data_loss: bool,
    /// What the service may take to stop.
    pub shutdown_timeout: Duration,
    /// Where unidentified messages are written out, if anywhere.
    pub unidentified_log_file: Option<PathBuf>,
    /// What looks like a mistake but need not be one, each a line for the log.
    pub warnings: Vec<String>,
}

/// What the Kafka client needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaSettings {
    /// At least one.
    pub bootstrap_servers: Vec<Address>,
    /// The consumer group whose offsets are read and committed.
    pub group_id: String,
    /// At least one, each once.
    pub topics: Vec<String>,
    /// The name that brokers log.
    pub client_id: String,
    /// Where a partition with no known position starts.
    pub auto_offset_reset: OffsetReset,
    /// Which records are seen.
    pub isolation_level: IsolationLevel,
    /// How partitions are shared.
    pub group_protocol: GroupProtocol,
    /// Static membership in the group, over a stop too.
    pub group_instance_id: Option<String>,
    /// A classic member that has not been heard of for so long is given up.
    pub session_timeout: Duration,
    /// Where this machine stands.
    pub client_rack: Option<String>,
    /// Whether a new leader is asked if its log still has what was read.
    pub validate_leader_epochs: bool,
    /// Encryption and authentication.
    pub security: Security,
    /// Soft target of one fetch, in bytes.
    pub fetch_max_bytes: NonZeroU32,
    /// Memory for all fetched and decompressed data, in bytes.
    pub buffer_max_bytes: NonZeroU32,
    /// Hard limit of one response and of one decompressed batch, in bytes.
    pub receive_max_bytes: NonZeroU32,
}

/// Where a partition with no known position starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetReset {
    /// At its first record.
    Earliest,
    /// Behind its last record.
    Latest,
    /// Nowhere: the service stops.
    Error,
}

/// How the partitions of a group are shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupProtocol {
    /// This process takes every partition.
    None,
    /// By the members' leader (`JoinGroup`).
    Classic,
    /// By the broker ([KIP-848](https://cwiki.apache.org/confluence/display/KAFKA/KIP-848%3A+The+Next+Generation+of+the+Consumer+Rebalance+Protocol)).
    Consumer,
}

/// What the database needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseSettings {
    /// The database file; relative to the working directory, or absolute.
    pub path: PathBuf,
    /// When SQLite syncs.
    pub synchronous: Synchronous,
    /// Size of the `-wal` file at which nothing more is written, in bytes.
    pub wal_bytes_max: u64,
    /// Permissions of a new database and its directory.
    pub file_mode: FileMode,
}

/// [`PRAGMA synchronous`](https://www.sqlite.org/pragma.html#pragma_synchronous).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Synchronous {
    /// At checkpoints.
    Normal,
    /// At every commit.
    Full,
}

/// What the logger needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// Who reads the console.
    pub app_env: AppEnv,
    /// The least severe level that is logged.
    pub level: LevelFilter,
    /// Where log lines are kept, if anywhere.
    pub file: Option<PathBuf>,
    /// Permissions of a new log file and its directory.
    pub file_mode: FileMode,
}

/// Where the service runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppEnv {
    /// People read the console.
    Development,
    /// Programs read the console.
    Production,
}

impl Settings {
    /// Reads the settings from `environment` and from `file`, which must then exist; without it, from `.env` in the working
    /// directory if there is one.
    pub fn load(
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        file: Option<&Path>,
    ) -> Result<Self, SettingsError> {
        let mut variables = Variables::read(environment, file)?;
        let settings = Self::from_variables(&mut variables)?;
        files::refuse_shared(&settings, file.unwrap_or(Path::new(variables::ENV_FILE_DEFAULT)))?;
        let warnings = [variables.warnings(), settings.kafka.security.warnings()].concat();
        Ok(Self { warnings, ..settings })
    }

    /// What records are read with.
    pub fn decoder(&self) -> Decoder {
        Decoder { last_modified_max_ahead: self.last_modified_max_ahead }
    }

    fn from_variables(variables: &mut Variables) -> Result<Self, SettingsError> {
        let wait_ms = || rules::milliseconds(1..=WAIT_MS_GREATEST);
        let file_mode = variables.or(
            "FILE_MODE",
            FileMode::Owner,
            rules::choice(&[("0600", FileMode::Owner), ("0640", FileMode::Group)]),
        )?;
        Ok(Self {
            kafka: kafka(variables)?,
            database: database(variables, file_mode)?,
            retry: retry(variables)?,
            log: log(variables, file_mode)?,
            batch_records_max: variables.or(
                "BATCH_MAX_RECORDS",
                BATCH_MAX_RECORDS_DEFAULT,
                rules::number(1..=BATCH_MAX_RECORDS_GREATEST, ""),
            )?,
            last_modified_max_ahead: last_modified_max_ahead(variables)?,
            fail_on_data_loss: variables.or(
                "FAIL_ON_DATA_LOSS",
                true,
                rules::choice(&[("true", true), ("false", false)]),
            )?,
            shutdown_timeout: variables.or("SHUTDOWN_TIMEOUT_MS", SHUTDOWN_TIMEOUT_DEFAULT, wait_ms())?,
            unidentified_log_file: variables.path_or("UNIDENTIFIED_LOG_FILE", UNIDENTIFIED_LOG_FILE_DEFAULT)?,
            warnings: Vec::new(),
        })
    }
}

/// `LAST_MODIFIED_MAX_AHEAD_MS`; `None` if it is 0.
fn last_modified_max_ahead(variables: &mut Variables) -> Result<Option<Duration>, SettingsError> {
    let default = LAST_MODIFIED_MAX_AHEAD_MS_DEFAULT;
    let rule = rules::number(0..=LAST_MODIFIED_MAX_AHEAD_MS_GREATEST, " milliseconds (0: no limit)");
    let max_ms: u64 = variables.or("LAST_MODIFIED_MAX_AHEAD_MS", default, rule)?;
    Ok((max_ms > 0).then(|| Duration::from_millis(max_ms)))
}

fn kafka(variables: &mut Variables) -> Result<KafkaSettings, SettingsError> {
    let bootstrap_default = Address { host: "localhost".to_owned(), port: BOOTSTRAP_PORT_DEFAULT };
    let bytes = || rules::number(1..=PROTOCOL_INT_GREATEST, " bytes");
    let session_timeout =
        variables.optional("KAFKA_SESSION_TIMEOUT_MS", rules::milliseconds(1..=PROTOCOL_INT_GREATEST))?;
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
        group_protocol: variables.or(
            "KAFKA_GROUP_PROTOCOL",
            GroupProtocol::Classic,
            rules::choice(&[
                ("classic", GroupProtocol::Classic),
                ("consumer", GroupProtocol::Consumer),
                ("none", GroupProtocol::None),
            ]),
        )?,
        group_instance_id: variables.optional("KAFKA_GROUP_INSTANCE_ID", rules::name)?,
        session_timeout: session_timeout.unwrap_or(SESSION_TIMEOUT_DEFAULT),
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
    if settings.group_protocol == GroupProtocol::None && settings.group_instance_id.is_some() {
        return Err(SettingsError::contradiction(
            "KAFKA_GROUP_INSTANCE_ID",
            "needs a KAFKA_GROUP_PROTOCOL other than none, which has no members",
        ));
    }
    if settings.group_protocol != GroupProtocol::Classic && session_timeout.is_some() {
        return Err(SettingsError::contradiction(
            "KAFKA_SESSION_TIMEOUT_MS",
            "is for KAFKA_GROUP_PROTOCOL classic only",
        ));
    }
    Ok(settings)
}

fn database(variables: &mut Variables, file_mode: FileMode) -> Result<DatabaseSettings, SettingsError> {
    Ok(DatabaseSettings {
        path: variables.or("DATABASE_URL", PathBuf::from(DATABASE_PATH_DEFAULT), rules::database_path)?,
        synchronous: variables.or(
            "DATABASE_SYNCHRONOUS",
            Synchronous::Normal,
            rules::choice(&[("NORMAL", Synchronous::Normal), ("FULL", Synchronous::Full)]),
        )?,
        wal_bytes_max: variables.or(
            "WAL_MAX_BYTES",
            WAL_MAX_BYTES_DEFAULT,
            rules::number(WAL_MAX_BYTES_LEAST..=i64::MAX.unsigned_abs(), " bytes"),
        )?,
        file_mode,
    })
}

fn retry(variables: &mut Variables) -> Result<RetryPolicy, SettingsError> {
    let wait_ms = || rules::milliseconds(1..=WAIT_MS_GREATEST);
    let policy = RetryPolicy {
        initial: variables.or("RETRY_INITIAL_MS", RetryPolicy::INITIAL_DEFAULT, wait_ms())?,
        max: variables.or("RETRY_MAX_MS", RetryPolicy::MAX_DEFAULT, wait_ms())?,
        attempts_max: NonZeroU32::new(variables.or(
            "RETRY_MAX_ATTEMPTS",
            0,
            rules::number(0..=u64::from(u32::MAX), " (0: no limit)"),
        )?),
    };
    if policy.initial > policy.max {
        return Err(SettingsError::contradiction(
            "RETRY_INITIAL_MS",
            format!(
                "({}) must not be greater than RETRY_MAX_MS ({})",
                policy.initial.as_millis(),
                policy.max.as_millis()
            ),
        ));
    }
    Ok(policy)
}

fn log(variables: &mut Variables, file_mode: FileMode) -> Result<LogSettings, SettingsError> {
    Ok(LogSettings {
        app_env: variables.or(
            "APP_ENV",
            AppEnv::Development,
            rules::choice(&[("development", AppEnv::Development), ("production", AppEnv::Production)]),
        )?,
        level: variables.or(
            "LOG_LEVEL",
            LevelFilter::Info,
            rules::choice(&[
                ("OFF", LevelFilter::Off),
                ("ERROR", LevelFilter::Error),
                ("WARN", LevelFilter::Warn),
                ("INFO", LevelFilter::Info),
                ("DEBUG", LevelFilter::Debug),
                ("TRACE", LevelFilter::Trace),
            ]),
        )?,
        file: variables.path_or("LOG_FILE", LOG_FILE_DEFAULT)?,
        file_mode,
    })
}
