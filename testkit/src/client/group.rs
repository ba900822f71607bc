//! The state of a consumer group according to Kafka's admin client, for classic groups and those of KIP-848.

use std::collections::BTreeSet;

use super::Client;
use super::admin::unreadable;
use crate::error::Result;

/// A group as its coordinator describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDescription {
    /// The node that coordinates it.
    pub coordinator: u16,
    /// `Classic` or `Consumer`, as Kafka spells it.
    pub protocol: String,
    /// The assignor; empty while there is none.
    pub assignor: String,
    /// Its state.
    pub state: GroupState,
    /// Its members, by member id.
    pub members: Vec<GroupMember>,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupMember {
    /// The member id.
    pub member_id: String,
    /// The id of a static member.
    pub instance_id: Option<String>,
    /// The client id.
    pub client_id: String,
    /// Its assigned partitions.
    pub partitions: BTreeSet<(String, i32)>,
}

/// [States of a group](https://kafka.apache.org/43/javadoc/org/apache/kafka/common/GroupState.html).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // Kafka's own names.
pub enum GroupState {
    Unknown,
    PreparingRebalance,
    CompletingRebalance,
    Stable,
    Dead,
    Empty,
    Assigning,
    Reconciling,
}

impl Client {
    /// Describes a group. A group that does not exist is dead or, since 4.0, an error.
    pub fn describe_group(&self, group: &str) -> Result<GroupDescription> {
        const REQUEST: &str = "describe a group";
        let fields = self.ask(REQUEST, "describe-group", &[group])?;
        parse(&fields).ok_or_else(|| unreadable(REQUEST, &fields))
    }
}

fn parse(fields: &[String]) -> Option<GroupDescription> {
    let ([coordinator, protocol, assignor, state], members) = fields.split_first_chunk::<4>()?;
    let (rows, rest) = members.as_chunks::<4>();
    let mut members = rows.iter().map(parse_member).collect::<Option<Vec<GroupMember>>>()?;
    members.sort();
    rest.is_empty().then_some(GroupDescription {
        coordinator: coordinator.parse().ok()?,
        protocol: protocol.clone(),
        assignor: assignor.clone(),
        state: parse_state(state)?,
        members,
    })
}

fn parse_member([member_id, instance_id, client_id, partitions]: &[String; 4]) -> Option<GroupMember> {
    let partition = |text: &str| {
        let (topic, number) = text.rsplit_once(':')?;
        Some((topic.to_owned(), number.parse().ok()?))
    };
    Some(GroupMember {
        member_id: member_id.clone(),
        instance_id: (!instance_id.is_empty()).then(|| instance_id.clone()),
        client_id: client_id.clone(),
        partitions: partitions.split_whitespace().map(partition).collect::<Option<_>>()?,
    })
}

fn parse_state(name: &str) -> Option<GroupState> {
    Some(match name {
        "Unknown" => GroupState::Unknown,
        "PreparingRebalance" => GroupState::PreparingRebalance,
        "CompletingRebalance" => GroupState::CompletingRebalance,
        "Stable" => GroupState::Stable,
        "Dead" => GroupState::Dead,
        "Empty" => GroupState::Empty,
        "Assigning" => GroupState::Assigning,
        "Reconciling" => GroupState::Reconciling,
        _ => return None,
    })
}
