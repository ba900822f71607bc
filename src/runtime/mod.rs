//! What any Unix service needs: a clean shutdown, retries, a log, durable files. Must not know settings, brokers, SQL or events;
//! of the `kafka` crate it uses the backoff, the stages and the escaping of text only.

pub mod backoff;
pub mod durable_fs;
pub mod error_chain;
pub mod json;
pub mod logger;
pub mod measures;
pub mod millis;
pub mod notify;
pub mod output;
pub mod permissions;
pub mod probe;
pub mod process;
pub mod progress_line;
pub mod readable;
pub mod shared_secret;
pub mod shutdown;
pub mod signals;
pub mod stages;
pub mod timestamp;
