//! A topic on a secure broker, and services that connect to its listeners. Knows the form of a refusal, not its text.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use testkit::{Certificates, Client, Cluster, Listener, PASSWORD, ProduceOptions, Record, unique};

use super::process::Installation;

/// A wrong password, which no output may show.
pub const WRONG: &str = "wrong-password-4711";

/// Settings in addition to those of every test.
pub type Variables<'a> = Vec<(&'static str, &'a str)>;

/// A topic on a secure broker.
pub struct SecureFixture {
    pub cluster: &'static Cluster,
    pub kafka: &'static Client,
    pub topic: String,
    pub certificates: Certificates,
}

impl SecureFixture {
    pub fn new(version: &str, name: &str) -> Self {
        let cluster = testkit::shared_secure(version).unwrap();
        let kafka = cluster.client().unwrap();
        let topic = unique(name);
        kafka.create_topic(&topic, 1, &[]).unwrap();
        Self { cluster, kafka, topic, certificates: Certificates::get().unwrap() }
    }

    pub fn produce(&self, numbers: Range<i64>) {
        let event = |number| {
            let value = format!(r#"{{"event_id":"opp_{number}","name":"number {number}","stage":"won"}}"#);
            Record::value(value).partition(0)
        };
        self.kafka.produce(&self.topic, &ProduceOptions::default(), numbers.map(event)).unwrap();
    }

    /// The installation of a service that connects to a listener, with a separate group and the most detailed log.
    pub fn installation(&self, listener: Listener, variables: &[(&'static str, &str)]) -> Installation {
        let mut installation = Installation::new(&self.cluster.bootstrap_servers_of(listener), &self.topic);
        installation.set("KAFKA_GROUP_ID", &unique("group")).set("LOG_LEVEL", "TRACE");
        for (variable, value) in variables {
            installation.set(variable, value);
        }
        installation
    }

    pub fn trusting(&self) -> (&'static str, String) {
        ("KAFKA_SSL_CA_LOCATION", text(&self.certificates.authority()))
    }

    /// Checks that the service ends with this error, that `check` prints the same one, and that no output has a secret.
    pub fn assert_refused(&self, listener: Listener, variables: &[(&'static str, &str)], line: &str) {
        let installation = self.installation(listener, variables);
        let line = line.replace("BROKER", &self.cluster.bootstrap_servers_of(listener));
        let answer = installation.ask(&["run"]);
        assert_eq!(answer.code, Some(1), "{answer:?}");
        let errors: Vec<&str> = answer.stderr.lines().filter(|line| line.contains("[ERROR]")).collect();
        let [error] = errors[..] else { panic!("{errors:?} {}", answer.stderr) };
        assert_eq!(error.split_once("[ERROR] ").unwrap().1, line);
        assert_eq!(answer.stderr.lines().last(), Some(error));
        let check = installation.ask(&["check"]);
        assert_eq!(check.code, Some(1), "{check:?}");
        let failed: Vec<&str> = check.stdout.lines().filter(|line| line.contains(" FAIL ")).collect();
        let [failed] = failed[..] else { panic!("{check:?}") };
        assert!(failed.contains(&line), "{failed}");
        assert_no_secret(&installation);
    }
}

pub fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

pub fn sasl<'a>(protocol: &'a str, mechanism: &'a str, user: &'a str, password: &'a str) -> Variables<'a> {
    vec![
        ("KAFKA_SECURITY_PROTOCOL", protocol),
        ("KAFKA_SASL_MECHANISM", mechanism),
        ("KAFKA_SASL_USERNAME", user),
        ("KAFKA_SASL_PASSWORD", password),
    ]
}

/// Checks that no file and no output of the service has a password or a key.
pub fn assert_no_secret(installation: &Installation) {
    fn files(directory: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
    }
    let has = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    let files = files(installation.path());
    assert!(files.len() > 2, "{files:?}");
    for path in files.iter().filter(|path| !path.ends_with("password")) {
        let bytes = fs::read(path).unwrap();
        for secret in [PASSWORD, WRONG, "PRIVATE KEY"] {
            assert!(!has(&bytes, secret), "{secret} in {}", path.display());
        }
    }
}
