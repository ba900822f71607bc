//! `Heartbeat`: keeps a member's session in a classic group alive; the response says whether the group rebalances.

use bytes::BytesMut;
use kafka_protocol::messages::{self, ApiKey, GroupId};

use super::fields::{instance_id_since, text};
use super::reader::Reader;
use super::request::{Failure, Request, Unencodable, encode_message, member_refused};
use crate::types::Member;

/// The first version with static members.
const VERSION_MIN_STATIC: i16 = 3;

/// One heartbeat.
#[derive(Debug, Clone)]
pub(crate) struct HeartbeatRequest {
    pub(crate) group: String,
    pub(crate) member: Member,
}

impl Request for HeartbeatRequest {
    const NAME: &'static str = "Heartbeat";
    const KEY: i16 = ApiKey::Heartbeat as i16;
    const VERSIONS: (i16, i16) = (1, 4);
    const FLEXIBLE_SINCE: i16 = 4;
    type Response = ();

    fn encode(&self, version: i16, to: &mut BytesMut) -> Result<(), Unencodable> {
        let message = messages::HeartbeatRequest::default()
            .with_group_id(GroupId(text(&self.group)))
            .with_generation_id(self.member.epoch)
            .with_member_id(text(&self.member.id))
            .with_group_instance_id(instance_id_since(&self.member, VERSION_MIN_STATIC, version));
        encode_message(&message, version, to)
    }

    fn decode(&self, _version: i16, from: &mut Reader) -> Result<(), Failure> {
        from.i32()?; // throttle time: the broker itself delays the next response
        let error = from.error_code()?;
        from.skip_tagged_fields()?;
        error.map_or(Ok(()), |code| Err(member_refused(code, &self.group, self.member.instance_id.as_deref())))
    }
}
