//! The way to one broker: a connection that is made when it is needed, and kept. Sends a request again only where nothing has failed yet;
//! knows nothing of what is asked.

use std::time::{Duration, Instant};

use crate::connection::{Connection, ConnectionSettings};
use crate::dial::Dialer;
use crate::error::{Error, Result};
use crate::protocol::Request;
use crate::types::Address;

/// A broker or load balancer that closes connections after so long without traffic also closes those on which a response is waited for.
/// A connection that lived less long was not closed for being idle. No such limit in use is shorter than 2 s.
const IDLE_LIMIT_MIN: Duration = Duration::from_secs(1);

/// A connection, or the promise of one.
#[derive(Debug)]
pub(crate) struct Link {
    address: Address,
    settings: ConnectionSettings,
    connection: Option<Connection>,
}

impl Link {
    /// Does not call the broker yet.
    pub(crate) fn new(address: Address, settings: ConnectionSettings) -> Self {
        Self { address, settings, connection: None }
    }

    /// Sends one request; over a new connection if there is none, or if the one that was kept is closed.
    pub(crate) fn call<R: Request>(&mut self, request: &R) -> Result<R::Response> {
        if let Some(answer) = self.call_kept(request) {
            return answer;
        }
        let fresh = Dialer::open(&self.address, &self.settings)?;
        self.call_over(fresh, request)
    }

    /// Sends one request over the connection that was kept. `None` if there is none, or if the broker has closed it meanwhile: brokers and
    /// load balancers close idle connections (`connections.max.idle.ms`), which is no failure. All our requests may be repeated.
    pub(crate) fn call_kept<R: Request>(&mut self, request: &R) -> Option<Result<R::Response>> {
        let mut kept = self.connection.take()?;
        if !kept.is_usable(Instant::now()) {
            log::debug!("the idle connection to broker {} was closed", self.address);
            return None;
        }
        match self.attempt(kept, request) {
            // Only a new connection shows whether there is a fault.
            Err(error @ (Error::Disconnected { .. } | Error::Tls { .. })) => {
                log::debug!("sending {} to broker {} again over a new connection: {error}", R::NAME, self.address);
                None
            }
            answer => Some(answer),
        }
    }

    /// Sends one request over a new connection, which is kept unless it fails. A connection that is closed as idle while the broker holds
    /// the response on purpose, as for a rebalance, is replaced until the broker had that time.
    pub(crate) fn call_over<R: Request>(&mut self, fresh: Connection, request: &R) -> Result<R::Response> {
        let begun = Instant::now();
        let mut connection = fresh;
        loop {
            let sent = Instant::now();
            match self.attempt(connection, request) {
                Err(Error::Disconnected { .. })
                    if sent.elapsed() >= IDLE_LIMIT_MIN && begun.elapsed() < request.wait() =>
                {
                    log::debug!("broker {} closed the connection while it held {}", self.address, R::NAME);
                    connection = Dialer::open(&self.address, &self.settings)?;
                }
                answer => return answer,
            }
        }
    }

    /// Keeps the connection unless it failed.
    fn attempt<R: Request>(&mut self, mut connection: Connection, request: &R) -> Result<R::Response> {
        let answer = connection.call(request);
        if matches!(answer, Ok(_) | Err(Error::Broker { .. })) {
            self.connection = Some(connection);
        }
        answer
    }
}
