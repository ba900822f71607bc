//! The values that every part of the client shares: topics, partitions, brokers, groups and records. Must not know
//! connections or bytes on the wire.

mod broker;
mod group;
mod headers;
mod isolation_level;
mod record;
mod topic;

pub use broker::{Address, Advertised};
pub(crate) use group::Member;
pub use group::{CommittedOffset, GroupDescription, MemberDescription};
pub use headers::{Header, Headers};
pub use isolation_level::IsolationLevel;
pub use record::Record;
pub use topic::{TopicId, TopicPartition};
