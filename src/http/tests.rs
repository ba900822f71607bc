//! The server over real sockets: what it answers, and what slow, greedy and hostile clients get.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka::Secret;

use super::{Context, Server};
use crate::observability::{Description, Metrics};
use crate::runtime::shared_secret::SharedSecret;
use crate::runtime::shutdown::Stop;
use crate::settings::{HttpListen, HttpSettings, Settings};

const WAIT_MAX: Duration = Duration::from_secs(30);

struct Running {
    address: SocketAddr,
    metrics: Arc<Metrics>,
    stop: Stop,
}

fn settings() -> Settings {
    Settings::load(Vec::new(), None).unwrap()
}

fn start(token: Option<&str>) -> Running {
    let settings = settings();
    let metrics = Arc::new(Metrics::new(Description::of(&settings)));
    let listen = HttpListen::Tcp("127.0.0.1:0".parse().unwrap());
    let server = Server::bind(&listen, &settings.http).unwrap();
    let (address, stop) = (server.address(), Stop::manual());
    let token = token.map(Secret::new);
    let context = Context {
        metrics: Arc::clone(&metrics),
        stop: stop.clone(),
        checks_host: token.is_none(),
        token: SharedSecret::new(token),
        shows_texts: false,
    };
    server.start(context).unwrap();
    Running { address, metrics, stop }
}

impl Running {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
        stream
    }

    /// Sends bytes; returns the whole answer.
    fn send(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        stream.write_all(bytes).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn get(&self, path: &str, headers: &str) -> (u16, String) {
        let answer = self.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").as_bytes());
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
        (code(&answer), body.to_owned())
    }
}

fn code(answer: &str) -> u16 {
    answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.split(' ').next()?.parse().ok()).unwrap_or_else(|| {
        panic!("{answer:?}");
    })
}

#[test]
fn each_path_is_answered_from_what_was_published() {
    let running = start(None);
    let (code, body) = running.get("/healthz", "");
    assert_eq!((code, body.contains("\"live\": true")), (200, true), "{body}");
    running.metrics.stages.writer.work(Duration::ZERO);
    std::thread::sleep(Duration::from_millis(20));
    let (code, body) = running.get("/healthz", "");
    assert_eq!((code, body.contains("\"writer\"")), (503, true), "{body}");
    running.metrics.stages.writer.wait(Duration::ZERO);
    assert_eq!(running.get("/healthz", "").0, 200);

    let (code, body) = running.get("/readyz", "");
    assert_eq!((code, body.contains("the database is not open")), (503, true), "{body}");
    running.stop.request();
    assert!(running.get("/readyz?verbose", "").1.contains("the service is stopping"));

    let (code, body) = running.get("/metrics", "");
    assert_eq!(code, 200);
    assert!(body.contains("\nenterprise_consumer_live 1\n"), "{body}");
    let counted = "\nenterprise_consumer_http_requests_total{path=\"/healthz\",code=\"503\"} 1\n";
    assert!(body.contains(counted), "{body}");
    let (code, body) = running.get("/status.json", "");
    let status: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((code, &status["ready"], &status["live"]), (200, &false.into(), &true.into()));
    assert_eq!(status.get("last_problem"), None, "only with HTTP_SAMPLES");
    let (code, body) = running.get("/", "");
    assert_eq!((code, body.contains("the database is not open")), (200, true), "{body}");
    assert_eq!(running.get("/metrics/", "").0, 404);
}

#[test]
fn head_has_the_headers_of_get_and_no_body() {
    let running = start(None);
    let answer = running.send(b"HEAD /status.json HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!((code(&answer), body), (200, ""));
    assert!(head.contains("\r\nContent-Length: ") && !head.contains("Content-Length: 0"), "{head}");
    assert!(head.contains("\r\nConnection: close"), "{head}");
    let answer = running.send(b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!((code(&answer), body), (200, ""));
    assert!(head.contains("\r\nContent-Security-Policy: default-src 'none'; style-src 'sha256-"), "{head}");
}

#[test]
fn what_is_not_allowed_is_refused() {
    let running = start(None);
    let refused = |text: &str| code(&running.send(text.as_bytes()));
    assert_eq!(refused("POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc"), 405);
    assert_eq!(refused("GET /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc"), 413);
    assert_eq!(refused("GET /metrics HTTP/1.1\r\n\r\n"), 400);
    assert_eq!(refused("\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}"), 400, "TLS");
    assert_eq!(refused(&format!("GET /{} HTTP/1.1\r\n", "a".repeat(10_000))), 431);
    assert_eq!(refused("GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n"), 421, "DNS rebinding");
    assert_eq!(refused("GET /healthz HTTP/1.1\r\nHost: evil.example:9464\r\n\r\n"), 421);
    // A client that only closes its side still receives the answer.
    let mut stream = running.connect();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(code(&answer), 200);
}

#[test]
fn a_token_is_required_but_for_probes() {
    let running = start(Some("s3cret"));
    let with = |token: &str| running.get("/metrics", &format!("Authorization: {token}\r\n")).0;
    assert_eq!((with("Bearer s3cret"), with("bearer s3cret")), (200, 200));
    assert_eq!((with("Basic OnMzY3JldA=="), with("basic dXNlcjpzM2NyZXQ=")), (200, 200), ":s3cret, user:s3cret");
    for wrong in
        ["Bearer s3cre", "Bearer s3cret1", "Bearer", "Basic s3cret", "Bearer S3cret", "s3cret", "Basic czNjcmV0Og=="]
    {
        assert_eq!(with(wrong), 401, "{wrong}");
    }
    for path in ["/metrics", "/status.json", "/", "/unknown"] {
        let answer = running.send(format!("GET {path} HTTP/1.1\r\nHost: consumer.example\r\n\r\n").as_bytes());
        assert_eq!(code(&answer), 401, "{path}");
        assert!(answer.contains("WWW-Authenticate: Bearer\r\nWWW-Authenticate: Basic realm="), "{answer}");
    }
    assert_eq!((running.get("/healthz", "").0, running.get("/readyz", "").0), (200, 503));
}

#[test]
fn clients_that_do_not_close_delay_nobody() {
    let running = start(None);
    // More than may be connected, within the time that they have to close.
    let idle: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = running.connect();
            stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            stream
        })
        .collect();
    assert_eq!(running.get("/healthz", "").0, 200);
    for mut stream in &idle {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(code(&answer), 200);
    }
}

#[test]
fn slow_clients_delay_nobody_and_are_closed() {
    let running = start(None);
    let begun = Instant::now();
    // More than may be connected: each sends the beginning of a request.
    let slow: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = running.connect();
            stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: ").unwrap();
            stream
        })
        .collect();
    for _ in 0..20 {
        let asked = Instant::now();
        assert_eq!(running.get("/healthz", "").0, 200);
        assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "the slow ones are still connected");
    // The first ones made room, the last ones had their time.
    let end = |mut stream: &TcpStream| {
        let mut answer = Vec::new();
        // Closed with unread bytes, it may be a reset.
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    };
    assert_eq!(end(&slow[0]), "");
    assert_eq!(code(&end(&slow[199])), 408);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[test]
fn a_unix_socket_replaces_that_of_a_killed_process_only() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("http.sock");
    let listen = HttpListen::Unix(path.clone());
    let http = HttpSettings { listen: Some(listen.clone()), ..settings().http };
    let first = Server::bind(&listen, &http).unwrap();
    let error = Server::bind(&listen, &http).unwrap_err();
    assert!(error.to_string().contains("cannot listen"), "{error}");
    drop(first);
    assert!(path.exists(), "as after a kill");
    let second = Server::bind(&listen, &http).unwrap();
    let metrics = Arc::new(Metrics::new(Description::of(&settings())));
    let stop = Stop::manual();
    second
        .start(Context { metrics, stop, token: SharedSecret::default(), shows_texts: true, checks_host: false })
        .unwrap();
    let answer = super::get(&listen, "/status.json", WAIT_MAX).unwrap();
    assert_eq!((answer.code, answer.body.contains("last_problem")), (200, true));
    std::fs::write(directory.path().join("file"), "data").unwrap();
    let file = HttpListen::Unix(directory.path().join("file"));
    Server::bind(&file, &http).unwrap_err();
    assert_eq!(std::fs::read(directory.path().join("file")).unwrap(), b"data", "another file is not removed");
}

#[test]
fn a_probe_gives_up_in_time() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = HttpListen::Tcp(listener.local_addr().unwrap());
    let begun = Instant::now();
    super::get(&listen, "/healthz", Duration::from_millis(100)).unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(5));
    drop(listener);
    super::get(&listen, "/healthz", WAIT_MAX).unwrap_err();
}
