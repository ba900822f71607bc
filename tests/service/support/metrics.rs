//! The metrics of a service whose HTTP server listens at a Unix socket.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::process::WAIT_MAX;

/// The value of `enterprise_consumer_…`, with its labels; `None` if nothing listens, or there is no such series.
pub fn metric(socket: &Path, name: &str) -> Option<f64> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let name = format!("enterprise_consumer_{name} ");
    answer.lines().find_map(|line| line.strip_prefix(&name)).map(|value| value.parse().unwrap())
}
