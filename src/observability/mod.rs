//! What the service publishes of itself while it runs: the numbers behind its metrics, its health and its status page.
//! The threads of the service store them without waiting for whoever reads; reading sends nothing to a broker and
//! executes no SQL. Must not know who reads, nor decide anything.
//!
//! | file | holds |
//! |-|-|
//! | `metrics.rs` | all of it, as the service stores it |
//! | `attempts.rs` | failed attempts in a row |
//! | `partitions.rs` | the assigned partitions, their positions and lag |
//! | `history.rs` | the lag of each in the last hour |
//! | `throughput.rs` | what became of offsets, since the start and in the last minute |
//! | `latest.rs` | the latest unidentified message and offset jump of each reason |
//! | `health.rs` | whether the service is live and ready, with every reason |
//! | `collect.rs`, `collect_service.rs` | every metric, with its type, labels and meaning |
//! | `family.rs` | the text format of Prometheus |
//! | `status.rs` | the state at one moment, for people |
//! | `report.rs` | that as JSON |

mod attempts;
mod collect;
mod collect_service;
mod family;
mod health;
mod history;
mod latest;
mod lock;
mod metrics;
mod partitions;
mod report;
mod status;
#[cfg(test)]
mod tests;
mod throughput;

pub use attempts::Attempts;
pub use collect::collect;
pub use family::{CONTENT_TYPE, Family, Kind, Sample, Value, encode};
pub use health::{Health, readiness};
pub use history::LagHistory;
pub use latest::{Dated, Excerpt, Jump, MessageTexts, UnidentifiedMessage};
pub use metrics::{Description, Metrics, Transactions};
pub use partitions::{PartitionSnapshot, Partitions};
pub use report::report;
pub use status::{Occurrences, Status};
pub use throughput::{Rates, Throughput, Window, time_left};
