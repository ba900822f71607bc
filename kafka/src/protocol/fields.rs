//! Fields that several messages have, as the protocol encodes them.

use std::time::Duration;

use kafka_protocol::messages::TopicName;
use kafka_protocol::protocol::StrBytes;

use super::reader::Malformed;
use crate::text::shorten;
use crate::types::{Address, IsolationLevel, Member};

/// The longest host name, in bytes ([RFC 1035](https://www.rfc-editor.org/rfc/rfc1035#section-2.3.4)).
const HOST_BYTES_MAX: usize = 255;

pub(crate) fn text(of: &str) -> StrBytes {
    StrBytes::from_string(of.to_owned())
}

pub(crate) fn topic_name(of: &str) -> TopicName {
    TopicName(text(of))
}

/// Milliseconds as `INT32`; a longer duration is cut to the longest.
pub(super) fn milliseconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

pub(super) fn isolation_level(level: IsolationLevel) -> i8 {
    match level {
        IsolationLevel::ReadUncommitted => 0,
        IsolationLevel::ReadCommitted => 1,
    }
}

/// The instance id for a request whose versions have static members from `since` on; older ones have only dynamic
/// members.
pub(super) fn instance_id_since(member: &Member, since: i16, version: i16) -> Option<StrBytes> {
    member.instance_id.clone().filter(|_| version >= since).map(StrBytes::from_string)
}

/// A broker's host name and port. The name is printed in logs and errors.
pub(super) fn address(host: String, port: i32) -> Result<Address, Malformed> {
    if host.len() > HOST_BYTES_MAX || host.contains(char::is_control) {
        return Err(Malformed(format!("invalid broker host name '{}'", shorten(&host))));
    }
    match u16::try_from(port) {
        Ok(port) => Ok(Address { host, port }),
        Err(_) => Err(Malformed(format!("invalid port {port} of broker '{}'", shorten(&host)))),
    }
}
