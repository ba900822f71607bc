//! What any service on a Unix machine needs: a clean stop, retries, a log, durable files. Must not know Kafka, SQL or events.

pub mod backoff;
pub mod durable_fs;
pub mod error_chain;
pub mod json;
pub mod logger;
pub mod millis;
pub mod permissions;
pub mod shutdown;
pub mod signals;
