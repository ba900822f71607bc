//! SIGHUP: credentials are read again and take effect on new connections, the member remains a member, nothing is lost; what
//! is invalid changes nothing. Real brokers with TLS and SASL.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use testkit::{Listener, PASSWORD, SECOND_USER};

use crate::support::http::{get, metric};
use crate::support::process::{Installation, Service, is_warning};
use crate::support::secure_fixture::{SecureFixture, WRONG, assert_no_secret, sasl, text};

/// The TCP sockets of a process that are connected to a port, by inode.
fn sockets(service: &Service<'_>, address: &str) -> BTreeSet<String> {
    let port: u16 = address.rsplit_once(':').unwrap().1.parse().unwrap();
    let remote = format!(":{port:04X}");
    let directory = format!("/proc/{}/fd", service.pid());
    let inode = |target: &Path| Some(target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned());
    // A file may be closed meanwhile.
    let links = fs::read_dir(directory).unwrap().filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let own: BTreeSet<String> = links.filter_map(|target| inode(&target)).collect();
    let table = fs::read_to_string(format!("/proc/{}/net/tcp", service.pid())).unwrap();
    let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    // Remote address, state ESTABLISHED, inode (<https://docs.kernel.org/networking/proc_net_tcp.html>).
    let connected = rows.filter(|row| row[2].ends_with(&remote) && row[3] == "01").map(|row| row[9].to_owned());
    connected.filter(|inode| own.contains(inode)).collect()
}

fn lines(installation: &Installation, level: &str, start: &str) -> Vec<Value> {
    let is_line =
        |line: &Value| line["level"] == level && line["message"].as_str().is_some_and(|text| text.starts_with(start));
    installation.log().into_iter().filter(is_line).collect()
}

/// A service that reads under load, and what must not change.
struct Reloaded<'a> {
    fixture: &'a SecureFixture,
    installation: &'a Installation,
    service: Service<'a>,
    servers: String,
    members: Vec<String>,
    produced: i64,
}

impl<'a> Reloaded<'a> {
    fn start(fixture: &'a SecureFixture, installation: &'a Installation, listener: Listener) -> Self {
        let service = installation.start(&["run"]);
        let servers = fixture.cluster.bootstrap_servers_of(listener);
        let mut reloaded = Self { fixture, installation, service, servers, members: Vec::new(), produced: 0 };
        reloaded.read_more();
        reloaded.members = reloaded.members_now();
        assert_eq!(reloaded.members.len(), 1);
        reloaded
    }

    fn members_now(&self) -> Vec<String> {
        let group = self.fixture.kafka.describe_group(&self.installation.group()).unwrap();
        group.members.into_iter().map(|member| member.member_id).collect()
    }

    fn read_more(&mut self) {
        self.fixture.produce(self.produced..self.produced + 20);
        self.produced += 20;
        self.installation.wait_for("the events", |installation| installation.stored() == self.produced);
    }

    /// Records arrive before, during and after the reload, which must replace each connection.
    fn accepts(&mut self) {
        let before = sockets(&self.service, &self.servers);
        assert!(before.len() >= 3, "fetches, control and membership: {before:?}");
        let reloads = lines(self.installation, "INFO", "reloaded: ").len();
        self.fixture.produce(self.produced..self.produced + 20);
        self.produced += 20;
        self.service.signal("HUP");
        self.installation
            .wait_for("the reload", |installation| lines(installation, "INFO", "reloaded: ").len() > reloads);
        self.read_more();
        self.installation.wait_for("new connections", |_| sockets(&self.service, &self.servers).is_disjoint(&before));
        self.read_more();
    }

    /// The reload fails with one ERROR, and the connections stay as they are.
    fn refuses(&mut self, parts: &[&str]) {
        let before = sockets(&self.service, &self.servers);
        let (errors, reloads) = (self.errors().len(), lines(self.installation, "INFO", "reloaded: ").len());
        self.service.signal("HUP");
        self.installation.wait_for("the ERROR", |_| self.errors().len() > errors);
        self.read_more();
        let error = self.errors().split_off(errors);
        let [message] = &error[..] else { panic!("{error:?}") };
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        assert!(message.starts_with("not reloaded, the former credentials stay in use: "), "{message}");
        assert_eq!(lines(self.installation, "INFO", "reloaded: ").len(), reloads);
        assert_eq!(sockets(&self.service, &self.servers), before);
    }

    fn errors(&self) -> Vec<String> {
        let errors = lines(self.installation, "ERROR", "");
        errors.iter().map(|line| line["message"].as_str().unwrap().to_owned()).collect()
    }

    fn end(mut self) {
        assert_eq!(self.members_now(), self.members, "the same membership");
        self.service.signal("TERM");
        self.service.ends_with(0);
        assert_eq!(lines(self.installation, "INFO", "consumer group is rebalancing").len(), 0);
        assert_eq!(lines(self.installation, "INFO", "partition assigned").len(), 1);
        let rows = self.installation.number("SELECT count(*) FROM opportunities");
        assert_eq!(rows, Some(self.produced), "each event once");
        self.installation.assert_clean();
        assert_no_secret(self.installation);
    }
}

#[test]
fn a_certificate_and_an_authority_are_replaced_under_load() {
    let fixture = SecureFixture::new(testkit::NEWEST, "certificate");
    let mut installation = fixture.installation(Listener::MutualSsl, &[("KAFKA_SECURITY_PROTOCOL", "SSL")]);
    let credentials = tempfile::tempdir().unwrap();
    let file = |name: &str| credentials.path().join(name);
    let (authorities, certificate, key) = (file("authorities.pem"), file("certificate.pem"), file("key.pem"));
    let read = |path: &Path| fs::read_to_string(path).unwrap();
    let (first, first_key) = fixture.certificates.client();
    fs::write(&authorities, read(&fixture.certificates.other_authority()) + &read(&fixture.certificates.authority()))
        .unwrap();
    fs::copy(&first, &certificate).unwrap();
    fs::copy(&first_key, &key).unwrap();
    installation.set("KAFKA_SSL_CA_LOCATION", &text(&authorities));
    installation.set("KAFKA_SSL_CERTIFICATE_LOCATION", &text(&certificate));
    installation.set("KAFKA_SSL_KEY_LOCATION", &text(&key));
    let socket = file("http.sock");
    installation.set("HTTP_LISTEN", &format!("unix:{}", text(&socket)));
    let mut reloaded = Reloaded::start(&fixture, &installation, Listener::MutualSsl);

    // Half of a replacement, a broken file, and a certificate that the broker does not accept.
    let (second, second_key) = fixture.certificates.issue_client(credentials.path(), 6).unwrap();
    fs::copy(&second, &certificate).unwrap();
    reloaded.refuses(&["KAFKA_SSL_KEY_LOCATION cannot be used", "is the key of another certificate"]);
    fs::write(&certificate, "-----BEGIN CERTIFICATE-----\nbroken\n").unwrap();
    reloaded.refuses(&["KAFKA_SSL_CERTIFICATE_LOCATION cannot be used", "is not a well-formed PEM file"]);
    let (stranger, stranger_key) = fixture.certificates.stranger();
    fs::copy(&stranger, &certificate).unwrap();
    fs::copy(&stranger_key, &key).unwrap();
    reloaded.refuses(&["it rejected the client certificate", "KAFKA_SSL_CERTIFICATE_LOCATION must name"]);
    let is_of_expiry = |line: &Value| is_warning(line, &["the client certificate expires within"]);
    assert!(!installation.log().iter().any(is_of_expiry));

    // The new certificate, without the old authority. It expires within a week.
    fs::copy(&second, &certificate).unwrap();
    fs::copy(&second_key, &key).unwrap();
    fs::copy(fixture.certificates.authority(), &authorities).unwrap();
    reloaded.accepts();
    installation.wait_warning(0, &["the client certificate expires within 6 days"]);
    let check = installation.ask(&["check"]);
    assert!(check.code == Some(0), "{check:?}");
    assert!(check.stdout.contains("security  warn  the client certificate expires within 6 days\n"), "{check:?}");

    // An authority that has not signed the broker's certificate.
    fs::copy(fixture.certificates.other_authority(), &authorities).unwrap();
    reloaded.refuses(&["not signed by a trusted certificate authority"]);
    let reloads = |result: &str| metric(&socket, &format!("reloads_total{{result=\"{result}\"}}"));
    assert_eq!((reloads("success"), reloads("failure")), (Some(1.0), Some(4.0)));
    let expires_at = metric(&socket, "credential_expiry_timestamp_seconds{credential=\"client_certificate\"}").unwrap();
    let days = (expires_at - SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()) / 86_400.0;
    assert!((5.9..=6.0).contains(&days), "{days}");
    reloaded.end();
    assert_eq!(installation.log().iter().filter(|line| is_of_expiry(line)).count(), 1);
}

#[test]
fn a_password_is_replaced_under_load() {
    let fixture = SecureFixture::new(testkit::NEWEST, "password");
    let set_password =
        |password: &str| fixture.kafka.set_scram_password(SECOND_USER, "SCRAM-SHA-256", password).unwrap();
    let (variable, ca) = fixture.trusting();
    let mut variables = sasl("SASL_SSL", "SCRAM-SHA-256", SECOND_USER, "");
    variables.extend([("KAFKA_SASL_PASSWORD_FILE", "password"), (variable, &ca)]);
    let installation = fixture.installation(Listener::SaslSsl, &variables);
    let file = installation.path().join("password");
    // The broker knows a new password after a while.
    let accepted = |installation: &Installation| installation.ask(&["check"]).code == Some(0);
    set_password(PASSWORD);
    fs::write(&file, PASSWORD).unwrap();
    installation.wait_for("the user", accepted);
    let mut reloaded = Reloaded::start(&fixture, &installation, Listener::SaslSsl);
    fs::write(&file, WRONG).unwrap();
    reloaded.refuses(&["credentials of user 'bob' rejected", "check KAFKA_SASL_USERNAME"]);
    set_password(WRONG);
    installation.wait_for("the other password", accepted);
    reloaded.accepts();
    reloaded.end();
}

#[test]
fn credentials_that_no_broker_could_check_take_effect_with_a_warning() {
    let mut installation = Installation::new("127.0.0.1:1", "nowhere");
    for (variable, value) in sasl("SASL_PLAINTEXT", "SCRAM-SHA-256", SECOND_USER, "") {
        installation.set(variable, value);
    }
    installation.set("KAFKA_SASL_PASSWORD_FILE", "password");
    let file = installation.path().join("password");
    fs::write(&file, PASSWORD).unwrap();
    let mut service = installation.start(&["run"]);
    installation.wait_for("the start", |installation| !lines(installation, "INFO", "service started").is_empty());
    fs::write(&file, WRONG).unwrap();
    service.signal("HUP");
    installation.wait_warning(0, &["not every broker has accepted the reloaded credentials yet"]);
    assert_eq!(lines(&installation, "INFO", "reloaded: SASL_PLAINTEXT").len(), 1);
    // Nothing has changed since.
    service.signal("HUP");
    installation.wait_for("the second reload", |installation| {
        lines(installation, "INFO", "reloaded: the log file is reopened, the credentials are unchanged").len() == 1
    });
    service.signal("TERM");
    service.ends_with(0);
    assert_no_secret(&installation);
}

/// What logrotate does without `copytruncate`.
#[test]
fn a_reload_completes_a_rotated_log_file() {
    let installation = Installation::new("127.0.0.1:1", "nowhere");
    let mut service = installation.start(&["run"]);
    installation.wait_for("the start", |installation| !lines(installation, "INFO", "service started").is_empty());
    let rotated = installation.path().join("logs/consumer.log.1");
    fs::rename(installation.log_path(), &rotated).unwrap();
    service.signal("HUP");
    installation.wait_for("the reload", |installation| !lines(installation, "INFO", "reloaded: ").is_empty());
    let is_open = |path: &Path| {
        let entries = fs::read_dir(format!("/proc/{}/fd", service.pid())).unwrap();
        entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok()).any(|target| target == path)
    };
    assert!(is_open(&installation.log_path()) && !is_open(&rotated));
    assert!(service.is_running());
    service.signal("TERM");
    assert_eq!(service.wait(Duration::from_secs(10)).code(), Some(0));
}

#[test]
fn the_token_of_http_requests_is_replaced() {
    let mut installation = Installation::new("127.0.0.1:1", "nowhere");
    let (socket, file) = (installation.path().join("http.sock"), installation.path().join("token"));
    installation.set("HTTP_LISTEN", &format!("unix:{}", text(&socket))).set("HTTP_TOKEN_FILE", "token");
    fs::write(&file, "first\n").unwrap();
    let mut service = installation.start(&["run"]);
    let accepts = |token: &str| get(&socket, "/metrics", token).is_some_and(|(code, _)| code == 200);
    installation.wait_for("the first token", |_| accepts("first"));
    fs::write(&file, "two words").unwrap();
    service.signal("HUP");
    let refusal = "not reloaded, the former credentials stay in use: HTTP_TOKEN_FILE";
    installation.wait_for("the ERROR", |installation| !lines(installation, "ERROR", refusal).is_empty());
    assert!(accepts("first"));
    fs::write(&file, "second").unwrap();
    service.signal("HUP");
    installation.wait_for("the second token", |_| accepts("second"));
    assert!(!accepts("first"));
    service.signal("TERM");
    service.ends_with(0);
}
