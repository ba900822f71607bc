//! `DescribeGroups`: state and members of a classic group, with the partitions that the leader assigned to each.
//! Does not decode the assignments.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{self, ApiKey, GroupId};

use super::fields::text;
use super::reader::{Malformed, Reader};
use super::request::{Failure, Request, Unencodable, check_group, encode_message, group_refused, only};

/// Requests one group.
#[derive(Debug, Clone)]
pub(crate) struct DescribeGroupsRequest {
    pub(crate) group: String,
}

/// A classic group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DescribedClassicGroup {
    /// `Empty`, `PreparingRebalance`, `CompletingRebalance`, `Stable`, or `Dead` for a group that does not exist.
    pub(crate) state: String,
    pub(crate) members: Vec<DescribedClassicMember>,
}

/// A member of a classic group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DescribedClassicMember {
    pub(crate) id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) host: String,
    /// As the leader encoded it; empty while the group rebalances.
    pub(crate) assignment: Bytes,
}

impl Request for DescribeGroupsRequest {
    const NAME: &'static str = "DescribeGroups";
    const KEY: i16 = ApiKey::DescribeGroups as i16;
    const VERSIONS: (i16, i16) = (0, 6);
    const FLEXIBLE_SINCE: i16 = 5;
    type Response = DescribedClassicGroup;

    fn encode(&self, version: i16, to: &mut BytesMut) -> Result<(), Unencodable> {
        let message = messages::DescribeGroupsRequest::default().with_groups(vec![GroupId(text(&self.group))]);
        encode_message(&message, version, to)
    }

    fn decode(&self, version: i16, from: &mut Reader) -> Result<DescribedClassicGroup, Failure> {
        if version >= 1 {
            from.i32()?; // throttle time: the broker itself delays the next response
        }
        let groups = from.array(14, |from| {
            let error = from.error_code()?;
            if version >= 6 {
                from.nullable_string()?; // error message: says the same as the code
            }
            let group = from.string()?;
            let state = from.string()?;
            from.string()?; // protocol type
            from.string()?; // protocol: the assignor
            let members = from.array(14, |from| member(version, from))?;
            if version >= 3 {
                from.i32()?; // authorized operations: not requested
            }
            from.skip_tagged_fields()?;
            Ok((group, error, DescribedClassicGroup { state, members }))
        })?;
        from.skip_tagged_fields()?;
        let (group, error, described) = only(groups, "groups")?;
        check_group(from, &group, &self.group)?;
        error.map_or(Ok(described), |code| Err(group_refused(code, &self.group)))
    }
}

fn member(version: i16, from: &mut Reader) -> Result<DescribedClassicMember, Malformed> {
    let id = from.string()?;
    let instance_id = if version >= 4 { from.nullable_string()? } else { None };
    let client_id = from.string()?;
    let host = from.string()?;
    from.nullable_bytes()?; // subscription
    let assignment = from.nullable_bytes()?.unwrap_or_default();
    from.skip_tagged_fields()?;
    Ok(DescribedClassicMember { id, instance_id, client_id, host, assignment })
}
