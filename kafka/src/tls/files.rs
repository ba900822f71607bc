//! PEM files with certificates and keys, and what is wrong with them. No error has a byte of a file in it.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls_native_certs::ErrorKind;

use crate::text::shorten;

/// A PEM file is not larger than this, in bytes: the bundle of all public authorities has a quarter of a megabyte.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// The header of a key that a password protects ([RFC 7468](https://www.rfc-editor.org/rfc/rfc7468#section-11), and the older
/// form, which says so in a line of its own).
const ENCRYPTED: [&str; 2] = ["BEGIN ENCRYPTED PRIVATE KEY", "Proc-Type: 4,ENCRYPTED"];

/// The PEM files of TLS.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct TlsFiles {
    /// Certificates of the authorities to trust; `None`: the system's.
    pub authorities: Option<PathBuf>,
    /// For mutual TLS.
    pub client: Option<ClientCertificate>,
}

/// Who we are in TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// PEM file with the certificate, and those between it and its authority.
    pub certificate: PathBuf,
    /// PEM file with its key.
    pub key: PathBuf,
}

/// What a file of TLS is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFile {
    /// Whom we trust.
    Authorities,
    /// Who we are.
    Certificate,
    /// How we prove it.
    Key,
}

/// Why TLS cannot be set up.
#[derive(Debug)]
pub enum TlsError {
    /// A file cannot be read.
    Unreadable {
        /// What it is for.
        file: TlsFile,
        /// Where it is.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file has not what it should have.
    Unfit {
        /// What it is for.
        file: TlsFile,
        /// Where it is.
        path: PathBuf,
        /// What is wrong.
        problem: &'static str,
    },
    /// No file of authorities is named, and the system has none.
    NoAuthorities {
        /// What went wrong first in looking for them, if anything did.
        why: Option<String>,
    },
    /// The cryptography library refuses its own defaults.
    Unusable(rustls::Error),
}

impl TlsError {
    /// Which file it is about.
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
                write!(f, "this system has no certificates of authorities to trust")?;
                why.as_ref().map_or(Ok(()), |why| write!(f, " ({why})"))?;
                write!(f, "; name a PEM file with them, or mend SSL_CERT_FILE and SSL_CERT_DIR, if one of them is set")
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

/// Every certificate of the file must be fit: one that is passed over would be missed later, at some broker.
pub(super) fn authorities_of(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(TlsFile::Authorities, path)? {
        store.add(certificate).map_err(|_| {
            unfit(TlsFile::Authorities, path, "has a certificate that is damaged or cannot be an authority's")
        })?;
    }
    Ok(store)
}

/// Those that this system trusts. Among hundreds, a few odd ones may be passed over.
pub(super) fn authorities_of_system() -> Result<RootCertStore, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(found.certs);
    if store.is_empty() {
        return Err(TlsError::NoAuthorities { why: found.errors.first().map(words_of) });
    }
    Ok(store)
}

/// The library's own words, but where they may quote a line of the file.
fn words_of(error: &rustls_native_certs::Error) -> String {
    match &error.kind {
        ErrorKind::Pem(_) => format!("{}: it is not well-formed", error.context),
        _ => shorten(&error.to_string()),
    }
}

/// A certificate with those between it and its authority, and its key.
pub(super) type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

pub(super) fn identity_of(client: &ClientCertificate) -> Result<Identity, TlsError> {
    let chain = certificates(TlsFile::Certificate, &client.certificate)?;
    Ok((chain, key(&client.key)?))
}

/// Why a certificate and its key, each well-formed PEM, are of no use together.
pub(super) fn refused_identity(client: &ClientCertificate, error: &rustls::Error) -> TlsError {
    match error {
        rustls::Error::InconsistentKeys(_) => unfit(TlsFile::Key, &client.key, "is the key of another certificate"),
        rustls::Error::InvalidCertificate(_) => {
            unfit(TlsFile::Certificate, &client.certificate, "has a certificate that is damaged")
        }
        // Java, for one, writes elliptic keys without their public half, which `ring` asks for.
        _ => unfit(
            TlsFile::Key,
            &client.key,
            "has a key that cannot be used; allowed: RSA, Ed25519, and ECDSA P-256 and P-384 with its public half, which openssl \
             ec -in … -out … adds",
        ),
    }
}

fn certificates(file: TlsFile, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = read(file, path)?;
    // The library's own error may quote a line, which in a file of another kind may be a key.
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
            "has a key that is protected by a password; give one without (openssl pkey -in … -out …)"
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
