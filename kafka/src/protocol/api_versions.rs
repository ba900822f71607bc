//! `ApiVersions`: which requests, and which versions of them, a broker speaks
//! ([KIP-511](https://cwiki.apache.org/confluence/display/KAFKA/KIP-511)). Does not choose a version.

use std::collections::HashMap;

use bytes::BytesMut;
use kafka_protocol::messages::{self, ApiKey};

use super::{Failure, Malformed, Reader, Request, Unencodable, encode_message, text};
use crate::error::ErrorCode;

/// The first request on every connection.
#[derive(Debug)]
pub(crate) struct ApiVersionsRequest;

/// What a broker says of itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ApiVersions {
    /// The broker does not know the version of the request itself; `ranges` holds at most what it knows of that.
    pub(crate) unsupported: bool,
    /// Lowest and highest version by the request's number.
    pub(crate) ranges: HashMap<i16, (i16, i16)>,
}

impl Request for ApiVersionsRequest {
    const NAME: &'static str = "ApiVersions";
    const KEY: i16 = ApiKey::ApiVersions as i16;
    const VERSIONS: (i16, i16) = (0, 4);
    const FLEXIBLE_SINCE: i16 = 3;
    /// A client must be able to read the answer before it knows what the broker speaks.
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
        // A broker that does not know the version answers in version 0.
        let version = if unsupported { 0 } else { version };
        from.set_flexible(version >= Self::FLEXIBLE_SINCE);
        let ranges = from.array(6, range)?.into_iter().collect();
        if version >= 1 {
            from.i32()?; // throttle time: nothing follows this request at once
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
