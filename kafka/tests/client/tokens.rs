//! OAUTHBEARER: tokens that brokers validate with Kafka's own validator, and tokens that are renewed.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::{Reader, addresses, wait_for};
use kafka::{
    Client, ConnectionSettings, Consumer, Error, OauthBearer, Sasl, SaslExtensions, SaslFault, Security, Tls, TlsFiles,
    TokenFile, TopicPartition,
};
use testkit::{BRIEF_MS, Certificates, Cluster, Listener, ProduceOptions, Record, Tokens, unique};

/// Longer than a handshake on a busy machine.
const CONNECT_TIMEOUT: Duration = Duration::from_mins(1);

/// A token file of its own for a test.
struct File(PathBuf);

impl File {
    fn new(cluster: &Cluster) -> Self {
        Self(cluster.run_dir().join(unique("token")))
    }

    /// Replaces it, as `kubelet` does.
    fn write(&self, token: &str) {
        let new = self.0.with_extension("new");
        fs::write(&new, format!("{token}\n")).unwrap();
        fs::rename(new, &self.0).unwrap();
    }

    fn security(&self) -> Security {
        let authorities = Some(Certificates::get().unwrap().authority());
        let tls = Tls::load(&TlsFiles { authorities, client: None }).unwrap();
        let tokens = Arc::new(TokenFile(self.0.clone()));
        let extensions = SaslExtensions::parse("logicalCluster=lkc-1,identityPoolId=pool 2").unwrap();
        Security { tls: Some(tls), sasl: Some(Sasl::OauthBearer(OauthBearer { tokens, extensions })) }
    }
}

#[test]
fn a_token_is_read_at_each_authentication_and_a_rejected_one_is_retriable() {
    for version in testkit::VERSIONS {
        let cluster = testkit::shared_secure(version).unwrap();
        let (file, tokens) = (File::new(cluster), Tokens::get().unwrap());
        let settings = ConnectionSettings {
            security: file.security().into(),
            connect_timeout: CONNECT_TIMEOUT,
            ..ConnectionSettings::default()
        };
        let mut client = Client::new(addresses(&cluster.bootstrap_servers_of(Listener::SaslToken)), settings);
        let mut failure = || {
            let error = client.metadata(vec![]).unwrap_err();
            assert!(error.is_retriable(), "{error}");
            error
        };
        let missing = failure();
        assert!(matches!(&missing, Error::Sasl { fault: SaslFault::NoToken(_), .. }), "{missing:?}");
        assert!(missing.to_string().contains("there is no token: token file '"), "{missing}");
        for (token, has_expired) in [
            (tokens.expired(), true),
            (tokens.elsewhere(), false),
            (tokens.stranger(), false),
            (Ok("a.b.c".to_owned()), false),
        ] {
            let token = token.unwrap();
            file.write(&token);
            let error = failure();
            let text = format!("{error} {error:?}");
            assert!(text.contains("the broker rejects the token: '"), "{text}");
            assert!(!text.contains(&token), "{text}");
            assert_eq!(text.contains("; the token expired "), has_expired, "{text}");
        }
        file.write(&tokens.valid().unwrap());
        client.metadata(vec![]).unwrap();
    }
}

#[test]
fn reauthentication_uses_the_newest_token() {
    let cluster = testkit::shared_secure(testkit::NEWEST).unwrap();
    let (file, tokens) = (File::new(cluster), Tokens::get().unwrap());
    let (topic, kafka) = (unique("tokens"), cluster.client().unwrap());
    kafka.create_topic(&topic, 1, &[]).unwrap();
    // The first request about a group makes the broker create the topic of the committed offsets.
    kafka.committed_offsets("nobody").unwrap();
    let at = TopicPartition::new(topic.as_str(), 0);
    let mut produced = 0;
    let mut produce = || {
        let record = Record::value(produced.to_string()).partition(0);
        kafka.produce(&topic, &ProduceOptions::default(), [record]).unwrap();
        produced += 1;
        produced
    };
    file.write(&tokens.valid().unwrap());
    let mut reader = Reader::new(
        Consumer::from_hosts(addresses(&cluster.bootstrap_servers_of(Listener::SaslToken)))
            .with_topic(topic.as_str())
            .with_group(unique("group"))
            .with_security(file.security()),
    );
    reader.until_position(&at, produce());
    // Another token of the same user: the sessions go on.
    file.write(&tokens.renewed().unwrap());
    let (start, lifetime) = (Instant::now(), Duration::from_millis(BRIEF_MS.into()));
    reader.until("a lifetime", |_| start.elapsed() > lifetime);
    reader.until_position(&at, produce());
    assert!(reader.retried.is_empty(), "{:?}", reader.retried);
    // A token that has expired: a retriable error once the session has ended, until the file is renewed.
    file.write(&tokens.expired().unwrap());
    reader.until("the rejection", |reader| {
        reader.retried.iter().any(|retrying| retrying.error.to_string().contains("the broker rejects the token"))
    });
    file.write(&tokens.valid().unwrap());
    let end = produce();
    reader.until_position(&at, end);
    wait_for("the last record", || (reader.records[&at].len() == usize::try_from(end).unwrap()).then_some(()));
}
