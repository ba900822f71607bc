//! A proxy that closes idle connections, as cloud load balancers do. Must not know Kafka.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// Forwards to one server. A connection is idle if no request follows a forwarded response within the limit; so a slow machine does not
/// cause a connection with a request in flight to be closed.
pub struct IdleProxy {
    port: u16,
    cuts: Arc<AtomicUsize>,
}

impl IdleProxy {
    pub fn start(server: &str, limit: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let cuts = Arc::new(AtomicUsize::new(0));
        let (server, counted) = (server.to_owned(), Arc::clone(&cuts));
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server, cuts) = (client.unwrap(), server.clone(), Arc::clone(&counted));
                thread::spawn(move || {
                    let Ok(server) = TcpStream::connect(server) else { return };
                    let is_cut = forward(&client, &server, limit).is_ok_and(|is_idle| is_idle);
                    cuts.fetch_add(usize::from(is_cut), Ordering::SeqCst);
                    for stream in [client, server] {
                        let _ = stream.shutdown(Shutdown::Both);
                    }
                });
            }
        });
        Self { port, cuts }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The number of connections that were closed because they were idle.
    pub fn cuts(&self) -> usize {
        self.cuts.load(Ordering::SeqCst)
    }
}

/// Forwards requests and responses; returns true when the client was idle for the limit.
fn forward(mut client: &TcpStream, mut server: &TcpStream, limit: Duration) -> io::Result<bool> {
    client.set_read_timeout(Some(limit))?;
    for stream in [client, server] {
        stream.set_nodelay(true)?;
    }
    loop {
        match frame(&mut client) {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Ok(true);
            }
            request => server.write_all(&request?)?,
        }
        client.write_all(&frame(&mut server)?)?;
    }
}

/// A request or response, prefixed with its length.
fn frame(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let mut bytes = length.to_vec();
    let length = u64::from(u32::from_be_bytes(length));
    from.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}
