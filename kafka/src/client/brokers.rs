//! The brokers of a cluster: sends a request to any of them or to a given one, and rebootstraps when a broker requires
//! it. Must not know what requests are about.

use std::collections::{HashMap, HashSet};

use crate::connection::ConnectionSettings;
use crate::dial::Dialer;
use crate::error::{Error, ErrorCode, Result};
use crate::link::Link;
use crate::protocol::{BrokerInfo, Request};
use crate::types::Address;

/// The result of a request at one of the brokers that can serve it.
enum Attempt<T> {
    Response(T),
    /// The next broker is to be tried.
    Failed,
    /// The other discovered brokers are not to be tried.
    MustRebootstrap,
}

/// The brokers of a cluster, and the connections to them.
pub(super) struct Brokers {
    bootstrap: Vec<Address>,
    settings: ConnectionSettings,
    /// For requests to a given broker: a growing connect timeout would delay the requests to the others.
    direct_settings: ConnectionSettings,
    links: HashMap<Address, Link>,
    discovered: Vec<Address>,
    /// The broker that responded to the last request that any broker can serve.
    last_responsive: Option<Address>,
    /// The registry's count of rebootstraps when this client last removed its discovered brokers.
    rebootstraps: u64,
}

impl Brokers {
    /// Connects to none yet.
    pub(super) fn new(bootstrap: Vec<Address>, settings: ConnectionSettings) -> Self {
        let direct_settings = ConnectionSettings { connect_timeout_max: settings.connect_timeout, ..settings.clone() };
        Self {
            bootstrap,
            rebootstraps: settings.registry.rebootstraps(),
            settings,
            direct_settings,
            links: HashMap::new(),
            discovered: Vec::new(),
            last_responsive: None,
        }
    }

    #[cfg(test)]
    pub(super) fn bootstrap(&self) -> &[Address] {
        &self.bootstrap
    }

    /// The limit of one response, in bytes.
    pub(super) fn receive_bytes_max(&self) -> u32 {
        self.settings.receive_bytes_max
    }

    /// Replaces the discovered brokers by those of the metadata of the broker `from`.
    pub(super) fn discover(&mut self, from: &Address, brokers: &[BrokerInfo]) {
        self.discovered = brokers.iter().map(|broker| broker.address.clone()).collect();
        // A broker that changes its address must not leave a socket behind each time.
        self.links.retain(|address, _| self.bootstrap.contains(address) || self.discovered.contains(address));
        let brokers = brokers.iter().map(|broker| (broker.id, &broker.address));
        self.settings.registry.set_brokers(&self.bootstrap, from, brokers);
    }

    /// Adds a broker that the broker `from` has named.
    pub(super) fn discover_one(&self, from: &Address, node: i32, address: &Address) {
        self.settings.registry.add_broker(&self.bootstrap, from, node, address);
    }

    /// The brokers of the cluster that are not suspect, except for one.
    pub(super) fn others(&self, than: &Address, brokers: &[BrokerInfo]) -> Vec<Address> {
        let known = brokers.iter().map(|broker| &broker.address).chain(&self.discovered);
        let is_other = |address: &&Address| *address != than && !self.settings.registry.is_suspect(address);
        let mut others: Vec<Address> = known.filter(is_other).cloned().collect();
        others.sort();
        others.dedup();
        others
    }

    /// The next request that any broker can serve goes to this one.
    pub(super) fn prefer(&mut self, address: Address) {
        self.settings.registry.set_last_responsive(Some(address.clone()));
        self.last_responsive = Some(address);
    }

    /// Requests that any broker can serve go to other brokers before these.
    pub(super) fn suspect(&self, brokers: &[Address]) {
        for address in brokers {
            self.settings.registry.set_suspect(address, true);
        }
    }

    /// Removes the discovered brokers if a client with the same registry has rebootstrapped. True if so: what they have
    /// responded is out of date.
    pub(super) fn follow_rebootstrap(&mut self) -> bool {
        let rebootstraps = self.settings.registry.rebootstraps();
        let is_rebootstrapped = rebootstraps != self.rebootstraps;
        if is_rebootstrapped {
            self.rebootstraps = rebootstraps;
            self.remove_discovered();
        }
        is_rebootstrapped
    }

    /// Sends a request that any broker can serve. The order is: connected brokers, the last responsive broker, the
    /// bootstrap servers, the discovered brokers
    /// ([KIP-899](https://cwiki.apache.org/confluence/display/KAFKA/KIP-899%3A+Allow+producer+and+consumer+clients+to+rebootstrap));
    /// suspects last. Returns the address of the broker that responded, too.
    pub(super) fn call_any<R: Request>(&mut self, request: &R) -> Result<(Address, R::Response)> {
        let outcome = match self.try_all(request) {
            Err(error) if self.must_rebootstrap(&error) => {
                log::info!("rebootstrapping from the bootstrap servers: {error}");
                self.settings.registry.rebootstrap(&self.bootstrap);
                self.remove_discovered();
                self.try_all(request)
            }
            outcome => outcome,
        };
        let responsive = outcome.as_ref().ok().map(|(address, _)| address.clone());
        self.settings.registry.set_last_responsive(responsive.clone());
        self.last_responsive = responsive;
        outcome
    }

    /// Sends a request to one broker.
    pub(super) fn call<R: Request>(&mut self, address: &Address, request: &R) -> Result<R::Response> {
        let response = self.link(address).call(request);
        self.note(address, &response);
        response
    }

    /// Uses the kept connections, one after the other, then opens new ones. The kept connection to a suspect may hang:
    /// only a new one shows that the broker responds.
    fn try_all<R: Request>(&mut self, request: &R) -> Result<(Address, R::Response)> {
        let mut failures = Vec::new();
        let registry = self.settings.registry.clone();
        let (suspects, others): (Vec<_>, Vec<_>) =
            self.candidates().into_iter().partition(|address| registry.is_suspect(address));
        let mut unconnected = Vec::new();
        for address in others {
            let kept = self.links.get_mut(&address).and_then(|link| link.call_kept(request));
            match kept.map(|response| self.attempt(&address, response, &mut failures)) {
                None => unconnected.push(address),
                Some(Attempt::Response(response)) => return Ok((address, response)),
                Some(Attempt::Failed) => {}
                Some(Attempt::MustRebootstrap) => return Err(self.summary(failures)),
            }
        }
        let mut dialer = Dialer::new([unconnected, suspects].concat(), &self.settings);
        while let Some((address, opened)) = dialer.next() {
            let response = opened.and_then(|connection| self.link(&address).call_over(connection, request));
            match self.attempt(&address, response, &mut failures) {
                Attempt::Response(response) => return Ok((address, response)),
                Attempt::Failed => {}
                Attempt::MustRebootstrap => break,
            }
        }
        Err(self.summary(failures))
    }

    fn attempt<T>(&self, address: &Address, response: Result<T>, failures: &mut Vec<Error>) -> Attempt<T> {
        self.note(address, &response);
        match response {
            Ok(response) => Attempt::Response(response),
            Err(error) => {
                let must_rebootstrap = self.must_rebootstrap(&error);
                failures.push(error);
                if must_rebootstrap { Attempt::MustRebootstrap } else { Attempt::Failed }
            }
        }
    }

    /// All brokers, each once.
    fn candidates(&self) -> Vec<Address> {
        let shared = self.settings.registry.last_responsive();
        let preferred = self.last_responsive.iter().chain(&shared);
        let mut seen = HashSet::new();
        let all = preferred.chain(&self.bootstrap).chain(&self.discovered);
        all.filter(|address| seen.insert(*address)).cloned().collect()
    }

    fn link(&mut self, address: &Address) -> &mut Link {
        let settings = &self.direct_settings;
        self.links.entry(address.clone()).or_insert_with(|| Link::new(address.clone(), settings.clone()))
    }

    /// Notes whether a broker is suspect.
    fn note<T>(&self, address: &Address, response: &Result<T>) {
        let is_suspect = !matches!(response, Ok(_) | Err(Error::Broker { .. }));
        self.settings.registry.set_suspect(address, is_suspect);
    }

    /// Whether the broker requires a rebootstrap, and there are discovered brokers to remove.
    fn must_rebootstrap(&self, error: &Error) -> bool {
        requires_rebootstrap(error) && self.candidates().iter().any(|address| !self.bootstrap.contains(address))
    }

    fn remove_discovered(&mut self) {
        self.discovered.clear();
        self.last_responsive = None;
        self.links.retain(|address, _| self.bootstrap.contains(address));
    }

    /// One error for all brokers. A refusal is returned alone: it is more significant than the absence of other
    /// brokers.
    fn summary(&self, mut failures: Vec<Error>) -> Error {
        // The sort is stable: the first of equal failures stays first.
        failures.sort_by_key(|failure| std::cmp::Reverse(self.weight(failure)));
        let is_refusal = |failure: &Error| matches!(failure, Error::Broker { .. });
        if failures.len() > 1 && !failures.first().is_some_and(is_refusal) {
            return Error::NoBrokerAvailable { failures };
        }
        failures.into_iter().next().unwrap_or_else(|| Error::Config("no bootstrap server is named".to_owned()))
    }

    /// The significance of a failure if no broker responds. A failure that is not retriable is more significant than
    /// the absence of a broker; but once the cluster has been reached, the invalid certificate of one broker must not
    /// end the retries at the others.
    fn weight(&self, failure: &Error) -> u8 {
        match failure {
            failure if requires_rebootstrap(failure) => 4,
            Error::Tls { .. } if !self.discovered.is_empty() => 0,
            failure if !failure.is_retriable() => 3,
            Error::Broker { .. } => 2,
            _ => 1,
        }
    }
}

/// Whether the broker no longer knows its cluster, which must be discovered again through the bootstrap servers
/// ([KIP-1102](https://cwiki.apache.org/confluence/display/KAFKA/KIP-1102%3A+Enable+clients+to+rebootstrap+based+on+timeout+or+error+code)).
fn requires_rebootstrap(error: &Error) -> bool {
    matches!(error, Error::Broker { code: ErrorCode::REBOOTSTRAP_REQUIRED, .. })
}
