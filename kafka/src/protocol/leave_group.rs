//! `LeaveGroup`: leaves a classic group, so that its partitions are reassigned before the session times out.

use bytes::BytesMut;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::{self, ApiKey, GroupId};

use super::fields::text;
use super::reader::{Malformed, Reader};
use super::request::{Failure, Request, Unencodable, encode_message, group_refused};
use crate::error::ErrorCode;

/// The first version with static members; it names several members.
const VERSION_MIN_BATCHED: i16 = 3;

/// Removes one member from its group.
#[derive(Debug, Clone)]
pub(crate) struct LeaveGroupRequest {
    pub(crate) group: String,
    /// The member id that the coordinator assigned, so that another member with the same instance id is not removed.
    /// Empty if it is not known: the coordinator refuses that with `UNKNOWN_MEMBER_ID` in versions without instance id.
    pub(crate) member_id: String,
    /// `group.instance.id` of a static member.
    pub(crate) instance_id: Option<String>,
}

impl Request for LeaveGroupRequest {
    const NAME: &'static str = "LeaveGroup";
    const KEY: i16 = ApiKey::LeaveGroup as i16;
    const VERSIONS: (i16, i16) = (1, 5);
    const FLEXIBLE_SINCE: i16 = 4;
    type Response = ();

    fn encode(&self, version: i16, to: &mut BytesMut) -> Result<(), Unencodable> {
        let message = messages::LeaveGroupRequest::default().with_group_id(GroupId(text(&self.group)));
        let message = if version >= VERSION_MIN_BATCHED {
            let member = MemberIdentity::default()
                .with_member_id(text(&self.member_id))
                .with_group_instance_id(self.instance_id.as_deref().map(text));
            message.with_members(vec![member])
        } else {
            message.with_member_id(text(&self.member_id))
        };
        encode_message(&message, version, to)
    }

    fn decode(&self, version: i16, from: &mut Reader) -> Result<(), Failure> {
        from.i32()?; // throttle time: the broker itself delays the next response
        let error = from.error_code()?;
        let members = if version >= VERSION_MIN_BATCHED { from.array(5, member_error)? } else { Vec::new() };
        from.skip_tagged_fields()?;
        if members.len() > 1 {
            return Err(Malformed(format!("{} members instead of 1", members.len())).into());
        }
        match error.or(members.into_iter().flatten().next()) {
            Some(code) => Err(group_refused(code, &self.group)),
            None => Ok(()),
        }
    }
}

fn member_error(from: &mut Reader) -> Result<Option<ErrorCode>, Malformed> {
    from.string()?; // member id
    from.nullable_string()?; // instance id
    let error = from.error_code()?;
    from.skip_tagged_fields()?;
    Ok(error)
}
