//! Sends requests over a stream and receives their responses: chooses versions, checks correlation ids, and keeps every
//! wait and every size within its limit. Must not know authentication.
//!
//! A channel on which a request failed is closed: a late response could be taken for that of the next request.

use std::collections::HashMap;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::settings::ConnectionSettings;
use crate::error::{Error, Result};
use crate::millis::millis;
use crate::protocol::{self, Admission, ApiVersionsRequest, Failure, Malformed, Request};
use crate::security::Security;
use crate::stream::{Deadline, Stream, is_timeout};
use crate::types::Address;

/// The first read of a response; later ones double, so that the memory of a response grows with the received bytes, not
/// with the announced ones.
pub(super) const RECEIVE_STEP_BYTES: usize = 64 * 1024;

/// A connection that was idle for this long is not used: load balancers drop idle connections silently, Azure's after 4
/// minutes (<https://learn.microsoft.com/azure/event-hubs/apache-kafka-configurations> recommends this for
/// `connections.max.idle.ms`).
pub(super) const IDLE_MAX: Duration = Duration::from_mins(3);

/// A stream to a broker, and the versions that the broker supports.
#[derive(Debug)]
pub(super) struct Channel {
    address: Address,
    settings: ConnectionSettings,
    /// The security with which the connection was opened.
    security: Arc<Security>,
    stream: Stream,
    /// Lowest and highest version by API key.
    pub(super) versions: HashMap<i16, (i16, i16)>,
    pub(super) correlation_id: i32,
    /// Whether the broker has responded to a request that requires authentication where the listener uses SASL.
    has_served: bool,
    /// When the last response was received.
    used_at: Instant,
}

impl Channel {
    pub(super) fn new(
        stream: Stream,
        address: &Address,
        settings: &ConnectionSettings,
        security: &Arc<Security>,
    ) -> Self {
        Self {
            address: address.clone(),
            settings: settings.clone(),
            security: Arc::clone(security),
            stream,
            versions: HashMap::new(),
            correlation_id: 0,
            has_served: false,
            used_at: Instant::now(),
        }
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    pub(super) fn settings(&self) -> &ConnectionSettings {
        &self.settings
    }

    /// The security with which the connection was opened.
    pub(super) fn security(&self) -> &Security {
        &self.security
    }

    /// The IP address of the broker.
    pub(super) fn socket_address(&self) -> Option<SocketAddr> {
        self.stream.socket_address()
    }

    /// Whether a request can be sent: the security has not been replaced, the channel was not idle for long, the broker
    /// has not closed it and has sent nothing.
    pub(super) fn is_usable(&mut self, now: Instant) -> bool {
        self.settings.security.is_current(&self.security)
            && now.saturating_duration_since(self.used_at) < IDLE_MAX
            && self.stream.is_quiet()
    }

    /// Closes the connection.
    pub(super) fn close(&self) {
        self.stream.shut_down();
    }

    /// Sends a request and waits for its response.
    pub(super) fn call<R: Request>(&mut self, request: &R) -> Result<R::Response> {
        let deadline = Deadline::after(self.settings.request_timeout.saturating_add(request.wait()));
        let response = self.exchange(request, &deadline)?;
        self.has_served = true;
        Ok(response)
    }

    /// Requests the versions that the broker supports, with this version of `ApiVersions`.
    pub(super) fn negotiate(&mut self, version: i16, deadline: &Deadline) -> Result<()> {
        let request = ApiVersionsRequest;
        let (lowest, highest) = ApiVersionsRequest::VERSIONS;
        let mut response = self.exchange_in(&request, version, deadline)?;
        if response.unsupported {
            let theirs = response.ranges.get(&ApiVersionsRequest::KEY).copied();
            let version = theirs.map_or(lowest, |(_, theirs)| theirs.clamp(lowest, highest));
            response = self.exchange_in(&request, version, deadline)?;
            if response.unsupported {
                return Err(self.unsupported(&request, theirs));
            }
        }
        self.versions = response.ranges;
        Ok(())
    }

    /// Sends a request in the highest version that both sides support, and waits for its response until a deadline.
    pub(super) fn exchange<R: Request>(&mut self, request: &R, deadline: &Deadline) -> Result<R::Response> {
        let theirs = self.versions.get(&R::KEY).copied();
        let common = theirs.map(|(low, high)| (low.max(R::VERSIONS.0), high.min(request.version_max())));
        match common {
            Some((low, high)) if low <= high => self.exchange_in(request, high, deadline),
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

    fn exchange_in<R: Request>(&mut self, request: &R, version: i16, deadline: &Deadline) -> Result<R::Response> {
        self.correlation_id = self.correlation_id.wrapping_add(1);
        let bytes = protocol::encode_request(request, version, self.correlation_id, &self.settings.client_id)
            .map_err(|unencodable| Error::Config(format!("{} cannot be encoded: {}", R::NAME, unencodable.0)))?;
        let response = self.transfer(request, &bytes, deadline).and_then(|response| {
            let decoded = protocol::decode_response(request, version, self.correlation_id, response);
            decoded.map_err(|failure| self.failure::<R>(failure))
        });
        match &response {
            Ok(_) | Err(Error::Broker { .. }) => {
                self.used_at = Instant::now();
                self.settings.statistics.note_response();
            }
            Err(_) => self.close(),
        }
        response
    }

    /// Sends an encoded request; returns the response without its length.
    pub(super) fn transfer<R: Request>(&mut self, request: &R, bytes: &[u8], deadline: &Deadline) -> Result<Bytes> {
        let mut length = [0; 4];
        self.stream
            .send(bytes, deadline)
            .and_then(|()| self.warn_if_late::<R>(request.wait(), deadline))
            .and_then(|()| self.stream.until(deadline).read_exact(&mut length))
            .map_err(|source| self.broken::<R>(source, deadline))?;
        let announced = i32::from_be_bytes(length);
        let Ok(length) = u32::try_from(announced) else {
            return Err(self.failure::<R>(Malformed(format!("length {announced}")).into()));
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
        let admission_start = Instant::now();
        let admission = request.admit(length);
        // The deadline does not include the wait for memory. Less than a millisecond was no wait.
        let waited_ms = millis(admission_start.elapsed());
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

    /// Waits for the first byte of the response and logs a warning if it is late, so that a broker that hangs is known
    /// long before the request timeout. `wait` is the broker's intended wait.
    fn warn_if_late<R: Request>(&mut self, wait: Duration, deadline: &Deadline) -> io::Result<()> {
        let late_after = wait.saturating_add(self.settings.late_after());
        if late_after < deadline.left()? && !self.stream.is_readable_within(late_after)? {
            log::warn!(
                waited_ms = millis(late_after);
                "broker {} has not responded to {} yet; still waiting", self.address, R::NAME
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
                let hint = "the broker closed it at the first request: does this listener require SASL?";
                Error::Disconnected { address, request: R::NAME, source: io::Error::new(source.kind(), hint) }
            }
            None => Error::Disconnected { address, request: R::NAME, source },
        }
    }

    /// A listener with SASL responds to `ApiVersions` and closes the connection at any other request without
    /// authentication.
    fn may_lack_sasl<R: Request>(&self) -> bool {
        self.security.sasl.is_none() && !self.has_served && R::KEY != ApiVersionsRequest::KEY
    }

    fn failure<R: Request>(&self, failure: Failure) -> Error {
        let (address, request) = (self.address.clone(), R::NAME);
        match failure {
            Failure::Malformed(malformed) => Error::Malformed { address, request, detail: malformed.0 },
            Failure::Refused { code, subject } => Error::Broker { address, request, code, subject },
        }
    }
}

/// Reads exactly `length` bytes.
pub(super) fn receive(from: &mut impl Read, length: usize) -> io::Result<Vec<u8>> {
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
