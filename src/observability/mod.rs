//! What the service publishes of itself while it runs: the numbers behind its metrics, its health and its status page.
//! The threads of the service store them without waiting for whoever reads; reading sends nothing to a broker and
//! executes no SQL. Must not know who reads, nor decide anything.
//!
//! | file | holds |
//! |-|-|
//! | `metrics.rs` | all of it, as the service stores it |
//! | `attempts.rs` | failed attempts in a row |
//! | `partitions.rs` | the assigned partitions, their positions and lag |
//! | `health.rs` | whether the service is live and ready, with every reason |
//! | `collect.rs`, `collect_service.rs` | every metric, with its type, labels and meaning |
//! | `family.rs` | the text format of Prometheus |
//! | `report.rs` | the status as JSON |

mod attempts;
mod collect;
mod collect_service;
mod family;
mod health;
mod metrics;
mod partitions;
mod report;
#[cfg(test)]
mod tests;

pub use attempts::Attempts;
pub use collect::collect;
pub use family::{CONTENT_TYPE, Family, Kind, Sample, Value, encode};
pub use health::{Health, readiness};
pub use metrics::{Description, Metrics, Transactions};
pub use partitions::{PartitionSnapshot, Partitions};
pub use report::report;
