//! Kept connections, and brokers or load balancers that close them.

use super::*;
use crate::link::Link;

const FETCH: i16 = 1;
/// Longer than the shortest idle timeout.
const IDLE_LIMIT: Duration = Duration::from_millis(1100);

/// Responds to one request for metadata.
fn serve(peer: &mut Peer) {
    let (key, version, id) = peer.request().unwrap();
    assert_eq!(key, METADATA);
    peer.send_response(&MetadataResponse::default(), version, id);
}

#[test]
fn a_connection_that_was_closed_while_idle_is_opened_again() {
    /// How the idle connection ends, or the next request on it.
    const ENDS: [fn(&mut Peer); 4] = [
        |_| {},
        // A load balancer that sends HTTP.
        |peer| peer.send(b"HTTP/1.1 408 Request Time-out\r\nConnection: close\r\n\r\n"),
        // The next request has no response.
        |peer| drop(peer.receive()),
        // The response is incomplete.
        |peer| {
            drop(peer.receive());
            peer.send(&[0, 0, 0, 100, 1]);
        },
    ];
    for (index, end) in ENDS.into_iter().enumerate() {
        let (closed, is_closed) = channel();
        let (address, connections) = broker(move |number, peer| {
            peer.negotiate(&[(METADATA, 0, 12)]);
            serve(peer);
            if number == 0 {
                // The first two end before the client's next request; the others wait for it.
                if index >= 2 {
                    closed.send(()).unwrap();
                }
                end(peer);
                peer.0.shutdown(std::net::Shutdown::Both).unwrap();
                let _ = closed.send(());
            }
        });
        let mut link = Link::new(address, settings(LONG));
        link.call(&metadata()).unwrap();
        is_closed.recv().unwrap();
        link.call(&metadata()).unwrap();
        assert_eq!(connections.try_iter().count(), 2, "{index}");
    }
}

#[test]
fn a_connection_that_was_idle_for_minutes_is_not_used() {
    let (address, _connections) = broker(|_, peer| {
        peer.negotiate(&[(METADATA, 0, 12)]);
        assert_eq!(peer.receive(), None);
    });
    let mut connection = Connection::open(&address, &settings(LONG)).unwrap();
    let now = Instant::now();
    assert!(connection.is_usable(now));
    assert!(!connection.is_usable(now + IDLE_MAX), "a load balancer may have dropped it silently");
    assert!(connection.is_usable(now));
}

fn fetch(max_wait: Duration) -> FetchRequest {
    let isolation = IsolationLevel::ReadCommitted;
    FetchRequest { isolation, max_wait, min_bytes: 1, max_bytes: 1, rack: None, partitions: Vec::new() }
}

#[test]
fn a_connection_that_is_closed_while_the_broker_delays_the_response_is_opened_again() {
    let (address, connections) = broker(|number, peer| {
        peer.negotiate(&[(FETCH, 4, 11)]);
        let (_, version, id) = peer.request().unwrap();
        if number < 2 {
            thread::sleep(IDLE_LIMIT);
        } else {
            peer.send_response(&kafka_protocol::messages::FetchResponse::default(), version, id);
        }
    });
    Link::new(address, settings(LONG)).call(&fetch(LONG)).unwrap();
    assert_eq!(connections.try_iter().count(), 3);
}

#[test]
fn a_new_connection_that_is_closed_at_once_is_a_failure() {
    let (address, connections) = broker(|_, peer| {
        peer.negotiate(&[(FETCH, 4, 11)]);
        assert!(peer.request().is_some());
    });
    let error = Link::new(address, settings(LONG)).call(&fetch(LONG)).unwrap_err();
    assert!(matches!(error, Error::Disconnected { request: "Fetch", .. }), "{error:?}");
    assert_eq!(connections.try_iter().count(), 1);
}
