//! SASL authentication: credentials, mechanisms and faults. `plain` and `scram` encode the messages; who sends them is
//! not known here.

pub(crate) mod plain;
pub(crate) mod scram;

use std::fmt;

use crate::secret::Secret;
use crate::text::shorten;

/// How many of a broker's mechanisms an error shows.
const MECHANISMS_SHOWN_MAX: usize = 10;

/// The client's credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sasl {
    /// How they are sent.
    pub mechanism: SaslMechanism,
    /// The user's name.
    pub username: String,
    /// The user's password.
    pub password: Secret,
}

/// A SASL mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaslMechanism {
    /// Sends the password ([RFC 4616](https://www.rfc-editor.org/rfc/rfc4616)).
    Plain,
    /// Client and broker prove to each other that they know the password ([RFC
    /// 7677](https://www.rfc-editor.org/rfc/rfc7677)).
    ScramSha256,
    /// The same with SHA-512.
    ScramSha512,
}

/// The values of Kafka's setting `sasl.mechanism`.
impl fmt::Display for SaslMechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        })
    }
}

/// Why SASL authentication fails until somebody changes the configuration of client or broker.
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
    /// The server's messages do not prove that it knows the password.
    ServerNotVerified {
        /// What is wrong with them.
        detail: String,
    },
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
            Self::ServerNotVerified { detail } => {
                write!(f, "the broker did not prove that it knows the password: {}", shorten(detail))
            }
        }
    }
}
