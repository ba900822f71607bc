//! One connection to one broker: opened, authenticated, and authenticated again when its session lifetime ends. Must
//! not know leaders, coordinators or retries.

mod authentication;
mod channel;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
#[cfg(test)]
mod recorder;
mod settings;
#[cfg(test)]
pub(crate) mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use self::channel::Channel;
use crate::error::{Error, Result};
use crate::protocol::{ApiVersionsRequest, Request};
use crate::security::Security;
use crate::stream::{Deadline, SetupStep, Stream};
use crate::types::Address;

pub use settings::ConnectionSettings;

/// The version of `ApiVersions` to use after the latest one if a broker does not respond to that: brokers since 2.4
/// support it
/// ([KIP-511](https://cwiki.apache.org/confluence/display/KAFKA/KIP-511%3A+Collect+and+Expose+Client%27s+Name+and+Version+in+the+Brokers)).
const API_VERSIONS_SECOND: i16 = 3;

/// A connection that is ready for requests.
#[derive(Debug)]
pub(crate) struct Connection {
    channel: Channel,
    /// When the client must authenticate again, if the session has a lifetime.
    reauthenticate_at: Option<Instant>,
}

impl Connection {
    /// Opens a connection within the connect timeout, on this thread.
    #[cfg(test)]
    pub(crate) fn open(address: &Address, settings: &ConnectionSettings) -> Result<Self> {
        let deadline = Deadline::after(settings.connect_timeout);
        Self::open_until(address, settings, &deadline, &SetupStep::default())
    }

    /// Connects, requests the broker's versions, and authenticates; all before one deadline.
    ///
    /// If a broker closes the connection at a version of `ApiVersions` that it does not support (Azure Event Hubs), or
    /// its response cannot be decoded (librdkafka's mock broker), an older version is sent on a new connection.
    pub(crate) fn open_until(
        address: &Address,
        settings: &ConnectionSettings,
        deadline: &Deadline,
        step: &SetupStep,
    ) -> Result<Self> {
        let security = settings.security.current();
        let mut channel = open_channel(address, settings, &security, deadline, step)?;
        let mut reauthenticate_at = None;
        if let Some(sasl) = &security.sasl {
            step.enter(SetupStep::SASL);
            reauthenticate_at = authentication::authenticate(&mut channel, sasl, deadline)?;
        }
        Ok(Self { channel, reauthenticate_at })
    }

    /// The IP address of the broker.
    pub(crate) fn socket_address(&self) -> Option<SocketAddr> {
        self.channel.socket_address()
    }

    /// Whether the next request can be sent: the security of connections has not been replaced, this one was not idle for
    /// long, the broker has not closed it and has sent nothing.
    pub(crate) fn is_usable(&mut self, now: Instant) -> bool {
        self.channel.is_usable(now)
    }

    /// Sends a request and waits for its response; authenticates first if that is due.
    pub(crate) fn call<R: Request>(&mut self, request: &R) -> Result<R::Response> {
        if self.reauthenticate_at.is_some_and(|at| Instant::now() >= at)
            && let Some(sasl) = self.channel.security().sasl.clone()
        {
            self.reauthenticate_at = authentication::reauthenticate(&mut self.channel, &sasl)?;
        }
        self.channel.call(request)
    }
}

/// Connects and requests the broker's versions, in the latest version of `ApiVersions` that the broker responds to.
fn open_channel(
    address: &Address,
    settings: &ConnectionSettings,
    security: &Arc<Security>,
    deadline: &Deadline,
    step: &SetupStep,
) -> Result<Channel> {
    let registry = &settings.registry;
    let (_, latest) = ApiVersionsRequest::VERSIONS;
    let mut version = registry.api_versions(address, Instant::now()).unwrap_or(latest);
    let mut first_failure: Option<Error> = None;
    let channel = loop {
        let error = match open_channel_in(version, address, settings, security, deadline, step) {
            Ok(channel) => break channel,
            Err(error) => error,
        };
        let Some(older) = older_version(&error, version) else {
            // A broker that responds to no version does not need an old one.
            registry.set_api_versions(address, None, Instant::now());
            // The first failure is the most significant one, unless this one is not retriable.
            return Err(if error.is_retriable() { first_failure.unwrap_or(error) } else { error });
        };
        log::debug!("sending ApiVersions in version {older} after version {version}: {error}");
        first_failure.get_or_insert(error);
        version = older;
    };
    if let Some(failure) = first_failure {
        log::info!(
            "broker {address} does not respond to the latest version of ApiVersions, using version {version}: {failure}"
        );
        registry.set_api_versions(address, Some(version), Instant::now());
    }
    Ok(channel)
}

/// Connects and requests the broker's versions, in this version of `ApiVersions`.
fn open_channel_in(
    version: i16,
    address: &Address,
    settings: &ConnectionSettings,
    security: &Arc<Security>,
    deadline: &Deadline,
    step: &SetupStep,
) -> Result<Channel> {
    let registry = &settings.registry;
    let preferred = registry.accepted_by(address);
    let stream = Stream::open(address, preferred, security.tls.as_ref(), deadline, step);
    let stream = stream.map_err(|error| error.advertised_by(registry.advertised(address)))?;
    let mut channel = Channel::new(stream, address, settings, security);
    step.enter(SetupStep::API_VERSIONS);
    channel.negotiate(version, deadline)?;
    Ok(channel)
}

/// The version of `ApiVersions` to send after this one has failed; `None` if the version is not the cause, or there is
/// no older one.
fn older_version(error: &Error, version: i16) -> Option<i16> {
    let (oldest, _) = ApiVersionsRequest::VERSIONS;
    let older = match error {
        // A broker that closes the connection at one version may respond to the one before.
        Error::Disconnected { request: ApiVersionsRequest::NAME, .. } if version > API_VERSIONS_SECOND => {
            API_VERSIONS_SECOND
        }
        Error::Disconnected { request: ApiVersionsRequest::NAME, .. }
        | Error::Malformed { request: ApiVersionsRequest::NAME, .. } => oldest,
        Error::Broker { request: ApiVersionsRequest::NAME, code, .. } if !code.is_retriable() => oldest,
        _ => return None,
    };
    (older < version).then_some(older)
}
