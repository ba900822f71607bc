//! `LeaveGroup`: ends a membership in a classic group, so that the others need not wait until it times out.

use bytes::BytesMut;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::{self, ApiKey, GroupId};

use super::{Failure, Malformed, Reader, Request, Unencodable, encode_message, group_refused, text};

/// Takes one static member out of its group.
#[derive(Debug, Clone)]
pub(crate) struct LeaveGroupRequest {
    pub(crate) group: String,
    /// As the coordinator called it last: so that it is not another one by the same name. Empty if it is not known.
    pub(crate) member_id: String,
    pub(crate) instance_id: String,
}

impl Request for LeaveGroupRequest {
    const NAME: &'static str = "LeaveGroup";
    const KEY: i16 = ApiKey::LeaveGroup as i16;
    /// From 3 on with static membership.
    const VERSIONS: (i16, i16) = (3, 5);
    const FLEXIBLE_SINCE: i16 = 4;
    type Response = ();

    fn encode(&self, version: i16, to: &mut BytesMut) -> Result<(), Unencodable> {
        let member = MemberIdentity::default()
            .with_member_id(text(&self.member_id))
            .with_group_instance_id(Some(text(&self.instance_id)));
        let message =
            messages::LeaveGroupRequest::default().with_group_id(GroupId(text(&self.group))).with_members(vec![member]);
        encode_message(&message, version, to)
    }

    fn decode(&self, _version: i16, from: &mut Reader) -> Result<(), Failure> {
        from.i32()?; // throttle time: the broker itself holds back the next answer
        let error = from.error_code()?;
        let members = from.array(5, |from| {
            from.string()?; // member id
            from.nullable_string()?; // instance id
            let error = from.error_code()?;
            from.skip_tagged_fields()?;
            Ok(error)
        })?;
        from.skip_tagged_fields()?;
        if members.len() > 1 {
            return Err(Malformed(format!("{} answers about one member", members.len())).into());
        }
        match error.or(members.into_iter().flatten().next()) {
            Some(code) => Err(group_refused(code, &self.group)),
            None => Ok(()),
        }
    }
}
