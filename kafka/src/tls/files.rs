//! Reads PEM files with certificates and keys. No error contains a byte of a file.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls_native_certs::ErrorKind;

use crate::text::shorten;

/// The largest PEM file, in bytes: the bundle of all public CAs has a quarter of a megabyte.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// The header of an encrypted key ([RFC 7468](https://www.rfc-editor.org/rfc/rfc7468#section-11), and the
/// older form with a line of its own).
const ENCRYPTED: [&str; 2] = ["BEGIN ENCRYPTED PRIVATE KEY", "Proc-Type: 4,ENCRYPTED"];

/// The PEM files of TLS.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct TlsFiles {
    /// Trusted CA certificates; `None`: those of the system.
    pub authorities: Option<PathBuf>,
    /// The client certificate, for mutual TLS.
    pub client: Option<ClientCertificate>,
}

/// A client certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// PEM file with the certificate and the intermediate ones of its chain.
    pub certificate: PathBuf,
    /// PEM file with its private key.
    pub key: PathBuf,
}

/// The purpose of a PEM file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFile {
    /// Trusted CA certificates.
    Authorities,
    /// The client certificate.
    Certificate,
    /// The client certificate's private key.
    Key,
}

/// Why TLS cannot be set up.
#[derive(Debug)]
pub enum TlsError {
    /// A file cannot be read.
    Unreadable {
        /// Its purpose.
        file: TlsFile,
        /// Its path.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// A file has invalid content.
    Unfit {
        /// Its purpose.
        file: TlsFile,
        /// Its path.
        path: PathBuf,
        /// What is wrong.
        problem: &'static str,
    },
    /// No CA file is set, and the system has no CA certificates.
    NoAuthorities {
        /// The first error of the search, if there was one.
        why: Option<String>,
    },
    /// The cryptography library rejects its own defaults.
    Unusable(rustls::Error),
}

impl TlsError {
    /// The file with the error.
    pub fn file(&self) -> TlsFile {
        match self {
            Self::Unreadable { file, .. } | Self::Unfit { file, .. } => *file,
            Self::NoAuthorities { .. } | Self::Unusable(_) => TlsFile::Authorities,
        }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, .. } => write!(f, "cannot read '{}'", path.display()),
            Self::Unfit { path, problem, .. } => write!(f, "'{}' {problem}", path.display()),
            Self::NoAuthorities { why } => {
                write!(f, "the system has no CA certificates")?;
                why.as_ref().map_or(Ok(()), |why| write!(f, " ({why})"))?;
                write!(
                    f,
                    "; set a PEM file with CA certificates, or fix SSL_CERT_FILE and SSL_CERT_DIR if one of them is set"
                )
            }
            Self::Unusable(_) => write!(f, "TLS cannot be set up"),
        }
    }
}

impl std::error::Error for TlsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { source, .. } => Some(source),
            Self::Unusable(source) => Some(source),
            Self::Unfit { .. } | Self::NoAuthorities { .. } => None,
        }
    }
}

/// Reads CA certificates. Each must be valid: one that was skipped would be missed later, at some broker.
pub(super) fn authorities_of(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(TlsFile::Authorities, path)? {
        store.add(certificate).map_err(|_| {
            unfit(TlsFile::Authorities, path, "has a certificate that is damaged or cannot be a CA certificate")
        })?;
    }
    Ok(store)
}

/// The system's CA certificates. Among hundreds, a few that cannot be parsed are skipped.
pub(super) fn authorities_of_system() -> Result<RootCertStore, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(found.certs);
    if store.is_empty() {
        return Err(TlsError::NoAuthorities { why: found.errors.first().map(without_content) });
    }
    Ok(store)
}

/// Trusted CA certificates, for TLS connections of another library; without a file, those of the system.
#[cfg(feature = "token-http")]
#[derive(Clone, Debug)]
pub struct Authorities(pub(crate) Vec<CertificateDer<'static>>);

#[cfg(feature = "token-http")]
impl Authorities {
    /// Reads the file.
    ///
    /// # Errors
    /// The file cannot be read or has invalid content, or the system has no CA certificates.
    pub fn load(path: Option<&Path>) -> Result<Self, TlsError> {
        if let Some(path) = path {
            authorities_of(path)?;
            certificates(TlsFile::Authorities, path).map(Self)
        } else {
            authorities_of_system()?;
            Ok(Self(rustls_native_certs::load_native_certs().certs))
        }
    }
}

/// The library's error text, unless it may quote a line of the file.
fn without_content(error: &rustls_native_certs::Error) -> String {
    match &error.kind {
        ErrorKind::Pem(_) => format!("{}: it is not well-formed", error.context),
        _ => shorten(&error.to_string()),
    }
}

/// A certificate chain and its private key.
pub(super) type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

pub(super) fn identity_of(client: &ClientCertificate) -> Result<Identity, TlsError> {
    let chain = certificates(TlsFile::Certificate, &client.certificate)?;
    Ok((chain, key(&client.key)?))
}

/// Why a well-formed certificate and a well-formed key cannot be used together.
pub(super) fn refused_identity(client: &ClientCertificate, error: &rustls::Error) -> TlsError {
    match error {
        rustls::Error::InconsistentKeys(_) => unfit(TlsFile::Key, &client.key, "is the key of another certificate"),
        rustls::Error::InvalidCertificate(_) => {
            unfit(TlsFile::Certificate, &client.certificate, "has a certificate that is damaged")
        }
        // Java, for example, writes elliptic-curve keys without the public key, which `ring` requires.
        _ => unfit(
            TlsFile::Key,
            &client.key,
            "has a key that cannot be used; allowed: RSA, Ed25519, and ECDSA P-256 and P-384 with its public key, which openssl \
             ec -in … -out … adds",
        ),
    }
}

fn certificates(file: TlsFile, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = read(file, path)?;
    // The library's error may quote a line, which may be part of a key.
    let malformed = |_| unfit(file, path, "is not a well-formed PEM file");
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(malformed)?;
    if certificates.is_empty() {
        return Err(unfit(file, path, "has no certificate in PEM form (-----BEGIN CERTIFICATE-----)"));
    }
    Ok(certificates)
}

pub(super) fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let pem = read(TlsFile::Key, path)?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| {
        let has = |text: &str| pem.windows(text.len()).any(|window| window == text.as_bytes());
        let problem = if ENCRYPTED.iter().any(|text| has(text)) {
            "has a key that is protected by a password; use one without a password (openssl pkey -in … -out …)"
        } else if matches!(error, pem::Error::NoItemsFound) {
            "has no private key in PEM form (-----BEGIN PRIVATE KEY-----)"
        } else {
            "is not a well-formed PEM file"
        };
        unfit(TlsFile::Key, path, problem)
    })
}

fn read(file: TlsFile, path: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |source| TlsError::Unreadable { file, path: path.to_owned(), source };
    let mut pem = Vec::new();
    let opened = File::open(path).map_err(unreadable)?;
    opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut pem).map_err(unreadable)?;
    if u64::try_from(pem.len()).is_ok_and(|bytes| bytes <= FILE_BYTES_MAX) {
        return Ok(pem);
    }
    Err(unfit(file, path, "is too large for a PEM file of certificates"))
}

fn unfit(file: TlsFile, path: &Path, problem: &'static str) -> TlsError {
    TlsError::Unfit { file, path: path.to_owned(), problem }
}
