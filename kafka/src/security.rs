//! Encryption and authentication of connections, as settings. Must not know connections.

use crate::sasl::Sasl;
use crate::tls::Tls;

/// Encryption and authentication; neither by default (`security.protocol=PLAINTEXT`).
#[derive(Clone, Debug, Default)]
pub struct Security {
    /// TLS, with verification of the broker's certificate (`SSL`, `SASL_SSL`).
    pub tls: Option<Tls>,
    /// SASL authentication of the client, after the TLS handshake if there is one (`SASL_PLAINTEXT`, `SASL_SSL`).
    pub sasl: Option<Sasl>,
}
