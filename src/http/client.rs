//! One request to a server of this program, within a time limit. Must not know what the answer means.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::error::HttpError;
use crate::settings::HttpListen;

/// The largest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub code: u16,
    /// The body.
    pub body: String,
}

/// Requests a path; the whole takes at most `time_max`.
pub fn get(listen: &HttpListen, path: &str, time_max: Duration) -> Result<Answer, HttpError> {
    let failed = |source| HttpError::Request { listen: listen.to_string(), source };
    exchange(&listen.to_connect(), path, Instant::now() + time_max).map_err(failed)
}

fn exchange(listen: &HttpListen, path: &str, deadline: Instant) -> io::Result<Answer> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let bytes = match listen {
        HttpListen::Tcp(address) => {
            let mut stream = TcpStream::connect_timeout(address, remaining(deadline)?)?;
            stream.set_write_timeout(Some(remaining(deadline)?))?;
            stream.write_all(request.as_bytes())?;
            receive(&mut stream, deadline, TcpStream::set_read_timeout)?
        }
        HttpListen::Unix(path) => {
            let mut stream = UnixStream::connect(path)?;
            stream.set_write_timeout(Some(remaining(deadline)?))?;
            stream.write_all(request.as_bytes())?;
            receive(&mut stream, deadline, UnixStream::set_read_timeout)?
        }
    };
    parse(&bytes).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP"))
}

fn receive<S: Read>(
    stream: &mut S,
    deadline: Instant,
    set_timeout: impl Fn(&S, Option<Duration>) -> io::Result<()>,
) -> io::Result<Vec<u8>> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        set_timeout(stream, Some(remaining(deadline)?))?;
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(bytes),
            Ok(received) => bytes.extend_from_slice(buffer.get(..received).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(io::ErrorKind::TimedOut.into()),
            Err(error) => return Err(error),
        }
        if bytes.len() > ANSWER_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
    }
}

fn remaining(deadline: Instant) -> io::Result<Duration> {
    let remaining = deadline.saturating_duration_since(Instant::now());
    if remaining.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(remaining) }
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head_bytes) = response.parse(bytes).ok()? else { return None };
    let body = String::from_utf8_lossy(bytes.get(head_bytes..)?).into_owned();
    Some(Answer { code: response.code?, body })
}
