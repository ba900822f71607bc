//! What connections have learnt about brokers, shared by all that have the same registry: the last responsive broker, the
//! suspects, where addresses come from, and the versions of `ApiVersions` that brokers respond to. Opens no connection.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::types::{Address, Advertised};

/// How long an old version of `ApiVersions` is used for a broker. A broker that restarts may seem to need it for a
/// moment, and an upgraded broker no longer needs it.
const API_VERSIONS_KEPT: Duration = Duration::from_mins(10);

/// A shared registry: clones share one state.
#[derive(Clone, Debug, Default)]
pub struct BrokerRegistry(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// The broker that responded to the last request that any broker can serve.
    last_responsive: Option<Address>,
    brokers: HashMap<Address, Broker>,
    /// Count of rebootstraps.
    rebootstraps: u64,
}

/// What has been learnt about one broker.
#[derive(Debug, Default)]
struct Broker {
    advertised: Option<Advertised>,
    /// The IP address that accepted the last connection.
    accepted_by: Option<SocketAddr>,
    api_versions: Option<ApiVersionsLimit>,
    /// Its last connection or request failed.
    is_suspect: bool,
    /// How many connection attempts in a row have exceeded the timeout.
    setup_timeouts: u32,
}

/// The highest version of `ApiVersions` that a broker responds to.
#[derive(Clone, Copy, Debug)]
struct ApiVersionsLimit {
    version: i16,
    learnt: Instant,
}

impl BrokerRegistry {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic cannot leave a change incomplete: each one is an assignment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The broker that responded to the last request that any broker can serve.
    pub(crate) fn last_responsive(&self) -> Option<Address> {
        self.lock().last_responsive.clone()
    }

    /// A broker has responded to a request that any broker can serve; `None` if no broker did.
    pub(crate) fn set_last_responsive(&self, address: Option<Address>) {
        self.lock().last_responsive = address;
    }

    /// Whether the last connection to a broker, or the last request, failed.
    pub(crate) fn is_suspect(&self, address: &Address) -> bool {
        self.lock().brokers.get(address).is_some_and(|broker| broker.is_suspect)
    }

    pub(crate) fn set_suspect(&self, address: &Address, is_suspect: bool) {
        self.update(address, |broker| broker.is_suspect = is_suspect);
    }

    /// The timeout of the next connection attempt: it doubles with each attempt in a row that exceeded it
    /// ([KIP-601](https://cwiki.apache.org/confluence/display/KAFKA/KIP-601%3A+Configurable+socket+connection+timeout+in+NetworkClient)).
    pub(crate) fn setup_timeout(&self, address: &Address, first: Duration, max: Duration) -> Duration {
        let timeouts = self.lock().brokers.get(address).map_or(0, |broker| broker.setup_timeouts);
        first.saturating_mul(2_u32.saturating_pow(timeouts)).min(max.max(first))
    }

    /// A connection has been opened; `by` is the broker's IP address.
    pub(crate) fn set_connected(&self, address: &Address, by: Option<SocketAddr>) {
        self.update(address, |broker| {
            broker.accepted_by = by;
            broker.is_suspect = false;
            broker.setup_timeouts = 0;
        });
    }

    /// A connection could not be opened, possibly within its timeout.
    pub(crate) fn set_connect_failed(&self, address: &Address, timed_out: bool) {
        self.update(address, |broker| {
            broker.is_suspect = true;
            broker.setup_timeouts = if timed_out { broker.setup_timeouts.saturating_add(1) } else { 0 };
        });
    }

    /// The IP address of the broker that accepted the last connection.
    pub(crate) fn accepted_by(&self, address: &Address) -> Option<SocketAddr> {
        self.lock().brokers.get(address)?.accepted_by
    }

    /// The version of `ApiVersions` to send to a broker that does not respond to the latest one.
    pub(crate) fn api_versions(&self, address: &Address, now: Instant) -> Option<i16> {
        let limit = self.lock().brokers.get(address)?.api_versions?;
        (now.saturating_duration_since(limit.learnt) < API_VERSIONS_KEPT).then_some(limit.version)
    }

    pub(crate) fn set_api_versions(&self, address: &Address, version: Option<i16>, now: Instant) {
        let limit = version.map(|version| ApiVersionsLimit { version, learnt: now });
        self.update(address, |broker| broker.api_versions = limit);
    }

    /// The origin of an address; `None` for a bootstrap server.
    pub(crate) fn advertised(&self, address: &Address) -> Option<Advertised> {
        self.lock().brokers.get(address)?.advertised.clone()
    }

    /// Replaces the discovered brokers by those of the metadata of the broker `from`.
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

    /// Adds a broker that the broker `from` has named.
    pub(crate) fn add_broker(&self, bootstrap: &[Address], from: &Address, node: i32, address: &Address) {
        self.lock().set_advertised(bootstrap, from, node, address);
    }

    /// Removes every broker but the bootstrap servers.
    pub(crate) fn rebootstrap(&self, bootstrap: &[Address]) {
        let mut state = self.lock();
        state.rebootstraps += 1;
        state.last_responsive = None;
        state.brokers.retain(|known, _| bootstrap.contains(known));
    }

    /// Count of rebootstraps: a client that has seen fewer removes its discovered brokers.
    pub(crate) fn rebootstraps(&self) -> u64 {
        self.lock().rebootstraps
    }

    fn update(&self, address: &Address, change: impl FnOnce(&mut Broker)) {
        change(self.lock().brokers.entry(address.clone()).or_default());
    }
}

impl State {
    fn set_advertised(&mut self, bootstrap: &[Address], from: &Address, node: i32, address: &Address) {
        if bootstrap.contains(address) {
            return;
        }
        // The origin of a discovered broker is a bootstrap server, whose name the operator knows.
        let broker = self.brokers.get(from).and_then(|from| from.advertised.as_ref());
        let learnt_from = broker.map_or(from, |advertised| &advertised.learnt_from).clone();
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
            registry.set_connect_failed(&broker(1), true);
            seen.push(timeout());
        }
        assert_eq!(seen[..4], [10 * S, 20 * S, 30 * S, 30 * S]);
        assert_eq!(seen[40], 30 * S);
        assert_eq!(registry.setup_timeout(&broker(2), 10 * S, 30 * S), 10 * S, "another broker");
        assert_eq!(registry.setup_timeout(&broker(1), 10 * S, S), 10 * S, "no growth");
        registry.set_connected(&broker(1), None);
        assert_eq!(timeout(), 10 * S);
    }

    #[test]
    fn an_old_version_of_api_versions_expires() {
        let (registry, now) = (BrokerRegistry::default(), Instant::now());
        registry.set_api_versions(&broker(1), Some(0), now);
        assert_eq!(registry.api_versions(&broker(1), now), Some(0));
        assert_eq!(registry.api_versions(&broker(2), now), None);
        assert_eq!(registry.api_versions(&broker(1), now + API_VERSIONS_KEPT), None);
        registry.set_api_versions(&broker(1), None, now);
        assert_eq!(registry.api_versions(&broker(1), now), None);
    }

    #[test]
    fn the_origin_of_an_address_is_a_bootstrap_server() {
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
    fn a_rebootstrap_removes_all_but_the_bootstrap_servers() {
        let registry = BrokerRegistry::default();
        let bootstrap = [broker(1)];
        registry.set_brokers(&bootstrap, &broker(1), [(2, &broker(2))].into_iter());
        registry.set_last_responsive(Some(broker(2)));
        registry.set_suspect(&broker(1), true);
        let shared = registry.clone();
        shared.rebootstrap(&bootstrap);
        assert_eq!((registry.last_responsive(), registry.advertised(&broker(2))), (None, None));
        assert!(registry.is_suspect(&broker(1)), "a bootstrap server is not removed");
        assert_eq!(registry.rebootstraps(), 1);
    }
}
