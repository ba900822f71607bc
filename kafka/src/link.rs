//! The way to one broker: a connection that is made when it is needed, and kept. Tries again only where nothing has failed yet;
//! knows nothing of what is asked.

use crate::connection::{Connection, ConnectionSettings};
use crate::error::{Error, Result};
use crate::protocol::Request;
use crate::types::Address;

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

    /// Asks one question; over a new connection if there is none, or if the one that was kept turns out to be closed: brokers
    /// close idle ones (`connections.max.idle.ms`, 10 minutes), which is no failure. All our requests may be repeated.
    pub(crate) fn call<R: Request>(&mut self, request: &R) -> Result<R::Response> {
        if let Some(kept) = self.connection.take() {
            match self.call_over(kept, request) {
                Err(Error::Disconnected { .. }) => {}
                answer => return answer,
            }
        }
        let fresh = Connection::open(&self.address, &self.settings)?;
        self.call_over(fresh, request)
    }

    /// Keeps the connection unless it failed.
    fn call_over<R: Request>(&mut self, mut connection: Connection, request: &R) -> Result<R::Response> {
        let answer = connection.call(request);
        if matches!(answer, Ok(_) | Err(Error::Broker { .. })) {
            self.connection = Some(connection);
        }
        answer
    }
}
