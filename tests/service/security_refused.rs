//! The service and brokers that do not come together, on the oldest and the newest version: each reason in its own words, exit code
//! 1 or 2, and the secret nowhere.

use std::fs;

use testkit::{Listener, PASSWORD, USER, unique};

use crate::support::secure::{Stage, Variables, WRONG, assert_no_secret, sasl, text};

#[test]
fn a_broker_that_must_not_be_trusted_ends_the_service() {
    for version in testkit::VERSIONS {
        let stage = Stage::new(version, "untrusted");
        let (variable, ca) = stage.trusting();
        let other = text(&stage.certificates.other_authority());
        let ssl = [("KAFKA_SECURITY_PROTOCOL", "SSL"), (variable, &*ca)];
        stage.is_refused(
            Listener::Ssl,
            &[ssl[0], (variable, &other)],
            "TLS handshake with broker BROKER failed: its certificate is not signed by a trusted certificate authority; KAFKA_SSL_CA_LOCATION \
             names the PEM file with the authority's certificate",
        );
        let renewed = text(&stage.certificates.renewed_authority());
        stage.is_refused(
            Listener::Ssl,
            &[ssl[0], (variable, &renewed)],
            "TLS handshake with broker BROKER failed: its certificate is not signed with the key of the trusted certificate authority of that name; \
             KAFKA_SSL_CA_LOCATION names the PEM file with the authority's certificate",
        );
        let itself = text(&stage.certificates.itself());
        stage.is_refused(
            Listener::SslItself,
            &[ssl[0], (variable, &itself)],
            "TLS handshake with broker BROKER failed: its certificate is a CA certificate (CA:TRUE), which cannot be a server certificate; \
             the broker needs another certificate",
        );
        stage.is_refused(
            Listener::SslElsewhere,
            &ssl,
            "TLS handshake with broker BROKER failed: its certificate is for another host: it names elsewhere.example; \
             KAFKA_BOOTSTRAP_SERVERS and the broker's advertised.listeners must use a name of its certificate",
        );
        let days = |listener, before: &str, after: &str| {
            let place = stage.place(listener, &ssl);
            let answer = place.ask(&["run"]);
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
fn a_broker_that_does_not_trust_us_ends_the_service() {
    for version in testkit::VERSIONS {
        let stage = Stage::new(version, "distrusted");
        let (variable, ca) = stage.trusting();
        let trusting = (variable, &*ca);
        let ssl = ("KAFKA_SECURITY_PROTOCOL", "SSL");
        stage.is_refused(
            Listener::MutualSsl,
            &[ssl, trusting],
            "TLS handshake with broker BROKER failed: it requires a client certificate, and none is set; KAFKA_SSL_CERTIFICATE_LOCATION and \
             KAFKA_SSL_KEY_LOCATION name one and its key",
        );
        let (certificate, key) = stage.certificates.stranger();
        let (certificate, key) = (text(&certificate), text(&key));
        let stranger = [("KAFKA_SSL_CERTIFICATE_LOCATION", &*certificate), ("KAFKA_SSL_KEY_LOCATION", &*key)];
        stage.is_refused(
            Listener::MutualSsl,
            &[&[ssl, trusting], &stranger[..]].concat(),
            "TLS handshake with broker BROKER failed: it rejected the client certificate (CertificateUnknown); \
             KAFKA_SSL_CERTIFICATE_LOCATION must name one that the broker's truststore covers, and that is valid now",
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
            stage.is_refused(Listener::SaslSsl, &variables, &line);
        }
        let mut variables = sasl("SASL_SSL", "PLAIN", USER, PASSWORD);
        variables.push(trusting);
        stage.is_refused(
            Listener::SaslBrief,
            &variables,
            "SASL authentication with broker BROKER failed: the listener does not support PLAIN, only SCRAM-SHA-256; set \
             KAFKA_SASL_MECHANISM to one of those",
        );
        stage.is_refused(
            Listener::Ssl,
            &variables,
            "SASL authentication with broker BROKER failed: the listener does not expect SASL authentication; KAFKA_SECURITY_PROTOCOL is \
             SSL or PLAINTEXT here, or it is another port",
        );
    }
}

/// A user who may do nothing yet, with a group of their own.
fn nobody(stage: &Stage) -> (String, String) {
    let (user, group) = (unique("user"), unique("group"));
    stage.kafka.set_scram_password(&user, "SCRAM-SHA-256", PASSWORD).unwrap();
    (user, group)
}

fn as_user<'a>(user: &'a str, group: &'a str) -> Variables<'a> {
    let mut variables = sasl("SASL_PLAINTEXT", "SCRAM-SHA-256", user, PASSWORD);
    variables.push(("KAFKA_GROUP_ID", group));
    variables
}

/// The broker learns of a new user, and of a permission, a moment later: waits until `check` says so.
fn wait_for(stage: &Stage, variables: &[(&'static str, &str)], what: &str) {
    let place = stage.place(Listener::SaslPlaintext, variables);
    place.wait_for(what, |place| place.ask(&["check", "--verbose"]).stdout.contains(what));
}

#[test]
fn a_user_without_a_permission_is_told_which_one() {
    for version in testkit::VERSIONS {
        let stage = Stage::new(version, "permissions");
        let (user, group) = nobody(&stage);
        let variables = as_user(&user, &group);
        let topic = &stage.topic;
        wait_for(&stage, &variables, "TOPIC_AUTHORIZATION_FAILED");
        stage.is_refused(
            Listener::SaslPlaintext,
            &variables,
            &format!(
                "topic '{topic}' cannot be read: TOPIC_AUTHORIZATION_FAILED (29); grant this user READ and DESCRIBE on the topic"
            ),
        );
        stage.kafka.allow(&user, "READ", "TOPIC", topic).unwrap();
        wait_for(&stage, &variables, &format!("'{topic}': 1 partition"));
        stage.is_refused(
            Listener::SaslPlaintext,
            &variables,
            &format!(
                "broker BROKER refused FindCoordinator for group '{group}': GROUP_AUTHORIZATION_FAILED (30); grant this user \
                 READ on the group, which implies DESCRIBE unless an ACL denies it: FindCoordinator needs DESCRIBE"
            ),
        );
        stage.kafka.allow(&user, "READ", "GROUP", &group).unwrap();
        stage.produce(0..5);
        let place = stage.place(Listener::SaslPlaintext, &variables);
        place.wait_for("the permission", |place| place.ask(&["run", "--exit-at-end"]).code == Some(0));
        assert_eq!(place.number("SELECT count(*) FROM opportunities"), Some(5));
        assert_eq!(place.ask(&["check"]).code, Some(0));
    }
}

/// DESCRIBE is enough to see all, and not to read.
#[test]
fn check_finds_a_missing_permission_that_the_service_would_meet_later() {
    for version in testkit::VERSIONS {
        let stage = Stage::new(version, "describe");
        let (user, group) = nobody(&stage);
        let variables = as_user(&user, &group);
        let topic = &stage.topic;
        stage.kafka.allow(&user, "DESCRIBE", "TOPIC", topic).unwrap();
        stage.kafka.allow(&user, "DESCRIBE", "GROUP", &group).unwrap();
        let of_topic = format!(
            "refused Fetch for {topic}-0: TOPIC_AUTHORIZATION_FAILED (29); grant this user READ and DESCRIBE on the topic\n"
        );
        wait_for(&stage, &variables, &of_topic);
        let of_group = format!(
            "refused Heartbeat for group '{group}': GROUP_AUTHORIZATION_FAILED (30); grant this user READ on the group\n"
        );
        wait_for(&stage, &variables, &of_group);
        let refused = |request: &str, code: &str| {
            let place = stage.place(Listener::SaslPlaintext, &variables);
            let answer = place.ask(&["run"]);
            let line = answer.stderr.lines().last().unwrap();
            assert!(answer.code == Some(1) && line.contains(request) && line.contains(code), "{answer:?}");
            assert_no_secret(&place);
        };
        refused("refused JoinGroup", "GROUP_AUTHORIZATION_FAILED");
        stage.kafka.allow(&user, "READ", "GROUP", &group).unwrap();
        wait_for(&stage, &variables, "has committed nothing yet");
        let check = stage.place(Listener::SaslPlaintext, &variables).ask(&["check"]);
        assert!(check.code == Some(1) && check.stdout.contains(&of_topic), "{check:?}");
        refused(&format!("refused OffsetCommit for {topic}-0"), "TOPIC_AUTHORIZATION_FAILED");
    }
}

#[test]
fn files_that_are_no_certificates_are_wrong_settings() {
    let stage = Stage::new(testkit::NEWEST, "no-certificates");
    let (variable, ca) = stage.trusting();
    let (certificate, key) = stage.certificates.client();
    let (_, other_key) = stage.certificates.stranger();
    let (certificate, key, other_key) = (text(&certificate), text(&key), text(&other_key));
    let check = |ca: &str, certificate: &str, key: &str, line: &str| {
        let own = [("KAFKA_SSL_CERTIFICATE_LOCATION", certificate), ("KAFKA_SSL_KEY_LOCATION", key)];
        let place =
            stage.place(Listener::Ssl, &[&[("KAFKA_SECURITY_PROTOCOL", "SSL"), (variable, ca)], &own[..]].concat());
        fs::write(place.path().join("text.pem"), "hush\n").unwrap();
        let answer = place.ask(&["run"]);
        assert_eq!((answer.code, &*answer.stderr), (Some(2), &*format!("enterprise-consumer: {line}\n")));
        let answer = place.ask(&["check"]);
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
fn without_authorities_of_the_system_a_file_must_be_named() {
    let stage = Stage::new(testkit::NEWEST, "no-authorities");
    let nowhere = [("KAFKA_SECURITY_PROTOCOL", "SSL"), ("SSL_CERT_FILE", "/nowhere.pem"), ("SSL_CERT_DIR", "/nowhere")];
    let place = stage.place(Listener::Ssl, &nowhere);
    let answer = place.ask(&["run"]);
    let line = "KAFKA_SSL_CA_LOCATION must be set: the system has no CA certificates (failed to read PEM from file: No such \
                file or directory (os error 2) at '/nowhere.pem'); set a PEM file with CA certificates, or fix SSL_CERT_FILE \
                and SSL_CERT_DIR if one of them is set";
    assert_eq!((answer.code, &*answer.stderr), (Some(2), &*format!("enterprise-consumer: {line}\n")));
}
