//! Fuzz targets: peers that send any bytes. A call ends without a panic, in memory bounded by the received bytes, and
//! with an error of one line.
//!
//! An input of `conversation` is everything that a peer sends; of `frame`, a length of four bytes and the bytes after
//! it, received in pieces.

use std::io::{self, Cursor, Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::LazyLock;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use fuzzkit::{Target, within};

use super::channel::{RECEIVE_STEP_BYTES, receive};
use super::settings::ConnectionSettings;
use super::{Connection, open_channel_in};
use crate::protocol::fuzzing::metadata;
use crate::protocol::{ApiVersionsRequest, Request};
use crate::stream::{Deadline, SetupStep};
use crate::types::Address;

/// Memory per byte of a response while it is received: its buffer doubles, and both exist while it is copied.
const FRAME_MEMORY_FACTOR: usize = 4;
/// Memory per byte of a response for its decoded values.
const MEMORY_FACTOR: usize = 32;
/// Memory for an empty response: the first step of its buffer, requests, errors.
const MEMORY_LEAST: usize = 2 * RECEIVE_STEP_BYTES + 32 * 1024;
/// Never reached: the peer closes the connection.
const LONG: Duration = Duration::from_mins(1);

pub(crate) const TARGETS: &[Target] = &[
    Target { name: "frame", run: frame, words: &[], tries: 4_000 },
    Target { name: "conversation", run: conversation, words: &["events"], tries: 500 },
];

/// Returns its bytes in pieces, as a network does.
struct Pieces<'a>(Cursor<&'a [u8]>);

impl Read for Pieces<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = into.len().min(1000);
        self.0.read(into.get_mut(..most).unwrap_or_default())
    }
}

fn frame(input: &[u8]) -> bool {
    let Some((announced, rest)) = input.split_first_chunk() else { return false };
    let announced = usize::try_from(u32::from_be_bytes(*announced)).unwrap_or(usize::MAX);
    let memory = rest.len() * FRAME_MEMORY_FACTOR + MEMORY_LEAST;
    let received = within(memory, || receive(&mut Pieces(Cursor::new(rest)), announced));
    match &received {
        Ok(received) => assert_eq!(Some(received.as_slice()), rest.get(..announced)),
        Err(error) => assert!(announced > rest.len() && error.kind() == io::ErrorKind::UnexpectedEof, "{error}"),
    }
    received.is_ok()
}

/// A port that sends the next bytes of the channel to its next connection.
static PEER: LazyLock<Option<(Address, Sender<Vec<u8>>)>> = LazyLock::new(|| {
    let listener = TcpListener::bind("127.0.0.1:0").ok()?;
    let port = listener.local_addr().ok()?.port();
    let (inputs, next) = mpsc::channel::<Vec<u8>>();
    thread::spawn(move || {
        for bytes in next {
            if let Ok((mut stream, _)) = listener.accept() {
                let _ = stream.write_all(&bytes);
                let _ = stream.shutdown(std::net::Shutdown::Write);
                read_to_end(stream);
            }
        }
    });
    Some((Address { host: "127.0.0.1".to_owned(), port }, inputs))
});

/// Reads the client's bytes, because an unread byte would reset the connection and drop the peer's.
fn read_to_end(mut stream: TcpStream) {
    let _ = io::copy(&mut stream, &mut io::sink());
}

fn conversation(input: &[u8]) -> bool {
    let Some((address, inputs)) = &*PEER else { return false };
    if inputs.send(input.to_vec()).is_err() {
        return false;
    }
    let settings = ConnectionSettings { connect_timeout: LONG, request_timeout: LONG, ..ConnectionSettings::default() };
    let outcome = within(input.len() * MEMORY_FACTOR + MEMORY_LEAST, || {
        // On one connection: the peer accepts only one.
        let (_, latest) = ApiVersionsRequest::VERSIONS;
        let (deadline, step) = (Deadline::after(LONG), SetupStep::default());
        let channel = open_channel_in(latest, address, &settings, &settings.security.current(), &deadline, &step)?;
        Connection { channel, reauthenticate_at: None }.call(&metadata())
    });
    match &outcome {
        Ok(metadata) => assert_eq!(metadata.topics.len(), 1),
        Err(error) => assert!(!error.to_string().contains(char::is_control), "{error}"),
    }
    outcome.is_ok()
}
