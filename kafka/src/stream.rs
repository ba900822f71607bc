//! A byte stream to a broker, over TCP or TLS: connects, and keeps every read and write within a deadline. Must not
//! know what the bytes mean.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::ClientConnection;

use crate::error::{Error, Result};
use crate::race::{Progress, Race};
use crate::tls::{Tls, TlsFault};
use crate::types::Address;

/// The name of the TLS handshake in a timeout error.
const TLS_HANDSHAKE: &str = "the TLS handshake";

/// After this time without a connection the next address of the host name is tried too
/// ([RFC 8305](https://www.rfc-editor.org/rfc/rfc8305#section-8), Connection Attempt Delay).
const ADDRESS_DELAY: Duration = Duration::from_millis(250);

/// The step that a connection setup waits for; another thread reads it for the log.
#[derive(Debug)]
pub(crate) struct SetupStep(Mutex<&'static str>);

impl SetupStep {
    pub(crate) const LOOKUP: &'static str = "name lookup";
    pub(crate) const TCP: &'static str = "TCP connection";
    const TLS: &'static str = "TLS handshake";
    pub(crate) const API_VERSIONS: &'static str = "ApiVersions response";
    pub(crate) const SASL: &'static str = "SASL authentication";

    pub(crate) fn enter(&self, step: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = step;
    }

    pub(crate) fn current(&self) -> &'static str {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for SetupStep {
    fn default() -> Self {
        Self(Mutex::new(Self::LOOKUP))
    }
}

/// A point in time before which a whole exchange must end, however many reads and writes it needs.
#[derive(Clone, Copy)]
pub(crate) struct Deadline {
    pub(crate) wait: Duration,
    start: Instant,
}

impl Deadline {
    pub(crate) fn after(wait: Duration) -> Self {
        Self { wait, start: Instant::now() }
    }

    /// A later deadline.
    pub(crate) fn extended(&self, by: Duration) -> Self {
        Self { wait: self.wait.saturating_add(by), start: self.start }
    }

    /// The remaining time. Never zero, which means "no timeout" for sockets.
    pub(crate) fn left(&self) -> io::Result<Duration> {
        match self.wait.saturating_sub(self.start.elapsed()) {
            Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
            left => Ok(left),
        }
    }
}

/// A TCP or TLS connection.
#[derive(Debug)]
pub(crate) struct Stream {
    socket: TcpStream,
    tls: Option<Box<Session>>,
}

/// A TLS session over the socket.
#[derive(Debug)]
struct Session {
    client: ClientConnection,
    shows_certificate: bool,
}

impl Stream {
    /// Resolves the host name, connects to any of its addresses, `preferred` first, and performs the TLS handshake if
    /// TLS is configured.
    pub(crate) fn open(
        address: &Address,
        preferred: Option<SocketAddr>,
        tls: Option<&Tls>,
        deadline: &Deadline,
        step: &SetupStep,
    ) -> Result<Self> {
        let mut stream = Self { socket: connect(address, preferred, deadline, step)?, tls: None };
        if let Some(tls) = tls {
            step.enter(SetupStep::TLS);
            let fault = |fault| Error::Tls { address: address.clone(), fault };
            let client = tls.client(&address.host).map_err(fault)?;
            stream.tls = Some(Box::new(Session { client, shows_certificate: tls.shows_certificate() }));
            stream.shake_hands(deadline).map_err(|source| match stream.fault(&source) {
                Some(refused) => fault(refused),
                None if is_timeout(&source) => {
                    Error::TimedOut { address: address.clone(), request: TLS_HANDSHAKE, waited: deadline.wait }
                }
                None => Error::Handshake { address: address.clone(), source },
            })?;
        }
        Ok(stream)
    }

    /// The IP address of the broker.
    pub(crate) fn socket_address(&self) -> Option<SocketAddr> {
        self.socket.peer_addr().ok()
    }

    fn shake_hands(&mut self, deadline: &Deadline) -> io::Result<()> {
        let Some(session) = &mut self.tls else { return Ok(()) };
        let mut timed = TimedSocket { socket: &self.socket, deadline };
        let mut shaken = Ok(());
        while shaken.is_ok() && session.client.is_handshaking() {
            shaken = session.client.complete_io(&mut timed).map(drop);
        }
        shaken.map_err(|error| self.alert(deadline).unwrap_or(error))
    }

    /// Sends all bytes.
    pub(crate) fn send(&mut self, bytes: &[u8], deadline: &Deadline) -> io::Result<()> {
        let mut timed = self.until(deadline);
        let sent = timed.write_all(bytes).and_then(|()| timed.flush());
        sent.map_err(|error| self.alert(deadline).unwrap_or(error))
    }

    /// Reads and writes within a deadline.
    pub(crate) fn until<'a>(&'a mut self, deadline: &'a Deadline) -> Timed<'a> {
        Timed { stream: self, deadline }
    }

    /// Waits until a byte can be read; false after the timeout.
    pub(crate) fn is_readable_within(&mut self, timeout: Duration) -> io::Result<bool> {
        let deadline = Deadline::after(timeout);
        let Some(session) = &mut self.tls else {
            self.socket.set_read_timeout(Some(deadline.left()?))?;
            // Another error is returned by the next read.
            return Ok(!self.socket.peek(&mut [0]).is_err_and(|error| is_timeout(&error)));
        };
        let mut timed = TimedSocket { socket: &self.socket, deadline: &deadline };
        // Bytes may be messages of TLS, such as session tickets.
        while session.client.process_new_packets().map_err(protocol_error)?.plaintext_bytes_to_read() == 0 {
            match session.client.read_tls(&mut timed) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Whether the peer has neither closed the connection nor sent anything. Does not wait.
    pub(crate) fn is_quiet(&mut self) -> bool {
        let quiet = self.socket.set_nonblocking(true).is_ok() && self.has_nothing_to_read();
        self.socket.set_nonblocking(false).is_ok() && quiet
    }

    fn has_nothing_to_read(&mut self) -> bool {
        let Some(session) = &mut self.tls else {
            return self.socket.peek(&mut [0]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        };
        // Bytes may be messages of TLS, such as session tickets.
        loop {
            match session.client.process_new_packets() {
                Ok(state) if state.plaintext_bytes_to_read() == 0 && !state.peer_has_closed() => {}
                Ok(_) | Err(_) => return false,
            }
            match session.client.read_tls(&mut &self.socket) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            }
        }
    }

    /// The TLS fault behind an error of this stream; `None` if it is not a TLS error, or one that may pass.
    pub(crate) fn fault(&self, error: &io::Error) -> Option<TlsFault> {
        TlsFault::of(error, self.tls.as_ref()?.shows_certificate)
    }

    /// Closes the connection in both directions.
    pub(crate) fn shut_down(&self) {
        if let Err(error) = self.socket.shutdown(Shutdown::Both) {
            log::trace!("a socket was already closed: {error}");
        }
    }

    /// The alert that the peer has sent before it closed the connection. A broker rejects a client certificate with an
    /// alert and closes the connection, in TLS 1.3 after the handshake, in TLS 1.2 during it: the error of a failed
    /// write says less than the alert.
    fn alert(&mut self, deadline: &Deadline) -> Option<io::Error> {
        let session = self.tls.as_mut()?;
        let mut timed = TimedSocket { socket: &self.socket, deadline };
        loop {
            if let Err(error) = session.client.process_new_packets() {
                return Some(protocol_error(error));
            }
            match session.client.read_tls(&mut timed) {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }
}

/// Wraps an error as `rustls` does.
fn protocol_error(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Operating systems differ in the error of an elapsed socket timeout.
pub(crate) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Resolves the host name and connects to any of its addresses.
fn connect(
    address: &Address,
    preferred: Option<SocketAddr>,
    deadline: &Deadline,
    step: &SetupStep,
) -> Result<TcpStream> {
    step.enter(SetupStep::LOOKUP);
    let resolve_error = |source| Error::Resolve { address: address.clone(), advertised: None, source };
    let mut resolved: Vec<SocketAddr> =
        (address.host.as_str(), address.port).to_socket_addrs().map_err(resolve_error)?.collect();
    resolved.sort_by_key(|resolved| Some(*resolved) != preferred);
    step.enter(SetupStep::TCP);
    let socket = connect_any(resolved, *deadline);
    socket.map_err(|source| Error::Connect { address: address.clone(), advertised: None, source })
}

fn connect_any(addresses: Vec<SocketAddr>, deadline: Deadline) -> io::Result<TcpStream> {
    let attempt = move |address: &SocketAddr| {
        let socket = deadline.left().and_then(|left| TcpStream::connect_timeout(address, left))?;
        socket.set_nodelay(true).map(|()| socket)
    };
    if let [only] = addresses.as_slice() {
        return attempt(only);
    }
    let mut failures = Vec::new();
    let mut race = Race::new(addresses, ADDRESS_DELAY, attempt);
    loop {
        match race.next() {
            Progress::Ended(_, Ok(socket)) => return Ok(socket),
            Progress::Ended(address, Err(error)) => {
                failures.push((address, error));
                race.start_next();
            }
            Progress::Slow => drop(race.start_next()),
            Progress::Over => return Err(combined(failures)),
        }
    }
}

/// One error for all addresses of a name; it names each address if their errors differ.
fn combined(mut failures: Vec<(SocketAddr, io::Error)>) -> io::Error {
    let texts: Vec<String> = failures.iter().map(|(address, error)| format!("{}: {error}", address.ip())).collect();
    let Some((_, last)) = failures.pop() else {
        return io::Error::new(io::ErrorKind::NotFound, "the name has no addresses");
    };
    let text = last.to_string();
    if failures.iter().all(|(_, error)| error.to_string() == text) {
        return last;
    }
    io::Error::new(last.kind(), texts.join(", "))
}

/// A stream whose reads and writes end at a deadline.
pub(crate) struct Timed<'a> {
    stream: &'a mut Stream,
    deadline: &'a Deadline,
}

impl Timed<'_> {
    fn run<T>(&mut self, io: impl FnOnce(&mut dyn ReadWrite) -> io::Result<T>) -> io::Result<T> {
        let mut socket = TimedSocket { socket: &self.stream.socket, deadline: self.deadline };
        match &mut self.stream.tls {
            None => io(&mut socket),
            Some(session) => io(&mut rustls::Stream::new(&mut session.client, &mut socket)),
        }
    }
}

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

impl Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.run(|io| io.read(buffer))
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.run(|io| io.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.run(|io| io.flush())
    }
}

/// A socket whose reads and writes end at a deadline.
struct TimedSocket<'a> {
    socket: &'a TcpStream,
    deadline: &'a Deadline,
}

impl Read for TimedSocket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(Some(self.deadline.left()?))?;
        self.socket.read(buffer)
    }
}

impl Write for TimedSocket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(Some(self.deadline.left()?))?;
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use testkit::BlackHole;

    use super::*;

    /// Never reached.
    const LONG: Duration = Duration::from_mins(1);

    #[test]
    fn an_address_that_drops_packets_does_not_delay_the_next_one() {
        let (hole, listener) = (BlackHole::open().unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let open = listener.local_addr().unwrap();
        let deadline = Deadline::after(LONG);
        let socket = connect_any(vec![hole.address(), open], deadline).unwrap();
        assert_eq!(socket.peer_addr().unwrap(), open);
        assert!(deadline.left().is_ok(), "it waited for the first address until its timeout");
    }

    #[test]
    fn one_error_names_the_addresses_that_failed_in_different_ways() {
        let at = |host: u8| SocketAddr::from(([10, 0, 0, host], 9092));
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let timed_out = || io::Error::from(io::ErrorKind::TimedOut);
        let check = |failures, expected: &str| assert_eq!(combined(failures).to_string(), expected);
        check(vec![], "the name has no addresses");
        check(vec![(at(1), refused()), (at(2), refused())], "connection refused");
        check(vec![(at(1), refused()), (at(2), timed_out())], "10.0.0.1: connection refused, 10.0.0.2: timed out");
    }
}
