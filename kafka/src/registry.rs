//! What the connections of one client have learnt about brokers, shared so that no connection has to learn it again: which broker responded
//! last, which ones did not, where an address comes from, and how a broker wants to be addressed. Opens no connection.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::types::Address;

/// How long a broker is taken for one that needs an old version of `ApiVersions`. A broker that restarts may look like one for a moment, and
/// a broker that is upgraded no longer is one.
const API_VERSIONS_KEPT: Duration = Duration::from_mins(10);

/// Shared by all connections whose settings were cloned from the same ones.
#[derive(Clone, Debug, Default)]
pub struct BrokerRegistry(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// The broker that answered last of those that were chosen freely.
    last_responsive: Option<Address>,
    brokers: HashMap<Address, Known>,
    /// How often the discovered brokers have been forgotten.
    rebootstraps: u64,
}

/// What is known of one broker.
#[derive(Debug, Default)]
struct Known {
    advertised: Option<Advertised>,
    /// The address behind the name that accepted the last connection.
    accepted_by: Option<SocketAddr>,
    api_versions: Option<ApiVersionsLimit>,
    /// It failed to respond last time.
    is_suspect: bool,
    /// How often in a row a connection to it was not set up in time.
    setup_timeouts: u32,
}

/// The highest version of `ApiVersions` that a broker answers.
#[derive(Clone, Copy, Debug)]
struct ApiVersionsLimit {
    version: i16,
    learnt: Instant,
}

/// Where the address of a broker comes from, if it is not one of the bootstrap servers: the broker's
/// [`advertised.listeners`](https://kafka.apache.org/documentation/#brokerconfigs_advertised.listeners).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertised {
    /// The broker's number (`node.id`, `broker.id`).
    pub node: i32,
    /// The bootstrap server through which it was learnt.
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

impl BrokerRegistry {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change is a single assignment: nothing is half done after a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The broker that answered last of those that were chosen freely.
    pub(crate) fn last_responsive(&self) -> Option<Address> {
        self.lock().last_responsive.clone()
    }

    /// A broker that was chosen freely has answered; `None`: none of them did.
    pub(crate) fn set_last_responsive(&self, address: Option<Address>) {
        self.lock().last_responsive = address;
    }

    /// Whether a broker failed to respond last time.
    pub(crate) fn is_suspect(&self, address: &Address) -> bool {
        self.lock().brokers.get(address).is_some_and(|known| known.is_suspect)
    }

    pub(crate) fn set_suspect(&self, address: &Address, is_suspect: bool) {
        self.known(address, |known| known.is_suspect = is_suspect);
    }

    /// How long the next attempt to connect may take: the time doubles with each attempt in a row that took longer
    /// ([KIP-601](https://cwiki.apache.org/confluence/display/KAFKA/KIP-601%3A+Configurable+socket+connection+timeout+in+NetworkClient)).
    pub(crate) fn setup_timeout(&self, address: &Address, first: Duration, max: Duration) -> Duration {
        let timeouts = self.lock().brokers.get(address).map_or(0, |known| known.setup_timeouts);
        first.saturating_mul(2_u32.saturating_pow(timeouts)).min(max.max(first))
    }

    /// A connection is ready; `by` is the address behind the broker's name.
    pub(crate) fn set_up(&self, address: &Address, by: Option<SocketAddr>) {
        self.known(address, |known| {
            known.accepted_by = by;
            known.is_suspect = false;
            known.setup_timeouts = 0;
        });
    }

    /// A connection could not be made, or not in time.
    pub(crate) fn setup_failed(&self, address: &Address, timed_out: bool) {
        self.known(address, |known| {
            known.is_suspect = true;
            known.setup_timeouts = if timed_out { known.setup_timeouts.saturating_add(1) } else { 0 };
        });
    }

    /// The address behind the broker's name that accepted the last connection.
    pub(crate) fn accepted_by(&self, address: &Address) -> Option<SocketAddr> {
        self.lock().brokers.get(address)?.accepted_by
    }

    /// The version of `ApiVersions` that the broker is known to need, if it does not take the latest one.
    pub(crate) fn api_versions(&self, address: &Address, now: Instant) -> Option<i16> {
        let limit = self.lock().brokers.get(address)?.api_versions?;
        (now.saturating_duration_since(limit.learnt) < API_VERSIONS_KEPT).then_some(limit.version)
    }

    pub(crate) fn set_api_versions(&self, address: &Address, version: Option<i16>, now: Instant) {
        let limit = version.map(|version| ApiVersionsLimit { version, learnt: now });
        self.known(address, |known| known.api_versions = limit);
    }

    /// Where the address comes from; `None` for a bootstrap server.
    pub(crate) fn advertised(&self, address: &Address) -> Option<Advertised> {
        self.lock().brokers.get(address)?.advertised.clone()
    }

    /// The broker `from` says that these are the brokers of the cluster: others are forgotten.
    pub(crate) fn set_brokers<'a>(
        &self,
        bootstrap: &[Address],
        from: &Address,
        brokers: impl Iterator<Item = (i32, &'a Address)> + Clone,
    ) {
        let mut state = self.lock();
        state.brokers.retain(|known, _| {
            known == from || bootstrap.contains(known) || brokers.clone().any(|(_, address)| address == known)
        });
        for (node, address) in brokers {
            state.set_advertised(bootstrap, from, node, address);
        }
    }

    /// The broker `from` has named another one.
    pub(crate) fn add_broker(&self, bootstrap: &[Address], from: &Address, node: i32, address: &Address) {
        self.lock().set_advertised(bootstrap, from, node, address);
    }

    /// Forgets every broker but the bootstrap servers.
    pub(crate) fn rebootstrap(&self, bootstrap: &[Address]) {
        let mut state = self.lock();
        state.rebootstraps += 1;
        state.last_responsive = None;
        state.brokers.retain(|known, _| bootstrap.contains(known));
    }

    /// How often the discovered brokers have been forgotten.
    pub(crate) fn rebootstraps(&self) -> u64 {
        self.lock().rebootstraps
    }

    fn known(&self, address: &Address, change: impl FnOnce(&mut Known)) {
        change(self.lock().brokers.entry(address.clone()).or_default());
    }
}

impl State {
    fn set_advertised(&mut self, bootstrap: &[Address], from: &Address, node: i32, address: &Address) {
        if bootstrap.contains(address) {
            return;
        }
        // A broker that was discovered itself leads back to a bootstrap server, whose name the operator knows.
        let known = self.brokers.get(from).and_then(|from| from.advertised.as_ref());
        let learnt_from = known.map_or(from, |advertised| &advertised.learnt_from).clone();
        self.brokers.entry(address.clone()).or_default().advertised = Some(Advertised { node, learnt_from });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn broker(port: u16) -> Address {
        Address { host: "broker".to_owned(), port }
    }

    #[test]
    fn setup_timeouts_double_up_to_the_maximum_until_a_connection_is_ready() {
        let registry = BrokerRegistry::default();
        let timeout = || registry.setup_timeout(&broker(1), 10 * S, 30 * S);
        let mut seen = vec![timeout()];
        for _ in 0..40 {
            registry.setup_failed(&broker(1), true);
            seen.push(timeout());
        }
        assert_eq!(seen[..4], [10 * S, 20 * S, 30 * S, 30 * S]);
        assert_eq!(seen[40], 30 * S);
        assert_eq!(registry.setup_timeout(&broker(2), 10 * S, 30 * S), 10 * S, "another broker");
        assert_eq!(registry.setup_timeout(&broker(1), 10 * S, S), 10 * S, "no growth");
        registry.set_up(&broker(1), None);
        assert_eq!(timeout(), 10 * S);
    }

    #[test]
    fn an_old_version_is_not_remembered_for_ever() {
        let (registry, now) = (BrokerRegistry::default(), Instant::now());
        registry.set_api_versions(&broker(1), Some(0), now);
        assert_eq!(registry.api_versions(&broker(1), now), Some(0));
        assert_eq!(registry.api_versions(&broker(2), now), None);
        assert_eq!(registry.api_versions(&broker(1), now + API_VERSIONS_KEPT), None);
        registry.set_api_versions(&broker(1), None, now);
        assert_eq!(registry.api_versions(&broker(1), now), None);
    }

    #[test]
    fn an_address_leads_back_to_the_bootstrap_server() {
        let registry = BrokerRegistry::default();
        let bootstrap = [broker(1)];
        registry.set_brokers(&bootstrap, &broker(1), [(1, &broker(1)), (2, &broker(2))].into_iter());
        registry.set_brokers(&bootstrap, &broker(2), [(2, &broker(2)), (3, &broker(3))].into_iter());
        registry.add_broker(&bootstrap, &broker(3), 4, &broker(4));
        assert_eq!(registry.advertised(&broker(1)), None, "from the settings");
        for (port, node) in [(2, 2), (3, 3), (4, 4)] {
            let expected = Advertised { node, learnt_from: broker(1) };
            assert_eq!(registry.advertised(&broker(port)), Some(expected), "{port}");
        }
    }

    #[test]
    fn a_rebootstrap_forgets_all_but_the_bootstrap_servers() {
        let registry = BrokerRegistry::default();
        let bootstrap = [broker(1)];
        registry.set_brokers(&bootstrap, &broker(1), [(2, &broker(2))].into_iter());
        registry.set_last_responsive(Some(broker(2)));
        registry.set_suspect(&broker(1), true);
        let shared = registry.clone();
        shared.rebootstrap(&bootstrap);
        assert_eq!((registry.last_responsive(), registry.advertised(&broker(2))), (None, None));
        assert!(registry.is_suspect(&broker(1)), "a bootstrap server stays known");
        assert_eq!(registry.rebootstraps(), 1);
    }
}
