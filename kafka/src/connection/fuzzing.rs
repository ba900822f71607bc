//! Peers that say anything. Whatever it is, a connection comes to an end of its own, without a panic, in memory that the bytes
//! which came bound, and with an error of one line.
//!
//! An input of `conversation` is all that a peer sends from its first byte on; of `frame`, a length of four bytes, and what
//! comes behind it, in pieces.

use std::io::{Cursor, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::LazyLock;
use std::sync::mpsc::{self, Sender};
use std::thread;

use fuzzkit::{Target, within};

use super::*;
use crate::protocol::fuzzing::metadata;

/// Memory for a response while it comes, per byte: its buffer doubles, and is there twice meanwhile.
const FRAME_MEMORY_FACTOR: usize = 4;
/// Memory for what is made of a response, per byte.
const MEMORY_FACTOR: usize = 32;
/// Memory that needs no bytes: the first step of a response, requests, errors.
const MEMORY_LEAST: usize = 2 * RECEIVE_STEP_BYTES + 32 * 1024;
/// Never waited for: the peer hangs up.
const LONG: Duration = Duration::from_mins(1);

pub(crate) const TARGETS: &[Target] = &[
    Target { name: "frame", run: frame, words: &[], tries: 4_000 },
    Target { name: "conversation", run: conversation, words: &["events"], tries: 500 },
];

/// Gives its bytes in pieces, as a network does.
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

/// A port on which the next connection is told what is sent here first.
static PEER: LazyLock<Option<(Address, Sender<Vec<u8>>)>> = LazyLock::new(|| {
    let listener = TcpListener::bind("127.0.0.1:0").ok()?;
    let port = listener.local_addr().ok()?.port();
    let (tell, told) = mpsc::channel::<Vec<u8>>();
    thread::spawn(move || {
        for bytes in told {
            if let Ok((mut stream, _)) = listener.accept() {
                let _ = stream.write_all(&bytes);
                let _ = stream.shutdown(std::net::Shutdown::Write);
                until_closed(stream);
            }
        }
    });
    Some((Address { host: "127.0.0.1".to_owned(), port }, tell))
});

/// Takes what the other side still says, so that nothing of ours is lost on its way there.
fn until_closed(mut stream: TcpStream) {
    let _ = io::copy(&mut stream, &mut io::sink());
}

fn conversation(input: &[u8]) -> bool {
    let Some((address, tell)) = &*PEER else { return false };
    if tell.send(input.to_vec()).is_err() {
        return false;
    }
    let settings = ConnectionSettings { connect_timeout: LONG, request_timeout: LONG, ..ConnectionSettings::default() };
    let outcome = within(input.len() * MEMORY_FACTOR + MEMORY_LEAST, || {
        // On one connection: the peer takes no other one.
        let (_, latest) = ApiVersionsRequest::VERSIONS;
        let (deadline, step) = (Deadline::after(LONG), SetupStep::default());
        let mut connection = Connection::negotiated(address, &settings, latest, &deadline, &step)?;
        connection.call(&metadata())
    });
    match &outcome {
        Ok(metadata) => assert_eq!(metadata.topics.len(), 1),
        Err(error) => assert!(!error.to_string().contains(char::is_control), "{error}"),
    }
    outcome.is_ok()
}
