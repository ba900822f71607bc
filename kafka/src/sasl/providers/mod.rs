//! Sources of tokens for OAUTHBEARER.

#[cfg(feature = "token-http")]
pub(crate) mod aws;
#[cfg(feature = "token-http")]
mod cache;
#[cfg(feature = "token-http")]
pub(crate) mod client_credentials;
#[cfg(feature = "token-http")]
mod encoding;
pub(crate) mod endpoint;
pub(crate) mod file;
#[cfg(feature = "token-http")]
mod http;
mod secret_file;
