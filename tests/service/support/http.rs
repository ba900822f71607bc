//! Requests to a service whose HTTP server listens at a Unix socket.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::process::WAIT_MAX;

/// Status code and body of an answer to a request with this token; `None` if nothing listens.
pub fn get(socket: &Path, path: &str, token: &str) -> Option<(u16, String)> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    Some((head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned()))
}

/// The value of the metric `enterprise_consumer_…`, with its labels; `None` if there is no such series.
pub fn metric(socket: &Path, name: &str) -> Option<f64> {
    let (_, text) = get(socket, "/metrics", "none")?;
    let name = format!("enterprise_consumer_{name} ");
    text.lines().find_map(|line| line.strip_prefix(&name)).map(|value| value.parse().unwrap())
}
