//! The settings of connections. Must not know the protocol.

use std::time::Duration;

use crate::registry::BrokerRegistry;
use crate::security::SharedSecurity;
use crate::statistics::Statistics;

/// A response is late after this part of the request timeout: five seconds by default.
const LATE_PART: u32 = 6;

/// Timeouts, limits and security of connections.
#[derive(Debug, Clone)]
pub struct ConnectionSettings {
    /// `client.id`: the name in the broker's logs and quotas.
    pub client_id: String,
    /// How long the setup of a connection may take, from the name lookup to the authentication.
    pub connect_timeout: Duration,
    /// The connect timeout doubles with each attempt in a row that exceeds it, up to this.
    pub connect_timeout_max: Duration,
    /// How long a broker may take to respond, in addition to its intended wait for new records.
    pub request_timeout: Duration,
    /// The largest response, in bytes.
    pub receive_bytes_max: u32,
    /// Encryption and authentication; cloned settings share it.
    pub security: SharedSecurity,
    /// What connections have learnt about brokers; cloned settings share it.
    pub registry: BrokerRegistry,
    /// Where connections count what they do; cloned settings share it.
    pub statistics: Statistics,
}

impl ConnectionSettings {
    /// Longest connection setup, as in Kafka's clients (`socket.connection.setup.timeout.ms`).
    pub const CONNECT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
    /// Longest connection setup after attempts that exceeded the timeout, as in Kafka's clients
    /// (`socket.connection.setup.timeout.max.ms`).
    pub const CONNECT_TIMEOUT_MAX_DEFAULT: Duration = Duration::from_secs(30);
    /// Longest time to a response, as in Kafka's clients (`request.timeout.ms`).
    pub const REQUEST_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
    /// Largest response, in bytes: the brokers' limit for requests (`socket.request.max.bytes`).
    pub const RECEIVE_BYTES_MAX_DEFAULT: u32 = 100 * 1024 * 1024;

    /// The time after which a response is late, in addition to the broker's intended wait.
    pub(crate) fn late_after(&self) -> Duration {
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
            security: SharedSecurity::default(),
            registry: BrokerRegistry::default(),
            statistics: Statistics::default(),
        }
    }
}
