//! The client against fake brokers that do what real ones do too seldom: close an idle connection, hang.

use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use bytes::BytesMut;
use kafka::{Address, Client, ConnectionSettings, Error};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiVersionsResponse, MetadataResponse, ResponseHeader};
use kafka_protocol::protocol::{Encodable, HeaderVersion};

const API_VERSIONS: i16 = 18;
const METADATA: i16 = 3;

/// Responds to this many requests on each connection after `ApiVersions`, then closes it; sends a message for each
/// connection.
fn broker(requests: usize) -> (Address, Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address { host: "127.0.0.1".to_owned(), port: listener.local_addr().unwrap().port() };
    let (connections, seen) = channel();
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept()
            && connections.send(()).is_ok()
        {
            for _ in 0..=requests {
                if serve(&mut stream).is_err() {
                    break;
                }
            }
        }
    });
    (address, seen)
}

fn serve(stream: &mut TcpStream) -> io::Result<()> {
    let request = testkit::read_frame(stream)?;
    let version = i16::from_be_bytes(request[2..4].try_into().unwrap());
    let id = i32::from_be_bytes(request[4..8].try_into().unwrap());
    match i16::from_be_bytes(request[..2].try_into().unwrap()) {
        API_VERSIONS => {
            let metadata = ApiVersion::default().with_api_key(METADATA).with_min_version(4).with_max_version(12);
            respond(stream, &ApiVersionsResponse::default().with_api_keys(vec![metadata]), version, id)
        }
        METADATA => respond(stream, &MetadataResponse::default().with_cluster_id(Some("c".into())), version, id),
        other => panic!("request {other}"),
    }
}

fn respond<M: Encodable + HeaderVersion>(stream: &mut TcpStream, message: &M, version: i16, id: i32) -> io::Result<()> {
    let mut bytes = BytesMut::new();
    let header = ResponseHeader::default().with_correlation_id(id);
    header.encode(&mut bytes, M::header_version(version)).unwrap();
    message.encode(&mut bytes, version).unwrap();
    stream.write_all(&testkit::frame(&bytes))
}

/// Accepts connections and sends nothing.
fn silent_broker() -> (Address, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    (Address { host: "127.0.0.1".to_owned(), port: listener.local_addr().unwrap().port() }, listener)
}

#[test]
fn a_connection_that_was_closed_while_idle_is_no_failure() {
    let (address, connections) = broker(2);
    let mut client = Client::new(vec![address], ConnectionSettings::default());
    for expected in [1, 0, 1, 0, 1] {
        assert_eq!(client.metadata(vec![]).unwrap().cluster_id.as_deref(), Some("c"));
        assert_eq!(connections.try_iter().count(), expected, "new connections");
    }
}

#[test]
fn a_broker_that_closes_every_connection_is_a_failure_after_one_attempt() {
    let (address, connections) = broker(0);
    let mut client = Client::new(vec![address.clone(), address], ConnectionSettings::default());
    let error = client.metadata(vec![]).unwrap_err();
    assert!(matches!(error, Error::Disconnected { request: "Metadata", .. }), "{error}");
    assert_eq!(connections.try_iter().count(), 1, "an address was tried twice");
}

#[test]
fn a_broker_that_hangs_is_skipped_once_another_has_responded() {
    let (silent, listener) = silent_broker();
    let (address, _connections) = broker(10);
    let settings = ConnectionSettings { connect_timeout: Duration::from_millis(200), ..ConnectionSettings::default() };
    let mut client = Client::new(vec![silent, address], settings);
    client.metadata(vec![]).unwrap();
    drop(listener.accept().unwrap());
    for _ in 0..3 {
        client.metadata(vec![]).unwrap();
    }
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock, "it was tried again");
}
