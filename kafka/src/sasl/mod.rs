//! Who we are in SASL, and what can go wrong when we say so. The messages are made in `plain` and `scram`; who sends them is not
//! known here.

pub(crate) mod plain;
pub(crate) mod scram;

use std::fmt;

use crate::security::Secret;
use crate::text::shorten;

/// As many mechanisms of a broker are shown.
const MECHANISMS_SHOWN_MAX: usize = 10;

/// Who we are in SASL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sasl {
    /// How it is proved.
    pub mechanism: SaslMechanism,
    /// The user's name.
    pub username: String,
    /// The user's password.
    pub password: Secret,
}

/// How we prove who we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaslMechanism {
    /// The password itself ([RFC 4616](https://www.rfc-editor.org/rfc/rfc4616)).
    Plain,
    /// A proof that we know the password, for one that the broker does ([RFC 7677](https://www.rfc-editor.org/rfc/rfc7677)).
    ScramSha256,
    /// The same with SHA-512.
    ScramSha512,
}

/// As Kafka's settings spell it (`sasl.mechanism`).
impl fmt::Display for SaslMechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        })
    }
}

/// Why a broker and we do not come together, until somebody changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SaslFault {
    /// The broker's port does not know the mechanism.
    Mechanism {
        /// What we want.
        ours: SaslMechanism,
        /// What the broker offers.
        theirs: Vec<String>,
    },
    /// The broker's port authenticates nobody by SASL.
    NotHere,
    /// The broker does not believe us.
    Refused {
        /// How we said it.
        mechanism: SaslMechanism,
        /// Who we said we are.
        username: String,
        /// The broker's words.
        message: String,
    },
    /// We do not believe the broker: what it sends does not show that it knows the password.
    Unproved {
        /// What is wrong with it.
        detail: String,
    },
}

impl fmt::Display for SaslFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mechanism { ours, theirs } => {
                let theirs = theirs.get(..MECHANISMS_SHOWN_MAX.min(theirs.len())).unwrap_or_default().join(", ");
                write!(f, "it does not offer the mechanism {ours} on this port, but {}", shorten(&theirs))
            }
            Self::NotHere => write!(f, "it authenticates nobody by SASL on this port"),
            Self::Refused { mechanism, username, message } => {
                write!(f, "it refused user '{username}' by {mechanism}, saying '{}'", shorten(message))
            }
            Self::Unproved { detail } => {
                write!(f, "it did not prove that it knows the password: {}", shorten(detail))
            }
        }
    }
}
