//! Opens a connection to one broker, or to any of several. A slow broker does not delay the next one, and is logged.
//! Must not know clusters.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::connection::{Connection, ConnectionSettings};
use crate::error::{Error, Result};
use crate::millis::millis;
use crate::race::{Progress, Race};
use crate::registry::BrokerRegistry;
use crate::statistics::Statistics;
use crate::stream::{Deadline, SetupStep, is_timeout};
use crate::types::Address;

/// After this time without a connection the next broker is tried too, and the log names the slow one. RFC 8305
/// recommends 250 ms for TCP alone; TLS and authentication take some more round trips.
const ATTEMPT_DELAY: Duration = Duration::from_secs(1);

/// Opens connections to brokers in the given order.
pub(crate) struct Dialer {
    race: Race<Candidate, Result<Connection>>,
    registry: BrokerRegistry,
    statistics: Statistics,
    /// The slow brokers that have been logged.
    logged: HashSet<Address>,
}

/// A broker to connect to.
#[derive(Clone)]
struct Candidate {
    address: Address,
    timeout: Duration,
    step: Arc<SetupStep>,
}

impl Dialer {
    /// Opens no connection yet.
    pub(crate) fn new(addresses: Vec<Address>, settings: &ConnectionSettings) -> Self {
        let (registry, statistics) = (settings.registry.clone(), settings.statistics.clone());
        let candidate = |address: Address| {
            let timeout = registry.setup_timeout(&address, settings.connect_timeout, settings.connect_timeout_max);
            Candidate { address, timeout, step: Arc::default() }
        };
        let candidates: Vec<Candidate> = addresses.into_iter().map(candidate).collect();
        let settings = settings.clone();
        let open = move |candidate: &Candidate| {
            let deadline = Deadline::after(candidate.timeout);
            Connection::open_until(&candidate.address, &settings, &deadline, &candidate.step)
        };
        Self { race: Race::new(candidates, ATTEMPT_DELAY, open), registry, statistics, logged: HashSet::new() }
    }

    /// Opens a connection to one broker.
    pub(crate) fn open(address: &Address, settings: &ConnectionSettings) -> Result<Connection> {
        let mut dialer = Self::new(vec![address.clone()], settings);
        let outcome = dialer.next().map(|(_, opened)| opened);
        outcome.unwrap_or_else(|| Err(Error::Config("no broker to connect to".to_owned())))
    }

    /// The result of the next attempt, each broker once; `None` after all brokers.
    pub(crate) fn next(&mut self) -> Option<(Address, Result<Connection>)> {
        loop {
            match self.race.next() {
                Progress::Ended(candidate, opened) => {
                    if opened.is_err() {
                        self.race.start_next();
                    }
                    return Some(self.ended(candidate.address, opened));
                }
                Progress::Slow => {
                    if let Some(candidate) =
                        self.race.abandon(|running| running.since.elapsed() > running.candidate.timeout)
                    {
                        let advertised = self.registry.advertised(&candidate.address);
                        let error = timed_out(&candidate).advertised_by(advertised);
                        return Some(self.ended(candidate.address, Err(error)));
                    }
                    self.log_slow();
                    self.race.start_next();
                }
                Progress::Over => return None,
            }
        }
    }

    fn ended(&mut self, address: Address, opened: Result<Connection>) -> (Address, Result<Connection>) {
        match &opened {
            Ok(connection) => {
                self.statistics.note_connected();
                self.registry.set_connected(&address, connection.socket_address());
            }
            Err(error) => self.registry.set_connect_failed(&address, is_setup_timeout(error)),
        }
        (address, opened)
    }

    /// Logs each slow attempt once.
    fn log_slow(&mut self) {
        let next = self.race.waiting().map(|candidate| &candidate.address);
        for running in self.race.running() {
            let Candidate { address, timeout, step } = &running.candidate;
            if !self.logged.insert(address.clone()) {
                continue;
            }
            let then = next.map_or_else(|| "still waiting".to_owned(), |next| format!("trying broker {next} too"));
            let origin = self.registry.advertised(address).map(|advertised| format!(" ({advertised})"));
            log::info!(
                waited_ms = millis(running.since.elapsed()), timeout_ms = millis(*timeout);
                "connection to broker {address}{} is not ready yet, waiting for the {}; {then}",
                origin.unwrap_or_default(), step.current()
            );
        }
    }
}

/// Brokers that were slower than another one become suspects, which are tried last next time.
impl Drop for Dialer {
    fn drop(&mut self) {
        for running in self.race.running().iter().filter(|running| running.since.elapsed() >= ATTEMPT_DELAY) {
            self.registry.set_suspect(&running.candidate.address, true);
        }
    }
}

/// The error of an abandoned attempt: the resolver has no timeout of its own.
fn timed_out(candidate: &Candidate) -> Error {
    let Candidate { address, timeout, step } = candidate.clone();
    let source = || io::Error::new(io::ErrorKind::TimedOut, format!("no response within {} ms", timeout.as_millis()));
    match step.current() {
        SetupStep::LOOKUP => Error::Resolve { address, advertised: None, source: source() },
        SetupStep::TCP => Error::Connect { address, advertised: None, source: source() },
        request => Error::TimedOut { address, request, waited: timeout },
    }
}

fn is_setup_timeout(error: &Error) -> bool {
    match error {
        Error::TimedOut { .. } => true,
        Error::Connect { source, .. } | Error::Resolve { source, .. } => is_timeout(source),
        _ => false,
    }
}
