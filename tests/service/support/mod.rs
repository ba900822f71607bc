//! Helpers of the tests: the service as a process, records with their expected tables, and a fake broker.

pub mod batches;
pub mod browser;
pub mod combined_databases;
pub mod decompression_bombs;
pub mod events;
pub mod fake_broker;
pub mod http;
pub mod idle_proxy;
pub mod load;
pub mod payload_cases;
pub mod process;
pub mod raw_produce;
pub mod secure_fixture;
pub mod topic_fixture;

/// A count for CI, or for a run with `TEST_SIZE=full`.
pub fn sized<T>(ci: T, full: T) -> T {
    if is_full() { full } else { ci }
}

/// Whether `TEST_SIZE` is `full`.
pub fn is_full() -> bool {
    std::env::var("TEST_SIZE").is_ok_and(|size| size == "full")
}
