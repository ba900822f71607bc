//! What the tests share: the service as a process, what is sent to it, what must come of that, and a broker that lies.

pub mod batches;
pub mod combined_databases;
pub mod decompression_bombs;
pub mod events;
pub mod fake_broker;
pub mod idle_proxy;
pub mod load;
pub mod payload_cases;
pub mod process;
pub mod raw_produce;
pub mod secure_fixture;
pub mod topic_fixture;

/// A count for CI, or for the full run.
pub fn sized<T>(ci: T, full: T) -> T {
    if is_full() { full } else { ci }
}

/// Whether the full sizes are to be run.
pub fn is_full() -> bool {
    std::env::var("TEST_SIZE").is_ok_and(|size| size == "full")
}
