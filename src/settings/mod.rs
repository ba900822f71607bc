//! Reads environment variables and the settings file once, and parses them into types. The only module that knows the variables'
//! names. Must not act on the settings.
//!
//! A variable that is set in the environment wins over the file, even if it is empty. Empty means "none" for an optional setting and
//! for a log file; for other settings it is refused like any invalid value.

mod advice;
mod consumer;
mod damage;
mod database;
mod env_file;
mod error;
mod files;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod http;
mod rules;
mod sasl;
mod secret_file;
mod security;
mod service_manager;
#[cfg(test)]
mod tests;
mod variables;

use std::ffi::OsString;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use kafka::RetryPolicy;
use log::LevelFilter;

pub use advice::advice;
pub use consumer::{GroupProtocol, KafkaSettings, OffsetReset};
pub use database::{DatabaseSettings, Synchronous};
pub use env_file::Problem;
pub use error::SettingsError;
pub use http::{HttpListen, HttpSettings};
pub use rules::shorten;
pub use sasl::{Password, PasswordMechanism, SaslSettings, TokenSource};
pub use security::Security;
pub use service_manager::ServiceManager;
use variables::Variables;

use crate::entity::Decoder;
use crate::runtime::logger::{ConsoleFormat, LogSettings};
use crate::runtime::permissions::FileMode;

/// `BATCH_MAX_RECORDS`: four ordinary transactions, which is as far as they grow.
const BATCH_MAX_RECORDS_DEFAULT: NonZeroUsize = NonZeroUsize::new(20_000).unwrap();
/// Greatest `BATCH_MAX_RECORDS`: a batch is held in memory.
const BATCH_MAX_RECORDS_GREATEST: u64 = 1_000_000;
/// `LAST_MODIFIED_MAX_AHEAD_MS`: a day. Clocks are wrong by minutes, time zones by hours.
const LAST_MODIFIED_MAX_AHEAD_MS_DEFAULT: u64 = 24 * 60 * 60 * 1000;
/// Greatest `LAST_MODIFIED_MAX_AHEAD_MS`: a hundred years.
const LAST_MODIFIED_MAX_AHEAD_MS_GREATEST: u64 = 100 * 365 * 24 * 60 * 60 * 1000;
/// Greatest `UNIDENTIFIED_KEEP_DAYS`: a hundred years.
const UNIDENTIFIED_KEEP_DAYS_GREATEST: u64 = 36_500;
const DAY_SECONDS: u64 = 24 * 60 * 60;
/// `SHUTDOWN_TIMEOUT_MS`: the time from SIGTERM to SIGKILL of `docker stop`.
const SHUTDOWN_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
/// Greatest number of milliseconds of a wait: one hour.
const WAIT_MS_GREATEST: u64 = 60 * 60 * 1000;
/// `LOG_FILE`.
const LOG_FILE_DEFAULT: &str = "logs/consumer.log";
/// `UNIDENTIFIED_LOG_FILE`.
const UNIDENTIFIED_LOG_FILE_DEFAULT: &str = "logs/unidentified_messages.log";

/// All settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The Kafka consumer.
    pub kafka: KafkaSettings,
    /// The database.
    pub database: DatabaseSettings,
    /// Retries of operations that failed because of the environment.
    pub retry: RetryPolicy,
    /// The logger.
    pub log: LogSettings,
    /// Greatest number of records in one transaction.
    pub batch_records_max: NonZeroUsize,
    /// How much later than the record's timestamp a `last_modified` may be; `None`: no limit.
    pub last_modified_max_ahead: Option<Duration>,
    /// Whether data loss stops the service.
    pub fail_on_data_loss: bool,
    /// Greatest time of a shutdown.
    pub shutdown_timeout: Duration,
    /// The log file of unidentified messages, if any.
    pub unidentified_log_file: Option<PathBuf>,
    /// How long unidentified messages are kept; `None`: forever.
    pub unidentified_keep: Option<Duration>,
    /// The HTTP server.
    pub http: HttpSettings,
    /// The service manager that has started the process.
    pub service_manager: ServiceManager,
    /// Whether the terminal, if there is one, can show progress: it is not for programs, and can replace a line.
    pub can_redraw: bool,
    /// Possible mistakes, one line each.
    pub warnings: Vec<String>,
}

impl Settings {
    /// Reads the settings from `environment` and from `file`, which must exist; without `file`, from `.env` in the working directory
    /// if it exists.
    pub fn load(
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        file: Option<&Path>,
    ) -> Result<Self, SettingsError> {
        let environment: Vec<(OsString, OsString)> = environment.into_iter().collect();
        let service_manager = ServiceManager::read(&environment);
        let can_redraw = service_manager::can_redraw(&environment);
        let mut variables = Variables::read(environment, file)?;
        let settings = Self::from_variables(&mut variables)?;
        settings.refuse_shared_files(file.unwrap_or(Path::new(variables::ENV_FILE_DEFAULT)))?;
        let warnings = [variables.warnings(), settings.kafka.security.warnings(), settings.http.warnings()].concat();
        let can_redraw = can_redraw && settings.log.console == ConsoleFormat::Text;
        Ok(Self { service_manager, can_redraw, warnings, ..settings })
    }

    /// The decoder of records.
    pub fn decoder(&self) -> Decoder {
        Decoder { last_modified_max_ahead: self.last_modified_max_ahead }
    }

    fn refuse_shared_files(&self, env_file: &Path) -> Result<(), SettingsError> {
        let log_files = [("LOG_FILE", &self.log.file), ("UNIDENTIFIED_LOG_FILE", &self.unidentified_log_file)];
        let log_files = log_files.into_iter().filter_map(|(variable, path)| Some((variable, path.as_deref()?)));
        let files_read = self.kafka.security.files().into_iter().chain(self.http.files()).collect();
        files::refuse_shared(log_files, &self.database.path, files_read, env_file)
    }

    fn from_variables(variables: &mut Variables) -> Result<Self, SettingsError> {
        let wait_ms = || rules::milliseconds(1..=WAIT_MS_GREATEST);
        let file_mode = variables.or(
            "FILE_MODE",
            FileMode::Owner,
            rules::choice(&[("0600", FileMode::Owner), ("0640", FileMode::Group)]),
        )?;
        Ok(Self {
            kafka: consumer::read(variables)?,
            database: database::read(variables, file_mode)?,
            retry: read_retry(variables)?,
            log: read_log(variables, file_mode)?,
            batch_records_max: variables.or(
                "BATCH_MAX_RECORDS",
                BATCH_MAX_RECORDS_DEFAULT,
                rules::number(1..=BATCH_MAX_RECORDS_GREATEST, ""),
            )?,
            last_modified_max_ahead: read_last_modified_max_ahead(variables)?,
            fail_on_data_loss: variables.or(
                "FAIL_ON_DATA_LOSS",
                true,
                rules::choice(&[("true", true), ("false", false)]),
            )?,
            shutdown_timeout: variables.or("SHUTDOWN_TIMEOUT_MS", SHUTDOWN_TIMEOUT_DEFAULT, wait_ms())?,
            unidentified_log_file: variables.path_or("UNIDENTIFIED_LOG_FILE", UNIDENTIFIED_LOG_FILE_DEFAULT)?,
            unidentified_keep: read_unidentified_keep(variables)?,
            http: http::read(variables, file_mode)?,
            service_manager: ServiceManager::default(),
            can_redraw: false,
            warnings: Vec::new(),
        })
    }
}

/// `LAST_MODIFIED_MAX_AHEAD_MS`; `None` if it is 0.
fn read_last_modified_max_ahead(variables: &mut Variables) -> Result<Option<Duration>, SettingsError> {
    let default = LAST_MODIFIED_MAX_AHEAD_MS_DEFAULT;
    let rule = rules::number(0..=LAST_MODIFIED_MAX_AHEAD_MS_GREATEST, " milliseconds (0: no limit)");
    let max_ms: u64 = variables.or("LAST_MODIFIED_MAX_AHEAD_MS", default, rule)?;
    Ok((max_ms > 0).then(|| Duration::from_millis(max_ms)))
}

/// `UNIDENTIFIED_KEEP_DAYS`; `None` if it is 0.
fn read_unidentified_keep(variables: &mut Variables) -> Result<Option<Duration>, SettingsError> {
    let rule = rules::number(0..=UNIDENTIFIED_KEEP_DAYS_GREATEST, " days (0: forever)");
    let days: u64 = variables.or("UNIDENTIFIED_KEEP_DAYS", 0, rule)?;
    Ok((days > 0).then(|| Duration::from_secs(days * DAY_SECONDS)))
}

fn read_retry(variables: &mut Variables) -> Result<RetryPolicy, SettingsError> {
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

fn read_log(variables: &mut Variables, file_mode: FileMode) -> Result<LogSettings, SettingsError> {
    Ok(LogSettings {
        console: variables.or(
            "APP_ENV",
            ConsoleFormat::Text,
            rules::choice(&[("development", ConsoleFormat::Text), ("production", ConsoleFormat::Json)]),
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
