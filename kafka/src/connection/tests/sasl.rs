//! SASL with brokers that do not know the password, and with session lifetimes.

use bytes::Bytes;
use kafka_protocol::messages::{
    RequestHeader, SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
};
use kafka_protocol::protocol::Decodable;

use std::sync::Mutex;
use std::time::SystemTime;

use super::*;
use crate::link::Link;
use crate::sasl::oauth_bearer::{OauthBearer, SaslExtensions};
use crate::sasl::token::{Token, TokenError, TokenProvider};
use crate::sasl::{Credentials, Sasl, SaslFault};
use crate::secret::Secret;

const HANDSHAKE: i16 = 17;
const AUTHENTICATE: i16 = 36;
const SUPPORTED: [(i16, i16, i16); 3] = [(METADATA, 0, 12), (HANDSHAKE, 0, 1), (AUTHENTICATE, 0, 2)];
/// Shorter than the shortest interval: the client authenticates again as soon as brokers accept it.
const LIFETIME_MS: i64 = 1;

fn settings(mechanism: fn(Credentials) -> Sasl) -> ConnectionSettings {
    settings_with(mechanism(alice("hush")))
}

fn settings_with(sasl: Sasl) -> ConnectionSettings {
    ConnectionSettings { security: Security { tls: None, sasl: Some(sasl) }.into(), ..super::settings(LONG) }
}

fn alice(password: &str) -> Credentials {
    Credentials { username: "alice".to_owned(), password: Secret::new(password) }
}

impl Peer {
    /// The next request, whose header has this version, as the library reads it; and its correlation id.
    fn read<M: Decodable>(&mut self, header_version: i16, version: i16) -> (M, i32) {
        let mut request = Bytes::from(self.receive().unwrap());
        let header = RequestHeader::decode(&mut request, header_version).unwrap();
        assert_eq!(header.request_api_version, version);
        (M::decode(&mut request, version).unwrap(), header.correlation_id)
    }

    /// Accepts any mechanism; returns its name.
    fn accept_mechanism(&mut self) -> String {
        let (request, id) = self.read::<SaslHandshakeRequest>(1, 1);
        self.send_response(&SaslHandshakeResponse::default(), 1, id);
        request.mechanism.to_string()
    }

    /// Accepts the mechanism; false if the client has closed the connection.
    fn accepts_handshake(&mut self) -> bool {
        let Some((key, version, id)) = self.request() else { return false };
        assert_eq!((key, version), (HANDSHAKE, 1));
        self.send_response(&SaslHandshakeResponse::default(), version, id);
        true
    }

    /// Responds to the client's next message.
    fn respond(&mut self, response: impl FnOnce(&str) -> SaslAuthenticateResponse) {
        let (request, id) = self.read::<SaslAuthenticateRequest>(2, 2);
        let response = response(std::str::from_utf8(&request.auth_bytes).unwrap());
        self.send_response(&response, 2, id);
    }

    /// Accepts the credentials by PLAIN, with a short session lifetime.
    fn accept_credentials(&mut self) {
        assert_eq!(self.accept_mechanism(), "PLAIN");
        self.respond(|message| {
            assert_eq!(message, "\0alice\0hush");
            SaslAuthenticateResponse::default().with_session_lifetime_ms(LIFETIME_MS)
        });
    }

    fn serve(&mut self) {
        let (key, version, id) = self.request().unwrap();
        assert_eq!((key, version), (METADATA, 12));
        self.send_response(&MetadataResponse::default(), version, id);
    }
}

fn message(message: impl Into<String>) -> SaslAuthenticateResponse {
    SaslAuthenticateResponse::default().with_auth_bytes(Bytes::from(message.into()))
}

/// The fault of an authentication in which the broker does this after the handshake.
fn fault(mechanism: fn(Credentials) -> Sasl, behave: impl FnOnce(&mut Peer) + Send + 'static) -> SaslFault {
    let (address, thread) = peer(move |peer| {
        peer.negotiate(&SUPPORTED);
        peer.accept_mechanism();
        behave(peer);
        assert_eq!(peer.receive(), None, "the client sent another request");
    });
    let error = Connection::open(&address, &settings(mechanism)).unwrap_err();
    thread.join().unwrap();
    assert!(!error.is_retriable() && !format!("{error} {error:?}").contains("hush"), "{error:?}");
    let Error::Sasl { fault, .. } = error else { panic!("{error:?}") };
    fault
}

#[test]
fn a_broker_that_does_not_know_the_password_is_rejected() {
    let unproved = |fault, expected: &str| {
        let SaslFault::ServerNotVerified { detail } = fault else { panic!("{fault:?}") };
        assert!(detail.contains(expected), "{detail}");
    };
    for mechanism in [Sasl::ScramSha256 as fn(_) -> _, Sasl::ScramSha512] {
        let another_nonce = fault(mechanism, |peer| peer.respond(|_| message("r=other,s=c2FsdA==,i=4096")));
        unproved(another_nonce, "does not begin with the client's");
        let much_work = fault(mechanism, |peer| {
            peer.respond(|first| message(format!("r={}x,s=c2FsdA==,i=2000000000", nonce_of(first))));
        });
        unproved(much_work, "'2000000000' iterations");
        let any_password = fault(mechanism, |peer| {
            peer.respond(|first| message(format!("r={}x,s=c2FsdA==,i=4096", nonce_of(first))));
            peer.respond(|_| message("v=c2lnbmF0dXJl"));
        });
        unproved(any_password, "signature is wrong");
        let nothing = fault(mechanism, |peer| {
            peer.respond(|first| message(format!("r={}x,s=c2FsdA==,i=4096", nonce_of(first))));
            peer.respond(|_| message(""));
        });
        unproved(nothing, "no signature");
    }
}

fn nonce_of(client_first: &str) -> &str {
    client_first.strip_prefix("n,,n=alice,r=").unwrap()
}

#[test]
fn an_error_of_scram_rejects_the_credentials() {
    let fault = fault(Sasl::ScramSha256, |peer| {
        peer.respond(|first| message(format!("r={}x,s=c2FsdA==,i=4096", nonce_of(first))));
        peer.respond(|_| message("e=invalid-proof"));
    });
    assert_eq!(fault.to_string(), "credentials of user 'alice' rejected (SCRAM-SHA-256): 'invalid-proof'");
}

#[test]
fn a_brokers_error_message_is_cut_and_escaped() {
    let fault = fault(Sasl::Plain, |peer| {
        peer.respond(|_| {
            let message = "no\n\u{1b}[2J".repeat(5000);
            SaslAuthenticateResponse::default().with_error_code(58).with_error_message(Some(message.into()))
        });
    });
    let shown = fault.to_string();
    assert!(shown.len() < 300 && !shown.contains(|char: char| char.is_control()), "{shown}");
    assert!(shown.starts_with("credentials of user 'alice' rejected (PLAIN): 'no\\n\\u{1b}[2J"), "{shown}");
}

#[test]
fn reauthentication_uses_the_same_connection() {
    let (address, thread) = peer(|peer| {
        peer.negotiate(&SUPPORTED);
        for _ in 0..3 {
            peer.accept_credentials();
            peer.serve();
        }
    });
    let mut connection = Connection::open(&address, &settings(Sasl::Plain)).unwrap();
    for _ in 0..3 {
        connection.call(&metadata()).unwrap();
        connection.reauthenticate_at = Some(Instant::now());
    }
    thread.join().unwrap();
}

/// Sends two requests with a re-authentication between them. On each of its two connections the broker does `then`
/// after the first response.
fn reauthenticates(then: impl Fn(&mut Peer) + Send + 'static) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address { host: "127.0.0.1".to_owned(), port: listener.local_addr().unwrap().port() };
    let thread = thread::spawn(move || {
        for _ in 0..2 {
            let mut peer = Peer(listener.accept().unwrap().0);
            peer.negotiate(&SUPPORTED);
            peer.accept_credentials();
            peer.serve();
            then(&mut peer);
        }
    });
    let mut link = Link::new(address, settings(Sasl::Plain));
    link.call(&metadata()).unwrap();
    thread::sleep(DUE_AFTER_MIN);
    link.call(&metadata()).unwrap();
    drop(link);
    thread.join().unwrap();
}

#[test]
fn a_broker_that_closes_the_connection_before_reauthentication_gets_a_new_one() {
    reauthenticates(|_| {});
}

#[test]
fn a_refused_reauthentication_is_tried_on_a_new_connection() {
    for refusal in ["Cannot change principals during re-authentication", "Session too short"] {
        reauthenticates(move |peer| {
            if peer.accepts_handshake() {
                peer.respond(|_| refused(refusal));
                assert_eq!(peer.receive(), None, "the client sent another request");
            }
        });
    }
}

#[test]
fn a_connection_that_is_closed_during_reauthentication_is_opened_again() {
    reauthenticates(|peer| {
        peer.accepts_handshake();
    });
}

#[test]
fn an_authentication_that_a_new_connection_refuses_too_is_final() {
    let (address, connections) = broker(|number, peer| {
        peer.negotiate(&SUPPORTED);
        if number == 0 {
            peer.accept_credentials();
            peer.serve();
        }
        peer.accept_mechanism();
        peer.respond(|_| refused("Authentication failed"));
        assert_eq!(peer.receive(), None, "the client sent another request");
    });
    let mut link = Link::new(address, settings(Sasl::Plain));
    link.call(&metadata()).unwrap();
    thread::sleep(DUE_AFTER_MIN);
    let error = link.call(&metadata()).unwrap_err();
    assert!(matches!(error, Error::Sasl { fault: SaslFault::Rejected { .. }, .. }), "{error:?}");
    assert_eq!(connections.try_iter().count(), 2);
}

fn refused(message: &str) -> SaslAuthenticateResponse {
    SaslAuthenticateResponse::default().with_error_code(58).with_error_message(Some(message.to_owned().into()))
}

#[test]
fn replaced_credentials_are_used_for_the_next_request_on_a_new_connection() {
    let (address, connections) = broker(|number, peer| {
        peer.negotiate(&SUPPORTED);
        assert_eq!(peer.accept_mechanism(), "PLAIN");
        peer.respond(|message| {
            assert_eq!(message, ["\0alice\0hush", "\0alice\0changed"][number]);
            SaslAuthenticateResponse::default()
        });
        for _ in 0..2 {
            peer.serve();
        }
        assert_eq!(peer.receive(), None, "a third request");
    });
    let settings = settings(Sasl::Plain);
    let mut link = Link::new(address, settings.clone());
    for _ in 0..2 {
        link.call(&metadata()).unwrap();
    }
    settings.security.replace(Security { tls: None, sasl: Some(Sasl::Plain(alice("changed"))) });
    assert_eq!(connections.try_iter().count(), 1, "connected before the next request");
    for _ in 0..2 {
        link.call(&metadata()).unwrap();
    }
    assert_eq!(connections.try_iter().count(), 1);
}

#[test]
fn a_broker_that_refuses_reauthentication_gets_a_new_connection() {
    reauthenticates(|peer| {
        if let Some((key, version, id)) = peer.request() {
            assert_eq!((key, version), (HANDSHAKE, 1));
            peer.send_response(&SaslHandshakeResponse::default().with_error_code(34), 1, id);
            assert_eq!(peer.receive(), None, "the client sent another request");
        }
    });
}

/// Returns these tokens, the last one again and again; records what is discarded.
#[derive(Debug)]
struct Tokens {
    left: Mutex<Vec<&'static str>>,
    discarded: Mutex<Vec<Token>>,
}

impl Tokens {
    fn new(tokens: &[&'static str]) -> Arc<Self> {
        let left = tokens.iter().rev().copied().collect();
        Arc::new(Self { left: Mutex::new(left), discarded: Mutex::default() })
    }
}

impl TokenProvider for Tokens {
    fn token(&self, timeout: Duration) -> Result<Token, TokenError> {
        assert!(timeout > Duration::ZERO && timeout <= LONG);
        let mut left = self.left.lock().unwrap();
        let token = if left.len() > 1 { left.pop() } else { left.last().copied() };
        token.map_or_else(|| Err(TokenError::Refused("no such client".to_owned())), Token::parse)
    }

    fn discard(&self, rejected: &Token) {
        self.discarded.lock().unwrap().push(rejected.clone());
    }
}

fn bearer(tokens: Arc<Tokens>) -> ConnectionSettings {
    let extensions = SaslExtensions::parse("pool=a").unwrap();
    settings_with(Sasl::OauthBearer(OauthBearer { tokens, extensions }))
}

/// `{"alg":"none"}`, `{"exp":1700000000}` and a signature.
const JWT: &str = "eyJhbGciOiJub25lIn0.eyJleHAiOjE3MDAwMDAwMDB9.c2ln";

#[test]
fn each_authentication_sends_a_new_token() {
    let (address, thread) = peer(|peer| {
        peer.negotiate(&SUPPORTED);
        for token in ["one", "two", JWT] {
            assert_eq!(peer.accept_mechanism(), "OAUTHBEARER");
            peer.respond(|sent| {
                assert_eq!(sent, format!("n,,\u{1}auth=Bearer {token}\u{1}pool=a\u{1}\u{1}"));
                SaslAuthenticateResponse::default().with_session_lifetime_ms(LIFETIME_MS)
            });
            peer.serve();
        }
    });
    let tokens = Tokens::new(&["one", "two", JWT]);
    let settings = bearer(Arc::clone(&tokens));
    let mut connection = Connection::open(&address, &settings).unwrap();
    assert_eq!(settings.statistics.token_expires_at(), None, "an opaque token");
    for _ in 0..3 {
        connection.call(&metadata()).unwrap();
        connection.reauthenticate_at = Some(Instant::now());
    }
    let expiry = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    assert_eq!(settings.statistics.token_expires_at(), Some(expiry));
    thread.join().unwrap();
    assert!(tokens.discarded.lock().unwrap().is_empty());
}

/// The error of a broker that sends an error instead of an empty message, and this response to the client's reply.
fn rejected_token(tokens: &Arc<Tokens>, after: SaslAuthenticateResponse) -> Error {
    let (address, thread) = peer(move |peer| {
        peer.negotiate(&SUPPORTED);
        peer.accept_mechanism();
        peer.respond(|_| message(r#"{"status":"invalid_token","scope":"read\u001b"}"#));
        peer.respond(|sent| {
            assert_eq!(sent, "\u{1}");
            after
        });
        assert_eq!(peer.receive(), None, "the client sent another request");
    });
    let error = Connection::open(&address, &bearer(Arc::clone(tokens))).unwrap_err();
    thread.join().unwrap();
    error
}

#[test]
fn a_rejected_token_is_discarded_and_retriable() {
    // { "exp": 1700000000 }
    let token = "e30.eyJleHAiOjE3MDAwMDAwMDB9.c2ln";
    // The last one is that of a broker that accepts the client's reply.
    for after in [refused("{\"status\":\"invalid_token\"}"), message("")] {
        let tokens = Tokens::new(&[token]);
        let error = rejected_token(&tokens, after);
        assert!(error.is_retriable(), "{error:?}");
        let text = error.to_string();
        assert!(!format!("{text} {error:?}").contains(token), "{error:?}");
        let rejection =
            "the broker rejects the token: 'invalid_token, required scope: read\\u{1b}'; the token expired ";
        assert!(text.contains(rejection), "{text}");
        assert_eq!(*tokens.discarded.lock().unwrap(), [Token::parse(token).unwrap()]);
    }
}

#[test]
fn without_a_token_no_request_is_sent() {
    let (address, thread) = peer(|peer| {
        peer.negotiate(&SUPPORTED);
        assert_eq!(peer.receive(), None, "the client sent a request");
    });
    let error = Connection::open(&address, &bearer(Tokens::new(&[]))).unwrap_err();
    thread.join().unwrap();
    assert!(!error.is_retriable() && error.to_string().ends_with("there is no token: no such client"), "{error}");
}
