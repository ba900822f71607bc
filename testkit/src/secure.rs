//! Listeners with TLS and SASL, in addition to a broker's plain one, and their certificates. Writes broker configuration; must not
//! start brokers.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::cache;
use crate::error::Result;
use crate::java;
use crate::ports::Port;
use crate::tokens::{AUDIENCE, ISSUER};

/// Creates the certificates: a single-file Java program.
const MAKER: &str = include_str!("../java/Certificates.java");
const MAKER_NAME: &str = "Certificates.java";

/// A user with all permissions, known by every mechanism.
pub const USER: &str = "alice";
/// The password of [`USER`].
pub const PASSWORD: &str = "correct horse, battery=staple";
/// A user with all permissions and without a password until a test sets one
/// ([`Client::set_scram_password`](crate::Client::set_scram_password)).
pub const SECOND_USER: &str = "bob";
/// Lifetime of an authentication on [`Listener::SaslBrief`] and [`Listener::SaslToken`], in milliseconds.
pub const BRIEF_MS: u32 = 2500;

/// Kafka's validator of tokens.
const TOKEN_VALIDATOR: &str = "org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler";

/// A listener of a secure cluster. A client without a user name is `ANONYMOUS`, with all permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// TLS, with a certificate for `localhost` and `127.0.0.1`.
    Ssl,
    /// Mutual TLS: clients must have a certificate, whose subject is the user.
    MutualSsl,
    /// Mutual TLS 1.2, which rejects a client certificate within the handshake; TLS 1.3 rejects it after the handshake.
    MutualSsl12,
    /// TLS, with a certificate for another host.
    SslElsewhere,
    /// TLS, with a certificate that has expired.
    SslExpired,
    /// TLS, with a certificate that is not valid yet.
    SslEarly,
    /// TLS, with a CA certificate as server certificate.
    SslItself,
    /// PLAIN and SCRAM-SHA-256, not encrypted.
    SaslPlaintext,
    /// PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512 over TLS.
    SaslSsl,
    /// SCRAM-SHA-256 over TLS, with re-authentication every [`BRIEF_MS`].
    SaslBrief,
    /// OAUTHBEARER over TLS, with re-authentication every [`BRIEF_MS`].
    SaslToken,
}

impl Listener {
    /// All listeners.
    pub const ALL: [Self; 11] = [
        Self::Ssl,
        Self::MutualSsl,
        Self::MutualSsl12,
        Self::SslElsewhere,
        Self::SslExpired,
        Self::SslEarly,
        Self::SslItself,
        Self::SaslPlaintext,
        Self::SaslSsl,
        Self::SaslBrief,
        Self::SaslToken,
    ];

    /// Its name in the broker's configuration, in lower case.
    fn name(self) -> &'static str {
        match self {
            Self::Ssl => "ssl",
            Self::MutualSsl => "mutual",
            Self::MutualSsl12 => "mutual12",
            Self::SslElsewhere => "elsewhere",
            Self::SslExpired => "expired",
            Self::SslEarly => "early",
            Self::SslItself => "itself",
            Self::SaslPlaintext => "sasl_plaintext",
            Self::SaslSsl => "sasl_ssl",
            Self::SaslBrief => "brief",
            Self::SaslToken => "token",
        }
    }

    fn protocol(self) -> &'static str {
        match self {
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl | Self::SaslBrief | Self::SaslToken => "SASL_SSL",
            _ => "SSL",
        }
    }

    /// The name of its certificate among those of [`MAKER`].
    fn certificate(self) -> Option<&'static str> {
        match self {
            Self::Ssl | Self::MutualSsl | Self::MutualSsl12 | Self::SaslSsl | Self::SaslBrief | Self::SaslToken => {
                Some("broker")
            }
            Self::SslElsewhere => Some("elsewhere"),
            Self::SslExpired => Some("expired"),
            Self::SslEarly => Some("early"),
            Self::SslItself => Some("itself"),
            Self::SaslPlaintext => None,
        }
    }

    fn mechanisms(self) -> &'static [&'static str] {
        match self {
            Self::SaslPlaintext => &["PLAIN", "SCRAM-SHA-256"],
            Self::SaslSsl => &["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"],
            Self::SaslBrief => &["SCRAM-SHA-256"],
            Self::SaslToken => &["OAUTHBEARER"],
            _ => &[],
        }
    }
}

/// PEM files, created once and kept in the cache.
#[derive(Clone, Debug)]
pub struct Certificates {
    directory: PathBuf,
}

impl Certificates {
    /// Creates them if they are missing.
    pub fn get() -> Result<Self> {
        let directory = cache::directory(&cache::name_of("certificates", MAKER), |directory| {
            java::write_and_run_source(MAKER_NAME, MAKER, directory)
        })?;
        Ok(Self { directory })
    }

    /// The authority of every broker's certificate.
    pub fn authority(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    /// An authority that signs no broker's certificate.
    pub fn other_authority(&self) -> PathBuf {
        self.directory.join("other-ca.pem")
    }

    /// An authority of the same name as that of the brokers, with another key.
    pub fn renewed_authority(&self) -> PathBuf {
        self.directory.join("renewed-ca.pem")
    }

    /// The certificate of [`Listener::SslItself`].
    pub fn itself(&self) -> PathBuf {
        self.directory.join("itself.pem")
    }

    /// Certificate and key of a user `CN=client`, which brokers accept, with all permissions.
    pub fn client(&self) -> (PathBuf, PathBuf) {
        self.pair("client")
    }

    /// Certificate and key of a server on `localhost` or `127.0.0.1`.
    pub fn server(&self) -> (PathBuf, PathBuf) {
        self.pair("broker")
    }

    /// Certificate and key that no broker accepts.
    pub fn stranger(&self) -> (PathBuf, PathBuf) {
        self.pair("stranger")
    }

    /// Issues another certificate and key for the user `CN=client`, in a directory of the caller. It expires in so many
    /// days.
    pub fn issue_client(&self, directory: &Path, days: u32) -> Result<(PathBuf, PathBuf)> {
        let name = directory.join("issued");
        java::run_source(MAKER_NAME, &self.directory, &[&name.to_string_lossy(), &days.to_string()])?;
        Ok((directory.join("issued.pem"), directory.join("issued-key.pem")))
    }

    fn pair(&self, name: &str) -> (PathBuf, PathBuf) {
        (self.directory.join(format!("{name}.pem")), self.directory.join(format!("{name}-key.pem")))
    }
}

/// Lines of a broker's configuration, to follow those of its plain listeners (`plain`). `key_url` is where it finds the key of tokens.
pub(crate) fn properties(
    plain: &str,
    listeners: &[(Listener, Port)],
    certificates: &Certificates,
    key_url: &str,
) -> String {
    let mut addresses = plain.to_owned();
    let mut protocols = "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned();
    let mut text = format!(
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
         super.users=User:ANONYMOUS;User:{USER};User:{SECOND_USER};User:CN=client\n\
         sasl.oauthbearer.jwks.endpoint.url={key_url}\n\
         sasl.oauthbearer.expected.audience={AUDIENCE}\n\
         sasl.oauthbearer.expected.issuer={ISSUER}\n"
    );
    // Writing to a String cannot fail.
    for (listener, port) in listeners {
        let (name, protocol) = (listener.name(), listener.protocol());
        let prefix = format!("listener.name.{name}");
        let _ = write!(addresses, ",{}://127.0.0.1:{}", name.to_uppercase(), port.number());
        let _ = write!(protocols, ",{}:{protocol}", name.to_uppercase());
        if let Some(certificate) = listener.certificate() {
            let (store, authority) =
                (certificates.directory.join(format!("{certificate}-store.pem")), certificates.authority());
            let _ = writeln!(
                text,
                "{prefix}.ssl.keystore.type=PEM\n{prefix}.ssl.keystore.location={}\n{prefix}.ssl.truststore.type=PEM\n\
                 {prefix}.ssl.truststore.location={}",
                store.display(),
                authority.display()
            );
        }
        if matches!(listener, Listener::MutualSsl | Listener::MutualSsl12) {
            let _ = writeln!(text, "{prefix}.ssl.client.auth=required");
        }
        if *listener == Listener::MutualSsl12 {
            let _ = writeln!(text, "{prefix}.ssl.enabled.protocols=TLSv1.2");
        }
        let _ = writeln!(text, "{prefix}.sasl.enabled.mechanisms={}", listener.mechanisms().join(","));
        for mechanism in listener.mechanisms() {
            let module = match *mechanism {
                "PLAIN" => format!("plain.PlainLoginModule required user_{USER}=\"{PASSWORD}\""),
                "OAUTHBEARER" => "oauthbearer.OAuthBearerLoginModule required".to_owned(),
                _ => "scram.ScramLoginModule required".to_owned(),
            };
            let _ = writeln!(
                text,
                "{prefix}.{}.sasl.jaas.config=org.apache.kafka.common.security.{module};",
                mechanism.to_lowercase()
            );
        }
        if *listener == Listener::SaslToken {
            let _ = writeln!(text, "{prefix}.oauthbearer.sasl.server.callback.handler.class={TOKEN_VALIDATOR}");
        }
        if matches!(listener, Listener::SaslBrief | Listener::SaslToken) {
            let _ = writeln!(text, "{prefix}.connections.max.reauth.ms={BRIEF_MS}");
        }
    }
    let _ = writeln!(text, "listeners={addresses}\nlistener.security.protocol.map={protocols}");
    text
}
