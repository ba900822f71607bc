//! Tokens from a token endpoint over TLS, which may refuse, fail, hang and recover; and brokers that validate them.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka::{
    Authorities, Client, ClientCredentials, ConnectionSettings, Error, OauthBearer, Sasl, SaslExtensions, SaslFault,
    Security, Tls, TlsFiles, Token, TokenEndpoint, TokenError, TokenProvider,
};
use testkit::{Certificates, Listener, Tokens, unique};

use crate::support::addresses;
use crate::support::token_server::TokenServer;

/// Never reached.
const LONG: Duration = Duration::from_mins(1);
const SECRET: &str = "s3cr3t/+ü";

fn secret_file() -> PathBuf {
    let path = std::env::temp_dir().join(unique("client-secret"));
    fs::write(&path, format!("{SECRET}\n")).unwrap();
    path
}

fn endpoint(url: &str) -> TokenEndpoint {
    TokenEndpoint {
        url: url.to_owned(),
        client_id: "reader:1".to_owned(),
        client_secret_file: secret_file(),
        scope: Some("kafka read".to_owned()),
    }
}

fn credentials(endpoint: TokenEndpoint) -> ClientCredentials {
    let authority = Certificates::get().unwrap().authority();
    ClientCredentials::new(endpoint, &Authorities::load(Some(&authority)).unwrap())
}

fn issued(token: &str) -> (u16, String, String) {
    let body = format!(r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":3600}}"#);
    (200, "Content-Type: application/json\r\n".to_owned(), body)
}

fn with_body(status: u16, body: &str) -> (u16, String, String) {
    (status, String::new(), body.to_owned())
}

#[test]
fn a_token_is_requested_with_the_clients_credentials_and_kept() {
    let server = TokenServer::start(|number| Some(issued(&format!("token-{number}"))));
    let provider = credentials(endpoint(&server.url));
    let (first, again) = (provider.token(LONG).unwrap(), provider.token(LONG).unwrap());
    assert_eq!((&first, &again), (&Token::parse("token-0").unwrap(), &first));
    let (head, body) = server.requests.recv_timeout(LONG).unwrap();
    assert!(head.starts_with("POST /oauth/token HTTP/1.1\r\n"), "{head}");
    // printf 'reader%%3A1:s3cr3t%%2F%%2B%%C3%%BC' | base64
    let authorization = "authorization: Basic cmVhZGVyJTNBMTpzM2NyM3QlMkYlMkIlQzMlQkM=";
    assert!(head.lines().any(|line| line.eq_ignore_ascii_case(authorization)), "{head}");
    assert_eq!(body, "grant_type=client_credentials&scope=kafka%20read");
    assert!(server.requests.try_recv().is_err(), "a kept token was requested again");
    // A rejected token is not used again.
    provider.discard(&first);
    assert_eq!(provider.token(LONG), Token::parse("token-1"));
    assert!(!format!("{provider:?}").contains("s3cr3t"));
}

#[test]
fn an_error_of_the_client_is_final_and_one_of_the_server_is_not() {
    let check = |answer: (u16, String, String), is_final: bool, expected: &str| {
        let server = TokenServer::start(move |_| Some(answer.clone()));
        let error = credentials(endpoint(&server.url)).token(LONG).unwrap_err();
        assert_eq!(matches!(error, TokenError::Refused(_)), is_final, "{error}");
        assert_eq!(error.to_string(), format!("token endpoint '{}' {expected}", server.url));
    };
    let refusal = r#"{"error":"invalid_client","error_description":"no\nsuch client"}"#;
    let text = "responded with the status 401: 'invalid_client': 'no\\nsuch client'";
    check(with_body(401, refusal), true, text);
    check(with_body(400, r#"{"error":"invalid_scope"}"#), true, "responded with the status 400: 'invalid_scope'");
    check(
        with_body(400, r#"{"error":"temporarily_unavailable"}"#),
        false,
        "responded with the status 400: 'temporarily_unavailable'",
    );
    check(with_body(503, refusal), false, &text.replace("401", "503"));
    check(with_body(404, "<html>s3cr3t</html>"), false, "responded with the status 404");
    check(with_body(200, r#"{"access_token":1}"#), false, "sent a malformed response (line 1, column 17)");
    check(
        with_body(200, r#"{"access_token":"a\nb"}"#),
        false,
        "sent a malformed response: the token has a character that no token can have, such as a blank or a line end",
    );
    check(
        with_body(200, r#"{"access_token":"a","token_type":"mac"}"#),
        false,
        "issued a token of the type 'mac', not 'Bearer'",
    );
    // Another host would receive the client's secret.
    let elsewhere = (307, "Location: https://localhost:1/\r\n".to_owned(), String::new());
    check(elsewhere, false, "responded with the status 307");
}

#[test]
fn a_response_has_a_deadline_and_a_size() {
    let silent = TokenServer::start(|_| None);
    let (provider, start) = (credentials(endpoint(&silent.url)), Instant::now());
    let error = provider.token(Duration::from_millis(300)).unwrap_err();
    assert!(error.to_string().contains(": no response within "), "{error}");
    assert!(matches!(error, TokenError::Unavailable(_)) && start.elapsed() < LONG);

    let large = TokenServer::start(|_| Some(with_body(200, &"x".repeat(200_000))));
    let error = credentials(endpoint(&large.url)).token(LONG).unwrap_err();
    assert!(error.to_string().ends_with("the response has more than 131072 bytes"), "{error}");

    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = credentials(endpoint(&format!("https://{closed}/"))).token(LONG).unwrap_err();
    assert!(matches!(error, TokenError::Unavailable(_)), "{error}");
    assert!(error.to_string().contains("Connection refused"), "{error}");
}

#[test]
fn a_server_that_is_not_trusted_gets_no_secret() {
    let server = TokenServer::start(|_| Some(issued("t")));
    let check = |url: &str, authority: PathBuf, expected: &str| {
        let authorities = Authorities::load(Some(&authority)).unwrap();
        let error = ClientCredentials::new(endpoint(url), &authorities).token(LONG).unwrap_err();
        assert!(matches!(error, TokenError::Refused(_)) && error.to_string().contains(expected), "{error}");
    };
    let certificates = Certificates::get().unwrap();
    check(&server.url, certificates.other_authority(), "TLS handshake failed: its certificate is not signed");
    let elsewhere = TokenServer::start_at("127.0.0.2", |_| Some(issued("t")));
    check(&elsewhere.url, certificates.authority(), "TLS handshake failed: its certificate is for another host");
    for server in [&server, &elsewhere] {
        assert!(server.requests.try_recv().is_err(), "it received a request");
    }

    let mut without_secret = endpoint(&server.url);
    without_secret.client_secret_file = PathBuf::from("/nowhere");
    let error = credentials(without_secret).token(LONG).unwrap_err();
    let text = "client secret file '/nowhere': No such file or directory (os error 2)";
    assert_eq!(error, TokenError::Unavailable(text.to_owned()));
}

#[test]
fn a_broker_accepts_the_token_once_the_endpoint_responds() {
    let cluster = testkit::shared_secure(testkit::NEWEST).unwrap();
    let tokens = Tokens::get().unwrap();
    let (expired, valid) = (tokens.expired().unwrap(), tokens.valid().unwrap());
    // It fails, issues a token that the broker rejects, and then a valid one.
    let server = TokenServer::start(move |number| {
        Some(match number {
            0 => with_body(503, ""),
            1 => issued(&expired),
            _ => issued(&valid),
        })
    });
    let authorities = Some(Certificates::get().unwrap().authority());
    let bearer =
        OauthBearer { tokens: Arc::new(credentials(endpoint(&server.url))), extensions: SaslExtensions::default() };
    let security = Security {
        tls: Some(Tls::load(&TlsFiles { authorities, client: None }).unwrap()),
        sasl: Some(Sasl::OauthBearer(bearer)),
    };
    let settings =
        ConnectionSettings { security: security.into(), connect_timeout: LONG, ..ConnectionSettings::default() };
    let mut client = Client::new(addresses(&cluster.bootstrap_servers_of(Listener::SaslToken)), settings);
    let mut failure = || {
        let error = client.metadata(vec![]).unwrap_err();
        assert!(error.is_retriable(), "{error}");
        let Error::Sasl { fault, .. } = error else { panic!("{error:?}") };
        fault
    };
    let down = failure();
    assert!(matches!(&down, SaslFault::NoToken(TokenError::Unavailable(_))), "{down:?}");
    let rejected = failure();
    assert!(matches!(&rejected, SaslFault::TokenRejected { expired_for: Some(_), .. }), "{rejected:?}");
    client.metadata(vec![]).unwrap();
    assert_eq!(server.requests.try_iter().count(), 3);
}
