//! Sends single requests to a cluster, each to the broker that it is for, and waits for the responses: metadata,
//! offsets, groups. Never retries by itself; must not know assignments or positions.

mod brokers;
mod groups;
mod history;
mod leader_epochs;
mod offsets;
mod routing;
#[cfg(test)]
mod tests;
mod timestamps;

pub use leader_epochs::Truncated;
pub(crate) use leader_epochs::{EpochEnds, divergence};
pub use offsets::{LogOffsets, Watermarks};
pub use routing::Client;
