//! Failed TLS handshakes, authentications and authorizations, on the oldest and the newest version: one error line for each reason,
//! exit code 1 or 2, and no secret in any output.

use std::fs;

use testkit::{Listener, PASSWORD, USER, unique};

use crate::support::secure_fixture::{SecureFixture, Variables, WRONG, assert_no_secret, sasl, text};

#[test]
fn an_untrusted_broker_ends_the_service() {
    for version in testkit::VERSIONS {
        let fixture = SecureFixture::new(version, "untrusted");
        let (variable, ca) = fixture.trusting();
        let other = text(&fixture.certificates.other_authority());
        let ssl = [("KAFKA_SECURITY_PROTOCOL", "SSL"), (variable, &*ca)];
        fixture.assert_refused(
            Listener::Ssl,
            &[ssl[0], (variable, &other)],
            "TLS handshake with broker BROKER failed: its certificate is not signed by a trusted certificate authority; KAFKA_SSL_CA_LOCATION \
             names the PEM file with the authority's certificate",
        );
        let renewed = text(&fixture.certificates.renewed_authority());
        fixture.assert_refused(
            Listener::Ssl,
            &[ssl[0], (variable, &renewed)],
            "TLS handshake with broker BROKER failed: its certificate is not signed with the key of the trusted certificate authority of that name; \
             KAFKA_SSL_CA_LOCATION names the PEM file with the authority's certificate",
        );
        let itself = text(&fixture.certificates.itself());
        fixture.assert_refused(
            Listener::SslItself,
            &[ssl[0], (variable, &itself)],
            "TLS handshake with broker BROKER failed: its certificate is a CA certificate (CA:TRUE), which cannot be a server certificate; \
             the broker needs another certificate",
        );
        fixture.assert_refused(
            Listener::SslElsewhere,
            &ssl,
            "TLS handshake with broker BROKER failed: its certificate is for another host: it names elsewhere.example; \
             KAFKA_BOOTSTRAP_SERVERS and the broker's advertised.listeners must use a name of its certificate",
        );
        let days = |listener, before: &str, after: &str| {
            let installation = fixture.installation(listener, &ssl);
            let answer = installation.ask(&["run"]);
            let line = answer.stderr.lines().last().unwrap();
            assert!(answer.code == Some(1) && line.contains(before) && line.ends_with(after), "{answer:?}");
        };
        days(
            Listener::SslExpired,
            ": its certificate expired ",
            " days ago; renew the broker's certificate, or set this machine's clock",
        );
        days(
            Listener::SslEarly,
            ": its certificate is not valid before ",
            " days from now; set this machine's clock, or replace the broker's certificate",
        );
    }
}

#[test]
fn a_broker_that_rejects_the_credentials_ends_the_service() {
    for version in testkit::VERSIONS {
        let fixture = SecureFixture::new(version, "distrusted");
        let (variable, ca) = fixture.trusting();
        let trusting = (variable, &*ca);
        let ssl = ("KAFKA_SECURITY_PROTOCOL", "SSL");
        fixture.assert_refused(
            Listener::MutualSsl,
            &[ssl, trusting],
            "TLS handshake with broker BROKER failed: it requires a client certificate, and none is set; set KAFKA_SSL_CERTIFICATE_LOCATION \
             and KAFKA_SSL_KEY_LOCATION to a client certificate and its key",
        );
        let (certificate, key) = fixture.certificates.stranger();
        let (certificate, key) = (text(&certificate), text(&key));
        let stranger = [("KAFKA_SSL_CERTIFICATE_LOCATION", &*certificate), ("KAFKA_SSL_KEY_LOCATION", &*key)];
        fixture.assert_refused(
            Listener::MutualSsl,
            &[&[ssl, trusting], &stranger[..]].concat(),
            "TLS handshake with broker BROKER failed: it rejected the client certificate (CertificateUnknown); \
             KAFKA_SSL_CERTIFICATE_LOCATION must name a valid certificate of an authority in the broker's truststore",
        );
        for (mechanism, reason) in [
            ("PLAIN", "Authentication failed: Invalid username or password"),
            (
                "SCRAM-SHA-256",
                "Authentication failed during authentication due to invalid credentials with SASL mechanism SCRAM-SHA-256",
            ),
            (
                "SCRAM-SHA-512",
                "Authentication failed during authentication due to invalid credentials with SASL mechanism SCRAM-SHA-512",
            ),
        ] {
            let mut variables = sasl("SASL_SSL", mechanism, USER, WRONG);
            variables.push(trusting);
            let line = format!(
                "SASL authentication with broker BROKER failed: credentials of user 'alice' rejected ({mechanism}): '{reason}'; check \
                 KAFKA_SASL_USERNAME, the password and KAFKA_SASL_MECHANISM"
            );
            fixture.assert_refused(Listener::SaslSsl, &variables, &line);
        }
        let mut variables = sasl("SASL_SSL", "PLAIN", USER, PASSWORD);
        variables.push(trusting);
        fixture.assert_refused(
            Listener::SaslBrief,
            &variables,
            "SASL authentication with broker BROKER failed: the listener does not support PLAIN, only SCRAM-SHA-256; set \
             KAFKA_SASL_MECHANISM to one of these mechanisms",
        );
        fixture.assert_refused(
            Listener::Ssl,
            &variables,
            "SASL authentication with broker BROKER failed: the listener does not expect SASL authentication; set \
             KAFKA_SECURITY_PROTOCOL to SSL or PLAINTEXT, or use the port of the SASL listener",
        );
    }
}

/// A user without permissions, with a separate group.
fn nobody(fixture: &SecureFixture) -> (String, String) {
    let (user, group) = (unique("user"), unique("group"));
    fixture.kafka.set_scram_password(&user, "SCRAM-SHA-256", PASSWORD).unwrap();
    (user, group)
}

fn as_user<'a>(user: &'a str, group: &'a str) -> Variables<'a> {
    let mut variables = sasl("SASL_PLAINTEXT", "SCRAM-SHA-256", user, PASSWORD);
    variables.push(("KAFKA_GROUP_ID", group));
    variables
}

/// Waits until `check` shows that the broker knows a new user or permission.
fn wait_for(fixture: &SecureFixture, variables: &[(&'static str, &str)], what: &str) {
    let installation = fixture.installation(Listener::SaslPlaintext, variables);
    installation.wait_for(what, |installation| installation.ask(&["check", "--verbose"]).stdout.contains(what));
}

#[test]
fn a_missing_permission_is_named() {
    for version in testkit::VERSIONS {
        let fixture = SecureFixture::new(version, "permissions");
        let (user, group) = nobody(&fixture);
        let variables = as_user(&user, &group);
        let topic = &fixture.topic;
        wait_for(&fixture, &variables, "TOPIC_AUTHORIZATION_FAILED");
        fixture.assert_refused(
            Listener::SaslPlaintext,
            &variables,
            &format!(
                "topic '{topic}' cannot be read: TOPIC_AUTHORIZATION_FAILED (29); grant this user READ and DESCRIBE on the topic"
            ),
        );
        fixture.kafka.allow(&user, "READ", "TOPIC", topic).unwrap();
        wait_for(&fixture, &variables, &format!("'{topic}': 1 partition"));
        fixture.assert_refused(
            Listener::SaslPlaintext,
            &variables,
            &format!(
                "broker BROKER refused FindCoordinator for group '{group}': GROUP_AUTHORIZATION_FAILED (30); grant this user \
                 READ on the group, which implies DESCRIBE unless an ACL denies it: FindCoordinator needs DESCRIBE"
            ),
        );
        fixture.kafka.allow(&user, "READ", "GROUP", &group).unwrap();
        fixture.produce(0..5);
        let installation = fixture.installation(Listener::SaslPlaintext, &variables);
        installation
            .wait_for("the permission", |installation| installation.ask(&["run", "--exit-at-end"]).code == Some(0));
        assert_eq!(installation.number("SELECT count(*) FROM opportunities"), Some(5));
        assert_eq!(installation.ask(&["check"]).code, Some(0));
    }
}

/// DESCRIBE allows metadata and offsets, but no fetch.
#[test]
fn check_finds_a_permission_that_the_service_needs_later() {
    for version in testkit::VERSIONS {
        let fixture = SecureFixture::new(version, "describe");
        let (user, group) = nobody(&fixture);
        let variables = as_user(&user, &group);
        let topic = &fixture.topic;
        fixture.kafka.allow(&user, "DESCRIBE", "TOPIC", topic).unwrap();
        fixture.kafka.allow(&user, "DESCRIBE", "GROUP", &group).unwrap();
        let of_topic = format!(
            "refused Fetch for {topic}-0: TOPIC_AUTHORIZATION_FAILED (29); grant this user READ and DESCRIBE on the topic\n"
        );
        wait_for(&fixture, &variables, &of_topic);
        let of_group = format!(
            "refused Heartbeat for group '{group}': GROUP_AUTHORIZATION_FAILED (30); grant this user READ on the group\n"
        );
        wait_for(&fixture, &variables, &of_group);
        let refused = |request: &str, code: &str| {
            let installation = fixture.installation(Listener::SaslPlaintext, &variables);
            let answer = installation.ask(&["run"]);
            let line = answer.stderr.lines().last().unwrap();
            assert!(answer.code == Some(1) && line.contains(request) && line.contains(code), "{answer:?}");
            assert_no_secret(&installation);
        };
        refused("refused JoinGroup", "GROUP_AUTHORIZATION_FAILED");
        fixture.kafka.allow(&user, "READ", "GROUP", &group).unwrap();
        wait_for(&fixture, &variables, "has committed nothing yet");
        let check = fixture.installation(Listener::SaslPlaintext, &variables).ask(&["check"]);
        assert!(check.code == Some(1) && check.stdout.contains(&of_topic), "{check:?}");
        refused(&format!("refused OffsetCommit for {topic}-0"), "TOPIC_AUTHORIZATION_FAILED");
    }
}

#[test]
fn files_without_certificates_are_wrong_settings() {
    let fixture = SecureFixture::new(testkit::NEWEST, "no-certificates");
    let (variable, ca) = fixture.trusting();
    let (certificate, key) = fixture.certificates.client();
    let (_, other_key) = fixture.certificates.stranger();
    let (certificate, key, other_key) = (text(&certificate), text(&key), text(&other_key));
    let check = |ca: &str, certificate: &str, key: &str, line: &str| {
        let own = [("KAFKA_SSL_CERTIFICATE_LOCATION", certificate), ("KAFKA_SSL_KEY_LOCATION", key)];
        let installation = fixture
            .installation(Listener::Ssl, &[&[("KAFKA_SECURITY_PROTOCOL", "SSL"), (variable, ca)], &own[..]].concat());
        fs::write(installation.path().join("text.pem"), "hush\n").unwrap();
        let answer = installation.ask(&["run"]);
        assert_eq!((answer.code, &*answer.stderr), (Some(2), &*format!("enterprise-consumer: {line}\n")));
        let answer = installation.ask(&["check"]);
        assert!(answer.code == Some(1) && answer.stdout.contains(&format!("security  FAIL  {line}\n")), "{answer:?}");
    };
    check(
        "nowhere.pem",
        &certificate,
        &key,
        "KAFKA_SSL_CA_LOCATION cannot be used: cannot read 'nowhere.pem': No such file or directory (os error 2)",
    );
    check(
        "text.pem",
        &certificate,
        &key,
        "KAFKA_SSL_CA_LOCATION cannot be used: 'text.pem' has no certificate in PEM form (-----BEGIN CERTIFICATE-----)",
    );
    check(
        &ca,
        &key,
        &key,
        &format!(
            "KAFKA_SSL_CERTIFICATE_LOCATION cannot be used: '{key}' has no certificate in PEM form (-----BEGIN CERTIFICATE-----)"
        ),
    );
    check(
        &ca,
        &certificate,
        "text.pem",
        "KAFKA_SSL_KEY_LOCATION cannot be used: 'text.pem' has no private key in PEM form (-----BEGIN PRIVATE KEY-----)",
    );
    check(
        &ca,
        &certificate,
        &other_key,
        &format!("KAFKA_SSL_KEY_LOCATION cannot be used: '{other_key}' is the key of another certificate"),
    );
}

#[test]
fn without_system_authorities_a_file_must_be_named() {
    let fixture = SecureFixture::new(testkit::NEWEST, "no-authorities");
    let nowhere = [("KAFKA_SECURITY_PROTOCOL", "SSL"), ("SSL_CERT_FILE", "/nowhere.pem"), ("SSL_CERT_DIR", "/nowhere")];
    let installation = fixture.installation(Listener::Ssl, &nowhere);
    let answer = installation.ask(&["run"]);
    let line = "KAFKA_SSL_CA_LOCATION must be set: the system has no CA certificates (failed to read PEM from file: No such \
                file or directory (os error 2) at '/nowhere.pem'); set a PEM file with CA certificates, or fix SSL_CERT_FILE \
                and SSL_CERT_DIR if one of them is set";
    assert_eq!((answer.code, &*answer.stderr), (Some(2), &*format!("enterprise-consumer: {line}\n")));
}
