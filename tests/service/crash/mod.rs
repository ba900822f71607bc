//! Killed processes, power failures and disk errors at each system call of the service. A preloaded shim in C intercepts the calls to
//! libc, so only a dynamically linked program can be tested, such as that of `cargo test`; the static one runs the same code.
//!
//! `TEST_SIZE=full` tests every call and every moment instead of a sample.

// A test that fails says at which call that was: the test program shows it only then.
#![allow(clippy::print_stderr)]

mod commits;
mod crash_fixture;
mod disk;
mod killed;
mod power;
mod refused;
mod shim;
