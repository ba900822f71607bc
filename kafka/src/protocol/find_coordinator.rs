//! `FindCoordinator`: the broker that coordinates a group.

use bytes::BytesMut;
use kafka_protocol::messages::{self, ApiKey};

use super::fields::{address, text};
use super::reader::{Malformed, Reader};
use super::request::{Failure, Request, Unencodable, check_group, encode_message, group_refused, only};
use crate::error::ErrorCode;
use crate::types::Address;

/// The first version that names several groups
/// ([KIP-699](https://cwiki.apache.org/confluence/display/KAFKA/KIP-699)).
const VERSION_MIN_BATCHED: i16 = 4;

/// Requests the coordinator of one group from any broker.
#[derive(Debug, Clone)]
pub(crate) struct FindCoordinatorRequest {
    pub(crate) group: String,
}

/// The broker that coordinates the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Coordinator {
    pub(crate) id: i32,
    pub(crate) address: Address,
}

impl Request for FindCoordinatorRequest {
    const NAME: &'static str = "FindCoordinator";
    const KEY: i16 = ApiKey::FindCoordinator as i16;
    const VERSIONS: (i16, i16) = (1, 6);
    const FLEXIBLE_SINCE: i16 = 3;
    type Response = Coordinator;

    fn encode(&self, version: i16, to: &mut BytesMut) -> Result<(), Unencodable> {
        let message = messages::FindCoordinatorRequest::default();
        let message = if version >= VERSION_MIN_BATCHED {
            message.with_coordinator_keys(vec![text(&self.group)])
        } else {
            message.with_key(text(&self.group))
        };
        encode_message(&message, version, to)
    }

    fn decode(&self, version: i16, from: &mut Reader) -> Result<Coordinator, Failure> {
        from.i32()?; // throttle time: the broker itself delays the next response
        let found = if version >= VERSION_MIN_BATCHED {
            only(from.array(13, |from| self.group(from))?, "groups")?
        } else {
            let error = from.error_code()?;
            from.nullable_string()?; // error message: says the same as the code
            Found { id: from.i32()?, host: from.string()?, port: from.i32()?, error }
        };
        from.skip_tagged_fields()?;
        match found.error {
            Some(code) => Err(group_refused(code, &self.group)),
            None => Ok(Coordinator { id: found.id, address: address(found.host, found.port)? }),
        }
    }
}

/// The response about one group. Host and port are meaningless with an error.
struct Found {
    id: i32,
    host: String,
    port: i32,
    error: Option<ErrorCode>,
}

impl FindCoordinatorRequest {
    fn group(&self, from: &mut Reader) -> Result<Found, Malformed> {
        let group = from.string()?;
        check_group(from, &group, &self.group)?;
        let found = Found { id: from.i32()?, host: from.string()?, port: from.i32()?, error: from.error_code()? };
        from.nullable_string()?; // error message: says the same as the code
        from.skip_tagged_fields()?;
        Ok(found)
    }
}
