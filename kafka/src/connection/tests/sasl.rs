//! SASL with brokers that lie, and with those that want to hear again who we are.

use bytes::Bytes;
use kafka_protocol::messages::{
    RequestHeader, SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
};
use kafka_protocol::protocol::Decodable;

use super::*;
use crate::link::Link;
use crate::sasl::{Sasl, SaslFault, SaslMechanism};
use crate::secret::Secret;

const HANDSHAKE: i16 = 17;
const AUTHENTICATE: i16 = 36;
const SPOKEN: [(i16, i16, i16); 3] = [(METADATA, 0, 12), (HANDSHAKE, 0, 1), (AUTHENTICATE, 0, 2)];
/// Shorter than we may keep to: said again as soon as a broker hears it.
const LIFETIME_MS: i64 = 1;

fn settings(mechanism: SaslMechanism) -> ConnectionSettings {
    let sasl = Sasl { mechanism, username: "alice".to_owned(), password: Secret::new("hush") };
    ConnectionSettings { security: Security { tls: None, sasl: Some(sasl) }, ..super::settings(LONG) }
}

impl Peer {
    /// The next request, whose header has this version, as the library reads it; and its correlation id.
    fn read<M: Decodable>(&mut self, header_version: i16, version: i16) -> (M, i32) {
        let mut request = Bytes::from(self.receive().unwrap());
        let header = RequestHeader::decode(&mut request, header_version).unwrap();
        assert_eq!(header.request_api_version, version);
        (M::decode(&mut request, version).unwrap(), header.correlation_id)
    }

    /// Agrees to any mechanism; gives its name.
    fn agree(&mut self) -> String {
        let (request, id) = self.read::<SaslHandshakeRequest>(1, 1);
        self.answer(&SaslHandshakeResponse::default(), 1, id);
        request.mechanism.to_string()
    }

    /// Agrees to the mechanism if the client goes on.
    fn answers_handshake(&mut self) -> bool {
        let Some((key, version, id)) = self.request() else { return false };
        assert_eq!((key, version), (HANDSHAKE, 1));
        self.answer(&SaslHandshakeResponse::default(), version, id);
        true
    }

    /// The client's next message; `answer` is what the broker says to it.
    fn converse(&mut self, answer: impl FnOnce(&str) -> SaslAuthenticateResponse) {
        let (request, id) = self.read::<SaslAuthenticateRequest>(2, 2);
        let response = answer(std::str::from_utf8(&request.auth_bytes).unwrap());
        self.answer(&response, 2, id);
    }

    /// Believes a client that says who it is by PLAIN, for a short while.
    fn believe(&mut self) {
        assert_eq!(self.agree(), "PLAIN");
        self.converse(|message| {
            assert_eq!(message, "\0alice\0hush");
            SaslAuthenticateResponse::default().with_session_lifetime_ms(LIFETIME_MS)
        });
    }

    fn serve(&mut self) {
        let (key, version, id) = self.request().unwrap();
        assert_eq!((key, version), (METADATA, 12));
        self.answer(&MetadataResponse::default(), version, id);
    }
}

fn says(message: impl Into<String>) -> SaslAuthenticateResponse {
    SaslAuthenticateResponse::default().with_auth_bytes(Bytes::from(message.into()))
}

/// What comes of a broker that goes on so after the mechanism has been agreed on.
fn fault(mechanism: SaslMechanism, behave: impl FnOnce(&mut Peer) + Send + 'static) -> SaslFault {
    let (address, thread) = peer(move |peer| {
        peer.greet(&SPOKEN);
        peer.agree();
        behave(peer);
        assert_eq!(peer.receive(), None, "the client goes on");
    });
    let error = Connection::open(&address, &settings(mechanism)).unwrap_err();
    thread.join().unwrap();
    assert!(!error.is_retriable() && !format!("{error} {error:?}").contains("hush"), "{error:?}");
    let Error::Sasl { fault, .. } = error else { panic!("{error:?}") };
    fault
}

#[test]
fn a_broker_that_does_not_know_the_password_learns_nothing_and_is_left() {
    let unproved = |fault, expected: &str| {
        let SaslFault::Unproved { detail } = fault else { panic!("{fault:?}") };
        assert!(detail.contains(expected), "{detail}");
    };
    for mechanism in [SaslMechanism::ScramSha256, SaslMechanism::ScramSha512] {
        let another_nonce = fault(mechanism, |peer| peer.converse(|_| says("r=other,s=c2FsdA==,i=4096")));
        unproved(another_nonce, "does not begin with the client's");
        let much_work = fault(mechanism, |peer| {
            peer.converse(|first| says(format!("r={}x,s=c2FsdA==,i=2000000000", nonce_of(first))));
        });
        unproved(much_work, "'2000000000' iterations");
        let any_password = fault(mechanism, |peer| {
            peer.converse(|first| says(format!("r={}x,s=c2FsdA==,i=4096", nonce_of(first))));
            peer.converse(|_| says("v=c2lnbmF0dXJl"));
        });
        unproved(any_password, "signature is wrong");
        let nothing = fault(mechanism, |peer| {
            peer.converse(|first| says(format!("r={}x,s=c2FsdA==,i=4096", nonce_of(first))));
            peer.converse(|_| says(""));
        });
        unproved(nothing, "no signature");
    }
}

fn nonce_of(client_first: &str) -> &str {
    client_first.strip_prefix("n,,n=alice,r=").unwrap()
}

#[test]
fn a_refusal_in_the_words_of_scram_is_one() {
    let fault = fault(SaslMechanism::ScramSha256, |peer| {
        peer.converse(|first| says(format!("r={}x,s=c2FsdA==,i=4096", nonce_of(first))));
        peer.converse(|_| says("e=invalid-proof"));
    });
    assert_eq!(fault.to_string(), "credentials of user 'alice' rejected (SCRAM-SHA-256): 'invalid-proof'");
}

#[test]
fn a_brokers_own_words_are_kept_short_and_on_one_line() {
    let fault = fault(SaslMechanism::Plain, |peer| {
        peer.converse(|_| {
            let words = "no\n\u{1b}[2J".repeat(5000);
            SaslAuthenticateResponse::default().with_error_code(58).with_error_message(Some(words.into()))
        });
    });
    let shown = fault.to_string();
    assert!(shown.len() < 300 && !shown.contains(|char: char| char.is_control()), "{shown}");
    assert!(shown.starts_with("credentials of user 'alice' rejected (PLAIN): 'no\\n\\u{1b}[2J"), "{shown}");
}

#[test]
fn who_we_are_is_said_again_on_the_same_connection() {
    let (address, thread) = peer(|peer| {
        peer.greet(&SPOKEN);
        for _ in 0..3 {
            peer.believe();
            peer.serve();
        }
    });
    let mut connection = Connection::open(&address, &settings(SaslMechanism::Plain)).unwrap();
    for _ in 0..3 {
        connection.call(&metadata()).unwrap();
        connection.reauthenticate_at = Some(Instant::now());
    }
    thread.join().unwrap();
}

/// Asks twice, with so much time between that we say again who we are; each of the two connections goes on so after its first answer.
fn asks_again(go_on: impl Fn(&mut Peer) + Send + 'static) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address { host: "127.0.0.1".to_owned(), port: listener.local_addr().unwrap().port() };
    let thread = thread::spawn(move || {
        for _ in 0..2 {
            let mut peer = Peer(listener.accept().unwrap().0);
            peer.greet(&SPOKEN);
            peer.believe();
            peer.serve();
            go_on(&mut peer);
        }
    });
    let mut link = Link::new(address, settings(SaslMechanism::Plain));
    link.call(&metadata()).unwrap();
    thread::sleep(DUE_AFTER_MIN);
    link.call(&metadata()).unwrap();
    drop(link);
    thread.join().unwrap();
}

#[test]
fn a_broker_that_hangs_up_instead_of_hearing_it_again_is_called_anew() {
    asks_again(|_| {});
}

#[test]
fn a_refused_reauthentication_is_tried_on_a_new_connection() {
    for refusal in ["Cannot change principals during re-authentication", "Session too short"] {
        asks_again(move |peer| {
            if peer.answers_handshake() {
                peer.converse(|_| refused(refusal));
                assert_eq!(peer.receive(), None, "the client goes on");
            }
        });
    }
}

#[test]
fn a_connection_that_is_closed_during_reauthentication_is_opened_again() {
    asks_again(|peer| {
        peer.answers_handshake();
    });
}

#[test]
fn an_authentication_that_a_new_connection_refuses_too_is_final() {
    let (address, connections) = broker(|number, peer| {
        peer.greet(&SPOKEN);
        if number == 0 {
            peer.believe();
            peer.serve();
        }
        peer.agree();
        peer.converse(|_| refused("Authentication failed"));
        assert_eq!(peer.receive(), None, "the client goes on");
    });
    let mut link = Link::new(address, settings(SaslMechanism::Plain));
    link.call(&metadata()).unwrap();
    thread::sleep(DUE_AFTER_MIN);
    let error = link.call(&metadata()).unwrap_err();
    assert!(matches!(error, Error::Sasl { fault: SaslFault::Refused { .. }, .. }), "{error:?}");
    assert_eq!(connections.try_iter().count(), 2);
}

fn refused(words: &str) -> SaslAuthenticateResponse {
    SaslAuthenticateResponse::default().with_error_code(58).with_error_message(Some(words.to_owned().into()))
}

#[test]
fn a_broker_that_will_not_hear_it_again_is_called_anew() {
    asks_again(|peer| {
        if let Some((key, version, id)) = peer.request() {
            assert_eq!((key, version), (HANDSHAKE, 1));
            peer.answer(&SaslHandshakeResponse::default().with_error_code(34), 1, id);
            assert_eq!(peer.receive(), None, "the client goes on");
        }
    });
}
