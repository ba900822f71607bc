//! The service over TLS and SASL, with brokers of the oldest and the newest version: every protocol and mechanism.

use std::fs;
use std::time::{Duration, Instant};

use testkit::{BRIEF_MS, Certificates, Cluster, Listener, PASSWORD, ProduceOptions, Record, USER, unique};

use crate::support::process::{Installation, is_warning};
use crate::support::secure_fixture::{SecureFixture, assert_no_secret, sasl, text};

#[test]
fn events_are_read_and_committed_over_every_protocol() {
    for version in testkit::VERSIONS {
        let fixture = SecureFixture::new(version, "ways");
        fixture.produce(0..20);
        let check = |listener, variables: &[(&'static str, &str)], described: &str| {
            let installation = fixture.installation(listener, variables);
            installation.run_to_end();
            installation.assert_clean();
            assert_eq!(installation.number("SELECT count(*) FROM opportunities"), Some(20), "{described}");
            let committed = fixture.kafka.committed_offsets(&installation.group()).unwrap();
            assert_eq!(committed[&(fixture.topic.clone(), 0)].offset, 20, "{described}");
            let check = installation.ask(&["check", "--verbose"]);
            assert_eq!(check.code, Some(0), "{check:?}");
            let line = check.stdout.lines().find(|line| line.starts_with("security")).unwrap();
            assert_eq!(line, format!("security  ok    {described}"));
            assert_no_secret(&installation);
        };
        let (variable, ca) = fixture.trusting();
        let trusting = (variable, &*ca);
        let (certificate, key) = fixture.certificates.client();
        let (certificate, key) = (text(&certificate), text(&key));
        let mutual = [("KAFKA_SSL_CERTIFICATE_LOCATION", &*certificate), ("KAFKA_SSL_KEY_LOCATION", &*key)];
        let ssl = [("KAFKA_SECURITY_PROTOCOL", "SSL"), trusting];
        check(Listener::Ssl, &ssl, &format!("SSL: authorities from '{ca}'"));
        check(
            Listener::MutualSsl,
            &[ssl, mutual].concat(),
            &format!("SSL: authorities from '{ca}', client certificate '{certificate}'"),
        );
        for mechanism in ["PLAIN", "SCRAM-SHA-256"] {
            let variables = sasl("SASL_PLAINTEXT", mechanism, USER, PASSWORD);
            let described = format!("SASL_PLAINTEXT: {mechanism} as 'alice', not encrypted");
            check(Listener::SaslPlaintext, &variables, &described);
        }
        for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
            let mut variables = sasl("SASL_SSL", mechanism, USER, PASSWORD);
            variables.push(trusting);
            let described = format!("SASL_SSL: {mechanism} as 'alice', authorities from '{ca}'");
            check(Listener::SaslSsl, &variables, &described);
        }
        // The system's file of authorities.
        let system = [("KAFKA_SECURITY_PROTOCOL", "SSL"), ("SSL_CERT_FILE", &*ca)];
        check(Listener::Ssl, &system, "SSL: the system's authorities");
    }
}

#[test]
fn a_password_comes_from_a_file() {
    let fixture = SecureFixture::new(testkit::NEWEST, "password-file");
    fixture.produce(0..5);
    let mut variables = sasl("SASL_PLAINTEXT", "SCRAM-SHA-256", USER, "");
    variables.push(("KAFKA_SASL_PASSWORD_FILE", "password"));
    let installation = fixture.installation(Listener::SaslPlaintext, &variables);
    fs::write(installation.path().join("password"), format!("{PASSWORD}\n")).unwrap();
    installation.run_to_end();
    assert_eq!(installation.number("SELECT count(*) FROM opportunities"), Some(5));
    let status = installation.ask(&["status"]);
    assert!(status.code == Some(0) && !status.stdout.contains("missing"), "{status:?}");
    // `status` works even if the file cannot be read.
    fs::remove_file(installation.path().join("password")).unwrap();
    let line =
        "KAFKA_SASL_PASSWORD_FILE names a file that cannot be read: 'password': No such file or directory (os error 2)";
    let status = installation.ask(&["status"]);
    assert!(status.code == Some(1) && status.stdout.contains("5 opportunities"), "{status:?}");
    assert!(status.stdout.contains(&format!("end offsets are missing: {line}\n")), "{status:?}");
    let check = installation.ask(&["check"]);
    assert!(check.code == Some(1) && check.stdout.contains(&format!("security  FAIL  {line}\n")), "{check:?}");
    let run = installation.ask(&["run"]);
    assert_eq!((run.code, &*run.stderr), (Some(2), &*format!("enterprise-consumer: {line}\n")));
    assert_no_secret(&installation);
}

#[test]
fn a_password_in_clear_text_is_a_warning() {
    let fixture = SecureFixture::new(testkit::NEWEST, "readable");
    let warned = |mechanism| {
        let installation =
            fixture.installation(Listener::SaslPlaintext, &sasl("SASL_PLAINTEXT", mechanism, USER, PASSWORD));
        installation.run_to_end();
        let check = installation.ask(&["check", "--verbose"]).stdout;
        let parts = ["KAFKA_SASL_MECHANISM=PLAIN", "in clear text"];
        let in_log = installation.log().iter().any(|line| is_warning(line, &parts));
        let in_check = check.lines().any(|line| line.contains("warn") && line.contains(parts[0]));
        assert_eq!(in_log, in_check);
        in_log
    };
    assert!(warned("PLAIN"));
    assert!(!warned("SCRAM-SHA-256"));
}

#[test]
fn the_service_reauthenticates_in_time() {
    let fixture = SecureFixture::new(testkit::NEWEST, "brief");
    let (variable, ca) = fixture.trusting();
    let mut variables = sasl("SASL_SSL", "SCRAM-SHA-256", USER, PASSWORD);
    variables.push((variable, &ca));
    let installation = fixture.installation(Listener::SaslBrief, &variables);
    let mut service = installation.start(&["run"]);
    let lifetime = Duration::from_millis(BRIEF_MS.into());
    let (start, mut produced) = (Instant::now(), 0);
    while start.elapsed() < lifetime * 3 {
        fixture.produce(produced..produced + 10);
        produced += 10;
        installation.wait_for("the events", |installation| installation.stored() == produced);
    }
    service.signal("TERM");
    service.ends_with(0);
    installation.assert_clean();
    let of_a_connection = |line: &&serde_json::Value| {
        line["level"] == "WARN" && ["broke", "authentication", "TLS"].iter().any(|part| line.to_string().contains(part))
    };
    assert_eq!(installation.log().iter().find(of_a_connection), None);
    assert_no_secret(&installation);
}

#[test]
fn a_secure_broker_may_be_paused_or_restarted() {
    let cluster = Cluster::builder(testkit::NEWEST).secure().start().unwrap();
    let kafka = cluster.client().unwrap();
    let topic = unique("away");
    kafka.create_topic(&topic, 1, &[]).unwrap();
    let produce = |number: i64| {
        let value = format!(r#"{{"event_id":"opp_{number}","name":"number {number}","stage":"won"}}"#);
        kafka.produce(&topic, &ProduceOptions::default(), [Record::value(value).partition(0)]).unwrap();
    };
    kafka.set_scram_password(USER, "SCRAM-SHA-512", PASSWORD).unwrap();
    let servers = cluster.bootstrap_servers_of(Listener::SaslSsl);
    let mut installation = Installation::new(&servers, &topic);
    let ca = text(&Certificates::get().unwrap().authority());
    for (variable, value) in sasl("SASL_SSL", "SCRAM-SHA-512", USER, PASSWORD) {
        installation.set(variable, value);
    }
    installation.set("KAFKA_SSL_CA_LOCATION", &ca);
    // The broker knows a new user after a while.
    installation.wait_for("the user", |installation| installation.ask(&["check"]).code == Some(0));
    let mut service = installation.start(&["run"]);
    produce(0);
    installation.wait_for("the first event", |installation| installation.stored() == 1);
    let node = cluster.node(1).unwrap();
    node.pause().unwrap();
    installation.wait_warning(0, &[&servers, "has not answered"]);
    node.resume().unwrap();
    produce(1);
    installation.wait_for("the second event", |installation| installation.stored() == 2);
    node.stop().unwrap();
    installation.wait_warning(0, &[&servers, "trying again"]);
    node.start().unwrap();
    produce(2);
    installation.wait_for("the third event", |installation| installation.stored() == 3);
    service.signal("TERM");
    service.ends_with(0);
    installation.assert_clean();
    assert_no_secret(&installation);
}
