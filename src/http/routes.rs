//! What is answered to a request. Must not know sockets.

use std::sync::Arc;
use std::time::Instant;

use serde_json::json;

use super::host;
use super::page;
use super::request::{Method, Refusal, Request};
use super::response::{HTML, JSON, Response};
use crate::observability::{self, Metrics, Status};
use crate::runtime::json::printable;
use crate::runtime::shared_secret::SharedSecret;
use crate::runtime::shutdown::Stop;

/// What answers are made of.
#[derive(Clone, Debug)]
pub struct Context {
    /// What the service has published.
    pub metrics: Arc<Metrics>,
    /// Whether the service is stopping.
    pub stop: Stop,
    /// The token that requests must have.
    pub token: SharedSecret,
    /// Whether payloads and texts of errors are shown.
    pub shows_texts: bool,
    /// Whether the `Host` header is checked: of TCP without a token.
    pub checks_host: bool,
}

/// The paths, as the metric of requests names them.
const PATHS: [&str; 5] = ["/", "/healthz", "/readyz", "/metrics", "/status.json"];

impl Context {
    /// The answer on the wire.
    pub(super) fn answer(&self, request: &Request) -> Vec<u8> {
        let response = self.respond(request);
        let path = PATHS.into_iter().find(|path| *path == request.path).unwrap_or("other");
        self.metrics.note_http_request(path, response.code);
        response.encode(request.method == Method::Get)
    }

    /// The answer to what is no request of this server.
    pub(super) fn refuse(&self, refusal: Refusal) -> Vec<u8> {
        let (code, text) = match refusal {
            Refusal::Malformed => (400, "not an HTTP/1.1 request"),
            Refusal::TooLarge => (431, "the head of the request has more than 8 KiB or 32 headers"),
            Refusal::Body => (413, "the request has a body"),
            Refusal::Method => (405, "allowed: GET, HEAD"),
        };
        self.give_up(code, text)
    }

    /// An answer without a request.
    pub(super) fn give_up(&self, code: u16, text: &str) -> Vec<u8> {
        self.metrics.note_http_request("other", code);
        Response::text(code, text).encode(true)
    }

    fn respond(&self, request: &Request) -> Response {
        if self.checks_host && !request.host.as_deref().is_none_or(host::is_trusted) {
            let text = "the Host header has a public name: use an IP address, or set HTTP_TOKEN_FILE";
            return Response::text(421, text);
        }
        match request.path.as_str() {
            // Probes of Kubernetes cannot have a token; both answers hold fixed texts only.
            "/healthz" => self.health(),
            "/readyz" => self.readiness(),
            _ if !self.is_authorized(request) => {
                Response::text(401, "the token of HTTP_TOKEN_FILE is missing or wrong")
            }
            "/" => self.page(),
            "/metrics" => self.metrics(),
            "/status.json" => self.status(),
            _ => Response::text(404, "no such path; / links to all of them"),
        }
    }

    fn is_authorized(&self, request: &Request) -> bool {
        let Some(expected) = self.token.current() else { return true };
        request.token.as_deref().is_some_and(|given| are_equal(given.as_bytes(), expected.expose().as_bytes()))
    }

    fn health(&self) -> Response {
        let late: Vec<&str> = self.metrics.stages.late(Instant::now()).collect();
        let code = if late.is_empty() { 200 } else { 503 };
        json_response(code, &json!({ "live": late.is_empty(), "late_stages": late }))
    }

    fn readiness(&self) -> Response {
        let health = observability::readiness(&self.metrics, self.stop.is_requested(), Instant::now());
        let code = if health.is_ready() { 200 } else { 503 };
        json_response(code, &json!({ "ready": health.is_ready(), "reasons": health.reasons }))
    }

    fn metrics(&self) -> Response {
        let families = observability::collect(&self.metrics, self.stop.is_requested(), Instant::now());
        Response::new(200, observability::CONTENT_TYPE, observability::encode(&families))
    }

    fn status(&self) -> Response {
        json_response(200, &observability::report(&self.status_at(Instant::now())))
    }

    fn page(&self) -> Response {
        let now = Instant::now();
        let body = page::render(&self.status_at(now), &self.metrics.lag_history, now);
        let content_security_policy = page::CONTENT_SECURITY_POLICY.as_str();
        Response { code: 200, content_type: HTML, content_security_policy, body }
    }

    fn status_at(&self, now: Instant) -> Status {
        Status::of(&self.metrics, self.stop.is_requested(), self.shows_texts, now)
    }
}

fn json_response(code: u16, json: &serde_json::Value) -> Response {
    let text = printable(format!("{json:#}\n").into_bytes());
    // Escaped text is UTF-8.
    Response::new(code, JSON, String::from_utf8(text).unwrap_or_default())
}

/// Compares in a time that depends on the lengths only, so that a token cannot be guessed byte by byte.
fn are_equal(given: &[u8], expected: &[u8]) -> bool {
    let differences = given.iter().zip(expected).fold(0, |differences, (a, b)| differences | (a ^ b));
    given.len() == expected.len() && std::hint::black_box(differences) == 0
}
