//! TLS settings: CA certificates and client certificate, read once from PEM files. Must not know sockets; no error
//! contains a key.
//!
//! A broker's certificate must be signed by a trusted CA, be valid now, and have the host name of the connection; none
//! of these checks can be disabled.

mod expiry;
mod fault;
mod files;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

pub use fault::TlsFault;
#[cfg(feature = "token-http")]
pub use files::Authorities;
pub use files::{ClientCertificate, TlsError, TlsFile, TlsFiles};

/// A TLS configuration for versions 1.2 and 1.3. Cheap to clone.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    authorities: Arc<RootCertStore>,
    /// The client certificate and its chain; empty if the client has none.
    chain: Arc<[CertificateDer<'static>]>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("shows_certificate", &self.shows_certificate()).finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads the files. Without a CA file, the system's CA certificates are trusted (`SSL_CERT_FILE` and `SSL_CERT_DIR`
    /// override them).
    ///
    /// # Errors
    /// A file cannot be read or has invalid content, or the system has no CA certificates.
    pub fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        let authorities = match &files.authorities {
            Some(path) => Arc::new(files::authorities_of(path)?),
            None => Arc::new(files::authorities_of_system()?),
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Unusable)?
            .with_root_certificates(Arc::clone(&authorities));
        let (mut config, chain) = match &files.client {
            None => (builder.with_no_client_auth(), Vec::new()),
            Some(client) => {
                let (chain, key) = files::identity_of(client)?;
                let config = builder.with_client_auth_cert(chain.clone(), key);
                (config.map_err(|error| files::refused_identity(client, &error))?, chain)
            }
        };
        // Connections are few and long: each one checks the broker's certificate.
        config.resumption = Resumption::disabled();
        Ok(Self { config: Arc::new(config), authorities, chain: chain.into() })
    }

    /// When the client certificate, or the first one of its chain, expires; `None` without a client certificate, and if no
    /// date can be read from it.
    pub fn client_certificate_expires_at(&self) -> Option<SystemTime> {
        expiry::of_chain(&self.chain)
    }

    /// Whether the other configuration trusts the same authorities and shows the same certificate, which has one key.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.authorities.roots == other.authorities.roots && self.chain == other.chain
    }

    /// Whether the client has a certificate.
    pub(crate) fn shows_certificate(&self) -> bool {
        !self.chain.is_empty()
    }

    /// The TLS state of a new connection. The broker's certificate must have this DNS name or IP address.
    pub(crate) fn client(&self, host: &str) -> Result<ClientConnection, TlsFault> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| TlsFault::HostName)?;
        ClientConnection::new(Arc::clone(&self.config), name)
            .map_err(|error| TlsFault::NothingInCommon(error.to_string()))
    }
}
