//! Why a TLS connection is refused, by us or by the broker, in words that a person can act on. What may be an accident of the
//! moment is none of these.

use std::fmt;
use std::io;
use std::time::Duration;

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, OtherError};

use crate::text::shorten;

/// As many names of a certificate are shown.
const NAMES_SHOWN_MAX: usize = 10;
/// What the library says of an authority's certificate that stands for a host; it does not show the type of this error.
const AUTHORITY_AS_HOST: &str = "CaUsedAsEndEntity";

/// Why there is no TLS with a broker, until somebody changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsFault {
    /// The broker's certificate comes from no authority that we trust.
    Untrusted,
    /// An authority of the right name is trusted, but the broker's certificate is not signed with its key.
    OtherKey,
    /// The broker's certificate is signed in a way that is not taken, such as with SHA-1.
    Signature,
    /// The broker's certificate is marked as an authority's, which must not stand for a host.
    Authority,
    /// The broker's certificate is for other names than the one that we called.
    WrongName {
        /// Its names.
        names: Vec<String>,
    },
    /// The broker's certificate is no longer valid.
    Expired {
        /// Since when.
        ago: Duration,
    },
    /// The broker's certificate is not yet valid.
    NotYetValid {
        /// When it will be.
        ahead: Duration,
    },
    /// The broker's certificate has another fault.
    Certificate(String),
    /// The host that we called has a name that no certificate can have.
    HostName,
    /// The broker says that it does not know the host name that we called.
    NameRefused,
    /// The broker wants to see a certificate, and we have none.
    CertificateDemanded,
    /// The broker does not take our certificate, and says so by this alert.
    CertificateRefused(String),
    /// We and the broker share no version of TLS or no cipher.
    NothingShared(String),
}

impl TlsFault {
    /// What an error of a stream means; `None` if it is no matter of TLS, or one that may pass.
    pub(crate) fn of(error: &io::Error, shows_certificate: bool) -> Option<Self> {
        match error.get_ref()?.downcast_ref::<rustls::Error>()? {
            rustls::Error::InvalidCertificate(error) => Some(Self::of_certificate(error)),
            rustls::Error::AlertReceived(alert) => Self::of_alert(*alert, shows_certificate),
            error @ rustls::Error::PeerIncompatible(_) => Some(Self::NothingShared(error.to_string())),
            _ => None,
        }
    }

    fn of_certificate(error: &CertificateError) -> Self {
        let apart =
            |late: UnixTime, early: UnixTime| Duration::from_secs(late.as_secs().saturating_sub(early.as_secs()));
        match error {
            CertificateError::UnknownIssuer => Self::Untrusted,
            CertificateError::NotValidForNameContext { presented, .. } => {
                Self::WrongName { names: presented.iter().map(|name| bare(name)).collect() }
            }
            CertificateError::ExpiredContext { time, not_after } => Self::Expired { ago: apart(*time, *not_after) },
            CertificateError::NotValidYetContext { time, not_before } => {
                Self::NotYetValid { ahead: apart(*not_before, *time) }
            }
            // Keys of different kinds, such as RSA and ECDSA, are told by the second.
            CertificateError::BadSignature
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => Self::OtherKey,
            CertificateError::UnsupportedSignatureAlgorithmContext { .. } => Self::Signature,
            CertificateError::Other(OtherError(error)) if error.to_string() == AUTHORITY_AS_HOST => Self::Authority,
            other => Self::Certificate(shorten(&other.to_string())),
        }
    }

    /// Of the [alerts](https://www.rfc-editor.org/rfc/rfc8446#section-6.2), those that will come again.
    fn of_alert(alert: AlertDescription, shows_certificate: bool) -> Option<Self> {
        match alert {
            AlertDescription::CertificateRequired
            | AlertDescription::NoCertificate
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied => Some(if shows_certificate {
                Self::CertificateRefused(format!("{alert:?}"))
            } else {
                Self::CertificateDemanded
            }),
            // Some servers say no more than this to a client without a certificate.
            AlertDescription::HandshakeFailure if !shows_certificate => Some(Self::NothingShared(format!(
                "the broker answers {alert:?}; or it demands a client certificate, and none is set"
            ))),
            AlertDescription::HandshakeFailure
            | AlertDescription::ProtocolVersion
            | AlertDescription::InsufficientSecurity => {
                Some(Self::NothingShared(format!("the broker answers {alert:?}")))
            }
            AlertDescription::UnrecognisedName => Some(Self::NameRefused),
            _ => None,
        }
    }
}

impl fmt::Display for TlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Untrusted => write!(f, "its certificate comes from no authority that is trusted here"),
            Self::OtherKey => {
                write!(f, "its certificate is not signed with the key that the authority of that name has here")
            }
            Self::Signature => {
                write!(
                    f,
                    "its certificate is signed in a way that is not accepted (SHA-1, ECDSA P-521 and DSA are not)"
                )
            }
            Self::Authority => {
                write!(f, "its certificate is marked as an authority's (CA:TRUE), which must not stand for a host")
            }
            Self::WrongName { names } if names.is_empty() => {
                write!(f, "its certificate names no host (only subject alternative names count)")
            }
            Self::WrongName { names } => {
                let shown = names.get(..NAMES_SHOWN_MAX.min(names.len())).unwrap_or_default().join(", ");
                write!(f, "its certificate is for another host: it names {}", shorten(&shown))
            }
            Self::Expired { ago } => write!(f, "its certificate expired {} ago", rough(*ago)),
            Self::NotYetValid { ahead } => write!(f, "its certificate is not valid before {} from now", rough(*ahead)),
            Self::Certificate(detail) => write!(f, "its certificate cannot be accepted: {detail}"),
            Self::HostName => write!(f, "no certificate can have this host name"),
            Self::NameRefused => write!(f, "it does not know the host name that it was called by"),
            Self::CertificateDemanded => write!(f, "it demands a client certificate, and none is set"),
            Self::CertificateRefused(alert) => write!(f, "it does not accept our client certificate ({alert})"),
            Self::NothingShared(detail) => write!(f, "no TLS version or cipher is shared: {detail}"),
        }
    }
}

/// The name in what the library prints, such as `DnsName("broker.example")`.
fn bare(printed: &str) -> String {
    let inner = printed.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(printed);
    inner.trim_matches('"').to_owned()
}

/// A duration as people say it.
fn rough(duration: Duration) -> String {
    let hours = duration.as_secs() / 3600;
    match hours {
        0 => "less than an hour".to_owned(),
        1 => "1 hour".to_owned(),
        2..=47 => format!("{hours} hours"),
        _ => format!("{} days", hours / 24),
    }
}
