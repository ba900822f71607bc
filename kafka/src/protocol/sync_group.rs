//! `SyncGroup`: the leader of a classic group sends the assignments, and each member receives its own. Does not decode
//! them.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{self, ApiKey, GroupId};

use super::fields::{instance_id_since, text};
use super::join_group::PROTOCOL_TYPE;
use super::reader::Reader;
use super::request::{Failure, Request, Unencodable, encode_message, member_refused};
use crate::types::Member;

/// The first version with static members.
const VERSION_MIN_STATIC: i16 = 3;

/// Requests the member's assignment.
#[derive(Debug, Clone)]
pub(crate) struct SyncGroupRequest {
    pub(crate) group: String,
    pub(crate) member: Member,
    /// The assignor that the coordinator has chosen.
    pub(crate) assignor: String,
    /// From the leader, by member id; empty from other members.
    pub(crate) assignments: Vec<(String, Bytes)>,
    /// How long the leader may take to send the assignments.
    pub(crate) rebalance_timeout: Duration,
}

impl Request for SyncGroupRequest {
    const NAME: &'static str = "SyncGroup";
    const KEY: i16 = ApiKey::SyncGroup as i16;
    const VERSIONS: (i16, i16) = (1, 5);
    const FLEXIBLE_SINCE: i16 = 4;
    type Response = Bytes;

    fn encode(&self, version: i16, to: &mut BytesMut) -> Result<(), Unencodable> {
        let assignments = self.assignments.iter().map(|(member_id, assignment)| {
            SyncGroupRequestAssignment::default().with_member_id(text(member_id)).with_assignment(assignment.clone())
        });
        let message = messages::SyncGroupRequest::default()
            .with_group_id(GroupId(text(&self.group)))
            .with_generation_id(self.member.epoch)
            .with_member_id(text(&self.member.id))
            .with_group_instance_id(instance_id_since(&self.member, VERSION_MIN_STATIC, version))
            .with_assignments(assignments.collect());
        let message = if version >= 5 {
            message.with_protocol_type(Some(text(PROTOCOL_TYPE))).with_protocol_name(Some(text(&self.assignor)))
        } else {
            message
        };
        encode_message(&message, version, to)
    }

    fn decode(&self, version: i16, from: &mut Reader) -> Result<Bytes, Failure> {
        from.i32()?; // throttle time: the broker itself delays the next response
        let error = from.error_code()?;
        if version >= 5 {
            from.nullable_string()?; // protocol type
            from.nullable_string()?; // assignor: that of the request
        }
        let assignment = from.nullable_bytes()?.unwrap_or_default();
        from.skip_tagged_fields()?;
        match error {
            Some(code) => Err(member_refused(code, &self.group, self.member.instance_id.as_deref())),
            None => Ok(assignment),
        }
    }

    fn wait(&self) -> Duration {
        self.rebalance_timeout
    }
}
