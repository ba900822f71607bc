//! Consumer groups: their members, and whether the client may join. Changes no group.

use super::routing::Client;
use crate::error::{Error, ErrorCode, Result};
use crate::protocol::consumer_protocol::decode_assignment;
use crate::protocol::{
    ConsumerGroupDescribeRequest, ConsumerGroupHeartbeatRequest, DescribeGroupsRequest, HeartbeatRequest, Request,
};
use crate::types::{GroupDescription, Member, MemberDescription};

impl Client {
    /// State and members of a group of either protocol. A group that does not exist has no members.
    pub fn describe_group(&mut self, group: &str) -> Result<GroupDescription> {
        // In the order of Kafka's tools: ConsumerGroupDescribe is refused for groups of the classic protocol.
        match self.call_coordinator(group, &ConsumerGroupDescribeRequest { group: group.to_owned() }) {
            Ok((_, described)) => return Ok(described),
            Err(
                Error::UnsupportedVersion { .. }
                | Error::Broker { code: ErrorCode::GROUP_ID_NOT_FOUND | ErrorCode::UNSUPPORTED_VERSION, .. },
            ) => {}
            Err(error) => return Err(error),
        }
        match self.describe_classic_group(group) {
            Err(Error::Broker { code: ErrorCode::GROUP_ID_NOT_FOUND, .. }) => Ok(GroupDescription::default()),
            described => described,
        }
    }

    /// State and members of a group of the classic protocol.
    pub(crate) fn describe_classic_group(&mut self, group: &str) -> Result<GroupDescription> {
        let request = DescribeGroupsRequest { group: group.to_owned() };
        let (coordinator, described) = self.call_coordinator(group, &request)?;
        let mut members = Vec::with_capacity(described.members.len());
        for member in described.members {
            let partitions = decode_assignment(member.assignment).map_err(|malformed| Error::Malformed {
                address: coordinator.clone(),
                request: DescribeGroupsRequest::NAME,
                detail: malformed.0,
            })?;
            let (id, instance_id, client_id, host) = (member.id, member.instance_id, member.client_id, member.host);
            members.push(MemberDescription { id, instance_id, client_id, host, partitions });
        }
        Ok(GroupDescription { state: described.state, members })
    }

    /// Whether the client may join a group of the classic protocol: sends a heartbeat of a member that does not exist,
    /// which changes nothing. `Err` with `GROUP_AUTHORIZATION_FAILED` if not.
    pub fn may_join_classic(&mut self, group: &str) -> Result<()> {
        let member = Member { id: String::new(), epoch: -1, instance_id: None };
        self.check_heartbeat(group, &HeartbeatRequest { group: group.to_owned(), member })
    }

    /// The same for the consumer protocol; `Err` with [`Error::UnsupportedVersion`] if the brokers do not support it.
    pub fn may_join_consumer(&mut self, group: &str) -> Result<()> {
        let member = Member { id: "check".to_owned(), epoch: 1, instance_id: None };
        let request = ConsumerGroupHeartbeatRequest {
            group: group.to_owned(),
            member,
            rack: None,
            subscription: None,
            owned: None,
        };
        self.check_heartbeat(group, &request)
    }

    /// The heartbeat of a member that does not exist is authorized before the member is looked up.
    fn check_heartbeat<R: Request>(&mut self, group: &str, heartbeat: &R) -> Result<()> {
        match self.call_coordinator(group, heartbeat) {
            Ok(_) | Err(Error::Broker { code: ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::GROUP_ID_NOT_FOUND, .. }) => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}
