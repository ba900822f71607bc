//! A host that drops packets, for clients that connect to it. Must not know Kafka.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// A connection that is not accepted within this time is dropped.
const ACCEPTED_WITHIN: Duration = Duration::from_millis(500);

/// An address on which connections are neither accepted nor refused: Linux drops connection requests while the queue of connections
/// that the server has not accepted is full (<https://man7.org/linux/man-pages/man2/listen.2.html>).
#[derive(Debug)]
pub struct BlackHole {
    address: SocketAddr,
    _listener: TcpListener,
    _queued: Vec<TcpStream>,
}

impl BlackHole {
    /// Fills the queue.
    pub fn open() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let mut queued = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, ACCEPTED_WITHIN) {
            queued.push(stream);
        }
        Ok(Self { address, _listener: listener, _queued: queued })
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
