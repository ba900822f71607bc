//! Encryption and authentication of connections, as settings that can be replaced while connections use them. Must not know
//! connections.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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

/// The security of all connections that have a clone of it. It can be replaced at any time: each connection is then closed
/// before its next request, which goes over a new one. So a member of a group remains a member, and no request is
/// interrupted.
#[derive(Clone, Debug, Default)]
pub struct SharedSecurity(Arc<Mutex<Arc<Security>>>);

impl Security {
    /// Whether connections with the other security would be trusted and authenticated alike.
    pub fn is_same(&self, other: &Self) -> bool {
        let same_tls = match (&self.tls, &other.tls) {
            (Some(tls), Some(other)) => tls.is_same(other),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        let same_sasl = match (&self.sasl, &other.sasl) {
            (Some(sasl), Some(other)) => sasl.is_same(other),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        same_tls && same_sasl
    }
}

impl SharedSecurity {
    /// Every request that begins from now on is sent over a connection with this security.
    pub fn replace(&self, security: Security) {
        *self.lock() = Arc::new(security);
    }

    /// The security of a new connection.
    pub fn current(&self) -> Arc<Security> {
        Arc::clone(&self.lock())
    }

    /// Whether the security has not been replaced since [`current`](Self::current) returned this one.
    pub(crate) fn is_current(&self, security: &Arc<Security>) -> bool {
        Arc::ptr_eq(&self.lock(), security)
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Security>> {
        // A panic cannot leave a change incomplete: it is an assignment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<Security> for SharedSecurity {
    fn from(security: Security) -> Self {
        Self(Arc::new(Mutex::new(Arc::new(security))))
    }
}
