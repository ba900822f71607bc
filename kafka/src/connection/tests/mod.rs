//! Connections to fake brokers that violate the protocol, over real sockets.

mod kept;
mod sasl;
mod versions;

use std::io::{self, Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiVersionsResponse, MetadataResponse, ResponseHeader};
use kafka_protocol::protocol::{Encodable, HeaderVersion};

use super::authentication::DUE_AFTER_MIN;
use super::channel::{IDLE_MAX, RECEIVE_STEP_BYTES, receive};
use super::{Connection, ConnectionSettings};
use crate::error::{Error, ErrorCode};
use crate::protocol::{FetchRequest, MetadataRequest};
use crate::security::Security;
use crate::types::{Address, IsolationLevel};

const RECEIVE_BYTES_MAX: u32 = 1024 * 1024;
/// The timeout for peers that respond: never reached.
pub(crate) const LONG: Duration = Duration::from_mins(1);
/// The timeout for peers that do not respond.
const SHORT: Duration = Duration::from_millis(50);

pub(crate) const METADATA: i16 = 3;
const API_VERSIONS: i16 = 18;

pub(crate) fn settings(request_timeout: Duration) -> ConnectionSettings {
    ConnectionSettings {
        client_id: "client".to_owned(),
        connect_timeout: LONG,
        request_timeout,
        receive_bytes_max: RECEIVE_BYTES_MAX,
        ..ConnectionSettings::default()
    }
}

/// The other end of a connection.
pub(crate) struct Peer(TcpStream);

impl Peer {
    /// The next request; `None` after the last one.
    fn receive(&mut self) -> Option<Vec<u8>> {
        testkit::read_frame(&mut self.0).ok()
    }

    /// API key, version and correlation id of the next request; `None` after the last one.
    pub(crate) fn request(&mut self) -> Option<(i16, i16, i32)> {
        let request = self.receive()?;
        let short = |at: usize| i16::from_be_bytes(request[at..at + 2].try_into().unwrap());
        Some((short(0), short(2), i32::from_be_bytes(request[4..8].try_into().unwrap())))
    }

    fn send(&mut self, bytes: &[u8]) {
        // The client may have closed the connection already, as it should after most violations.
        let _ = self.0.write_all(bytes);
    }

    pub(crate) fn send_response<M: Encodable + HeaderVersion>(
        &mut self,
        message: &M,
        version: i16,
        correlation_id: i32,
    ) {
        let mut bytes = BytesMut::new();
        let header = ResponseHeader::default().with_correlation_id(correlation_id);
        header.encode(&mut bytes, M::header_version(version)).unwrap();
        message.encode(&mut bytes, version).unwrap();
        self.send(&testkit::frame(&bytes));
    }

    /// Responds to `ApiVersions`, the first request of a connection.
    pub(crate) fn negotiate(&mut self, ranges: &[(i16, i16, i16)]) {
        let (key, version, correlation_id) = self.request().unwrap();
        assert_eq!((key, version), (API_VERSIONS, 4));
        self.send_response(&versions(ranges), version, correlation_id);
    }
}

fn versions(ranges: &[(i16, i16, i16)]) -> ApiVersionsResponse {
    let range =
        |&(key, low, high)| ApiVersion::default().with_api_key(key).with_min_version(low).with_max_version(high);
    ApiVersionsResponse::default().with_api_keys(ranges.iter().map(range).collect())
}

/// Accepts one connection.
fn peer(behave: impl FnOnce(&mut Peer) + Send + 'static) -> (Address, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address { host: "127.0.0.1".to_owned(), port: listener.local_addr().unwrap().port() };
    let thread = thread::spawn(move || behave(&mut Peer(listener.accept().unwrap().0)));
    (address, thread)
}

/// Accepts connections until the test ends. `behave` gets each one with its number, from 0; its end closes the
/// connection. The receiver gets the number of each connection.
pub(crate) fn broker(behave: impl Fn(usize, &mut Peer) + Send + Sync + 'static) -> (Address, Receiver<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address { host: "127.0.0.1".to_owned(), port: listener.local_addr().unwrap().port() };
    let (accepted, connections) = channel();
    let behave = Arc::new(behave);
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let (mut peer, behave) = (Peer(stream.unwrap()), Arc::clone(&behave));
            // Not every test counts them.
            let _ = accepted.send(number);
            thread::spawn(move || behave(number, &mut peer));
        }
    });
    (address, connections)
}

fn metadata() -> MetadataRequest {
    MetadataRequest { topics: Vec::new() }
}

/// The error of a request to which the peer responds with `behave`; the connection is closed afterwards.
fn fault(request_timeout: Duration, behave: impl FnOnce(&mut Peer, i32) + Send + 'static) -> Error {
    let (address, thread) = peer(move |peer| {
        peer.negotiate(&[(METADATA, 0, 13)]);
        let (_, _, correlation_id) = peer.request().unwrap();
        behave(peer, correlation_id);
    });
    let mut connection = Connection::open(&address, &settings(request_timeout)).unwrap();
    let error = connection.call(&metadata()).unwrap_err();
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    assert!(matches!(connection.call(&metadata()), Err(Error::Disconnected { request: "Metadata", .. })));
    drop(connection);
    thread.join().unwrap();
    error
}

#[test]
fn a_valid_response() {
    let (address, thread) = peer(|peer| {
        peer.negotiate(&[(METADATA, 0, 12)]);
        let (key, version, correlation_id) = peer.request().unwrap();
        assert_eq!((key, version), (METADATA, 12));
        peer.send_response(&MetadataResponse::default().with_cluster_id(Some("c".into())), version, correlation_id);
    });
    let mut connection = Connection::open(&address, &settings(LONG)).unwrap();
    assert_eq!(connection.call(&metadata()).unwrap().cluster_id.as_deref(), Some("c"));
    thread.join().unwrap();
}

#[test]
fn invalid_lengths() {
    let error = fault(LONG, |peer, _| peer.send(&i32::MAX.to_be_bytes()));
    let Error::ResponseTooLarge { request: "Metadata", bytes, limit_bytes, .. } = error else { panic!("{error:?}") };
    assert_eq!((bytes, limit_bytes), (0x7fff_ffff, RECEIVE_BYTES_MAX.into()));

    let error = fault(LONG, |peer, _| peer.send(&(RECEIVE_BYTES_MAX + 1).to_be_bytes()));
    assert!(matches!(error, Error::ResponseTooLarge { .. }), "{error:?}");

    let error = fault(LONG, |peer, _| peer.send(&(-1i32).to_be_bytes()));
    let Error::Malformed { detail, .. } = error else { panic!("{error:?}") };
    assert_eq!(detail, "length -1");

    let error = fault(LONG, |peer, _| peer.send(&[0, 0, 0, 2, 0, 0]));
    assert!(matches!(error, Error::Malformed { .. }), "{error:?}");
}

#[test]
fn another_protocol() {
    let error = fault(LONG, |peer, _| peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
    assert!(matches!(error, Error::ResponseTooLarge { .. }), "{error:?}");
    let error = fault(LONG, |peer, id| peer.send(&[&[0, 0, 0, 12], &id.to_be_bytes()[..], &[0xff; 8]].concat()));
    assert!(matches!(error, Error::Malformed { .. }), "{error:?}");
}

#[test]
fn a_response_to_another_request() {
    let error = fault(LONG, |peer, id| peer.send_response(&MetadataResponse::default(), 13, id - 1));
    let Error::Malformed { detail, .. } = error else { panic!("{error:?}") };
    assert!(detail.contains("correlation id 1 instead of 2"), "{detail}");
}

#[test]
fn a_connection_that_is_closed() {
    for sent in [&[][..], &[0, 0], &[0, 0, 0, 100], &[0, 0, 0, 100, 1, 2, 3]] {
        let error = fault(LONG, |peer, _| peer.send(sent));
        let Error::Disconnected { request: "Metadata", source, .. } = error else { panic!("{error:?}") };
        assert_eq!(source.kind(), io::ErrorKind::UnexpectedEof);
    }
}

#[test]
fn no_response() {
    for sent in [&[][..], &[0, 0, 0, 100, 1]] {
        // The peer waits until the client closes the connection.
        let error = fault(SHORT, |peer, _| {
            peer.send(sent);
            assert_eq!(peer.request(), None);
        });
        let Error::TimedOut { request: "Metadata", waited: SHORT, .. } = error else { panic!("{error:?}") };
    }
}

#[test]
fn a_slow_response_ends_at_the_deadline() {
    let error = fault(SHORT, |peer, _| {
        peer.send(&RECEIVE_BYTES_MAX.to_be_bytes());
        while peer.0.write_all(&[0]).is_ok() {
            thread::sleep(SHORT / 10);
        }
    });
    assert!(matches!(error, Error::TimedOut { waited: SHORT, .. }), "{error:?}");
}

#[test]
fn the_deadline_allows_for_the_brokers_own_wait() {
    let (address, thread) = peer(|peer| {
        peer.negotiate(&[(1, 4, 17)]);
        peer.request().unwrap();
        assert_eq!(peer.request(), None);
    });
    let request = FetchRequest {
        isolation: IsolationLevel::ReadCommitted,
        max_wait: SHORT * 2,
        min_bytes: 1,
        max_bytes: 1,
        rack: None,
        partitions: Vec::new(),
    };
    let error = Connection::open(&address, &settings(SHORT)).unwrap().call(&request).unwrap_err();
    let Error::TimedOut { request: "Fetch", waited, .. } = error else { panic!("{error:?}") };
    assert_eq!(waited, SHORT * 3);
    thread.join().unwrap();
}

#[test]
fn memory_grows_with_the_received_bytes() {
    /// Reads as zeros; keeps the largest read.
    struct Zeros {
        left: usize,
        read_max: usize,
    }
    impl Read for Zeros {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.read_max = self.read_max.max(buffer.len());
            let count = buffer.len().min(self.left);
            buffer[..count].fill(0);
            self.left -= count;
            Ok(count)
        }
    }
    const ANNOUNCED: usize = 100 * 1024 * 1024;
    let check = |left, read_max| {
        let mut zeros = Zeros { left, read_max: 0 };
        let error = receive(&mut zeros, ANNOUNCED).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert!(zeros.read_max <= read_max, "a read of {} bytes after {left}", zeros.read_max);
    };
    check(0, RECEIVE_STEP_BYTES);
    check(RECEIVE_STEP_BYTES, RECEIVE_STEP_BYTES);
    check(10 * RECEIVE_STEP_BYTES, 8 * RECEIVE_STEP_BYTES);

    let whole = receive(&mut Zeros { left: ANNOUNCED, read_max: 0 }, 1_000_000).unwrap();
    assert_eq!((whole.len(), whole.capacity()), (1_000_000, 1_000_000));
}

#[test]
fn a_refusal_leaves_the_connection_usable() {
    let (address, thread) = peer(|peer| {
        peer.negotiate(&[(METADATA, 0, 13)]);
        for error in [41, 0] {
            let (_, version, correlation_id) = peer.request().unwrap();
            peer.send_response(&MetadataResponse::default().with_error_code(error), version, correlation_id);
        }
    });
    let mut connection = Connection::open(&address, &settings(LONG)).unwrap();
    assert!(matches!(connection.call(&metadata()), Err(Error::Broker { code: ErrorCode(41), .. })));
    connection.call(&metadata()).unwrap();
    thread.join().unwrap();
}

#[test]
fn no_common_version() {
    for (theirs, ranges) in
        [(Some((0, 3)), &[(METADATA, 0, 3)][..]), (Some((14, 20)), &[(METADATA, 14, 20)]), (None, &[])]
    {
        let (address, thread) = peer(move |peer| peer.negotiate(ranges));
        let error = Connection::open(&address, &settings(LONG)).unwrap().call(&metadata()).unwrap_err();
        let Error::UnsupportedVersion { request: "Metadata", ours: (4, 13), theirs: found, .. } = error else {
            panic!("{error:?}")
        };
        assert_eq!(found, theirs);
        thread.join().unwrap();
    }
}

#[test]
fn a_broker_that_supports_only_old_versions_of_api_versions() {
    for (known, expected) in [(vec![(API_VERSIONS, 0, 2)], 2), (vec![], 0)] {
        let (address, thread) = peer(move |peer| {
            let (_, version, correlation_id) = peer.request().unwrap();
            assert_eq!(version, 4);
            peer.send_response(&versions(&known).with_error_code(35), 0, correlation_id);
            let (key, version, correlation_id) = peer.request().unwrap();
            assert_eq!((key, version), (API_VERSIONS, expected));
            peer.send_response(&versions(&[(METADATA, 0, 8)]), version, correlation_id);
            let (key, version, correlation_id) = peer.request().unwrap();
            assert_eq!((key, version), (METADATA, 8));
            peer.send_response(&MetadataResponse::default(), version, correlation_id);
        });
        Connection::open(&address, &settings(LONG)).unwrap().call(&metadata()).unwrap();
        thread.join().unwrap();
    }
}

#[test]
fn a_broker_that_supports_no_version_of_api_versions() {
    let (address, thread) = peer(|peer| {
        for _ in 0..2 {
            let (_, _, correlation_id) = peer.request().unwrap();
            peer.send_response(&versions(&[(API_VERSIONS, 7, 9)]).with_error_code(35), 0, correlation_id);
        }
    });
    let error = Connection::open(&address, &settings(LONG)).unwrap_err();
    assert!(
        matches!(error, Error::UnsupportedVersion { request: "ApiVersions", theirs: Some((7, 9)), .. }),
        "{error:?}"
    );
    thread.join().unwrap();
}

#[test]
fn no_response_to_api_versions_within_the_connect_timeout() {
    let (address, thread) = peer(|peer| while peer.request().is_some() {});
    let settings = ConnectionSettings { connect_timeout: SHORT, ..settings(LONG) };
    let error = Connection::open(&address, &settings).unwrap_err();
    assert!(matches!(error, Error::TimedOut { request: "ApiVersions", waited: SHORT, .. }), "{error:?}");
    thread.join().unwrap();
}

#[test]
fn no_broker_at_the_address() {
    // Nothing listens on port 1 (tcpmux).
    let address = Address { host: "127.0.0.1".to_owned(), port: 1 };
    assert!(matches!(Connection::open(&address, &settings(LONG)), Err(Error::Connect { .. })));
    // A name with a zero byte is refused without a resolver.
    let address = Address { host: "a\0b".to_owned(), port: 9092 };
    assert!(matches!(Connection::open(&address, &settings(LONG)), Err(Error::Resolve { .. })));
}

#[test]
fn every_address_of_a_name_is_tried() {
    // "localhost" often has an IPv6 address in front of this one, on which nothing listens.
    let (address, thread) = peer(|peer| peer.negotiate(&[]));
    let address = Address { host: "localhost".to_owned(), ..address };
    Connection::open(&address, &settings(LONG)).unwrap();
    thread.join().unwrap();
}
