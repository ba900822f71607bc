//! Requests to one broker over a connection that is opened when it is needed, and kept. Sends a request again only if
//! the broker has closed an idle connection; must not know particular requests.

use std::time::{Duration, Instant};

use crate::connection::{Connection, ConnectionSettings};
use crate::dial::Dialer;
use crate::error::{Error, Result};
use crate::protocol::Request;
use crate::types::Address;

/// The shortest idle timeout of a broker or load balancer, which also applies while a response is delayed: no known one
/// is below 2 s. A connection that was closed earlier was not closed because it was idle.
const IDLE_LIMIT_MIN: Duration = Duration::from_secs(1);

/// A broker's address, and the connection to it if there is one.
#[derive(Debug)]
pub(crate) struct Link {
    address: Address,
    settings: ConnectionSettings,
    connection: Option<Connection>,
}

impl Link {
    /// Opens no connection yet.
    pub(crate) fn new(address: Address, settings: ConnectionSettings) -> Self {
        Self { address, settings, connection: None }
    }

    /// Sends a request over the kept connection, or over a new one if there is none or the broker has closed it.
    pub(crate) fn call<R: Request>(&mut self, request: &R) -> Result<R::Response> {
        if let Some(response) = self.call_kept(request) {
            return response;
        }
        let fresh = Dialer::open(&self.address, &self.settings)?;
        self.call_over(fresh, request)
    }

    /// Sends a request over the kept connection. `None` if there is none, or if it was closed: brokers and load
    /// balancers close idle connections (`connections.max.idle.ms`), which is not a failure. All requests of this
    /// client can be sent again.
    pub(crate) fn call_kept<R: Request>(&mut self, request: &R) -> Option<Result<R::Response>> {
        let mut kept = self.connection.take()?;
        if !kept.is_usable(Instant::now()) {
            log::debug!(
                "the kept connection to broker {} cannot be used: it was idle, was closed, or has former credentials",
                self.address
            );
            return None;
        }
        match self.attempt(kept, request) {
            // Only a new connection shows whether the broker has failed.
            Err(error @ (Error::Disconnected { .. } | Error::Tls { .. })) => {
                log::debug!("sending {} to broker {} again over a new connection: {error}", R::NAME, self.address);
                None
            }
            response => Some(response),
        }
    }

    /// Sends a request over a new connection, which is kept unless it fails. If the connection is closed as idle while
    /// the broker delays the response on purpose, as in a rebalance, the request is sent over another one until that
    /// delay has passed.
    pub(crate) fn call_over<R: Request>(&mut self, fresh: Connection, request: &R) -> Result<R::Response> {
        let begun = Instant::now();
        let mut connection = fresh;
        loop {
            let sent = Instant::now();
            match self.attempt(connection, request) {
                Err(Error::Disconnected { .. })
                    if sent.elapsed() >= IDLE_LIMIT_MIN && begun.elapsed() < request.wait() =>
                {
                    log::debug!(
                        "broker {} closed the connection while it delayed the response to {}",
                        self.address,
                        R::NAME
                    );
                    connection = Dialer::open(&self.address, &self.settings)?;
                }
                response => return response,
            }
        }
    }

    /// Keeps the connection unless it failed.
    fn attempt<R: Request>(&mut self, mut connection: Connection, request: &R) -> Result<R::Response> {
        let response = connection.call(request);
        if matches!(response, Ok(_) | Err(Error::Broker { .. })) {
            self.connection = Some(connection);
        }
        response
    }
}
