//! One HTTP request with a deadline and a bounded response, without redirects. Must not know tokens; no error has a header
//! or a body.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use ureq::config::Config;
use ureq::http::Request;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};
use ureq::{Agent, AsSendBody};

use crate::text::shorten;
use crate::tls::{Authorities, TlsFault};

/// The largest body of a response, in bytes: twice the largest token.
const BODY_BYTES_MAX: u64 = 128 * 1024;
/// The largest head of a response, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// A client for HTTP.
#[derive(Clone, Debug)]
pub(crate) struct Http(Agent);

/// A response of any status.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// Why there is no response.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HttpError {
    /// The server's certificate, or a setting of TLS, must be changed.
    Tls(TlsFault),
    /// A retry can succeed.
    Failed(String),
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tls(fault) => write!(f, "TLS handshake failed: {fault}"),
            Self::Failed(detail) => f.write_str(detail),
        }
    }
}

impl Http {
    /// For servers on the network, through the proxy of the environment (`HTTPS_PROXY`, `NO_PROXY`) if there is one.
    pub(crate) fn new(authorities: &Authorities) -> Self {
        let Authorities(certificates) = authorities;
        let certificates: Vec<_> = certificates.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
        Self(Self::config(certificates).build().new_agent())
    }

    /// For metadata services, without TLS.
    pub(crate) fn without_proxy() -> Self {
        Self(Self::config(Vec::new()).proxy(None).build().new_agent())
    }

    fn config(trusted: Vec<Certificate<'static>>) -> ureq::config::ConfigBuilder<ureq::typestate::AgentScope> {
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
            .root_certs(RootCerts::Specific(Arc::new(trusted)))
            .build();
        Config::builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_response_header_size(HEAD_BYTES_MAX)
            // Requests are minutes apart.
            .max_idle_connections(0)
            .user_agent("enterprise-consumer")
    }

    /// Sends a request and receives the response within the timeout.
    pub(crate) fn send(&self, request: Request<impl AsSendBody>, timeout: Duration) -> Result<Response, HttpError> {
        let Self(agent) = self;
        let request = agent.configure_request(request).timeout_global(Some(timeout)).build();
        let mut response = agent.run(request).map_err(|error| failure(error, timeout))?;
        let body = response.body_mut().with_config().limit(BODY_BYTES_MAX).read_to_vec();
        let body = body.map_err(|error| failure(error, timeout))?;
        Ok(Response { status: response.status().as_u16(), body })
    }
}

fn failure(error: ureq::Error, timeout: Duration) -> HttpError {
    let error = match error {
        // The library has an error of its own, or that of a read.
        ureq::Error::Io(error) => match TlsFault::of(&error, false) {
            Some(fault) => return HttpError::Tls(fault),
            None => error.to_string(),
        },
        ureq::Error::Timeout(_) => format!("no response within {} ms", timeout.as_millis()),
        ureq::Error::BodyExceedsLimit(_) => format!("the response has more than {BODY_BYTES_MAX} bytes"),
        error => error.to_string(),
    };
    HttpError::Failed(shorten(&error))
}
