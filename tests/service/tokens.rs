//! The service with OAUTHBEARER and a token file: it waits for a token that the broker accepts, and needs no restart.

use std::fs;

use testkit::{Listener, Tokens};

use crate::support::secure_fixture::{SecureFixture, assert_no_secret};

#[test]
fn a_service_waits_for_a_valid_token() {
    let fixture = SecureFixture::new(testkit::NEWEST, "tokens");
    fixture.produce(0..5);
    let (variable, ca) = fixture.trusting();
    let variables = [
        ("KAFKA_SECURITY_PROTOCOL", "SASL_SSL"),
        ("KAFKA_SASL_MECHANISM", "OAUTHBEARER"),
        ("KAFKA_SASL_OAUTHBEARER_TOKEN_FILE", "token"),
        (variable, &*ca),
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
