//! The thread of the server: waits for its sockets, accepts connections, and lets each do what its socket allows. Must
//! not know HTTP.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::connection::{Connection, Wants};
use super::error::HttpError;
use super::routes::Context;
use super::socket::Listener;
use crate::runtime::process::Process;
use crate::settings::{HttpListen, HttpSettings};

/// The most connections: some for probes, Prometheus and people; each costs a descriptor and at most 8 KiB and an answer.
const CONNECTIONS_MAX: usize = 128;

/// The part of the process's file descriptors that connections take at most: brokers and the database need theirs.
const DESCRIPTORS_PART: usize = 4;

/// The most bytes of answers that wait for their clients, in all connections: some hundred of the largest ones of an
/// ordinary service.
const UNSENT_BYTES_MAX: usize = 8 << 20;

/// How many connections are accepted between two looks at the others.
const ACCEPTED_MAX: usize = 32;

/// For how long nothing is accepted after the machine has refused to, as with too many open files: the connection stays
/// in the queue, so that an immediate attempt would fail again.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// The longest wait for sockets.
const WAIT_MAX: Duration = Duration::from_mins(1);

/// A server that listens. It answers once it has [started](Self::start).
#[derive(Debug)]
pub struct Server {
    listener: Listener,
}

impl Server {
    /// Listens; connections wait until the server has started.
    pub fn bind(listen: &HttpListen, settings: &HttpSettings) -> Result<Self, HttpError> {
        let failed = |source| HttpError::Listen { listen: listen.to_string(), source };
        Ok(Self { listener: Listener::bind(listen, settings).map_err(failed)? })
    }

    /// Answers requests, on a thread that ends with the process.
    pub fn start(self, context: Context) -> Result<(), HttpError> {
        let thread = thread::Builder::new().name("http".to_owned());
        thread.spawn(move || Loop::new(self.listener, context).run()).map(drop).map_err(HttpError::Thread)
    }

    #[cfg(test)]
    pub(super) fn address(&self) -> std::net::SocketAddr {
        self.listener.address()
    }
}

struct Loop {
    listener: Listener,
    context: Context,
    connections: Vec<Connection>,
    connections_max: usize,
    /// Nothing is accepted before.
    accept_at: Option<Instant>,
}

impl Loop {
    fn new(listener: Listener, context: Context) -> Self {
        let files_max = Process::read().files_max.and_then(|files| usize::try_from(files).ok());
        let connections_max = files_max.map_or(CONNECTIONS_MAX, |files| CONNECTIONS_MAX.min(files / DESCRIPTORS_PART));
        Self { listener, context, connections: Vec::new(), connections_max: connections_max.max(1), accept_at: None }
    }

    fn run(mut self) {
        loop {
            let now = Instant::now();
            for connection in &mut self.connections {
                connection.expire(&self.context, now);
            }
            self.connections.retain(|connection| !connection.is_closed());
            self.accept_at.take_if(|at| now >= *at);
            match self.wait(now) {
                Ok((may_accept, ready)) => {
                    let now = Instant::now();
                    let ready = self.connections.iter_mut().zip(ready).filter(|(_, is_ready)| *is_ready);
                    ready.for_each(|(connection, _)| connection.advance(&self.context, now));
                    self.bound_unsent();
                    if may_accept {
                        self.accept(now);
                    }
                }
                Err(Errno::EINTR) => {}
                Err(error) => {
                    log::debug!("the HTTP server cannot wait for its sockets: {error}");
                    thread::sleep(ACCEPT_PAUSE);
                }
            }
        }
    }

    /// Waits until a socket is ready or a deadline has passed. Returns whether there is a connection to accept, and which
    /// of the others are ready.
    fn wait(&self, now: Instant) -> Result<(bool, Vec<bool>), Errno> {
        let mut sockets: Vec<PollFd<'_>> = Vec::with_capacity(self.connections.len() + 1);
        for connection in &self.connections {
            let flags = match connection.wants() {
                Wants::Receive => PollFlags::POLLIN,
                Wants::Send => PollFlags::POLLOUT,
            };
            sockets.push(PollFd::new(std::os::fd::AsFd::as_fd(connection.stream()), flags));
        }
        if self.accept_at.is_none() {
            sockets.push(PollFd::new(std::os::fd::AsFd::as_fd(&self.listener), PollFlags::POLLIN));
        }
        let deadlines = self.connections.iter().map(Connection::deadline).chain(self.accept_at);
        let time = deadlines.min().map_or(WAIT_MAX, |at| at.saturating_duration_since(now).min(WAIT_MAX));
        // Rounded up: a wait that ends too early would be repeated at once.
        let timeout = PollTimeout::try_from(time + Duration::from_millis(1)).unwrap_or(PollTimeout::ZERO);
        poll(&mut sockets, timeout)?;
        // An error or an end of the connection counts as ready: the next read or write reports it.
        let mut ready: Vec<bool> =
            sockets.iter().map(|socket| socket.revents().is_some_and(|found| !found.is_empty())).collect();
        let may_accept = self.accept_at.is_none() && ready.pop().unwrap_or(false);
        Ok((may_accept, ready))
    }

    fn accept(&mut self, now: Instant) {
        for _ in 0..ACCEPTED_MAX {
            match self.listener.accept() {
                Ok(stream) => {
                    self.make_room();
                    if self.connections.len() < self.connections_max {
                        self.connections.push(Connection::new(stream, now));
                    } else {
                        Connection::refuse(stream, &self.context, now);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // The client has closed it again.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    log::debug!("the HTTP server cannot accept a connection: {error}");
                    self.accept_at = Some(now + ACCEPT_PAUSE);
                    return;
                }
            }
        }
    }

    /// If there are too many connections, closes one that nothing is being sent to.
    fn make_room(&mut self) {
        if self.connections.len() < self.connections_max {
            return;
        }
        let places = self.connections.iter().enumerate();
        let places = places.filter_map(|(place, connection)| Some((connection.makes_room()?, place)));
        if let Some((_, place)) = places.min() {
            self.connections.swap_remove(place);
        }
    }

    /// If clients do not receive their answers, closes the connections that have taken longest.
    fn bound_unsent(&mut self) {
        loop {
            let places = self.connections.iter().enumerate();
            let unsent = places.filter_map(|(place, connection)| Some((connection.unsent()?, place)));
            let bytes: usize = unsent.clone().map(|((_, bytes), _)| bytes).sum();
            let Some((_, place)) = unsent.min().filter(|_| bytes > UNSENT_BYTES_MAX) else { return };
            self.connections.swap_remove(place);
        }
    }
}
