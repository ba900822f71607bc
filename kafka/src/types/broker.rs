//! How a broker is reached. Opens no connection.

use std::fmt;

/// A broker's address: host name or IP address, and port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// Host name, IPv4 or IPv6 address (without brackets).
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// `host:port`; an IPv6 address is in brackets.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// The origin of a broker's address that is not one of the bootstrap servers: the broker's
/// [`advertised.listeners`](https://kafka.apache.org/documentation/#brokerconfigs_advertised.listeners).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertised {
    /// The broker's id (`node.id`, `broker.id`).
    pub node: i32,
    /// The bootstrap server that the discovery started from.
    pub learnt_from: Address,
}

impl fmt::Display for Advertised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "from advertised.listeners of broker {}, learnt from bootstrap server {}",
            self.node, self.learnt_from
        )
    }
}
