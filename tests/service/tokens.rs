//! The service with OAUTHBEARER and a token file: it waits for a token that the broker accepts, and needs no restart.

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use testkit::{Listener, Tokens};

use crate::support::http::metric;
use crate::support::secure_fixture::{SecureFixture, assert_no_secret, text};

#[test]
fn a_service_waits_for_a_valid_token() {
    let fixture = SecureFixture::new(testkit::NEWEST, "tokens");
    fixture.produce(0..5);
    let (variable, ca) = fixture.trusting();
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("http.sock");
    let listen = format!("unix:{}", text(&socket));
    let variables = [
        ("KAFKA_SECURITY_PROTOCOL", "SASL_SSL"),
        ("KAFKA_SASL_MECHANISM", "OAUTHBEARER"),
        ("KAFKA_SASL_OAUTHBEARER_TOKEN_FILE", "token"),
        (variable, &*ca),
        ("HTTP_LISTEN", &*listen),
    ];
    let installation = fixture.installation(Listener::SaslToken, &variables);
    let tokens = Tokens::get().unwrap();
    let (expired, valid) = (tokens.expired().unwrap(), tokens.valid().unwrap());
    let file = installation.path().join("token");
    let failed = |parts: &[&str]| {
        let check = installation.ask(&["check"]);
        let has = |line: &str| line.contains(" FAIL ") && parts.iter().all(|part| line.contains(part));
        assert!(check.code == Some(1) && check.stdout.lines().any(has), "{check:?}");
    };
    failed(&["there is no token: token file 'token': No such file or directory"]);
    fs::write(&file, &expired).unwrap();
    failed(&["the broker rejects the token: 'invalid_token'; the token expired ", "renew the token"]);
    let mut service = installation.start(&["run"]);
    installation.wait_warning(0, &["the broker rejects the token", "the token expired ", "trying again"]);
    fs::write(&file, format!("{valid}\n")).unwrap();
    installation.wait_for("the events", |installation| installation.stored() == 5);
    let claims = URL_SAFE_NO_PAD.decode(valid.split('.').nth(1).unwrap()).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    let expires_at = metric(&socket, "credential_expiry_timestamp_seconds{credential=\"token\"}");
    assert!(expires_at.is_some() && expires_at == claims["exp"].as_f64(), "{expires_at:?} {claims}");
    let check = installation.ask(&["check", "--verbose"]);
    let line = format!("security  ok    SASL_SSL: OAUTHBEARER with the token in 'token', authorities from '{ca}'");
    assert!(check.code == Some(0) && check.stdout.lines().any(|shown| shown == line), "{check:?}");
    service.signal("TERM");
    service.ends_with(0);
    fs::remove_file(&file).unwrap();
    assert_no_secret(&installation);
    let log = installation.log().iter().map(ToString::to_string).collect::<String>();
    assert!(!log.contains(&expired) && !log.contains(valid.trim()), "the log has a token");
}
