//! How the client authenticates, and where its secrets come from. A password is read when a connection needs it; a token and a client
//! secret are read by the client, at each authentication. Must not read variables.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kafka::{
    Credentials, OauthBearer, Sasl, SaslExtensions, SaslMechanism, Secret, TokenEndpoint, TokenFile, TokenProvider,
};

use crate::settings::error::SettingsError;
use crate::settings::secret_file::read_secret;

pub(super) const PASSWORD_FILE: &str = "KAFKA_SASL_PASSWORD_FILE";
pub(super) const TOKEN_FILE: &str = "KAFKA_SASL_OAUTHBEARER_TOKEN_FILE";
#[cfg(not(feature = "token-http"))]
const ENDPOINT_URL: &str = "KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL";
pub(super) const CLIENT_SECRET_FILE: &str = "KAFKA_SASL_OAUTHBEARER_CLIENT_SECRET_FILE";
pub(super) const ENDPOINT_CA: &str = "KAFKA_SASL_OAUTHBEARER_CA_LOCATION";
pub(super) const AWS_REGION: &str = "KAFKA_SASL_AWS_REGION";

/// How the client authenticates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SaslSettings {
    /// With a user name and a password.
    Password {
        /// The SASL mechanism.
        mechanism: PasswordMechanism,
        /// The user's name.
        username: String,
        /// The user's password.
        password: Password,
    },
    /// With a token, by OAUTHBEARER.
    Token {
        /// Where tokens come from.
        source: TokenSource,
        /// Sent with each token.
        extensions: SaslExtensions,
    },
}

/// The mechanisms with a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordMechanism {
    /// `PLAIN`
    Plain,
    /// `SCRAM-SHA-256`
    ScramSha256,
    /// `SCRAM-SHA-512`
    ScramSha512,
}

/// The source of a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Password {
    /// The settings.
    Given(Secret),
    /// A file with nothing else.
    File(PathBuf),
}

/// The source of tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenSource {
    /// A file that another program renews.
    File(PathBuf),
    /// The client credentials grant.
    Endpoint {
        /// The token endpoint and the client.
        endpoint: TokenEndpoint,
        /// PEM file with the trusted CA certificates; `None`: those of the system.
        authorities: Option<PathBuf>,
    },
    /// AWS credentials, for Amazon MSK with IAM.
    AwsMskIam {
        /// The brokers' region; `None`: `AWS_REGION`.
        region: Option<String>,
    },
}

impl TokenSource {
    fn load(&self) -> Result<Arc<dyn TokenProvider>, SettingsError> {
        match self {
            Self::File(path) => Ok(Arc::new(TokenFile(path.clone()))),
            Self::Endpoint { endpoint, authorities } => tokens_of(endpoint, authorities.as_deref()),
            Self::AwsMskIam { region } => signed_tokens(region.as_deref()),
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::File(path) => format!("the token in '{}'", path.display()),
            Self::Endpoint { endpoint, .. } => {
                format!("tokens of '{}' for the client '{}'", endpoint.shown_url(), endpoint.client_id)
            }
            Self::AwsMskIam { region } => {
                let region = region.as_ref().map_or("AWS_REGION".to_owned(), |region| format!("'{region}'"));
                format!("tokens signed with AWS credentials for the region {region}")
            }
        }
    }
}

impl SaslSettings {
    /// Reads the password; not a token, which may come later.
    pub(in crate::settings) fn load(&self) -> Result<Sasl, SettingsError> {
        match self {
            Self::Password { mechanism, username, password } => {
                let password = match password {
                    Password::Given(password) => password.clone(),
                    Password::File(path) => read_secret(PASSWORD_FILE, path)?,
                };
                let credentials = Credentials { username: username.clone(), password };
                Ok(match mechanism {
                    PasswordMechanism::Plain => Sasl::Plain(credentials),
                    PasswordMechanism::ScramSha256 => Sasl::ScramSha256(credentials),
                    PasswordMechanism::ScramSha512 => Sasl::ScramSha512(credentials),
                })
            }
            Self::Token { source, extensions } => {
                Ok(Sasl::OauthBearer(OauthBearer { tokens: source.load()?, extensions: extensions.clone() }))
            }
        }
    }

    /// Describes mechanism and user, or the source of tokens, without secrets.
    pub(in crate::settings) fn describe(&self) -> String {
        match self {
            Self::Password { mechanism, username, .. } => format!("{} as '{username}'", mechanism.name()),
            Self::Token { source, .. } => format!("{} with {}", SaslMechanism::OauthBearer, source.describe()),
        }
    }

    /// A warning if the mechanism sends a secret that whoever reads it can use, for connections without TLS.
    pub(in crate::settings) fn clear_text_warning(&self) -> Option<&'static str> {
        match self {
            Self::Password { mechanism: PasswordMechanism::Plain, .. } => Some(
                "KAFKA_SASL_MECHANISM=PLAIN over SASL_PLAINTEXT sends the password in clear text; use SASL_SSL or SCRAM",
            ),
            Self::Password { mechanism: PasswordMechanism::ScramSha256 | PasswordMechanism::ScramSha512, .. } => None,
            Self::Token { .. } => Some("OAUTHBEARER over SASL_PLAINTEXT sends the token in clear text; use SASL_SSL"),
        }
    }

    /// The files with secrets, with the names of their variables.
    pub(in crate::settings) fn secret_files(&self) -> Vec<(&'static str, &Path)> {
        match self {
            Self::Password { password: Password::Given(_), .. }
            | Self::Token { source: TokenSource::AwsMskIam { .. }, .. } => Vec::new(),
            Self::Password { password: Password::File(path), .. } => vec![(PASSWORD_FILE, path)],
            Self::Token { source: TokenSource::File(path), .. } => vec![(TOKEN_FILE, path)],
            Self::Token { source: TokenSource::Endpoint { endpoint, .. }, .. } => {
                vec![(CLIENT_SECRET_FILE, &endpoint.client_secret_file)]
            }
        }
    }

    /// The files without secrets, with the names of their variables.
    pub(in crate::settings) fn other_files(&self) -> Vec<(&'static str, &Path)> {
        match self {
            Self::Token { source: TokenSource::Endpoint { authorities: Some(path), .. }, .. } => {
                vec![(ENDPOINT_CA, path)]
            }
            Self::Token { .. } | Self::Password { .. } => Vec::new(),
        }
    }
}

impl PasswordMechanism {
    fn name(self) -> SaslMechanism {
        match self {
            Self::Plain => SaslMechanism::Plain,
            Self::ScramSha256 => SaslMechanism::ScramSha256,
            Self::ScramSha512 => SaslMechanism::ScramSha512,
        }
    }
}

#[cfg(feature = "token-http")]
fn tokens_of(endpoint: &TokenEndpoint, authorities: Option<&Path>) -> Result<Arc<dyn TokenProvider>, SettingsError> {
    let authorities =
        kafka::Authorities::load(authorities).map_err(|source| SettingsError::Tls { variable: ENDPOINT_CA, source })?;
    Ok(Arc::new(kafka::ClientCredentials::new(endpoint.clone(), &authorities)))
}

#[cfg(feature = "token-http")]
fn signed_tokens(region: Option<&str>) -> Result<Arc<dyn TokenProvider>, SettingsError> {
    let environment = kafka::AwsEnvironment::of_process();
    let Some(region) = region.or_else(|| environment.region()).map(str::to_owned) else {
        let problem = "or AWS_REGION is missing: KAFKA_SASL_MECHANISM=AWS_MSK_IAM needs it";
        return Err(SettingsError::contradiction(AWS_REGION, problem));
    };
    Ok(Arc::new(kafka::AwsMskIam::new(region, environment)))
}

#[cfg(not(feature = "token-http"))]
fn signed_tokens(_: Option<&str>) -> Result<Arc<dyn TokenProvider>, SettingsError> {
    let problem = "AWS_MSK_IAM needs a program that was built with the feature 'token-http'";
    Err(SettingsError::contradiction("KAFKA_SASL_MECHANISM", problem))
}

#[cfg(not(feature = "token-http"))]
fn tokens_of(_: &TokenEndpoint, _: Option<&Path>) -> Result<Arc<dyn TokenProvider>, SettingsError> {
    Err(SettingsError::contradiction(ENDPOINT_URL, "needs a program that was built with the feature 'token-http'"))
}
