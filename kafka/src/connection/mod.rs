//! One connection to one broker: frames requests and responses, chooses versions, says who we are, and holds every wait and
//! every size within bounds. Knows nothing of leaders, coordinators or retries.
//!
//! A connection whose request failed on the wire is closed and stays so: what the peer would send next could not be told
//! from the answer that is missing.

mod authentication;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
#[cfg(test)]
mod recorder;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::HashMap;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::protocol::{self, Admission, ApiVersionsRequest, Failure, Request};
use crate::registry::BrokerRegistry;
use crate::security::Security;
use crate::stream::{Deadline, SetupStep, Stream, is_timeout};
use crate::types::Address;

/// A response is received in steps that double from here, so that its memory grows with the bytes that have come, not with
/// those announced.
const RECEIVE_STEP_BYTES: usize = 64 * 1024;

/// An answer is late after this part of the request timeout: five seconds by default.
const LATE_PART: u32 = 6;

/// A connection that was not used for so long is not used any more: load balancers drop idle connections without a word, Azure's after
/// 4 minutes (<https://learn.microsoft.com/azure/event-hubs/apache-kafka-configurations> recommends this for `connections.max.idle.ms`).
const IDLE_MAX: Duration = Duration::from_mins(3);

/// The version of `ApiVersions` that is tried after the latest one where a broker does not answer that: the one that brokers since 2.4 know
/// ([KIP-511](https://cwiki.apache.org/confluence/display/KAFKA/KIP-511%3A+Collect+and+Expose+Client%27s+Name+and+Version+in+the+Brokers)).
const API_VERSIONS_SECOND: i16 = 3;

/// How to speak to a broker, and for how long.
#[derive(Debug, Clone)]
pub struct ConnectionSettings {
    /// The name that the broker logs and applies quotas by.
    pub client_id: String,
    /// How long a connection may take from the name lookup until the broker has answered and has authenticated the client.
    pub connect_timeout: Duration,
    /// The connect timeout doubles with each attempt in a row that takes longer, up to this.
    pub connect_timeout_max: Duration,
    /// How long a broker may take to answer, its intended wait (for new records) not counted.
    pub request_timeout: Duration,
    /// Hard limit of one response, in bytes.
    pub receive_bytes_max: u32,
    /// Encryption and authentication.
    pub security: Security,
    /// What connections have learnt about brokers; settings that are cloned share it.
    pub registry: BrokerRegistry,
}

impl ConnectionSettings {
    /// Longest time to connect: Kafka's own clients take the same (`socket.connection.setup.timeout.ms`).
    pub const CONNECT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
    /// Longest time to connect after attempts that took too long: Kafka's own clients take the same
    /// (`socket.connection.setup.timeout.max.ms`).
    pub const CONNECT_TIMEOUT_MAX_DEFAULT: Duration = Duration::from_secs(30);
    /// Longest time for an answer: Kafka's own clients take the same (`request.timeout.ms`).
    pub const REQUEST_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
    /// Largest response, in bytes: as brokers limit requests (`socket.request.max.bytes`).
    pub const RECEIVE_BYTES_MAX_DEFAULT: u32 = 100 * 1024 * 1024;

    /// How long an answer may take before it is late, any intended wait not counted.
    pub(crate) fn patience(&self) -> Duration {
        self.request_timeout / LATE_PART
    }
}

impl Default for ConnectionSettings {
    fn default() -> Self {
        Self {
            client_id: String::new(),
            connect_timeout: Self::CONNECT_TIMEOUT_DEFAULT,
            connect_timeout_max: Self::CONNECT_TIMEOUT_MAX_DEFAULT,
            request_timeout: Self::REQUEST_TIMEOUT_DEFAULT,
            receive_bytes_max: Self::RECEIVE_BYTES_MAX_DEFAULT,
            security: Security::default(),
            registry: BrokerRegistry::default(),
        }
    }
}

/// A connection that is ready for requests.
#[derive(Debug)]
pub(crate) struct Connection {
    address: Address,
    settings: ConnectionSettings,
    stream: Stream,
    versions: HashMap<i16, (i16, i16)>,
    correlation_id: i32,
    /// Whether the broker has answered more than what it answers everybody.
    has_served: bool,
    /// When we must say again who we are, if ever.
    renew_at: Option<Instant>,
    /// When the last response was received.
    used_at: Instant,
}

impl Connection {
    /// As [`open_until`](Self::open_until), within the connect timeout, and on this thread.
    #[cfg(test)]
    pub(crate) fn open(address: &Address, settings: &ConnectionSettings) -> Result<Self> {
        let deadline = Deadline::after(settings.connect_timeout);
        Self::open_until(address, settings, &deadline, &SetupStep::default())
    }

    /// Makes the connection, asks the broker which versions it supports, and authenticates; all before one deadline.
    ///
    /// A broker that closes the connection on a version of `ApiVersions` that it does not know (Azure Event Hubs), or whose response to it
    /// cannot be read (librdkafka's mock broker), is asked again on a new connection, in an older version.
    pub(crate) fn open_until(
        address: &Address,
        settings: &ConnectionSettings,
        deadline: &Deadline,
        step: &SetupStep,
    ) -> Result<Self> {
        let registry = &settings.registry;
        let (_, latest) = ApiVersionsRequest::VERSIONS;
        let known = registry.api_versions(address, Instant::now());
        let mut version = known.unwrap_or(latest);
        let mut first_failure: Option<Error> = None;
        let mut connection = loop {
            let error = match Self::negotiated(address, settings, version, deadline, step) {
                Ok(connection) => break connection,
                Err(error) => error,
            };
            let Some(older) = older_version(&error, version) else {
                // A broker that answers no version does not need an old one.
                registry.set_api_versions(address, None, Instant::now());
                // The first failure says most, unless this one is for good.
                return Err(if error.is_retriable() { first_failure.unwrap_or(error) } else { error });
            };
            log::debug!("trying ApiVersions version {older} after version {version}: {error}");
            first_failure.get_or_insert(error);
            version = older;
        };
        if let Some(failure) = first_failure {
            log::info!(
                "broker {address} does not answer the latest version of ApiVersions, using version {version}: {failure}"
            );
            registry.set_api_versions(address, Some(version), Instant::now());
        }
        if let Some(sasl) = &settings.security.sasl {
            step.enter("SASL authentication");
            connection.authenticate(sasl, deadline)?;
        }
        Ok(connection)
    }

    /// Makes the connection and asks the broker, in this version of `ApiVersions`, which versions it supports.
    fn negotiated(
        address: &Address,
        settings: &ConnectionSettings,
        version: i16,
        deadline: &Deadline,
        step: &SetupStep,
    ) -> Result<Self> {
        let registry = &settings.registry;
        let preferred = registry.accepted_by(address);
        let stream = Stream::open(address, preferred, settings.security.tls.as_ref(), deadline, step);
        let stream = stream.map_err(|error| error.advertised_by(registry.advertised(address)))?;
        let mut connection = Self::over(stream, address, settings);
        step.enter("ApiVersions response");
        connection.negotiate(version, deadline)?;
        Ok(connection)
    }

    fn over(stream: Stream, address: &Address, settings: &ConnectionSettings) -> Self {
        Self {
            address: address.clone(),
            settings: settings.clone(),
            stream,
            versions: HashMap::new(),
            correlation_id: 0,
            has_served: false,
            renew_at: None,
            used_at: Instant::now(),
        }
    }

    /// The address behind the broker's name.
    pub(crate) fn socket_address(&self) -> Option<SocketAddr> {
        self.stream.socket_address()
    }

    /// Whether the next request can be sent on this connection: not after it was idle for long, nor if the broker has closed it, or has sent
    /// what was not asked for.
    pub(crate) fn is_usable(&mut self, now: Instant) -> bool {
        now.saturating_duration_since(self.used_at) < IDLE_MAX && self.stream.is_quiet()
    }

    /// Sends a request and waits for its answer. Before it, says again who we are, if it is time for that.
    pub(crate) fn call<R: Request>(&mut self, request: &R) -> Result<R::Response> {
        if self.renew_at.is_some_and(|at| Instant::now() >= at)
            && let Some(sasl) = self.settings.security.sasl.clone()
        {
            self.reauthenticate(&sasl)?;
        }
        let version = self.version_for(request)?;
        let deadline = Deadline::after(self.settings.request_timeout.saturating_add(request.wait()));
        let answer = self.exchange(request, version, &deadline)?;
        self.has_served = true;
        Ok(answer)
    }

    fn negotiate(&mut self, version: i16, deadline: &Deadline) -> Result<()> {
        let request = ApiVersionsRequest;
        let (lowest, highest) = ApiVersionsRequest::VERSIONS;
        let mut answer = self.exchange(&request, version, deadline)?;
        if answer.unsupported {
            let theirs = answer.ranges.get(&ApiVersionsRequest::KEY).copied();
            let version = theirs.map_or(lowest, |(_, theirs)| theirs.clamp(lowest, highest));
            answer = self.exchange(&request, version, deadline)?;
            if answer.unsupported {
                return Err(self.unsupported(&request, theirs));
            }
        }
        self.versions = answer.ranges;
        Ok(())
    }

    fn version_for<R: Request>(&self, request: &R) -> Result<i16> {
        let theirs = self.versions.get(&R::KEY).copied();
        let shared = theirs.map(|(low, high)| (low.max(R::VERSIONS.0), high.min(request.version_max())));
        match shared {
            Some((low, high)) if low <= high => Ok(high),
            _ => Err(self.unsupported(request, theirs)),
        }
    }

    fn unsupported<R: Request>(&self, request: &R, theirs: Option<(i16, i16)>) -> Error {
        Error::UnsupportedVersion {
            address: self.address.clone(),
            request: R::NAME,
            ours: (R::VERSIONS.0, request.version_max()),
            theirs,
        }
    }

    fn exchange<R: Request>(&mut self, request: &R, version: i16, deadline: &Deadline) -> Result<R::Response> {
        self.correlation_id = self.correlation_id.wrapping_add(1);
        let bytes = protocol::encode_request(request, version, self.correlation_id, &self.settings.client_id)
            .map_err(|unencodable| Error::Config(format!("{} cannot be sent: {}", R::NAME, unencodable.0)))?;
        let answer = self.transfer(request, &bytes, deadline).and_then(|response| {
            let decoded = protocol::decode_response(request, version, self.correlation_id, response);
            decoded.map_err(|failure| self.failure::<R>(failure))
        });
        match &answer {
            Ok(_) | Err(Error::Broker { .. }) => self.used_at = Instant::now(),
            Err(_) => self.stream.shut_down(),
        }
        answer
    }

    fn transfer<R: Request>(&mut self, request: &R, bytes: &[u8], deadline: &Deadline) -> Result<Bytes> {
        let mut length = [0; 4];
        self.stream
            .send(bytes, deadline)
            .and_then(|()| self.warn_if_late::<R>(request.wait(), deadline))
            .and_then(|()| self.stream.until(deadline).read_exact(&mut length))
            .map_err(|source| self.broken::<R>(source, deadline))?;
        let announced = i32::from_be_bytes(length);
        let Ok(length) = u32::try_from(announced) else {
            let detail = format!("a response of {announced} bytes is announced");
            return Err(self.failure::<R>(protocol::Malformed(detail).into()));
        };
        let limit = self.settings.receive_bytes_max.min(R::RESPONSE_BYTES_MAX);
        if length > limit {
            return Err(Error::ResponseTooLarge {
                address: self.address.clone(),
                request: R::NAME,
                bytes: length.into(),
                limit_bytes: limit.into(),
            });
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let asked_at = Instant::now();
        let admission = request.admit(length);
        // The wait for memory is not the broker's. What is shorter than a millisecond was none.
        let waited_ms = u64::try_from(asked_at.elapsed().as_millis()).unwrap_or(u64::MAX);
        let deadline = &deadline.extended(Duration::from_millis(waited_ms));
        if matches!(admission, Admission::Unwanted) {
            return Err(self.broken::<R>(io::ErrorKind::ConnectionAborted.into(), deadline));
        }
        let received = receive(&mut self.stream.until(deadline), length);
        let received = received.map_err(|source| self.broken::<R>(source, deadline))?;
        Ok(match admission {
            Admission::Counted(share) => share.hold(received),
            Admission::Free | Admission::Unwanted => received.into(),
        })
    }

    /// Waits for the answer's first byte, and says so if it is late: a broker that stands still should be known of long before it
    /// is given up. `wait` is what it may take on purpose.
    fn warn_if_late<R: Request>(&mut self, wait: Duration, deadline: &Deadline) -> io::Result<()> {
        let patience = wait.saturating_add(self.settings.patience());
        if patience < deadline.left()? && !self.stream.is_readable_within(patience)? {
            log::warn!(
                waited_ms = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
                "broker {} has not answered {} yet; still waiting", self.address, R::NAME
            );
        }
        Ok(())
    }

    fn broken<R: Request>(&self, source: io::Error, deadline: &Deadline) -> Error {
        let address = self.address.clone();
        match self.stream.fault(&source) {
            Some(fault) => Error::Tls { address, fault },
            None if is_timeout(&source) => Error::TimedOut { address, request: R::NAME, waited: deadline.wait },
            None if source.kind() == io::ErrorKind::UnexpectedEof && self.may_lack_sasl::<R>() => {
                let hint = "the broker closed it at the first request: does this port demand SASL?";
                Error::Disconnected { address, request: R::NAME, source: io::Error::new(source.kind(), hint) }
            }
            None => Error::Disconnected { address, request: R::NAME, source },
        }
    }

    /// A broker on a port with SASL answers everybody what it speaks, and hangs up on who then asks for something else.
    fn may_lack_sasl<R: Request>(&self) -> bool {
        self.settings.security.sasl.is_none() && !self.has_served && R::KEY != ApiVersionsRequest::KEY
    }

    fn failure<R: Request>(&self, failure: Failure) -> Error {
        let (address, request) = (self.address.clone(), R::NAME);
        match failure {
            Failure::Malformed(malformed) => Error::Malformed { address, request, detail: malformed.0 },
            Failure::Refused { code, subject } => Error::Broker { address, request, code, subject },
        }
    }
}

/// The version of `ApiVersions` to try after this one has failed; `None` if the version is not to blame, or there is no older one.
fn older_version(error: &Error, version: i16) -> Option<i16> {
    let (oldest, _) = ApiVersionsRequest::VERSIONS;
    let older = match error {
        // What the broker closes on one version, it may answer in the one before.
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

/// Reads exactly `length` bytes.
fn receive(from: &mut impl Read, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while bytes.len() < length {
        let step = (length - bytes.len()).min(bytes.len().max(RECEIVE_STEP_BYTES));
        bytes.reserve_exact(step);
        let step_bytes = u64::try_from(step).unwrap_or(u64::MAX);
        if from.by_ref().take(step_bytes).read_to_end(&mut bytes)? < step {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(bytes)
}
