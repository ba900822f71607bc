//! The client against brokers with TLS and SASL: every listener, and every failure.

use std::collections::BTreeSet;
use std::error::Error as _;
use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Reader, addresses};
use kafka::{
    Address, Builder, Client, ClientCertificate, ConnectionSettings, Consumer, Credentials, Error, Sasl, SaslFault,
    SaslMechanism, Secret, Security, Tls, TlsFault, TlsFiles, TopicPartition,
};
use testkit::{BRIEF_MS, Certificates, Cluster, Listener, PASSWORD, ProduceOptions, USER, unique};

use SaslMechanism::{Plain, ScramSha256, ScramSha512};

/// Longer than a handshake on a busy machine.
const CONNECT_TIMEOUT: Duration = Duration::from_mins(1);
/// More than the size of a `ClientHello`.
const HELLO_BYTES_MAX: usize = 64 * 1024;

fn on_each_version(test: impl Fn(&'static Cluster) + Sync) {
    thread::scope(|scope| {
        for version in testkit::VERSIONS {
            let test = &test;
            scope.spawn(move || test(secure(version)));
        }
    });
}

fn secure(version: &str) -> &'static Cluster {
    let cluster = testkit::shared_secure(version).unwrap();
    // The first request about a group makes the broker create the topic of the committed offsets.
    cluster.client().unwrap().committed_offsets("nobody").unwrap();
    cluster
}

/// TLS settings: trusts the brokers' CA, unless `change` changes that.
fn tls(change: impl FnOnce(&Certificates, &mut TlsFiles)) -> Tls {
    let certificates = Certificates::get().unwrap();
    let mut files = TlsFiles { authorities: Some(certificates.authority()), client: None };
    change(&certificates, &mut files);
    Tls::load(&files).unwrap()
}

fn trusting() -> Tls {
    tls(|_, _| {})
}

fn showing(pair: fn(&Certificates) -> (std::path::PathBuf, std::path::PathBuf)) -> Tls {
    tls(|certificates, files| {
        let (certificate, key) = pair(certificates);
        files.client = Some(ClientCertificate { certificate, key });
    })
}

fn sasl(mechanism: SaslMechanism, username: &str, password: &str) -> Sasl {
    let credentials = Credentials { username: username.to_owned(), password: Secret::new(password) };
    match mechanism {
        Plain => Sasl::Plain(credentials),
        ScramSha256 => Sasl::ScramSha256(credentials),
        ScramSha512 => Sasl::ScramSha512(credentials),
        SaslMechanism::OauthBearer => panic!("it has no password"),
    }
}

fn ssl(tls: Tls) -> Security {
    Security { tls: Some(tls), sasl: None }
}

fn sasl_plaintext(sasl: Sasl) -> Security {
    Security { tls: None, sasl: Some(sasl) }
}

fn sasl_ssl(sasl: Sasl) -> Security {
    Security { tls: Some(trusting()), sasl: Some(sasl) }
}

fn client(servers: &str, security: Security) -> Client {
    let settings = ConnectionSettings {
        security: security.into(),
        connect_timeout: CONNECT_TIMEOUT,
        ..ConnectionSettings::default()
    };
    Client::new(addresses(servers), settings)
}

fn failure(servers: &str, security: Security) -> Error {
    client(servers, security).metadata(vec![]).unwrap_err()
}

fn builder(cluster: &Cluster, listener: Listener, topic: &str, security: Security) -> Builder {
    Consumer::from_hosts(addresses(&cluster.bootstrap_servers_of(listener)))
        .with_topic(topic)
        .with_group(unique("group"))
        .with_metadata_max_age(Duration::from_millis(200))
        .with_security(security)
}

fn produce(cluster: &Cluster, topic: &str, numbers: std::ops::Range<i64>) {
    let records = numbers.map(|n| testkit::Record::value(n.to_string()).partition(0));
    cluster.client().unwrap().produce(topic, &ProduceOptions::default(), records).unwrap();
}

#[test]
fn records_are_read_over_every_listener() {
    on_each_version(|cluster| {
        let topic = unique("ways");
        cluster.client().unwrap().create_topic(&topic, 1, &[]).unwrap();
        // More than one TLS record, and a batch that does not end with one.
        let records = (0..50).map(|n| testkit::Record::value(n.to_string().repeat(10_000)).partition(0));
        cluster.client().unwrap().produce(&topic, &ProduceOptions::default(), records).unwrap();
        let at = TopicPartition::new(topic.as_str(), 0);
        let check = |listener, security| {
            let mut reader = Reader::new(builder(cluster, listener, &topic, security));
            reader.until_position(&at, 50);
            assert_eq!(reader.records[&at].len(), 50, "{listener:?}");
            assert!(reader.retried.is_empty(), "{listener:?}: {:?}", reader.retried);
        };
        check(Listener::Ssl, ssl(trusting()));
        check(Listener::MutualSsl, ssl(showing(Certificates::client)));
        check(Listener::MutualSsl12, ssl(showing(Certificates::client)));
        // A client certificate that the listener does not request.
        check(Listener::Ssl, ssl(showing(Certificates::client)));
        for mechanism in [Plain, ScramSha256] {
            check(Listener::SaslPlaintext, sasl_plaintext(sasl(mechanism, USER, PASSWORD)));
        }
        for mechanism in [Plain, ScramSha256, ScramSha512] {
            check(Listener::SaslSsl, sasl_ssl(sasl(mechanism, USER, PASSWORD)));
        }
    });
}

#[test]
fn a_certificate_is_valid_for_host_name_and_ip_address() {
    let cluster = secure(testkit::NEWEST);
    let by_address = cluster.bootstrap_servers_of(Listener::Ssl);
    for servers in [by_address.clone(), by_address.replace("127.0.0.1", "localhost")] {
        client(&servers, ssl(trusting())).metadata(vec![]).unwrap();
    }
    // The certificate of another host has neither.
    let by_address = cluster.bootstrap_servers_of(Listener::SslElsewhere);
    for servers in [by_address.clone(), by_address.replace("127.0.0.1", "localhost")] {
        let error = failure(&servers, ssl(trusting()));
        let Error::Tls { fault: TlsFault::WrongName { names }, .. } = error else { panic!("{error:?}") };
        assert_eq!(names, ["elsewhere.example"]);
    }
}

#[test]
fn every_fault_of_a_certificate_has_its_own_error() {
    on_each_version(|cluster| {
        let check = |listener, tls, expected: fn(&TlsFault) -> bool, text: &str| {
            let error = failure(&cluster.bootstrap_servers_of(listener), ssl(tls));
            assert!(!error.is_retriable() && error.to_string().contains(text), "{listener:?}: {error}");
            let Error::Tls { fault, .. } = error else { panic!("{error:?}") };
            assert!(expected(&fault), "{fault:?}");
        };
        let other = tls(|certificates, files| files.authorities = Some(certificates.other_authority()));
        check(
            Listener::Ssl,
            other,
            |fault| *fault == TlsFault::Untrusted,
            "not signed by a trusted certificate authority",
        );
        let renewed = tls(|certificates, files| files.authorities = Some(certificates.renewed_authority()));
        check(Listener::Ssl, renewed, |fault| *fault == TlsFault::OtherKey, "not signed with the key");
        let itself = tls(|certificates, files| files.authorities = Some(certificates.itself()));
        check(Listener::SslItself, itself, |fault| *fault == TlsFault::Authority, "(CA:TRUE)");
        check(
            Listener::SslElsewhere,
            trusting(),
            |fault| matches!(fault, TlsFault::WrongName { names } if names.len() == 1),
            "another host: it names elsewhere.example",
        );
        check(Listener::SslExpired, trusting(), |fault| matches!(fault, TlsFault::Expired { .. }), "days ago");
        check(
            Listener::SslEarly,
            trusting(),
            |fault| matches!(fault, TlsFault::NotYetValid { .. }),
            "not valid before",
        );
        for listener in [Listener::MutualSsl, Listener::MutualSsl12] {
            check(
                listener,
                trusting(),
                |fault| *fault == TlsFault::CertificateRequired,
                "requires a client certificate",
            );
            check(
                listener,
                showing(Certificates::stranger),
                |fault| matches!(fault, TlsFault::CertificateRejected(_)),
                "rejected the client certificate",
            );
        }
    });
}

#[test]
fn every_fault_of_an_authentication_has_its_own_error() {
    on_each_version(|cluster| {
        let check = |listener, security, text: &str| {
            let error = failure(&cluster.bootstrap_servers_of(listener), security);
            assert!(!error.is_retriable() && error.to_string().contains(text), "{listener:?}: {error}");
            assert!(!format!("{error} {error:?}").contains("wrong-password"), "{error:?}");
            let Error::Sasl { fault, .. } = error else { panic!("{error:?}") };
            fault
        };
        for mechanism in [Plain, ScramSha256, ScramSha512] {
            for user in [USER, "nobody"] {
                let wrong = sasl(mechanism, user, "wrong-password");
                let text = format!("credentials of user '{user}' rejected ({mechanism}): 'Authentication failed");
                let fault = check(Listener::SaslSsl, sasl_ssl(wrong), &text);
                assert!(matches!(fault, SaslFault::Rejected { .. }), "{fault:?}");
            }
        }
        let right = |mechanism| sasl(mechanism, USER, PASSWORD);
        let fault = check(
            Listener::SaslPlaintext,
            sasl_plaintext(right(ScramSha512)),
            "the listener does not support SCRAM-SHA-512, only ",
        );
        let SaslFault::UnsupportedMechanism { ours: ScramSha512, mut theirs } = fault else { panic!("{fault:?}") };
        theirs.sort();
        assert_eq!(theirs, ["PLAIN", "SCRAM-SHA-256"]);
        let fault = check(Listener::Ssl, sasl_ssl(right(Plain)), "the listener does not expect SASL authentication");
        assert_eq!(fault, SaslFault::NotExpected);
    });
}

#[test]
fn a_wrong_port_is_a_retriable_error() {
    on_each_version(|cluster| {
        let check = |servers: &str, security, text: &str| {
            let error = failure(servers, security);
            let text_and_cause = error.to_string() + &error.source().map(ToString::to_string).unwrap_or_default();
            assert!(error.is_retriable() && text_and_cause.contains(text), "{text_and_cause}");
        };
        let plain = cluster.bootstrap_servers();
        check(&plain, ssl(trusting()), "is this its TLS port?");
        let encrypted = cluster.bootstrap_servers_of(Listener::Ssl);
        check(&encrypted, Security::default(), "its port without TLS?");
        let authenticated = cluster.bootstrap_servers_of(Listener::SaslPlaintext);
        check(&authenticated, Security::default(), "does this listener require SASL?");
    });
}

#[test]
fn a_tls_handshake_without_a_response_ends_at_the_connect_timeout() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let servers = addresses(&silent.local_addr().unwrap().to_string());
    let connect_timeout = Duration::from_millis(100);
    let settings =
        ConnectionSettings { security: ssl(trusting()).into(), connect_timeout, ..ConnectionSettings::default() };
    let error = Client::new(servers, settings).metadata(vec![]).unwrap_err();
    let Error::TimedOut { request: "the TLS handshake", waited, .. } = error else { panic!("{error:?}") };
    assert_eq!(waited, connect_timeout);
}

/// Closes the connection as a broker does that shuts down. Unread bytes turn the close into a reset.
#[test]
fn an_interrupted_tls_handshake_is_retriable() {
    for (read, ends) in [(HELLO_BYTES_MAX, "closed"), (1, "reset")] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let servers = listener.local_addr().unwrap().to_string();
        let peer = thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            assert!(stream.read(&mut vec![0; read]).unwrap() > 0);
        });
        let error = failure(&servers, ssl(trusting()));
        assert!(matches!(error, Error::Handshake { .. }) && error.is_retriable(), "{ends}: {error:?}");
        peer.join().unwrap();
    }
}

#[test]
fn user_name_and_password_may_have_any_characters() {
    let cluster = secure(testkit::NEWEST);
    let (name, password) = ("odd=user,name", "pässwörd,=%\u{1f511}");
    let kafka = cluster.client().unwrap();
    let security = |mechanism| sasl_ssl(sasl(mechanism, name, password));
    for mechanism in [ScramSha256, ScramSha512] {
        kafka.set_scram_password(name, &mechanism.to_string(), password).unwrap();
        // The broker applies it a moment later.
        let mut client = client(&cluster.bootstrap_servers_of(Listener::SaslSsl), security(mechanism));
        crate::support::wait_for("the new user", || client.metadata(vec![]).ok());
    }
}

#[test]
fn an_invalid_certificate_is_reported_unless_another_broker_responds() {
    let cluster = secure(testkit::NEWEST);
    let (good, bad) = (cluster.bootstrap_servers_of(Listener::Ssl), cluster.bootstrap_servers_of(Listener::SslExpired));
    let security = || ssl(trusting());
    // Nothing listens on port 1 (tcpmux).
    for servers in [format!("{bad},127.0.0.1:1"), format!("127.0.0.1:1,{bad}")] {
        let error = failure(&servers, security());
        assert!(!error.is_retriable(), "{error}");
        let Error::NoBrokerAvailable { failures } = error else { panic!("{error}") };
        let [Error::Tls { fault: TlsFault::Expired { .. }, .. }, Error::Connect { .. }] = failures[..] else {
            panic!("{failures:?}")
        };
    }
    for servers in [format!("{bad},{good}"), format!("{good},{bad}")] {
        client(&servers, security()).metadata(vec![]).unwrap();
    }
}

/// Held by the test that counts the connections of the listener.
static BRIEF: Mutex<()> = Mutex::new(());

/// Local ports of this process's connections to a local port.
fn connections(to: u16) -> BTreeSet<String> {
    let (remote, established) = (format!("0100007F:{to:04X}"), "01");
    let table = fs::read_to_string("/proc/self/net/tcp").unwrap();
    let of_line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        (words[2] == remote && words[3] == established).then(|| words[1].to_owned())
    };
    table.lines().skip(1).filter_map(of_line).collect()
}

#[test]
fn reauthentication_uses_the_same_connections_with_and_without_records() {
    let _alone = BRIEF.lock().unwrap_or_else(PoisonError::into_inner);
    on_each_version(|cluster| {
        let topic = unique("brief");
        cluster.client().unwrap().create_topic(&topic, 1, &[]).unwrap();
        let at = TopicPartition::new(topic.as_str(), 0);
        let security = sasl_ssl(sasl(ScramSha256, USER, PASSWORD));
        // Metadata is requested so seldom that the connection of the control thread is idle for longer than the session
        // lifetime.
        let lifetime = Duration::from_millis(BRIEF_MS.into());
        let idle = builder(cluster, Listener::SaslBrief, &topic, security).with_metadata_max_age(lifetime * 2);
        let mut reader = Reader::new(idle);
        produce(cluster, &topic, 0..10);
        reader.until_position(&at, 10);
        let port = addresses(&cluster.bootstrap_servers_of(Listener::SaslBrief))[0].port;
        let before = connections(port);
        assert!(!before.is_empty());
        let (start, mut produced) = (Instant::now(), 10);
        while start.elapsed() < lifetime * 3 {
            produce(cluster, &topic, produced..produced + 10);
            produced += 10;
            reader.until_position(&at, produced);
        }
        let quiet = Instant::now();
        reader.until("two lifetimes without records", |_| quiet.elapsed() > lifetime * 2);
        produce(cluster, &topic, produced..produced + 10);
        reader.until_position(&at, produced + 10);
        assert_eq!(connections(port), before, "connections were opened again");
        assert!(reader.retried.is_empty(), "{:?}", reader.retried);
    });
}

#[test]
fn a_changed_password_ends_the_consumer() {
    let _alone = BRIEF.lock().unwrap_or_else(PoisonError::into_inner);
    let cluster = secure(testkit::NEWEST);
    let (topic, user) = (unique("changed"), unique("user"));
    let kafka = cluster.client().unwrap();
    kafka.create_topic(&topic, 1, &[]).unwrap();
    kafka.set_scram_password(&user, "SCRAM-SHA-256", "old-password").unwrap();
    for (resource, name) in [("TOPIC", &*topic), ("GROUP", "*")] {
        kafka.allow(&user, "READ", resource, name).unwrap();
    }
    let security = sasl_ssl(sasl(ScramSha256, &user, "old-password"));
    let mut client = client(&cluster.bootstrap_servers_of(Listener::SaslBrief), security.clone());
    crate::support::wait_for("the new user", || client.metadata(vec![topic.as_str().into()]).ok());
    let mut reader = Reader::new(builder(cluster, Listener::SaslBrief, &topic, security));
    produce(cluster, &topic, 0..10);
    reader.until_position(&TopicPartition::new(topic.as_str(), 0), 10);
    kafka.set_scram_password(&user, "SCRAM-SHA-256", "new-password").unwrap();
    let error = reader.until_error(|_| {});
    assert!(matches!(error, Error::Sasl { fault: SaslFault::Rejected { .. }, .. }), "{error}");
}

#[test]
fn no_debug_output_shows_a_secret() {
    let security = Security { tls: Some(showing(Certificates::client)), sasl: Some(sasl(Plain, "alice", "hush")) };
    let address = Address { host: "localhost".to_owned(), port: 1 };
    let builder = Consumer::from_hosts(vec![address]).with_security(security.clone());
    let settings = ConnectionSettings { security: security.clone().into(), ..ConnectionSettings::default() };
    for printed in [format!("{security:?}"), format!("{settings:#?}"), format!("{builder:?}")] {
        assert!(printed.contains("alice") && printed.contains("***") && !printed.contains("hush"), "{printed}");
        assert!(!printed.contains("PRIVATE"), "{printed}");
    }
}
