//! SQL and the binding of values, one table per module. Must not know files, connections or Kafka: every function works in a transaction
//! that it is given.

pub(crate) mod browse;
pub(crate) mod event;
pub(crate) mod identity;
pub(crate) mod invariants;
pub(crate) mod jump;
pub(crate) mod now;
pub(crate) mod offset;
pub(crate) mod order;
pub(crate) mod prune;
pub(crate) mod tail;
pub(crate) mod tally;
pub(crate) mod topic_id;
pub(crate) mod unidentified;
pub(crate) mod upsert;
pub mod views;
