//! `JoinGroup`: joins a classic group. The coordinator responds when every member has joined, or has timed out. Does
//! not decode the members' subscriptions.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::{self, ApiKey, GroupId};

use super::fields::{milliseconds, text};
use super::reader::Reader;
use super::request::{Failure, Request, Unencodable, encode_message, member_refused};
use crate::error::ErrorCode;

/// The protocol type of consumer groups.
pub(crate) const PROTOCOL_TYPE: &str = "consumer";

/// The first version with static members, of Kafka 2.3.
pub(crate) const VERSION_MIN_STATIC: i16 = 5;

/// Joins as a static member ([KIP-345](https://cwiki.apache.org/confluence/display/KAFKA/KIP-345)); as a dynamic one
/// with a coordinator before Kafka 2.3, whose versions have no instance id.
#[derive(Debug, Clone)]
pub(crate) struct JoinGroupRequest {
    pub(crate) group: String,
    /// The member id that the coordinator has assigned; empty before that.
    pub(crate) member_id: String,
    pub(crate) instance_id: String,
    /// The coordinator removes a member that sends no heartbeat for this long.
    pub(crate) session_timeout: Duration,
    /// How long the members have to rejoin once a rebalance has begun.
    pub(crate) rebalance_timeout: Duration,
    /// The supported assignors, the preferred one first, each with the encoded subscription.
    pub(crate) assignors: Vec<(&'static str, Bytes)>,
}

/// The coordinator's response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum JoinGroupResponse {
    /// The client is a member.
    Joined(Joined),
    /// A dynamic member must join again with this id
    /// ([KIP-394](https://cwiki.apache.org/confluence/display/KAFKA/KIP-394%3A+Require+member.id+for+initial+join+group+request)).
    MemberIdRequired(String),
}

/// A membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Joined {
    /// Whether the request's version has the instance id.
    pub(crate) is_static: bool,
    pub(crate) generation: i32,
    pub(crate) member_id: String,
    /// The assignor that the coordinator has chosen; all members support it.
    pub(crate) assignor: String,
    /// Present if the client is the leader.
    pub(crate) leads: Option<Leadership>,
}

/// What only the leader gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leadership {
    /// All members, including the leader.
    pub(crate) members: Vec<JoinedMember>,
    /// The leader is a static member that rejoined, and all members keep their assignments
    /// ([KIP-814](https://cwiki.apache.org/confluence/display/KAFKA/KIP-814%3A+Static+membership+protocol+should+let+the+leader+skip+assignment)).
    pub(crate) skips_assignment: bool,
}

/// One member of the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JoinedMember {
    pub(crate) member_id: String,
    pub(crate) instance_id: Option<String>,
    /// Its subscription for the chosen assignor.
    pub(crate) subscription: Bytes,
}

impl Request for JoinGroupRequest {
    const NAME: &'static str = "JoinGroup";
    const KEY: i16 = ApiKey::JoinGroup as i16;
    const VERSIONS: (i16, i16) = (2, 9);
    const FLEXIBLE_SINCE: i16 = 6;
    type Response = JoinGroupResponse;

    fn encode(&self, version: i16, to: &mut BytesMut) -> Result<(), Unencodable> {
        let assignors = self.assignors.iter().map(|(name, subscription)| {
            JoinGroupRequestProtocol::default().with_name(text(name)).with_metadata(subscription.clone())
        });
        let message = messages::JoinGroupRequest::default()
            .with_group_id(GroupId(text(&self.group)))
            .with_session_timeout_ms(milliseconds(self.session_timeout))
            .with_rebalance_timeout_ms(milliseconds(self.rebalance_timeout))
            .with_member_id(text(&self.member_id))
            .with_group_instance_id((version >= VERSION_MIN_STATIC).then(|| text(&self.instance_id)))
            .with_protocol_type(text(PROTOCOL_TYPE))
            .with_protocols(assignors.collect());
        encode_message(&message, version, to)
    }

    fn decode(&self, version: i16, from: &mut Reader) -> Result<JoinGroupResponse, Failure> {
        from.i32()?; // throttle time: the broker itself delays the next response
        let error = from.error_code()?;
        let generation = from.i32()?;
        if version >= 7 {
            from.nullable_string()?; // protocol type: that of the request
        }
        let assignor = from.nullable_string()?;
        let leader = from.string()?;
        let skips_assignment = if version >= 9 { from.i8()? != 0 } else { false };
        let member_id = from.string()?;
        let members = from.array(5, |from| {
            let member = JoinedMember {
                member_id: from.string()?,
                instance_id: if version >= VERSION_MIN_STATIC { from.nullable_string()? } else { None },
                subscription: from.nullable_bytes()?.unwrap_or_default(),
            };
            from.skip_tagged_fields()?;
            Ok(member)
        })?;
        from.skip_tagged_fields()?;
        if error == Some(ErrorCode::MEMBER_ID_REQUIRED) && self.member_id.is_empty() && !member_id.is_empty() {
            return Ok(JoinGroupResponse::MemberIdRequired(member_id));
        }
        if let Some(code) = error {
            return Err(member_refused(code, &self.group, Some(&self.instance_id)));
        }
        let Some(assignor) = assignor else { return Err(from.malformed("a member without an assignor").into()) };
        let leads = (leader == member_id).then_some(Leadership { members, skips_assignment });
        let is_static = version >= VERSION_MIN_STATIC;
        Ok(JoinGroupResponse::Joined(Joined { is_static, generation, member_id, assignor, leads }))
    }

    fn wait(&self) -> Duration {
        self.rebalance_timeout
    }
}
