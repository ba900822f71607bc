//! `JoinGroup`: asks to be a member of a classic group. Answered once every member has asked, or has been given up.
//! Does not look into what members tell each other.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::{self, ApiKey, GroupId};

use super::{Failure, Reader, Request, Unencodable, encode_message, member_refused, milliseconds, text};
use crate::error::ErrorCode;

/// What kind of group it is: one of consumers.
pub(crate) const PROTOCOL_TYPE: &str = "consumer";

/// The first version that names static members, which came with Kafka 2.3.
pub(crate) const VERSION_MIN_STATIC: i16 = 5;

/// Asks to be a static member ([KIP-345](https://cwiki.apache.org/confluence/display/KAFKA/KIP-345)); of a coordinator before Kafka 2.3
/// to be a dynamic one: its requests name no instance id.
#[derive(Debug, Clone)]
pub(crate) struct JoinGroupRequest {
    pub(crate) group: String,
    /// The coordinator's name for us; empty before it has given one.
    pub(crate) member_id: String,
    pub(crate) instance_id: String,
    /// The coordinator gives a member up that it has not heard of for so long.
    pub(crate) session_timeout: Duration,
    /// How long the members have to ask, once one of them has.
    pub(crate) rebalance_timeout: Duration,
    /// The assignors that we know, the preferred one first, each with our subscription as it takes it.
    pub(crate) assignors: Vec<(&'static str, Bytes)>,
}

/// What the coordinator says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum JoinAnswer {
    /// We are a member.
    Joined(Joined),
    /// A dynamic member must join with this id, which the coordinator has made
    /// ([KIP-394](https://cwiki.apache.org/confluence/display/KAFKA/KIP-394%3A+Require+member.id+for+initial+join+group+request)).
    IdRequired(String),
}

/// We are a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Joined {
    /// Whether the coordinator has heard of the instance id.
    pub(crate) is_static: bool,
    pub(crate) generation: i32,
    pub(crate) member_id: String,
    /// The assignor that the coordinator has chosen, as all members know it.
    pub(crate) assignor: String,
    /// If we are the leader: who else is there.
    pub(crate) leads: Option<Leadership>,
}

/// The leader's task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leadership {
    /// All members, ourselves included.
    pub(crate) members: Vec<JoinedMember>,
    /// Nothing is to be divided anew: we came back as a static member, and the others keep what they have
    /// ([KIP-814](https://cwiki.apache.org/confluence/display/KAFKA/KIP-814%3A+Static+membership+protocol+should+let+the+leader+skip+assignment)).
    pub(crate) skips_assignment: bool,
}

/// One member, as the leader is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JoinedMember {
    pub(crate) member_id: String,
    pub(crate) instance_id: Option<String>,
    /// What it has told the chosen assignor.
    pub(crate) subscription: Bytes,
}

impl Request for JoinGroupRequest {
    const NAME: &'static str = "JoinGroup";
    const KEY: i16 = ApiKey::JoinGroup as i16;
    const VERSIONS: (i16, i16) = (2, 9);
    const FLEXIBLE_SINCE: i16 = 6;
    type Response = JoinAnswer;

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

    fn decode(&self, version: i16, from: &mut Reader) -> Result<JoinAnswer, Failure> {
        from.i32()?; // throttle time: the broker itself holds back the next answer
        let error = from.error_code()?;
        let generation = from.i32()?;
        if version >= 7 {
            from.nullable_string()?; // protocol type: we have named it
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
            return Ok(JoinAnswer::IdRequired(member_id));
        }
        if let Some(code) = error {
            return Err(member_refused(code, &self.group, Some(&self.instance_id)));
        }
        let Some(assignor) = assignor else { return Err(from.malformed("a member without an assignor").into()) };
        let leads = (leader == member_id).then_some(Leadership { members, skips_assignment });
        let is_static = version >= VERSION_MIN_STATIC;
        Ok(JoinAnswer::Joined(Joined { is_static, generation, member_id, assignor, leads }))
    }

    fn wait(&self) -> Duration {
        self.rebalance_timeout
    }
}
