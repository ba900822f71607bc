//! SASL authentication: credentials, mechanisms and faults. `plain`, `scram` and `oauth_bearer` encode the messages,
//! `providers` has the sources of tokens; who sends the messages is not known here.

pub(crate) mod oauth_bearer;
pub(crate) mod plain;
pub(crate) mod providers;
pub(crate) mod scram;
pub(crate) mod token;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use self::oauth_bearer::OauthBearer;
use self::token::TokenError;
use crate::secret::Secret;
use crate::text::shorten;

/// How many of a broker's mechanisms an error shows.
const MECHANISMS_SHOWN_MAX: usize = 10;

/// How the client authenticates.
#[derive(Clone, Debug)]
pub enum Sasl {
    /// Sends the password ([RFC 4616](https://www.rfc-editor.org/rfc/rfc4616)).
    Plain(Credentials),
    /// Client and broker prove to each other that they know the password ([RFC
    /// 7677](https://www.rfc-editor.org/rfc/rfc7677)).
    ScramSha256(Credentials),
    /// The same with SHA-512.
    ScramSha512(Credentials),
    /// Sends a token, a new one at each authentication ([RFC 7628](https://www.rfc-editor.org/rfc/rfc7628)).
    OauthBearer(OauthBearer),
}

impl Sasl {
    /// The mechanism.
    pub fn mechanism(&self) -> SaslMechanism {
        match self {
            Self::Plain(_) => SaslMechanism::Plain,
            Self::ScramSha256(_) => SaslMechanism::ScramSha256,
            Self::ScramSha512(_) => SaslMechanism::ScramSha512,
            Self::OauthBearer(_) => SaslMechanism::OauthBearer,
        }
    }

    /// Whether both authenticate the same user in the same way. What another provider of tokens returns is not known, so
    /// it is never the same.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Plain(own), Self::Plain(other))
            | (Self::ScramSha256(own), Self::ScramSha256(other))
            | (Self::ScramSha512(own), Self::ScramSha512(other)) => own == other,
            (Self::OauthBearer(own), Self::OauthBearer(other)) => {
                Arc::ptr_eq(&own.tokens, &other.tokens) && own.extensions == other.extensions
            }
            (Self::Plain(_) | Self::ScramSha256(_) | Self::ScramSha512(_) | Self::OauthBearer(_), _) => false,
        }
    }
}

/// A user with a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The user's name.
    pub username: String,
    /// The user's password.
    pub password: Secret,
}

/// The name of a SASL mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaslMechanism {
    /// [`Sasl::Plain`].
    Plain,
    /// [`Sasl::ScramSha256`].
    ScramSha256,
    /// [`Sasl::ScramSha512`].
    ScramSha512,
    /// [`Sasl::OauthBearer`].
    OauthBearer,
}

/// The values of Kafka's setting `sasl.mechanism`.
impl fmt::Display for SaslMechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::OauthBearer => "OAUTHBEARER",
        })
    }
}

/// Why SASL authentication fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SaslFault {
    /// The listener does not support the mechanism.
    UnsupportedMechanism {
        /// The client's mechanism.
        ours: SaslMechanism,
        /// The listener's mechanisms.
        theirs: Vec<String>,
    },
    /// The listener does not expect SASL authentication.
    NotExpected,
    /// The broker rejects the credentials.
    Rejected {
        /// The client's mechanism.
        mechanism: SaslMechanism,
        /// The client's user.
        username: String,
        /// The broker's error message.
        message: String,
    },
    /// There is no token to authenticate with.
    NoToken(TokenError),
    /// The broker rejects the token.
    TokenRejected {
        /// The broker's error.
        message: String,
        /// Time since the token expired, if it has.
        expired_for: Option<Duration>,
    },
    /// The server's messages do not prove that it knows the password.
    ServerNotVerified {
        /// What is wrong with them.
        detail: String,
    },
}

impl SaslFault {
    /// Whether a retry can succeed without a change of configuration: tokens are renewed.
    pub(crate) fn is_retriable(&self) -> bool {
        match self {
            Self::NoToken(TokenError::Unavailable(_)) | Self::TokenRejected { .. } => true,
            Self::NoToken(TokenError::Refused(_))
            | Self::UnsupportedMechanism { .. }
            | Self::NotExpected
            | Self::Rejected { .. }
            | Self::ServerNotVerified { .. } => false,
        }
    }
}

impl fmt::Display for SaslFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnsupportedMechanism { ours, theirs } => {
                let theirs = theirs.get(..MECHANISMS_SHOWN_MAX.min(theirs.len())).unwrap_or_default().join(", ");
                write!(f, "the listener does not support {ours}, only {}", shorten(&theirs))
            }
            Self::NotExpected => write!(f, "the listener does not expect SASL authentication"),
            Self::Rejected { mechanism, username, message } => {
                write!(f, "credentials of user '{username}' rejected ({mechanism}): '{}'", shorten(message))
            }
            Self::NoToken(error) => write!(f, "there is no token: {error}"),
            Self::TokenRejected { message, expired_for } => {
                write!(f, "the broker rejects the token: '{}'", shorten(message))?;
                expired_for.map_or(Ok(()), |ago| write!(f, "; the token expired {} s ago", ago.as_secs()))
            }
            Self::ServerNotVerified { detail } => {
                write!(f, "the broker did not prove that it knows the password: {}", shorten(detail))
            }
        }
    }
}
