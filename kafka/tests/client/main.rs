//! The client from outside: its public interface against real brokers, and against fake brokers. One test program, so that its
//! tests share their brokers and helpers.

// Helpers of tests may panic as tests may; clippy.toml's exception knows only functions marked `#[test]`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod cluster;
mod commits;
mod consumer;
mod fake;
mod groups;
mod peer;
mod refusals;
mod returns;
mod security;
mod support;
mod throttle;
mod token_endpoint;
mod tokens;
