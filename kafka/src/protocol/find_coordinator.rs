//! `FindCoordinator`: which broker keeps a group's offsets and members.

use bytes::BytesMut;
use kafka_protocol::messages::{self, ApiKey};

use super::{Failure, Malformed, Reader, Request, Unencodable, address, encode_message, group_refused, text};
use crate::error::ErrorCode;
use crate::text::shorten;
use crate::types::Address;

/// The first version that asks for several groups at once
/// ([KIP-699](https://cwiki.apache.org/confluence/display/KAFKA/KIP-699)).
const VERSION_MIN_BATCHED: i16 = 4;

/// Asks any broker for the coordinator of one group.
#[derive(Debug, Clone)]
pub(crate) struct FindCoordinatorRequest {
    pub(crate) group: String,
}

/// The broker to ask about the group.
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
        from.i32()?; // throttle time: the broker itself holds back the next answer
        let answer = if version >= VERSION_MIN_BATCHED {
            let answers = from.array(13, |from| self.batched_answer(from))?;
            <[Answer; 1]>::try_from(answers)
                .map(|[answer]| answer)
                .map_err(|answers| Malformed(format!("{} answers about one group", answers.len())))?
        } else {
            let error = from.error_code()?;
            from.nullable_string()?; // error message: the code says it
            Answer { id: from.i32()?, host: from.string()?, port: from.i32()?, error }
        };
        from.skip_tagged_fields()?;
        match answer.error {
            Some(code) => Err(group_refused(code, &self.group)),
            None => Ok(Coordinator { id: answer.id, address: address(answer.host, answer.port)? }),
        }
    }
}

/// Host and port mean nothing where there is an error.
struct Answer {
    id: i32,
    host: String,
    port: i32,
    error: Option<ErrorCode>,
}

impl FindCoordinatorRequest {
    fn batched_answer(&self, from: &mut Reader) -> Result<Answer, Malformed> {
        let group = from.string()?;
        if group != self.group {
            return Err(from.malformed(&format!("an answer about group '{}', which was not asked", shorten(&group))));
        }
        let answer = Answer { id: from.i32()?, host: from.string()?, port: from.i32()?, error: from.error_code()? };
        from.nullable_string()?; // error message: the code says it
        from.skip_tagged_fields()?;
        Ok(answer)
    }
}
