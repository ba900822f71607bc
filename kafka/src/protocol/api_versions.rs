//! `ApiVersions`: the requests that a broker supports, and their versions
//! ([KIP-511](https://cwiki.apache.org/confluence/display/KAFKA/KIP-511)). Does not choose a version.

use std::collections::HashMap;

use bytes::BytesMut;
use kafka_protocol::messages::{self, ApiKey};

use super::fields::text;
use super::reader::{Malformed, Reader};
use super::request::{Failure, Request, Unencodable, encode_message};
use crate::error::ErrorCode;

/// The first request on every connection.
#[derive(Debug)]
pub(crate) struct ApiVersionsRequest;

/// What a broker supports.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ApiVersions {
    /// The broker does not support this version of `ApiVersions` itself; `ranges` has at most the supported ones of
    /// that.
    pub(crate) unsupported: bool,
    /// Lowest and highest version by API key.
    pub(crate) ranges: HashMap<i16, (i16, i16)>,
}

impl Request for ApiVersionsRequest {
    const NAME: &'static str = "ApiVersions";
    const KEY: i16 = ApiKey::ApiVersions as i16;
    const VERSIONS: (i16, i16) = (0, 4);
    const FLEXIBLE_SINCE: i16 = 3;
    /// A client must be able to decode the response before it knows the broker's versions.
    const RESPONSE_HEADER_FLEXIBLE: bool = false;
    type Response = ApiVersions;

    fn encode(&self, version: i16, to: &mut BytesMut) -> Result<(), Unencodable> {
        let message = messages::ApiVersionsRequest::default()
            .with_client_software_name(text(env!("CARGO_PKG_NAME")))
            .with_client_software_version(text(env!("CARGO_PKG_VERSION")));
        encode_message(&message, version, to)
    }

    fn decode(&self, version: i16, from: &mut Reader) -> Result<ApiVersions, Failure> {
        let error = from.error_code()?;
        let unsupported = error == Some(ErrorCode::UNSUPPORTED_VERSION);
        // A broker that does not support the version responds in version 0.
        let version = if unsupported { 0 } else { version };
        from.set_flexible(version >= Self::FLEXIBLE_SINCE);
        let ranges = from.array(6, range)?.into_iter().collect();
        if version >= 1 {
            from.i32()?; // throttle time: the broker itself delays the next response
        }
        from.skip_tagged_fields()?;
        match error {
            Some(code) if !unsupported => Err(Failure::Refused { code, subject: String::new() }),
            _ => Ok(ApiVersions { unsupported, ranges }),
        }
    }
}

fn range(from: &mut Reader) -> Result<(i16, (i16, i16)), Malformed> {
    let entry = (from.i16()?, (from.i16()?, from.i16()?));
    from.skip_tagged_fields()?;
    Ok(entry)
}
