//! `ConsumerGroupDescribe`: state and members of a group of the consumer protocol, with the partitions that the
//! coordinator assigned to each
//! ([KIP-848](https://cwiki.apache.org/confluence/display/KAFKA/KIP-848%3A+The+Next+Generation+of+the+Consumer+Rebalance+Protocol)).

use std::sync::Arc;

use bytes::BytesMut;
use kafka_protocol::messages::{self, ApiKey, GroupId};

use super::fields::text;
use super::reader::{Malformed, Reader};
use super::request::{Failure, Request, Unencodable, check_group, encode_message, group_refused, only};
use crate::types::{GroupDescription, MemberDescription, TopicPartition};

/// Requests one group.
#[derive(Debug, Clone)]
pub(crate) struct ConsumerGroupDescribeRequest {
    pub(crate) group: String,
}

impl Request for ConsumerGroupDescribeRequest {
    const NAME: &'static str = "ConsumerGroupDescribe";
    const KEY: i16 = ApiKey::ConsumerGroupDescribe as i16;
    const VERSIONS: (i16, i16) = (0, 1);
    const FLEXIBLE_SINCE: i16 = 0;
    type Response = GroupDescription;

    fn encode(&self, version: i16, to: &mut BytesMut) -> Result<(), Unencodable> {
        let message =
            messages::ConsumerGroupDescribeRequest::default().with_group_ids(vec![GroupId(text(&self.group))]);
        encode_message(&message, version, to)
    }

    fn decode(&self, version: i16, from: &mut Reader) -> Result<GroupDescription, Failure> {
        from.i32()?; // throttle time: the broker itself delays the next response
        let groups = from.array(20, |from| {
            let error = from.error_code()?;
            from.nullable_string()?; // error message: says the same as the code
            let group = from.string()?;
            let state = from.string()?;
            from.i32()?; // group epoch
            from.i32()?; // assignment epoch
            from.string()?; // assignor
            let members = from.array(16, |from| member(version, from))?;
            from.i32()?; // authorized operations: not requested
            from.skip_tagged_fields()?;
            Ok((group, error, GroupDescription { state, members }))
        })?;
        from.skip_tagged_fields()?;
        let (group, error, described) = only(groups, "groups")?;
        check_group(from, &group, &self.group)?;
        error.map_or(Ok(described), |code| Err(group_refused(code, &self.group)))
    }
}

fn member(version: i16, from: &mut Reader) -> Result<MemberDescription, Malformed> {
    let id = from.string()?;
    let instance_id = from.nullable_string()?;
    from.nullable_string()?; // rack
    from.i32()?; // member epoch
    let client_id = from.string()?;
    let host = from.string()?;
    from.array(1, Reader::string)?; // subscribed topics
    from.nullable_string()?; // subscribed topics as a pattern
    let partitions = assignment(from)?;
    assignment(from)?; // target assignment: not current yet
    if version >= 1 {
        from.i8()?; // member type
    }
    from.skip_tagged_fields()?;
    Ok(MemberDescription { id, instance_id, client_id, host, partitions: partitions.into_iter().collect() })
}

fn assignment(from: &mut Reader) -> Result<Vec<TopicPartition>, Malformed> {
    let topics = from.array(19, |from| {
        from.topic_id()?;
        let topic: Arc<str> = from.string()?.into();
        let partitions = from.array(4, Reader::i32)?;
        from.skip_tagged_fields()?;
        Ok(partitions.into_iter().map(move |partition| TopicPartition::new(Arc::clone(&topic), partition)))
    })?;
    from.skip_tagged_fields()?;
    Ok(topics.into_iter().flatten().collect())
}
