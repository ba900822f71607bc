//! The service over TLS and SASL, with brokers of the oldest and the newest version: every way in, and every way to be turned away
//! in its own words, with the secret in none of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use testkit::{BRIEF_MS, Certificates, Client, Cluster, Listener, PASSWORD, ProduceOptions, Record, USER, unique};

use crate::support::child::Place;

/// A wrong password, to be found nowhere.
const WRONG: &str = "wrong-password-4711";

/// Settings beside those of every test.
type Variables<'a> = Vec<(&'static str, &'a str)>;

/// A topic on a secure broker.
struct Stage {
    cluster: &'static Cluster,
    kafka: &'static Client,
    topic: String,
    certificates: Certificates,
}

impl Stage {
    fn new(version: &str, name: &str) -> Self {
        let cluster = testkit::shared_secure(version).unwrap();
        let kafka = cluster.client().unwrap();
        let topic = unique(name);
        kafka.create_topic(&topic, 1, &[]).unwrap();
        Self { cluster, kafka, topic, certificates: Certificates::get().unwrap() }
    }

    fn produce(&self, numbers: std::ops::Range<i64>) {
        let event = |number| {
            let value = format!(r#"{{"event_id":"opp_{number}","name":"number {number}","stage":"won"}}"#);
            Record::value(value).partition(0)
        };
        self.kafka.produce(&self.topic, &ProduceOptions::default(), numbers.map(event)).unwrap();
    }

    /// A service that goes to that listener, with a group of its own, and logs all that it can.
    fn place(&self, listener: Listener, variables: &[(&'static str, &str)]) -> Place {
        let mut place = Place::new(&self.cluster.bootstrap_servers_of(listener), &self.topic);
        place.set("KAFKA_GROUP_ID", &unique("group")).set("LOG_LEVEL", "TRACE");
        for (variable, value) in variables {
            place.set(variable, value);
        }
        place
    }

    fn trusting(&self) -> (&'static str, String) {
        ("KAFKA_SSL_CA_LOCATION", text(&self.certificates.authority()))
    }

    /// What becomes of a service that is turned away: its one line of error, the same from `check`, and no secret anywhere.
    fn is_refused(&self, listener: Listener, variables: &[(&'static str, &str)], line: &str) {
        let place = self.place(listener, variables);
        let line = line.replace("BROKER", &self.cluster.bootstrap_servers_of(listener));
        let answer = place.ask(&["run"]);
        assert_eq!(answer.code, Some(1), "{answer:?}");
        let errors: Vec<&str> = answer.stderr.lines().filter(|line| line.contains("[ERROR]")).collect();
        let [error] = errors[..] else { panic!("{errors:?} {}", answer.stderr) };
        assert_eq!(error.split_once("[ERROR] ").unwrap().1, line);
        assert_eq!(answer.stderr.lines().last(), Some(error));
        let check = place.ask(&["check"]);
        assert_eq!(check.code, Some(1), "{check:?}");
        let failed: Vec<&str> = check.stdout.lines().filter(|line| line.contains(" FAIL ")).collect();
        let [failed] = failed[..] else { panic!("{check:?}") };
        assert!(failed.contains(&line), "{failed}");
        assert_no_secret(&place);
    }
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn sasl<'a>(protocol: &'a str, mechanism: &'a str, user: &'a str, password: &'a str) -> Variables<'a> {
    vec![
        ("KAFKA_SECURITY_PROTOCOL", protocol),
        ("KAFKA_SASL_MECHANISM", mechanism),
        ("KAFKA_SASL_USERNAME", user),
        ("KAFKA_SASL_PASSWORD", password),
    ]
}

/// No file that the service has written, and nothing that it has said, holds a password or a key.
fn assert_no_secret(place: &Place) {
    fn files(directory: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
    }
    let has = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    let files = files(place.path());
    assert!(files.len() > 2, "{files:?}");
    for path in files.iter().filter(|path| !path.ends_with("password")) {
        let bytes = fs::read(path).unwrap();
        for secret in [PASSWORD, WRONG, "PRIVATE KEY"] {
            assert!(!has(&bytes, secret), "{secret} in {}", path.display());
        }
    }
}

#[test]
fn events_are_read_and_committed_by_every_way_in() {
    for version in testkit::VERSIONS {
        let stage = Stage::new(version, "ways");
        stage.produce(0..20);
        let check = |listener, variables: &[(&'static str, &str)], described: &str| {
            let place = stage.place(listener, variables);
            place.run_to_end();
            place.assert_clean();
            assert_eq!(place.number("SELECT count(*) FROM opportunities"), Some(20), "{described}");
            let committed = stage.kafka.committed_offsets(&place.group()).unwrap();
            assert_eq!(committed[&(stage.topic.clone(), 0)].offset, 20, "{described}");
            let check = place.ask(&["check"]);
            assert_eq!(check.code, Some(0), "{check:?}");
            let line = check.stdout.lines().find(|line| line.starts_with("security")).unwrap();
            assert_eq!(line, format!("security  ok    {described}"));
            let status = place.ask(&["status"]);
            assert!(status.code == Some(0) && !status.stdout.contains("missing"), "{status:?}");
            assert_no_secret(&place);
        };
        let (variable, ca) = stage.trusting();
        let trusting = (variable, &*ca);
        let (certificate, key) = stage.certificates.client();
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
        // The file of authorities that the system is said to have.
        let system = [("KAFKA_SECURITY_PROTOCOL", "SSL"), ("SSL_CERT_FILE", &*ca)];
        check(Listener::Ssl, &system, "SSL: the system's authorities");
    }
}

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
            "no TLS with broker BROKER: its certificate comes from no authority that is trusted here; KAFKA_SSL_CA_LOCATION \
             names the PEM file with the authority's certificate",
        );
        stage.is_refused(
            Listener::SslElsewhere,
            &ssl,
            "no TLS with broker BROKER: its certificate is for another host: it names elsewhere.example; \
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
            "no TLS with broker BROKER: it demands a client certificate, and none is set; KAFKA_SSL_CERTIFICATE_LOCATION and \
             KAFKA_SSL_KEY_LOCATION name one and its key",
        );
        let (certificate, key) = stage.certificates.stranger();
        let (certificate, key) = (text(&certificate), text(&key));
        let stranger = [("KAFKA_SSL_CERTIFICATE_LOCATION", &*certificate), ("KAFKA_SSL_KEY_LOCATION", &*key)];
        stage.is_refused(
            Listener::MutualSsl,
            &[&[ssl, trusting], &stranger[..]].concat(),
            "no TLS with broker BROKER: it does not accept our client certificate (CertificateUnknown); \
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
                "no authentication with broker BROKER: it refused user 'alice' by {mechanism}, saying '{reason}'; check \
                 KAFKA_SASL_USERNAME, the password and KAFKA_SASL_MECHANISM"
            );
            stage.is_refused(Listener::SaslSsl, &variables, &line);
        }
        let mut variables = sasl("SASL_SSL", "PLAIN", USER, PASSWORD);
        variables.push(trusting);
        stage.is_refused(
            Listener::SaslBrief,
            &variables,
            "no authentication with broker BROKER: it does not offer the mechanism PLAIN on this port, but SCRAM-SHA-256; set \
             KAFKA_SASL_MECHANISM to one of those",
        );
        stage.is_refused(
            Listener::Ssl,
            &variables,
            "no authentication with broker BROKER: it authenticates nobody by SASL on this port; KAFKA_SECURITY_PROTOCOL is \
             SSL or PLAINTEXT here, or it is another port",
        );
    }
}

#[test]
fn a_user_without_a_permission_is_told_which_one() {
    for version in testkit::VERSIONS {
        let stage = Stage::new(version, "permissions");
        let (user, group) = (unique("user"), unique("group"));
        stage.kafka.set_scram_password(&user, "SCRAM-SHA-256", PASSWORD).unwrap();
        let mut variables = sasl("SASL_PLAINTEXT", "SCRAM-SHA-256", &user, PASSWORD);
        variables.push(("KAFKA_GROUP_ID", &group));
        let topic = &stage.topic;
        // The broker learns of a new user, and of a permission, a moment later.
        let wait_for = |what: &str| {
            let place = stage.place(Listener::SaslPlaintext, &variables);
            place.wait_for(what, |place| place.ask(&["check"]).stdout.contains(what));
        };
        wait_for("TOPIC_AUTHORIZATION_FAILED");
        stage.is_refused(
            Listener::SaslPlaintext,
            &variables,
            &format!(
                "topic '{topic}' cannot be read: TOPIC_AUTHORIZATION_FAILED (29); grant this user READ and DESCRIBE on the topic"
            ),
        );
        stage.kafka.allow(&user, "DESCRIBE", "TOPIC", topic).unwrap();
        wait_for("GROUP_AUTHORIZATION_FAILED");
        stage.is_refused(
            Listener::SaslPlaintext,
            &variables,
            &format!(
                "broker BROKER refused FindCoordinator for group '{group}': GROUP_AUTHORIZATION_FAILED (30); grant this user \
                 READ on the group"
            ),
        );
        stage.kafka.allow(&user, "READ", "GROUP", &group).unwrap();
        wait_for("has committed nothing yet");
        let place = stage.place(Listener::SaslPlaintext, &variables);
        let answer = place.ask(&["run"]);
        let line = answer.stderr.lines().last().unwrap();
        let expected = format!(
            "refused OffsetCommit for {topic}-0: TOPIC_AUTHORIZATION_FAILED (29); grant this user READ and DESCRIBE on the topic"
        );
        assert!(answer.code == Some(1) && line.ends_with(&expected), "{answer:?}");
        assert_no_secret(&place);
        stage.kafka.allow(&user, "READ", "TOPIC", topic).unwrap();
        stage.produce(0..5);
        place.wait_for("the permission", |place| place.ask(&["run", "--exit-at-end"]).code == Some(0));
        assert_eq!(place.number("SELECT count(*) FROM opportunities"), Some(5));
    }
}

#[test]
fn a_password_comes_from_a_file() {
    let stage = Stage::new(testkit::NEWEST, "password-file");
    stage.produce(0..5);
    let mut variables = sasl("SASL_PLAINTEXT", "SCRAM-SHA-256", USER, "");
    variables.push(("KAFKA_SASL_PASSWORD_FILE", "password"));
    let place = stage.place(Listener::SaslPlaintext, &variables);
    fs::write(place.path().join("password"), format!("{PASSWORD}\n")).unwrap();
    place.run_to_end();
    assert_eq!(place.number("SELECT count(*) FROM opportunities"), Some(5));
    assert_no_secret(&place);
}

#[test]
fn a_password_that_others_can_read_on_the_wire_is_a_warning() {
    let stage = Stage::new(testkit::NEWEST, "readable");
    let warned = |mechanism| {
        let place = stage.place(Listener::SaslPlaintext, &sasl("SASL_PLAINTEXT", mechanism, USER, PASSWORD));
        place.run_to_end();
        let check = place.ask(&["check"]).stdout;
        let parts = ["KAFKA_SASL_MECHANISM=PLAIN", "readable over the network"];
        let in_log = place.log().iter().any(|line| crate::support::child::is_warning(line, &parts));
        let in_check = check.lines().any(|line| line.contains("warn") && line.contains(parts[0]));
        assert_eq!(in_log, in_check);
        in_log
    };
    assert!(warned("PLAIN"));
    assert!(!warned("SCRAM-SHA-256"));
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
    let line = "KAFKA_SSL_CA_LOCATION must be set: this system has no certificates of authorities to trust; name a PEM file \
                with them";
    assert_eq!((answer.code, &*answer.stderr), (Some(2), &*format!("enterprise-consumer: {line}\n")));
}

#[test]
fn authentication_is_repeated_in_time_while_the_service_runs() {
    let stage = Stage::new(testkit::NEWEST, "brief");
    let (variable, ca) = stage.trusting();
    let mut variables = sasl("SASL_SSL", "SCRAM-SHA-256", USER, PASSWORD);
    variables.push((variable, &ca));
    let place = stage.place(Listener::SaslBrief, &variables);
    let mut service = place.start(&["run"]);
    let lifetime = Duration::from_millis(BRIEF_MS.into());
    let (start, mut produced) = (Instant::now(), 0);
    while start.elapsed() < lifetime * 3 {
        stage.produce(produced..produced + 10);
        produced += 10;
        place.wait_for("the events", |place| place.stored() == produced);
    }
    service.signal("TERM");
    service.ends_with(0);
    place.assert_clean();
    let of_a_connection = |line: &&serde_json::Value| {
        line["level"] == "WARN" && ["broke", "authentication", "TLS"].iter().any(|part| line.to_string().contains(part))
    };
    assert_eq!(place.log().iter().find(of_a_connection), None);
    assert_no_secret(&place);
}

#[test]
fn a_secure_broker_that_stands_still_or_is_restarted_is_ridden_out() {
    let cluster = Cluster::builder(testkit::NEWEST).secure().start().unwrap();
    let kafka = cluster.client().unwrap();
    let topic = unique("away");
    kafka.create_topic(&topic, 1, &[]).unwrap();
    let produce = |number: i64| {
        let value = format!(r#"{{"event_id":"opp_{number}","name":"number {number}","stage":"won"}}"#);
        kafka.produce(&topic, &ProduceOptions::default(), [Record::value(value).partition(0)]).unwrap();
    };
    let servers = cluster.bootstrap_servers_of(Listener::SaslSsl);
    let mut place = Place::new(&servers, &topic);
    let ca = text(&Certificates::get().unwrap().authority());
    for (variable, value) in sasl("SASL_SSL", "PLAIN", USER, PASSWORD) {
        place.set(variable, value);
    }
    place.set("KAFKA_SSL_CA_LOCATION", &ca);
    let mut service = place.start(&["run"]);
    produce(0);
    place.wait_for("the first event", |place| place.stored() == 1);
    let node = cluster.node(1).unwrap();
    node.pause().unwrap();
    place.wait_warning(0, &[&servers, "has not answered"]);
    node.resume().unwrap();
    produce(1);
    place.wait_for("the second event", |place| place.stored() == 2);
    node.stop().unwrap();
    place.wait_warning(0, &[&servers, "trying again"]);
    node.start().unwrap();
    produce(2);
    place.wait_for("the third event", |place| place.stored() == 3);
    service.signal("TERM");
    service.ends_with(0);
    place.assert_clean();
    assert_no_secret(&place);
}
