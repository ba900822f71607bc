//! The client with brokers that do not respond, over real sockets.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use kafka_protocol::messages::metadata_response::MetadataResponseBroker;
use kafka_protocol::messages::{BrokerId, FindCoordinatorResponse, MetadataResponse};
use testkit::BlackHole;

use super::routing::Location;
use super::*;
use crate::connection::ConnectionSettings;
use crate::connection::tests::{LONG, METADATA, Peer, broker, settings};
use crate::error::{Error, ErrorCode};
use crate::registry::BrokerRegistry;
use crate::types::{Address, Advertised, TopicPartition};

const FIND_COORDINATOR: i16 = 10;
const OFFSET_FETCH: i16 = 9;
const SUPPORTED: [(i16, i16, i16); 3] = [(METADATA, 4, 13), (FIND_COORDINATOR, 1, 2), (OFFSET_FETCH, 5, 5)];
const REBOOTSTRAP_REQUIRED: i16 = 129;

fn address_of(hole: &BlackHole) -> Address {
    Address { host: "127.0.0.1".to_owned(), port: hole.address().port() }
}

/// Nothing listens on port 1 (tcpmux).
fn closed_port() -> Address {
    Address { host: "127.0.0.1".to_owned(), port: 1 }
}

/// Responds to requests for metadata with these brokers and this error code.
fn serve_metadata(peer: &mut Peer, brokers: &[(i32, Address)], code: i16) {
    peer.negotiate(&SUPPORTED);
    while let Some((key, version, id)) = peer.request() {
        assert_eq!(key, METADATA);
        let broker = |(node, address): &(i32, Address)| {
            MetadataResponseBroker::default()
                .with_node_id(BrokerId(*node))
                .with_host(address.host.clone().into())
                .with_port(address.port.into())
        };
        let response = MetadataResponse::default()
            .with_cluster_id(Some("c".into()))
            .with_brokers(brokers.iter().map(broker).collect())
            .with_error_code(code);
        peer.send_response(&response, version, id);
    }
}

#[test]
fn hosts_that_drop_packets_do_not_delay_the_others() {
    let (first, second) = (BlackHole::open().unwrap(), BlackHole::open().unwrap());
    let (address, _connections) = broker(|_, peer| serve_metadata(peer, &[], 0));
    let settings = settings(LONG);
    let hosts = vec![address_of(&first), address_of(&second), address.clone()];
    let begun = Instant::now();
    Client::new(hosts, settings.clone()).metadata(vec![]).unwrap();
    assert!(begun.elapsed() < settings.connect_timeout, "it waited for the first one until the timeout");
    let registry = &settings.registry;
    assert!(registry.is_suspect(&address_of(&first)) && registry.is_suspect(&address_of(&second)));
    assert_eq!(registry.last_responsive(), Some(address));
}

#[test]
fn a_suspect_that_responds_does_not_wait_for_a_host_that_drops_packets() {
    let hole = BlackHole::open().unwrap();
    let (address, _connections) = broker(|_, peer| serve_metadata(peer, &[], 0));
    let settings = settings(LONG);
    settings.registry.set_suspect(&address, true);
    let begun = Instant::now();
    Client::new(vec![address_of(&hole), address.clone()], settings.clone()).metadata(vec![]).unwrap();
    assert!(begun.elapsed() < settings.connect_timeout, "it waited for the other one until the timeout");
    assert!(!settings.registry.is_suspect(&address));
}

#[test]
fn all_connections_share_the_registry() {
    // It accepts connections and sends nothing.
    let (silent, attempts) = broker(|_, peer| while peer.request().is_some() {});
    let (address, _connections) = broker(|_, peer| serve_metadata(peer, &[], 0));
    let settings = settings(LONG);
    let hosts = vec![silent, address];
    for expected in [1, 0, 0] {
        let settings = ConnectionSettings { client_id: "another".to_owned(), ..settings.clone() };
        Client::new(hosts.clone(), settings).metadata(vec![]).unwrap();
        assert_eq!(attempts.try_iter().count(), expected, "connections to the silent one");
    }
}

#[test]
fn one_error_has_the_failure_of_every_server() {
    let (closing, _connections) = broker(|_, peer| assert!(peer.request().is_some()));
    let unresolvable = Address { host: "a\0b".to_owned(), port: 9092 };
    let hosts = vec![closed_port(), closing.clone(), unresolvable];
    let error = Client::new(hosts, settings(LONG)).metadata(vec![]).unwrap_err();
    let Error::NoBrokerAvailable { failures } = &error else { panic!("{error:?}") };
    assert!(
        matches!(failures[..], [Error::Connect { .. }, Error::Disconnected { .. }, Error::Resolve { .. }]),
        "{failures:?}"
    );
    assert!(error.is_retriable() && std::error::Error::source(&error).is_none());
    let text = error.to_string();
    assert!(text.starts_with("no broker is available: cannot connect to broker 127.0.0.1:1: "), "{text}");
    assert!(text.contains(&format!("; connection to broker {closing} broke during ApiVersions: ")), "{text}");
    assert!(text.contains("; cannot resolve the broker's name 'a"), "{text}");
    // The failure of a single server is not wrapped.
    let error = Client::new(vec![closed_port(), closed_port()], settings(LONG)).metadata(vec![]).unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error:?}");
}

#[test]
fn a_failure_that_is_not_retriable_is_the_first() {
    let (old, _connections) = broker(|_, peer| {
        peer.negotiate(&[(METADATA, 0, 3)]);
        assert!(peer.request().is_none());
    });
    let error = Client::new(vec![closed_port(), old], settings(LONG)).metadata(vec![]).unwrap_err();
    let Error::NoBrokerAvailable { failures } = &error else { panic!("{error:?}") };
    assert!(matches!(failures[..], [Error::UnsupportedVersion { .. }, Error::Connect { .. }]), "{failures:?}");
    assert!(!error.is_retriable());
}

#[test]
fn the_error_of_an_advertised_address_names_its_origin() {
    let (address, _connections) = broker(|_, peer| {
        peer.negotiate(&SUPPORTED);
        while let Some((key, version, id)) = peer.request() {
            assert_eq!(key, FIND_COORDINATOR);
            let closed = closed_port();
            let response = FindCoordinatorResponse::default().with_node_id(BrokerId(7)).with_host(closed.host.into());
            peer.send_response(&response.with_port(closed.port.into()), version, id);
        }
    });
    let at = TopicPartition::new("t", 0);
    let hosts = vec![address.clone()];
    let error = Client::new(hosts, settings(LONG)).committed("g", std::slice::from_ref(&at)).unwrap_err();
    let Error::Connect { advertised: Some(by), .. } = &error else { panic!("{error:?}") };
    assert_eq!(*by, Advertised { node: 7, learnt_from: address.clone() });
    let expected = format!(
        "cannot connect to broker 127.0.0.1:1 (from advertised.listeners of broker 7, learnt from bootstrap server {address})"
    );
    assert_eq!(error.to_string(), expected);
    // The address is one of the bootstrap servers.
    let hosts = vec![address, closed_port()];
    let error = Client::new(hosts, settings(LONG)).committed("g", &[at]).unwrap_err();
    assert!(matches!(error, Error::Connect { advertised: None, .. }), "{error:?}");
}

/// A cluster whose bootstrap server names one other broker, which can be switched to refuse requests; and the
/// connections in order.
struct Cluster {
    client: Client,
    registry: BrokerRegistry,
    other: Address,
    is_refusing: Arc<AtomicBool>,
    connected: Arc<Mutex<Vec<&'static str>>>,
}

impl Cluster {
    fn new(refuse: impl Fn(&mut Peer) + Send + Sync + 'static) -> Self {
        let connected = Arc::new(Mutex::new(Vec::new()));
        let is_refusing = Arc::new(AtomicBool::new(false));
        let (seen, refusing) = (Arc::clone(&connected), Arc::clone(&is_refusing));
        let (other, _) = broker(move |_, peer| {
            seen.lock().unwrap().push("other");
            if refusing.load(Ordering::SeqCst) { refuse(peer) } else { serve_metadata(peer, &[], 0) }
        });
        let (seen, named) = (Arc::clone(&connected), other.clone());
        let (bootstrap, _) = broker(move |_, peer| {
            seen.lock().unwrap().push("bootstrap");
            serve_metadata(peer, &[(2, named.clone())], 0);
        });
        let settings = settings(LONG);
        let registry = settings.registry.clone();
        let mut client = Client::new(vec![bootstrap], settings);
        client.metadata(vec![]).unwrap();
        // As if it had responded last, on a connection that is closed by now.
        registry.set_last_responsive(Some(other.clone()));
        let cluster = Self { client, registry, other, is_refusing, connected };
        assert_eq!(cluster.take_connected(), ["bootstrap"]);
        cluster
    }

    fn take_connected(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.connected.lock().unwrap())
    }
}

#[test]
fn the_client_rebootstraps_when_a_broker_requires_it() {
    let mut cluster = Cluster::new(|peer| serve_metadata(peer, &[], REBOOTSTRAP_REQUIRED));
    cluster.is_refusing.store(true, Ordering::SeqCst);
    cluster.client.coordinator = Some(("g".to_owned(), cluster.other.clone()));
    cluster.client.partitions.insert(
        TopicPartition::new("t", 0),
        Location { topic_id: None, leader: Some(cluster.other.clone()), leader_epoch: None },
    );
    // A second client of the same cluster, which has no connection yet.
    let settings = ConnectionSettings { registry: cluster.registry.clone(), ..settings(LONG) };
    let mut second = Client::new(cluster.client.brokers.bootstrap().to_vec(), settings);
    assert_eq!(second.metadata(vec![]).unwrap().brokers.len(), 1, "the bootstrap server's response");
    assert_eq!(cluster.take_connected(), ["other", "bootstrap"]);
    assert_eq!(cluster.registry.rebootstraps(), 1);
    // The first client drops what the former brokers have responded.
    assert_eq!(cluster.client.metadata(vec![]).unwrap().brokers.len(), 1);
    assert_eq!(cluster.client.coordinator, None);
    assert!(cluster.client.partitions.is_empty());
}

#[test]
fn a_rebootstrap_without_effect_is_a_failure() {
    let (first, _connections) = broker(|_, peer| serve_metadata(peer, &[], REBOOTSTRAP_REQUIRED));
    let (second, connections) = broker(|_, peer| serve_metadata(peer, &[], REBOOTSTRAP_REQUIRED));
    let error = Client::new(vec![first, second], settings(LONG)).metadata(vec![]).unwrap_err();
    assert!(matches!(error, Error::Broker { code: ErrorCode(REBOOTSTRAP_REQUIRED), .. }), "{error:?}");
    assert_eq!(connections.try_iter().count(), 1, "one connection to the other bootstrap server");
}

#[test]
fn the_bootstrap_servers_are_used_when_no_other_broker_responds() {
    let cluster = Cluster::new(|_| {});
    cluster.is_refusing.store(true, Ordering::SeqCst);
    let settings = ConnectionSettings { registry: cluster.registry.clone(), ..settings(LONG) };
    let mut client = Client::new(cluster.client.brokers.bootstrap().to_vec(), settings);
    client.metadata(vec![]).unwrap();
    let connected = cluster.take_connected();
    assert_eq!((connected.first(), connected.last()), (Some(&"other"), Some(&"bootstrap")), "{connected:?}");
}
