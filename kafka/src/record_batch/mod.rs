//! Record batches of format 2 ([record batch](https://kafka.apache.org/documentation/#recordbatch)): checks,
//! decompresses and decodes them. Must not know connections.

#[cfg(feature = "bench")]
pub mod bench;
mod compressed_batch;
mod compression;
mod fault;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod header;
mod partition_reader;
mod records;
#[cfg(test)]
mod tests;
mod transactions;

pub(crate) use partition_reader::{PartitionReader, Progress, ReadBudget, first_batch_timestamp};
