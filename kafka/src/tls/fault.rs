//! Why a TLS handshake fails until somebody changes a certificate or a setting, with a text that an operator can act
//! on. Faults that may pass by themselves are not among these.

use std::fmt;
use std::io;
use std::time::Duration;

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, OtherError};

use crate::text::shorten;

/// How many names of a certificate an error shows.
const NAMES_SHOWN_MAX: usize = 10;
/// The library's text for a CA certificate that is used as a server certificate; the type of this error is private.
const AUTHORITY_AS_HOST: &str = "CaUsedAsEndEntity";

/// Why TLS handshakes with a broker fail until somebody changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsFault {
    /// The broker's certificate is not signed by a trusted certificate authority (CA).
    Untrusted,
    /// A CA with the issuer's name is trusted, but the broker's certificate is signed with another key.
    OtherKey,
    /// The signature algorithm of the broker's certificate is not supported, such as SHA-1.
    Signature,
    /// The broker's certificate is a CA certificate, which cannot be a server certificate.
    Authority,
    /// The broker's certificate does not have the host name of the connection.
    WrongName {
        /// The names that it has.
        names: Vec<String>,
    },
    /// The broker's certificate is no longer valid.
    Expired {
        /// Time since it expired.
        ago: Duration,
    },
    /// The broker's certificate is not yet valid.
    NotYetValid {
        /// Time until it is valid.
        ahead: Duration,
    },
    /// The broker's certificate is invalid for another reason.
    Certificate(String),
    /// The host name of the connection is neither a DNS name nor an IP address.
    HostName,
    /// The broker does not serve the host name of the connection (alert `unrecognized_name`).
    UnrecognizedName,
    /// The broker requires a client certificate, and the client has none.
    CertificateRequired,
    /// The broker rejects the client certificate with this alert.
    CertificateRejected(String),
    /// Client and broker have no TLS version or cipher suite in common.
    NothingInCommon(String),
}

impl TlsFault {
    /// The fault behind an error of a stream; `None` if it is not a TLS error, or one that may pass.
    pub(crate) fn of(error: &io::Error, shows_certificate: bool) -> Option<Self> {
        match error.get_ref()?.downcast_ref::<rustls::Error>()? {
            rustls::Error::InvalidCertificate(error) => Some(Self::of_certificate(error)),
            rustls::Error::AlertReceived(alert) => Self::of_alert(*alert, shows_certificate),
            error @ rustls::Error::PeerIncompatible(_) => Some(Self::NothingInCommon(error.to_string())),
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
            // The second is for keys of different algorithms, such as RSA and ECDSA.
            CertificateError::BadSignature
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => Self::OtherKey,
            CertificateError::UnsupportedSignatureAlgorithmContext { .. } => Self::Signature,
            CertificateError::Other(OtherError(error)) if error.to_string() == AUTHORITY_AS_HOST => Self::Authority,
            other => Self::Certificate(shorten(&other.to_string())),
        }
    }

    /// The fault behind an [alert](https://www.rfc-editor.org/rfc/rfc8446#section-6.2); `None` for alerts that may
    /// pass.
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
                Self::CertificateRejected(format!("{alert:?}"))
            } else {
                Self::CertificateRequired
            }),
            // Some servers send this alert to a client without a certificate.
            AlertDescription::HandshakeFailure if !shows_certificate => Some(Self::NothingInCommon(format!(
                "the broker sent the alert {alert:?}; it may also require a client certificate, and none is set"
            ))),
            AlertDescription::HandshakeFailure
            | AlertDescription::ProtocolVersion
            | AlertDescription::InsufficientSecurity => {
                Some(Self::NothingInCommon(format!("the broker sent the alert {alert:?}")))
            }
            AlertDescription::UnrecognisedName => Some(Self::UnrecognizedName),
            _ => None,
        }
    }
}

impl fmt::Display for TlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Untrusted => write!(f, "its certificate is not signed by a trusted certificate authority"),
            Self::OtherKey => {
                write!(
                    f,
                    "its certificate is not signed with the key of the trusted certificate authority of that name"
                )
            }
            Self::Signature => {
                write!(
                    f,
                    "the signature algorithm of its certificate is not supported (SHA-1, ECDSA P-521 and DSA are not)"
                )
            }
            Self::Authority => {
                write!(f, "its certificate is a CA certificate (CA:TRUE), which cannot be a server certificate")
            }
            Self::WrongName { names } if names.is_empty() => {
                write!(f, "its certificate has no subject alternative name")
            }
            Self::WrongName { names } => {
                let shown = names.get(..NAMES_SHOWN_MAX.min(names.len())).unwrap_or_default().join(", ");
                write!(f, "its certificate is for another host: it names {}", shorten(&shown))
            }
            Self::Expired { ago } => write!(f, "its certificate expired {} ago", rough(*ago)),
            Self::NotYetValid { ahead } => write!(f, "its certificate is not valid before {} from now", rough(*ahead)),
            Self::Certificate(detail) => write!(f, "its certificate is invalid: {detail}"),
            Self::HostName => write!(f, "its host name is neither a DNS name nor an IP address"),
            Self::UnrecognizedName => write!(f, "it does not serve this host name (alert unrecognized_name)"),
            Self::CertificateRequired => write!(f, "it requires a client certificate, and none is set"),
            Self::CertificateRejected(alert) => write!(f, "it rejected the client certificate ({alert})"),
            Self::NothingInCommon(detail) => write!(f, "no TLS version or cipher suite in common: {detail}"),
        }
    }
}

/// The name in the library's output, such as `DnsName("broker.example")`.
fn bare(printed: &str) -> String {
    let inner = printed.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(printed);
    inner.trim_matches('"').to_owned()
}

/// A duration, rounded for people.
fn rough(duration: Duration) -> String {
    let hours = duration.as_secs() / 3600;
    match hours {
        0 => "less than an hour".to_owned(),
        1 => "1 hour".to_owned(),
        2..=47 => format!("{hours} hours"),
        _ => format!("{} days", hours / 24),
    }
}
