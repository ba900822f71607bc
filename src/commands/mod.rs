//! The commands, one file each. A command takes settings and options, prints its result with [`output`](crate::runtime::output), and
//! returns whether it found no problem. Must not read the command line or exit.

pub mod check;
pub mod decode;
mod error;
pub mod health;
mod inspection;
pub mod prune;
pub mod replay;
pub mod reset;
pub mod run;
pub mod status;
pub mod tail;
mod time_limit;
pub mod unidentified;
pub mod verify;
pub mod views;
pub mod when;

pub use error::CommandError;
pub use time_limit::{BROKERS_OR_DATABASE, COMMAND_TIME_MAX, exit_after};
