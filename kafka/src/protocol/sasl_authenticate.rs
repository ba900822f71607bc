//! `SaslAuthenticate`: one message of a SASL mechanism, and the broker's reply
//! ([KIP-152](https://cwiki.apache.org/confluence/display/KAFKA/KIP-152+-+Improve+diagnostics+for+SASL+authentication+failures)).
//! Must not know mechanisms.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{self, ApiKey};

use super::reader::Reader;
use super::request::{Failure, Request, Unencodable, encode_message};
use crate::error::ErrorCode;

/// The first version with a session lifetime
/// ([KIP-368](https://cwiki.apache.org/confluence/display/KAFKA/KIP-368%3A+Allow+SASL+Connections+to+Periodically+Re-Authenticate)).
const VERSION_MIN_LIFETIME: i16 = 1;

/// A message of the mechanism. Not `Debug`: it may contain the password.
pub(crate) struct SaslAuthenticateRequest {
    pub(crate) message: Bytes,
}

/// The broker's response.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SaslAuthenticate {
    /// Why the broker rejects the credentials: code and message.
    pub(crate) refusal: Option<(ErrorCode, String)>,
    /// The server's message of the mechanism.
    pub(crate) message: Bytes,
    /// The session lifetime; `None`: as long as the connection.
    pub(crate) lifetime: Option<Duration>,
}

impl Request for SaslAuthenticateRequest {
    const NAME: &'static str = "SaslAuthenticate";
    const KEY: i16 = ApiKey::SaslAuthenticate as i16;
    const VERSIONS: (i16, i16) = (0, 2);
    const FLEXIBLE_SINCE: i16 = 2;
    const RESPONSE_BYTES_MAX: u32 = 64 * 1024;
    type Response = SaslAuthenticate;

    fn encode(&self, version: i16, to: &mut BytesMut) -> Result<(), Unencodable> {
        let message = messages::SaslAuthenticateRequest::default().with_auth_bytes(self.message.clone());
        encode_message(&message, version, to)
    }

    fn decode(&self, version: i16, from: &mut Reader) -> Result<SaslAuthenticate, Failure> {
        let (error, error_message) = (from.error_code()?, from.nullable_string()?.unwrap_or_default());
        let message = from.nullable_bytes()?.unwrap_or_default();
        let lifetime_ms = if version >= VERSION_MIN_LIFETIME { from.i64()? } else { 0 };
        from.skip_tagged_fields()?;
        let lifetime = u64::try_from(lifetime_ms).ok().filter(|ms| *ms > 0).map(Duration::from_millis);
        Ok(SaslAuthenticate { refusal: error.map(|code| (code, error_message)), message, lifetime })
    }
}
