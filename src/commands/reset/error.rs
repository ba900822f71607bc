//! Why `reset` failed.

use std::error::Error;
use std::fmt;

use kafka::{MemberDescription, TopicPartition};

use crate::settings::{advice, shorten};

/// Why the offsets were not reset.
#[derive(Debug)]
pub enum ResetError {
    /// The group has members, which would overwrite the offsets with their own positions.
    Members {
        /// The group.
        group: String,
        /// Its members.
        members: Vec<MemberDescription>,
    },
    /// A partition of `--topic` does not exist.
    NoPartition(TopicPartition),
    /// A request to the brokers failed.
    Kafka(kafka::Error),
}

impl fmt::Display for ResetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Members { group, members } => {
                let members: Vec<String> = members.iter().map(describe).collect();
                write!(
                    f,
                    "group '{group}' has members, so its offsets cannot be reset: {}; stop them first (a member with a \
                     KAFKA_GROUP_INSTANCE_ID, or one that was killed, stays until its session times out)",
                    members.join(", ")
                )
            }
            Self::NoPartition(at) => write!(f, "partition {} of topic '{}' does not exist", at.partition, at.topic),
            Self::Kafka(error) => match advice(error) {
                Some(advice) => write!(f, "{error}; {advice}"),
                None => error.fmt(f),
            },
        }
    }
}

impl Error for ResetError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Kafka(error) => error.source(),
            Self::Members { .. } | Self::NoPartition(_) => None,
        }
    }
}

impl From<kafka::Error> for ResetError {
    fn from(error: kafka::Error) -> Self {
        Self::Kafka(error)
    }
}

/// A member in one line; its ids come from the member and can have any length.
fn describe(member: &MemberDescription) -> String {
    let id = shorten(member.instance_id.as_deref().unwrap_or(&member.id));
    format!("'{id}' (client '{}' at {})", shorten(&member.client_id), shorten(member.host.trim_start_matches('/')))
}
