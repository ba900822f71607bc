//! The service as a process, with real brokers, files and signals. One test program, so that the tests share brokers and helpers.

// Helpers of tests may panic and print; the exception in clippy.toml applies to functions marked `#[test]` only.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

mod connections;
mod crash;
mod decode;
mod exactly_once;
mod failures;
mod files;
mod groups;
mod hostile;
mod inspection;
mod memory;
mod observability;
mod output;
mod page;
mod payloads;
mod poison;
mod producers;
mod quickstart;
mod refusals;
mod reload;
mod replay;
mod reset;
mod security;
mod security_refused;
mod service_manager;
mod settings;
mod signals;
mod soak;
mod start_loss;
mod start_rules;
mod status;
mod support;
mod terminal;
mod tokens;
mod truncation;
mod unidentified;
mod verify;
