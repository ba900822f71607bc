//! What all requests share: versions, headers and framing, limits, refusals. Must not know a particular message.

use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::RequestHeader;
use kafka_protocol::protocol::Encodable;

use super::fields::text;
use super::reader::{Malformed, Reader};
use crate::budget::ResponseShare;
use crate::error::ErrorCode;
use crate::text::shorten;

/// A request of the protocol: how it is encoded and how its response is decoded.
pub(crate) trait Request {
    /// The request's name in the protocol.
    const NAME: &'static str;
    /// The request's API key.
    const KEY: i16;
    /// The versions that are encoded and decoded here, lowest and highest.
    const VERSIONS: (i16, i16);
    /// The first flexible version, with compact lengths and tagged fields in the body and in both headers
    /// ([KIP-482](https://cwiki.apache.org/confluence/display/KAFKA/KIP-482)).
    const FLEXIBLE_SINCE: i16;
    /// False if the response header has no tagged fields in any version.
    const RESPONSE_HEADER_FLEXIBLE: bool = true;
    /// The decoded response.
    type Response;
    /// The largest plausible response, in bytes, whatever the connection's limit: metadata of a hundred thousand
    /// partitions and the offsets of a group are far smaller.
    const RESPONSE_BYTES_MAX: u32 = 16 * 1024 * 1024;

    /// The highest version that can express this request.
    fn version_max(&self) -> i16 {
        Self::VERSIONS.1
    }

    /// Appends the request's body.
    fn encode(&self, version: i16, to: &mut BytesMut) -> Result<(), Unencodable>;

    /// Decodes the response's body.
    fn decode(&self, version: i16, from: &mut Reader) -> Result<Self::Response, Failure>;

    /// How long the broker may delay the response on purpose; added to the request timeout.
    fn wait(&self) -> Duration {
        Duration::ZERO
    }

    /// Called with the size of the response, in bytes, before it is received; may wait for memory.
    fn admit(&self, _bytes: usize) -> Admission {
        Admission::Free
    }
}

/// Whether a response is received, and whether its memory is counted.
#[derive(Debug)]
pub(crate) enum Admission {
    /// Received, not counted.
    Free,
    /// Received; the share is held as long as the response's bytes.
    Counted(ResponseShare),
    /// Not received: the consumer no longer needs it.
    Unwanted,
}

/// The request cannot be encoded, for example because a name is too long.
#[derive(Debug)]
pub(crate) struct Unencodable(pub(crate) String);

impl Unencodable {
    pub(crate) fn new(cause: impl fmt::Display) -> Self {
        Self(cause.to_string())
    }
}

/// Why a request has no result.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The response cannot be decoded.
    Malformed(Malformed),
    /// The broker refused the whole request; `subject` names the group, or is empty.
    Refused { code: ErrorCode, subject: String },
}

impl From<Malformed> for Failure {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

/// Encodes a whole request, with its length in front.
pub(crate) fn encode_request<R: Request>(
    request: &R,
    version: i16,
    correlation_id: i32,
    client_id: &str,
) -> Result<Bytes, Unencodable> {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation_id)
        .with_client_id(Some(text(client_id)));
    let mut body = BytesMut::new();
    encode_message(&header, if version >= R::FLEXIBLE_SINCE { 2 } else { 1 }, &mut body)?;
    request.encode(version, &mut body)?;
    let length = i32::try_from(body.len()).map_err(Unencodable::new)?;
    let mut framed = BytesMut::with_capacity(4 + body.len());
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(&body);
    Ok(framed.freeze())
}

/// Decodes a whole response, without its length.
pub(crate) fn decode_response<R: Request>(
    request: &R,
    version: i16,
    correlation_id: i32,
    bytes: Bytes,
) -> Result<R::Response, Failure> {
    let flexible = version >= R::FLEXIBLE_SINCE;
    let mut reader = Reader::new(bytes, flexible && R::RESPONSE_HEADER_FLEXIBLE);
    let received = reader.i32()?;
    if received != correlation_id {
        return Err(reader.malformed(&format!("correlation id {received} instead of {correlation_id}")).into());
    }
    reader.skip_tagged_fields()?;
    reader.set_flexible(flexible);
    match request.decode(version, &mut reader) {
        Err(Failure::Malformed(malformed)) => Err(malformed.into()),
        response => reader.finish().map_err(Failure::from).and(response),
    }
}

/// Appends the body of a request.
pub(super) fn encode_message(message: &impl Encodable, version: i16, to: &mut BytesMut) -> Result<(), Unencodable> {
    message.encode(to, version).map_err(Unencodable::new)
}

/// The coordinator refuses a request about a group.
pub(super) fn group_refused(code: ErrorCode, group: &str) -> Failure {
    Failure::Refused { code, subject: format!("group '{group}'") }
}

/// The coordinator refuses a request of a member of a group.
pub(super) fn member_refused(code: ErrorCode, group: &str, instance_id: Option<&str>) -> Failure {
    let instance = instance_id.map(|id| format!(" (instance id '{id}')")).unwrap_or_default();
    Failure::Refused { code, subject: format!("group '{group}'{instance}") }
}

/// The group of a response is the requested one.
pub(super) fn check_group(from: &Reader, found: &str, requested: &str) -> Result<(), Malformed> {
    if found == requested {
        return Ok(());
    }
    Err(from.malformed(&format!("group '{}', which was not requested", shorten(found))))
}

/// The only element of an array of a response, where one was requested.
pub(super) fn only<T>(items: Vec<T>, what: &str) -> Result<T, Malformed> {
    <[T; 1]>::try_from(items)
        .map(|[item]| item)
        .map_err(|items| Malformed(format!("{} {what} instead of 1", items.len())))
}
