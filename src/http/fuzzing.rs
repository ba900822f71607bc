//! Heads of requests from anybody: no bytes make the parser fail, and what it accepts is within the rules.

use fuzzkit::{Target, within};

use super::host;
use super::request::{HEAD_BYTES_MAX, Head, parse};

pub(crate) const TARGET: Target = Target { name: "http_request", run: http_request, words: WORDS, tries: 3_000 };

const WORDS: &[&str] = &[
    "GET ",
    "HEAD ",
    "/metrics",
    " HTTP/1.1\r\n",
    " HTTP/1.0\r\n",
    "Host: ",
    "localhost",
    "[::1]:9464",
    "\r\n",
    "\r\n\r\n",
    "Authorization: Bearer ",
    "Content-Length: ",
    "0",
    "Transfer-Encoding: chunked",
];

fn http_request(input: &[u8]) -> bool {
    let received = input.get(..HEAD_BYTES_MAX).unwrap_or(input);
    let Head::Complete(request) = within(received.len() + 4096, || parse(received)) else { return false };
    assert!(request.path.starts_with('/') && !request.path.contains([' ', '\r', '\n', '?']), "{request:?}");
    if let Some(host) = request.host.filter(|host| host::is_trusted(host)) {
        assert!(host.is_ascii() && !host.contains(['/', ' ', '@']), "{host}");
    }
    true
}
