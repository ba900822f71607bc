//! Which broker a request goes to: any that responds, or a certain one. Goes back to the bootstrap servers when no other broker responds, or
//! when a broker requires it. Must not know what requests are about.

use std::collections::{HashMap, HashSet};

use crate::connection::ConnectionSettings;
use crate::dial::Dialer;
use crate::error::{Error, ErrorCode, Result};
use crate::link::Link;
use crate::protocol::{BrokerInfo, Request};
use crate::types::Address;

/// The broker does not know its cluster any more, and the client must begin again with the bootstrap servers
/// ([KIP-1102](https://cwiki.apache.org/confluence/display/KAFKA/KIP-1102%3A+Enable+clients+to+rebootstrap+based+on+timeout+or+error+code)).
const REBOOTSTRAP_REQUIRED: ErrorCode = ErrorCode(129);

/// What one broker's answer means for a request that any broker can answer.
enum Verdict<T> {
    Answered(T),
    /// Another broker may answer.
    Failed,
    /// The other discovered brokers are not to be tried.
    MustRebootstrap,
}

/// The brokers of a cluster, and the connections to them.
pub(super) struct Brokers {
    bootstrap: Vec<Address>,
    settings: ConnectionSettings,
    /// For a request that only one broker can answer: a timeout that grows would hold up requests to the others.
    direct_settings: ConnectionSettings,
    links: HashMap<Address, Link>,
    discovered: Vec<Address>,
    /// The broker that answered the last request that any broker can answer.
    last_responsive: Option<Address>,
    /// How often the registry had forgotten the discovered brokers when this client last did.
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

    /// The broker `from` says that these are the brokers of the cluster.
    pub(super) fn discover(&mut self, from: &Address, brokers: &[BrokerInfo]) {
        self.discovered = brokers.iter().map(|broker| broker.address.clone()).collect();
        // Brokers that moved to another address must not leave a socket behind each time.
        self.links.retain(|address, _| self.bootstrap.contains(address) || self.discovered.contains(address));
        let brokers = brokers.iter().map(|broker| (broker.id, &broker.address));
        self.settings.registry.set_brokers(&self.bootstrap, from, brokers);
    }

    /// The broker `from` names another one.
    pub(super) fn discover_one(&self, from: &Address, node: i32, address: &Address) {
        self.settings.registry.add_broker(&self.bootstrap, from, node, address);
    }

    /// The brokers of the cluster that are not suspect, but for one.
    pub(super) fn others(&self, than: &Address, brokers: &[BrokerInfo]) -> Vec<Address> {
        let known = brokers.iter().map(|broker| &broker.address).chain(&self.discovered);
        let is_other = |address: &&Address| *address != than && !self.settings.registry.is_suspect(address);
        let mut others: Vec<Address> = known.filter(is_other).cloned().collect();
        others.sort();
        others.dedup();
        others
    }

    /// The next request that any broker can answer goes to this one.
    pub(super) fn prefer(&mut self, address: Address) {
        self.settings.registry.set_last_responsive(Some(address.clone()));
        self.last_responsive = Some(address);
    }

    /// Other brokers are tried before these where any can answer.
    pub(super) fn suspect(&self, brokers: &[Address]) {
        for address in brokers {
            self.settings.registry.set_suspect(address, true);
        }
    }

    /// Forgets the discovered brokers if another client of the same cluster had to. True: all that was learnt from them is out of date.
    pub(super) fn is_rebootstrapped(&mut self) -> bool {
        let rebootstraps = self.settings.registry.rebootstraps();
        let is_news = rebootstraps != self.rebootstraps;
        if is_news {
            self.rebootstraps = rebootstraps;
            self.forget_discovered();
        }
        is_news
    }

    /// Sends a request that any broker can answer. Brokers that are connected and respond come first, then the one that responded last, the
    /// bootstrap servers and all others ([KIP-899](https://cwiki.apache.org/confluence/display/KAFKA/KIP-899%3A+Allow+producer+and+consumer+clients+to+rebootstrap));
    /// suspects last. Gives the address of the broker that answered, too.
    pub(super) fn call_any<R: Request>(&mut self, request: &R) -> Result<(Address, R::Response)> {
        let outcome = match self.try_all(request) {
            Err(error) if self.must_rebootstrap(&error) => {
                log::info!("the discovered brokers are forgotten, beginning again with the bootstrap servers: {error}");
                self.settings.registry.rebootstrap(&self.bootstrap);
                self.forget_discovered();
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
        let answer = self.link(address).call(request);
        self.note(address, &answer);
        answer
    }

    /// Uses the connections that there are, in turn, and then new ones, side by side. A connection to a suspect may be one of those that hang:
    /// only a new one shows that the broker responds.
    fn try_all<R: Request>(&mut self, request: &R) -> Result<(Address, R::Response)> {
        let mut failures = Vec::new();
        let registry = self.settings.registry.clone();
        let (suspects, others): (Vec<_>, Vec<_>) =
            self.candidates().into_iter().partition(|address| registry.is_suspect(address));
        let mut unconnected = Vec::new();
        for address in others {
            let kept = self.links.get_mut(&address).and_then(|link| link.call_kept(request));
            match kept.map(|answer| self.judge(&address, answer, &mut failures)) {
                None => unconnected.push(address),
                Some(Verdict::Answered(answer)) => return Ok((address, answer)),
                Some(Verdict::Failed) => {}
                Some(Verdict::MustRebootstrap) => return Err(self.summary(failures)),
            }
        }
        let mut dialer = Dialer::new([unconnected, suspects].concat(), &self.settings);
        while let Some((address, opened)) = dialer.next() {
            let answer = opened.and_then(|connection| self.link(&address).call_over(connection, request));
            match self.judge(&address, answer, &mut failures) {
                Verdict::Answered(answer) => return Ok((address, answer)),
                Verdict::Failed => {}
                Verdict::MustRebootstrap => break,
            }
        }
        Err(self.summary(failures))
    }

    fn judge<T>(&self, address: &Address, answer: Result<T>, failures: &mut Vec<Error>) -> Verdict<T> {
        self.note(address, &answer);
        match answer {
            Ok(answer) => Verdict::Answered(answer),
            Err(error) => {
                let must_rebootstrap = self.must_rebootstrap(&error);
                failures.push(error);
                if must_rebootstrap { Verdict::MustRebootstrap } else { Verdict::Failed }
            }
        }
    }

    /// Each broker once.
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

    fn note<T>(&self, address: &Address, answer: &Result<T>) {
        let is_suspect = !matches!(answer, Ok(_) | Err(Error::Broker { .. }));
        self.settings.registry.set_suspect(address, is_suspect);
    }

    /// Whether the broker requires to begin again with the bootstrap servers, and there are others that can be forgotten.
    fn must_rebootstrap(&self, error: &Error) -> bool {
        requires_rebootstrap(error) && self.candidates().iter().any(|address| !self.bootstrap.contains(address))
    }

    fn forget_discovered(&mut self) {
        self.discovered.clear();
        self.last_responsive = None;
        self.links.retain(|address, _| self.bootstrap.contains(address));
    }

    /// One error for all brokers. The answer of a broker stands alone: it says more than the absence of others.
    fn summary(&self, mut failures: Vec<Error>) -> Error {
        // Stable: of equal ones the first.
        failures.sort_by_key(|failure| std::cmp::Reverse(self.weight(failure)));
        let is_answer = |failure: &Error| matches!(failure, Error::Broker { .. });
        if failures.len() > 1 && !failures.first().is_some_and(is_answer) {
            return Error::NoBrokerAvailable { failures };
        }
        failures.into_iter().next().unwrap_or_else(|| Error::Config("no bootstrap server is named".to_owned()))
    }

    /// How much a failure tells of the cluster, if no broker answers. What somebody must fix tells more than another broker's absence; but
    /// once the cluster has been reached, one broker's bad certificate is no reason to give up the others, which may be back.
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

fn requires_rebootstrap(error: &Error) -> bool {
    matches!(error, Error::Broker { code: REBOOTSTRAP_REQUIRED, .. })
}
