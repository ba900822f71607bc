//! How a connection to a broker is kept from others' eyes, and who we are there: settings, ready for use. Knows nothing of
//! connections.

use std::fmt;

use crate::sasl::Sasl;
use crate::tls::Tls;

/// Encryption and authentication; neither by default.
#[derive(Clone, Debug, Default)]
pub struct Security {
    /// Encryption, and the broker's proof of who it is.
    pub tls: Option<Tls>,
    /// Our proof of who we are; inside of the encryption, if there is one.
    pub sasl: Option<Sasl>,
}

/// Text that no log and no error may show.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
