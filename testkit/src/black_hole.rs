//! A host that drops packets, for clients that connect to it. Knows nothing of Kafka.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// A connection that takes longer is not accepted any more.
const ACCEPTED_WITHIN: Duration = Duration::from_millis(500);

/// An address on which no connection is refused and none is made: Linux drops what comes while the queue of connections that the server has
/// not taken is full (<https://man7.org/linux/man-pages/man2/listen.2.html>).
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

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
