//! `SaslHandshake`: chooses the SASL mechanism
//! ([KIP-43](https://cwiki.apache.org/confluence/display/KAFKA/KIP-43%3A+Kafka+SASL+enhancements)).
//! Version 0 is not followed by `SaslAuthenticate`, so it is not used.

use bytes::BytesMut;
use kafka_protocol::messages::{self, ApiKey};

use super::fields::text;
use super::reader::Reader;
use super::request::{Failure, Request, Unencodable, encode_message};
use crate::error::ErrorCode;

/// Requests a mechanism.
#[derive(Debug)]
pub(crate) struct SaslHandshakeRequest {
    pub(crate) mechanism: String,
}

/// Whether the broker supports it, and the mechanisms that it supports.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SaslHandshake {
    pub(crate) error: Option<ErrorCode>,
    pub(crate) mechanisms: Vec<String>,
}

impl Request for SaslHandshakeRequest {
    const NAME: &'static str = "SaslHandshake";
    const KEY: i16 = ApiKey::SaslHandshake as i16;
    const VERSIONS: (i16, i16) = (1, 1);
    const FLEXIBLE_SINCE: i16 = i16::MAX;
    const RESPONSE_BYTES_MAX: u32 = 64 * 1024;
    type Response = SaslHandshake;

    fn encode(&self, version: i16, to: &mut BytesMut) -> Result<(), Unencodable> {
        let message = messages::SaslHandshakeRequest::default().with_mechanism(text(&self.mechanism));
        encode_message(&message, version, to)
    }

    fn decode(&self, _version: i16, from: &mut Reader) -> Result<SaslHandshake, Failure> {
        Ok(SaslHandshake { error: from.error_code()?, mechanisms: from.array(2, Reader::string)? })
    }
}
