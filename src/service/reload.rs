//! Reloads on request: reads certificates, key and password again, has the brokers check them, and replaces those of all
//! connections; also the token of HTTP requests; reopens the log files. Either everything is valid, or the credentials in
//! use stay in use. Also warns of a client certificate that expires. Must not know the consumer, whose connections follow
//! by themselves.
//!
//! The log of unidentified messages is opened for each of its steps, so it needs no reopening.

use std::fmt;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use kafka::{Client, ConnectionSettings, Error};
use log::{error, info, warn};

use super::context::Context;
use super::expiry::{self, Urgency};
use crate::runtime::error_chain::ErrorChain;
use crate::runtime::logger;
use crate::settings::{HttpSettings, KafkaSettings, Settings, SettingsError, advice};

/// How long a broker may take to accept new credentials, and to respond.
const BROKER_TIMEOUT: Duration = Duration::from_secs(5);

/// The time after which no further broker is asked to check new credentials: a reload of systemd waits for it, up to
/// `TimeoutStartSec=` (90 s).
const CHECK_TIME_MAX: Duration = Duration::from_secs(30);

/// The client certificate, as the metric of credentials names it.
const CERTIFICATE: &str = "client_certificate";

/// Starts the thread that serves reload requests, until nobody can send one.
pub(super) fn start(settings: &Settings, context: Context) -> kafka::Result<()> {
    let reloader = Reloader { kafka: settings.kafka.clone(), http: settings.http.clone(), context, warned: None };
    let thread = thread::Builder::new().name("reload".to_owned());
    thread.spawn(move || reloader.run()).map(drop).map_err(Error::Thread)
}

struct Reloader {
    kafka: KafkaSettings,
    http: HttpSettings,
    context: Context,
    /// The most urgent warning about the certificate that was logged.
    warned: Option<Urgency>,
}

impl Reloader {
    fn run(mut self) {
        loop {
            let expires_at = self.expires_at();
            self.context.metrics.set_credential_expiry(CERTIFICATE, expires_at);
            if let Some(expires_at) = expires_at {
                self.warn_of_expiry(expires_at, SystemTime::now());
            }
            let wait = expiry::next_check_in(expires_at, SystemTime::now());
            match self.context.reload_requests.recv_timeout(wait) {
                Ok(()) => self.reload(),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn reload(&mut self) {
        self.context.notifier.reloading();
        self.reload_now();
        // Whatever came of it: the service is as ready as before.
        self.context.notifier.ready();
    }

    fn reload_now(&mut self) {
        logger::reopen();
        let replaced = self.replace_credentials();
        self.context.metrics.reloads.add(if replaced.is_ok() { "success" } else { "failure" }, 1);
        match replaced {
            Ok(Replaced::Unchanged) => info!("reloaded: the log file is reopened, the credentials are unchanged"),
            Ok(Replaced::HttpToken) => {
                info!("reloaded: the token of HTTP_TOKEN_FILE; the other credentials are unchanged");
            }
            Ok(Replaced::Confirmed) => self.log_replaced(),
            Ok(Replaced::Unconfirmed(failure)) => {
                self.log_replaced();
                warn!("not every broker has accepted the reloaded credentials yet: {}", ErrorChain(&failure));
            }
            Err(refused) => error!("not reloaded, the former credentials stay in use: {}", ErrorChain(&refused)),
        }
    }

    fn log_replaced(&self) {
        info!("reloaded: {}; each connection is renewed before its next request", self.kafka.security.describe());
    }

    fn replace_credentials(&mut self) -> Result<Replaced, ReloadError> {
        let http_token = self.http.load_token().map_err(ReloadError::Settings)?;
        let security = self.kafka.security.load().map_err(ReloadError::Settings)?;
        let expires_at = security.tls.as_ref().and_then(kafka::Tls::client_certificate_expires_at);
        if let Some(expired_at) = expires_at.filter(|at| *at <= SystemTime::now()) {
            return Err(ReloadError::Expired { expired_at });
        }
        if self.context.security.current().is_same(&security) {
            let is_new = self.context.http_token.replace(http_token);
            return Ok(if is_new { Replaced::HttpToken } else { Replaced::Unchanged });
        }
        let checked = self.check(security.clone())?;
        if expires_at != self.expires_at() {
            self.warned = None;
        }
        self.context.http_token.replace(http_token);
        self.context.security.replace(security);
        Ok(checked.map_or(Replaced::Confirmed, Replaced::Unconfirmed))
    }

    /// Connects to the brokers with the new credentials. Returns a failure that may pass by itself.
    fn check(&self, security: kafka::Security) -> Result<Option<Error>, ReloadError> {
        let connection = ConnectionSettings {
            client_id: self.kafka.client_id.clone(),
            connect_timeout: BROKER_TIMEOUT,
            connect_timeout_max: BROKER_TIMEOUT,
            request_timeout: BROKER_TIMEOUT,
            receive_bytes_max: self.kafka.receive_max_bytes.get(),
            security: security.into(),
            ..ConnectionSettings::default()
        };
        let mut client = Client::new(self.kafka.bootstrap_servers.clone(), connection);
        client.try_brokers(Instant::now() + CHECK_TIME_MAX).map_err(ReloadError::Refused)
    }

    fn expires_at(&self) -> Option<SystemTime> {
        self.context.security.current().tls.as_ref()?.client_certificate_expires_at()
    }

    /// Logs each step towards the expiry once.
    fn warn_of_expiry(&mut self, expires_at: SystemTime, now: SystemTime) {
        let urgency = expiry::urgency(expires_at, now);
        if urgency <= self.warned {
            return;
        }
        self.warned = urgency;
        let at = logger::timestamp(expires_at);
        if urgency == Some(Urgency::Expired) {
            warn!(expired_at = at; "the client certificate has expired: replace it and its key, and reload the service");
        } else {
            warn!(
                expires_at = at;
                "the client certificate expires within {}: replace it and its key, and reload the service",
                expiry::remaining(expires_at, now)
            );
        }
    }
}

/// The outcome of a reload that has not failed.
enum Replaced {
    /// The files have what is in use.
    Unchanged,
    /// The token of HTTP requests is another one, and nothing else.
    HttpToken,
    /// The brokers accept the new credentials.
    Confirmed,
    /// The new credentials are in use; a broker could not be reached, or has not accepted a token, which may be renewed.
    Unconfirmed(Error),
}

/// Why the former credentials stay in use.
#[derive(Debug)]
enum ReloadError {
    /// A file cannot be read, or has invalid content.
    Settings(SettingsError),
    /// The new client certificate has expired.
    Expired { expired_at: SystemTime },
    /// A broker does not accept the new credentials, or is not trusted.
    Refused(Error),
}

impl fmt::Display for ReloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(error) => error.fmt(f),
            Self::Expired { expired_at } => {
                write!(f, "the client certificate has expired at {}; renew it", logger::timestamp(*expired_at))
            }
            Self::Refused(error) => match advice(error) {
                Some(advice) => write!(f, "{error}; {advice}"),
                None => error.fmt(f),
            },
        }
    }
}

/// Each variant displays its error, so its source is the source of that error.
impl std::error::Error for ReloadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Settings(error) => error.source(),
            Self::Refused(error) => error.source(),
            Self::Expired { .. } => None,
        }
    }
}
